"""Borders of settings, first parameters, and the sums of models written out."""

import math

import numpy as np
import pytest
import torch

from irecgan_gym.models import sequence_score, slate_policy
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.building import build, resolve_device
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.encoder import EncoderConfig, RecurrentEncoder
from irecgan_gym.models.heads import PositionTerm
from irecgan_gym.models.predictor_policy import PredictorPolicy, _Memoryless, _StateLayout
from irecgan_gym.models.recall import RecallMemory
from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.models.slate_policy import SlatePolicy, UserModelPolicy
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.sessions import Sessions
from tests.conftest import random_sessions
from tests.models.test_recall import with_events
from tests.models.test_sequence_score import HORIZON, observe_all, tiny_models

TINY = EncoderConfig(hidden_size=5, embedding_size=4)


def test_borders_of_settings():
    assert UserModelConfig(3, 1).slate_size == 1
    assert UserModelConfig(3, 3).slate_size == 3
    for size in (0, 4):
        with pytest.raises(ValueError, match=f"slate_size must be from 1 to num_items=3, got {size}"):
            UserModelConfig(3, size)
    with pytest.raises(ValueError, match="ending must be 'reward' or 'leave', got 'never'"):
        UserModelConfig(3, 1, "never")
    assert EncoderConfig(num_layers=1, hidden_size=1, embedding_size=1).hidden_size == 1
    for cell in ("lstm", "gru"):
        assert EncoderConfig(cell).cell == cell
    for name in ("num_layers", "hidden_size", "embedding_size"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            EncoderConfig(**{name: 0})
    with pytest.raises(ValueError, match=r"embedding_std must be positive, got 0\.0"):
        EncoderConfig(embedding_std=0.0)
    with pytest.raises(ValueError, match=r"temperature must be positive, got 0\.0"):
        DiscriminatorConfig(3, temperature=0.0)
    with pytest.raises(ValueError, match="ranking must be 'click_and_reward' or 'click', got 'reward'"):
        UserModelPolicy(tiny_models("reward")[0], 2, "reward")


def test_borders_and_defaults_of_a_score():
    models = tiny_models("reward")
    score = SequenceScore(*models)
    assert (score.num_rollouts, score.max_session_steps) == (5, 40)
    assert (score.start(2).length.tolist(), score.start(2).length.dtype) == ([0, 0], torch.int64)
    for name in ("num_rollouts", "max_session_steps"):
        assert getattr(SequenceScore(*models, **{name: 1}), name) == 1
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            SequenceScore(*models, **{name: 0})
    other = SequenceScore(*models, num_rollouts=3, max_session_steps=7).with_policy(lambda clicks: clicks)
    assert (other.num_rollouts, other.max_session_steps) == (3, 7)
    assert other.user_model is models[0]
    assert other.discriminator is models[2]
    assert other.policy is not models[1]


@torch.no_grad()
def test_sessions_of_the_greatest_length_are_not_completed():
    models = tiny_models("reward")
    history = [((0, 1), 0, 1)] * HORIZON
    expected = None
    for steps, rollouts in ((HORIZON, 1), (HORIZON - 1, 3)):
        score = SequenceScore(*models, num_rollouts=rollouts, max_session_steps=steps)
        prefixes = observe_all(score, [history[:steps]] * 2)
        generator = torch.Generator().manual_seed(0)
        q = score.score(prefixes, torch.tensor([False, False]), generator)
        expected = models[2].probabilities(prefixes.partial)
        assert torch.equal(q, expected)
        assert torch.equal(generator.get_state(), torch.Generator().manual_seed(0).get_state())
    assert ((expected > 0) & (expected < 1)).all()


@torch.no_grad()
@pytest.mark.parametrize("elements", [1, 2**25])
def test_all_open_sessions_are_completed_however_many_at_a_time(elements, monkeypatch):
    monkeypatch.setattr(sequence_score, "_STATE_ELEMENTS", elements)
    models = tiny_models("reward")
    judge = models[2]
    score = SequenceScore(*models, num_rollouts=2, max_session_steps=HORIZON)
    prefixes = observe_all(score, [[((0, 1), 0, 1)], [((2, 0), 2, 1)], [((1, 2), 1, 1)]])
    own = judge.probabilities(prefixes.partial)
    q = score.score(prefixes, torch.tensor([False, True, False]), torch.Generator().manual_seed(0))
    assert (q == own).tolist() == [False, True, False]


def test_devices():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device(torch.device("meta")) == torch.device("meta")
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    meta = build(lambda: torch.nn.Linear(2, 2), torch.Generator(), "meta")
    assert meta.weight.device.type == "meta"


@pytest.mark.parametrize("make", [lambda: torch.nn.Linear(900, 40), lambda: torch.nn.GRU(30, 900)])
def test_layers_are_drawn_uniformly_within_one_over_the_root_of_their_width(make):
    for parameter in build(make, torch.Generator().manual_seed(0)).parameters():
        assert parameter.abs().max() <= 1 / 30
        assert parameter.min() < -0.9 / 30
        assert parameter.max() > 0.9 / 30


def test_embeddings_are_drawn_from_a_normal_distribution_around_zero():
    config = EncoderConfig(hidden_size=3, embedding_size=100, embedding_std=0.3)
    weight = build(lambda: RecurrentEncoder(400, config), torch.Generator().manual_seed(0)).embedding.weight.detach()
    assert weight.shape == (401, 100)
    assert float(weight.std()) == pytest.approx(0.3, rel=0.02)
    assert float(weight.mean()) == pytest.approx(0, abs=0.01)


def test_a_seed_makes_the_models_and_another_seed_makes_others():
    for create in (
        lambda seed: UserModel.create(UserModelConfig(5, 2, encoder=TINY), seed=seed, device="cpu"),
        lambda seed: Discriminator.create(DiscriminatorConfig(5, TINY), seed=seed, device="cpu"),
    ):
        first, again, other = (list(create(seed).parameters()) for seed in (0, 0, 1))
        assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
        assert not any(torch.equal(one, two) for one, two in zip(first, other, strict=True))


def test_a_memory_starts_with_gains_of_one_and_makes_logits_of_about_one():
    memory = build(lambda: RecallMemory(400, 0.1), torch.Generator())
    table = 0.1 * torch.randn(4, 400, generator=torch.Generator().manual_seed(0))
    state = memory.step(torch.zeros(1, memory.size), torch.tensor([1]), table)
    torch.testing.assert_close(state[0].view(2, 400), table[1].expand(2, 400))
    # Decays of 0.1 and 0.5.
    state = memory.step(state, torch.tensor([2]), table)
    torch.testing.assert_close(state[0].view(2, 400), torch.stack([table[2] + 0.1 * table[1], table[2] + table[1] / 2]))
    # "No click" is not remembered, and nothing fades.
    assert torch.equal(memory.step(state, torch.tensor([3]), table), state)
    logits = memory.query(state) @ table.T / math.sqrt(400)
    # Two memories of 1 and 1, and of 0.1 and 0.5.
    torch.testing.assert_close(logits[0, :3], torch.tensor([0.0, 0.6, 2.0]), atol=0.3, rtol=0)


def test_events_enter_with_halves_of_weight_by_age(rng):
    log = with_events(random_sessions(rng), rng)
    config = EncoderConfig(hidden_size=5, embedding_size=4, events=True)
    encoder = build(lambda: RecurrentEncoder(log.num_items, config), torch.Generator().manual_seed(0))
    batch = SessionTensors(log, leave_option=False).batch(np.arange(len(log)))
    inputs, table = encoder._inputs(batch), encoder.embedding.weight
    for row, step in enumerate(batch.steps.tolist()):
        events = log.event_items[log.event_offsets[step] : log.event_offsets[step + 1]][::-1]
        sums = sum((0.5**age * table[int(item)] for age, item in enumerate(events)), torch.zeros(4))
        expected = table[batch.previous_clicks[row]] + encoder.event_input.weight @ sums
        torch.testing.assert_close(inputs[row], expected)


def test_later_places_share_the_last_term():
    term = build(lambda: PositionTerm(3), torch.Generator())
    assert term(5).tolist() == [0] * 5
    with torch.no_grad():
        term.scores.copy_(torch.tensor([0.1, 0.2, 0.3]))
    torch.testing.assert_close(term(5), torch.tensor([2.0, 4.0, 6.0, 6.0, 6.0]))
    torch.testing.assert_close(term(2), torch.tensor([2.0, 4.0]))


def test_batches_in_order_and_at_random(rng):
    sessions = random_sessions(rng, num_sessions=11)
    data = SessionTensors(sessions, leave_option=False)
    batches = list(data.all(4))
    assert [batch.num_sessions for batch in batches] == [4, 4, 3]
    steps = [batch.steps.tolist() for batch in batches]
    for first, found in zip((0, 4, 8), steps, strict=True):
        assert sorted(found) == list(range(sessions.offsets[first], sessions.offsets[min(first + 4, 11)]))
    shuffled = list(data.shuffled(4, np.random.default_rng(0)))
    assert [batch.num_sessions for batch in shuffled] == [4, 4, 3]
    again, other = (list(data.shuffled(4, np.random.default_rng(seed))) for seed in (0, 1))
    assert [batch.steps.tolist() for batch in again] == [batch.steps.tolist() for batch in shuffled]
    assert [batch.steps.tolist() for batch in other] != [batch.steps.tolist() for batch in shuffled]
    assert sorted(shuffled[0].steps.tolist()) != sorted(steps[0])
    assert data.mean_steps(4) == pytest.approx(4 * sessions.num_steps / 11)
    assert data.mean_steps(20) == pytest.approx(sessions.num_steps)


def test_longest_sessions_come_first_and_equal_ones_in_the_order_given(rng):
    sessions = random_sessions(rng, num_sessions=40)
    numbers = rng.permutation(40)
    batch = SessionTensors(sessions, leave_option=False).batch(numbers)
    firsts = batch.steps[: batch.num_sessions].numpy()
    found = np.searchsorted(sessions.offsets, firsts).tolist()
    assert found == sorted(numbers.tolist(), key=lambda number: -sessions.lengths[number])


@pytest.mark.parametrize("elements", [1, 2**22])
def test_slates_are_drawn_in_blocks_of_states(elements, monkeypatch):
    monkeypatch.setattr(slate_policy, "_BLOCK_ELEMENTS", elements)
    monkeypatch.setattr(slate_policy, "_BLOCK_ROWS", 3)
    policy = build(lambda: SlatePolicy(9, 2, TINY), torch.Generator().manual_seed(0))
    state = policy.observe(torch.arange(8), policy.start(8))
    sizes = [len(logits) for logits in policy._logits_in_blocks(state)]
    assert sizes == ([3, 3, 2] if elements == 1 else [8])
    expected = policy.log_probabilities(policy.encoder.output(state)).argsort(dim=1, descending=True)[:, :2]
    assert torch.equal(policy.top(state), expected)
    slates = policy.sample(state, torch.Generator().manual_seed(0), draws=500).view(8, 500, 2)
    chances = policy.log_probabilities(policy.encoder.output(state)).exp()
    shares = torch.stack([(slates[:, :, 0] == item).float().mean(1) for item in range(9)], dim=1)
    torch.testing.assert_close(shares, chances, atol=0.1, rtol=0)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("recall", [False, True])
def test_clicked_items_have_the_log_probabilities_of_the_softmax(cell, recall, rng):
    sessions = random_sessions(rng, leave=True)
    shape = EncoderConfig(cell=cell, hidden_size=5, embedding_size=4, recall=recall)
    policy = build(lambda: SlatePolicy(sessions.num_items, 3, shape), torch.Generator().manual_seed(0))
    with torch.no_grad():
        policy.head.bias.copy_(torch.linspace(-1, 1, sessions.num_items))
    batch = SessionTensors(sessions, leave_option=True).batch(np.arange(len(sessions)))
    weight, bias = policy.head.weight, policy.head.bias
    for row, (hidden, click, found) in enumerate(
        zip(policy.encoder(batch), batch.clicks.tolist(), policy.click_log_probabilities(batch), strict=True)
    ):
        query = policy.head.queries(hidden[None])[0] if recall else hidden
        logits = weight @ query + bias
        torch.testing.assert_close(policy.logits(hidden[None])[0], logits)
        expected = torch.tensor(0.0) if click == sessions.num_items else logits.log_softmax(0)[click]
        torch.testing.assert_close(found, expected, msg=str(row))


def test_a_catalogue_of_one_item_is_chosen_for_certain():
    sessions = Sessions.from_columns(num_items=1, lengths=[2], slates=[[0], [0]], clicks=[0, 1], rewards=[1, 0])
    policy = build(lambda: SlatePolicy(1, 1, TINY), torch.Generator().manual_seed(0))
    batch = SessionTensors(sessions, leave_option=True).batch(np.array([0]))
    assert policy.click_log_probabilities(batch).tolist() == [0, 0]


def test_models_are_loaded_where_new_ones_are_made(tmp_path):
    model = UserModel.create(UserModelConfig(5, 2, encoder=TINY), seed=0)
    model.save(tmp_path / "model")
    assert UserModel.load(tmp_path / "model").device == model.device
    assert UserModel.load(tmp_path / "model", device="meta").device.type == "meta"
    judge = Discriminator.create(DiscriminatorConfig(5, TINY), seed=0)
    assert judge.preference.weight.device == model.device


def test_states_of_several_layers_are_taken_apart_by_session():
    one, two = (np.arange(2.0 * number * 3).reshape(2, number, 3).astype(np.float32) for number in (1, 2))
    layout = _StateLayout.of((one, one[0]), (two, two[0]))
    assert layout.width == 9
    rows = layout.flatten((two, two[0]))
    np.testing.assert_array_equal(rows, [[0, 1, 2, 6, 7, 8, 0, 1, 2], [3, 4, 5, 9, 10, 11, 3, 4, 5]])
    for restored, part in zip(layout.restore(rows[::-1]), (two[:, ::-1], two[0, ::-1]), strict=True):
        np.testing.assert_array_equal(restored, part)
        assert restored.dtype == np.float32
    single = _StateLayout.of(one, two)
    np.testing.assert_array_equal(single.restore(single.flatten(two)), two)
    assert _StateLayout.of(None, None).width == 0


def test_what_a_policy_draws_from_numpys_global_generator_is_seeded_and_forgotten():
    def choose(clicks):
        return np.stack([np.random.permutation(50)[:2] for _ in clicks])  # noqa: NPY002

    policy = PredictorPolicy(_Memoryless(choose), 50, "cpu")
    state = policy.start(20)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (policy.sample(state, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.dtype == torch.int64


def test_a_predictor_is_told_which_sessions_begin():
    class Counting:
        """Its state counts the steps of each session."""

        def __init__(self):
            self.asked = []

        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            self.asked.append((observation.tolist(), None if state is None else state.tolist(), episode_start.tolist()))
            steps = np.zeros((len(observation), 1)) if state is None else state
            slates = np.tile([0, 1], (len(observation), 1))
            return slates, np.where(np.asarray(episode_start)[:, None], 0, steps) + 1

    predictor = Counting()
    policy = PredictorPolicy(predictor, 9, "cpu")
    state = policy.start(2)
    predictor.asked.clear()
    policy.sample(state, torch.Generator())
    older = policy.observe(torch.tensor([3, 4]), state)
    mixed = torch.stack([older[0], policy.start(1)[0]])
    policy.sample(mixed, torch.Generator())
    policy.sample(policy.observe(torch.tensor([5, 6]), mixed), torch.Generator())
    assert predictor.asked == [
        ([9, 9], None, [True, True]),
        ([9, 9], None, [True, True]),
        ([3, 9], [[1], [0]], [False, True]),
        ([3, 9], [[1], [0]], [False, True]),
        ([5, 6], [[2], [1]], [False, False]),
    ]


def test_a_memory_of_clicks_alone_takes_no_notice_of_events(rng):
    bare = random_sessions(rng)
    log = with_events(bare, rng)
    encoder = build(
        lambda: RecurrentEncoder(log.num_items, EncoderConfig(hidden_size=5, embedding_size=4, recall=True)),
        torch.Generator().manual_seed(0),
    )
    outputs = [
        encoder(SessionTensors(sessions, leave_option=False).batch(np.arange(len(log)))) for sessions in (bare, log)
    ]
    assert torch.equal(*outputs)
