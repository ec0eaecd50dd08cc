"""The memory of touched items, against a loop over everything that a user touches."""

import numpy as np
import pytest
import torch

from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.building import build
from irecgan_gym.models.encoder import EncoderConfig, RecurrentEncoder
from irecgan_gym.models.recall import RecallMemory
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.sessions import Sessions
from tests.conftest import random_sessions
from tests.plain import gradients, plain_softmax_log_probability


def with_events(sessions, rng):
    """The same sessions with up to three other events before each click."""
    counts = rng.integers(4, size=sessions.num_steps)
    return Sessions.from_columns(
        num_items=sessions.num_items,
        lengths=sessions.lengths,
        slates=sessions.slate_items,
        slate_lengths=sessions.slate_lengths,
        clicks=sessions.clicks,
        rewards=sessions.rewards,
        event_lengths=counts,
        event_items=rng.integers(sessions.num_items, size=counts.sum()),
    )


@pytest.fixture
def log(rng):
    return with_events(random_sessions(rng), rng)


def memory_module():
    """A memory whose numbers are all different."""
    memory = build(lambda: RecallMemory(4, 0.5), torch.Generator())
    with torch.no_grad():
        memory.click_gains.copy_(torch.tensor([0.05, 0.1]))
        memory.event_gains.copy_(torch.tensor([0.15, -0.02]))
    return memory


def plain_memory(memory, table, session, events):
    """m <- decay m + gain e(item) for one item after the other; the memory before each click, [T, R, E]."""
    decays = (memory.decay_log_odds * 20).sigmoid()[:, None]
    click_gains, event_gains = (20 * gains[:, None] for gains in (memory.click_gains, memory.event_gains))
    state = torch.zeros(2, table.shape[1])
    states = []
    for step in range(len(session.clicks)):
        if step > 0:
            state = decays * state + click_gains * table[int(session.clicks[step - 1])]
        for item in events[step]:
            state = decays * state + event_gains * table[int(item)]
        states.append(state)
    return states


def events_of(sessions, number):
    steps = range(sessions.offsets[number], sessions.offsets[number + 1])
    return [sessions.event_items[sessions.event_offsets[t] : sessions.event_offsets[t + 1]] for t in steps]


def test_a_batch_holds_the_events_of_its_steps(log):
    batch = SessionTensors(log, leave_option=False).batch(np.array([3, 0, 5]))
    for row, step in enumerate(batch.steps.tolist()):
        expected = log.event_items[log.event_offsets[step] : log.event_offsets[step + 1]].tolist()
        first = int(batch.events.offsets[row])
        rows = slice(first, first + int(batch.events.counts[row]))
        assert batch.events.items[rows].tolist() == expected
        assert batch.events.ages[rows].tolist() == list(range(len(expected)))[::-1]


@pytest.mark.parametrize("events", [False, True])
def test_memory_and_its_gradient_are_those_of_a_loop(log, events):
    memory, table = memory_module(), torch.randn(log.num_items + 1, 4, generator=torch.Generator().manual_seed(1))
    table.requires_grad_()
    batch = SessionTensors(log, leave_option=False).batch(np.arange(len(log)))
    fast = memory(batch, table, batch.events if events else None)
    slow = torch.empty_like(fast)
    for number, session in enumerate(log):
        touched = events_of(log, number) if events else [[]] * len(session.clicks)
        states = plain_memory(memory, table, session, touched)
        for step, state in enumerate(states):
            row = (batch.steps == int(log.offsets[number]) + step).nonzero().item()
            slow[row] = state.flatten()
    torch.testing.assert_close(fast, slow)
    weights = torch.randn(fast.shape, generator=torch.Generator().manual_seed(2))
    for parameter in (table, *memory.parameters()):
        one, other = (
            torch.autograd.grad((weights * result).sum(), parameter, retain_graph=True, allow_unused=True)[0]
            for result in (fast, slow)
        )
        if one is None:
            assert other is None or not other.any()
        else:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_step_is_the_whole_session_in_pieces(log):
    memory, table = memory_module(), torch.randn(log.num_items + 1, 4)
    batch = SessionTensors(log, leave_option=False).batch(np.array([2]))
    state = torch.zeros(1, memory.size)
    for row, before in enumerate(batch.previous_clicks):
        state = memory.step(state, before[None], table)
        torch.testing.assert_close(state[0], memory(batch, table, None)[row])


def test_events_reach_the_recurrent_state_only_where_they_count(log):
    config = EncoderConfig(hidden_size=5, embedding_size=4)
    bare = Sessions.from_columns(
        num_items=log.num_items,
        lengths=log.lengths,
        slates=log.slate_items,
        slate_lengths=log.slate_lengths,
        clicks=log.clicks,
        rewards=log.rewards,
    )
    outputs = {}
    for events in (False, True):
        encoder = build(
            lambda events=events: RecurrentEncoder(
                log.num_items, EncoderConfig(hidden_size=5, embedding_size=4, events=events)
            ),
            torch.Generator().manual_seed(0),
        )
        for name, sessions in (("with", log), ("without", bare)):
            batch = SessionTensors(sessions, leave_option=False).batch(np.arange(len(sessions)))
            outputs[events, name] = encoder(batch)
    assert config.events is False
    assert torch.equal(outputs[False, "with"], outputs[False, "without"])
    assert not torch.allclose(outputs[True, "with"], outputs[True, "without"])


@pytest.mark.parametrize("touched_by", ["click", "event"])
def test_an_item_that_nobody_has_clicked_in_training_is_recognised(touched_by):
    num_items = 2000
    policy = build(
        lambda: SlatePolicy(num_items, 3, EncoderConfig(events=True, recall=True)), torch.Generator().manual_seed(0)
    )
    sessions = Sessions.from_columns(
        num_items=num_items,
        lengths=[2],
        slates=[[1, 2, 3], [4, 5, 6]],
        clicks=[2, 5],
        rewards=[1, 1],
        event_lengths=[0, 1 if touched_by == "event" else 0],
        event_items=[1234] if touched_by == "event" else [],
    )
    batch = SessionTensors(sessions, leave_option=False).batch(np.array([0]))
    scores = policy.log_probabilities(policy.encoder(batch))[1]
    assert int(scores.argmax()) == (1234 if touched_by == "event" else 2)


def test_shared_head_is_a_softmax_over_the_embeddings_of_the_history(log):
    policy = build(
        lambda: SlatePolicy(log.num_items, 2, EncoderConfig(hidden_size=5, embedding_size=4, recall=True)),
        torch.Generator().manual_seed(0),
    )
    names = [name for name, _ in policy.named_parameters()]
    assert [name for name in names if "embedding" in name] == ["encoder.embedding.weight"]
    batch = SessionTensors(log, leave_option=False).batch(np.arange(4))
    hidden = policy.encoder(batch)
    plain = []
    for row, click in zip(hidden, batch.clicks, strict=True):
        query = policy.head.query.weight @ row[:5] + policy.head.query.bias + row[5:]
        logits = policy.encoder.embedding.weight[:-1] @ query / 2 + policy.head.bias
        plain.append(plain_softmax_log_probability(logits, int(click)))
    fast = policy.click_log_probabilities(batch)
    torch.testing.assert_close(fast, torch.stack(plain))
    torch.testing.assert_close(policy.log_probabilities(hidden).gather(1, batch.clicks[:, None])[:, 0], fast)
    slow_gradients = gradients(policy, torch.stack(plain).sum())
    for name, gradient in gradients(policy, fast.sum()).items():
        torch.testing.assert_close(gradient, slow_gradients[name], rtol=1e-4, atol=1e-5)
