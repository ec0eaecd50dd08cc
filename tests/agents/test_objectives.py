"""Losses and gradients of PGIS and AC against slow plain versions of their equations, one step at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from irecgan_gym.agents.ac import ActorCritic, ActorCriticPolicy, lambda_returns
from irecgan_gym.agents.logging_policy_model import estimated_propensities, fit_logging_policy, shown_log_likelihood
from irecgan_gym.agents.pgis import ImportanceWeighted, effective_sample_size
from irecgan_gym.agents.returns import ReturnsData, offline_rewards
from irecgan_gym.models.building import build
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.sessions import Sessions
from tests.conftest import random_sessions
from tests.plain import gradients, plain_softmax_log_probability, plain_states

N, K, GAMMA = 7, 3, 0.9
TINY = EncoderConfig("lstm", 2, hidden_size=4, embedding_size=3)


def policy_of(kind):
    return build(lambda: kind(N, K, TINY), torch.Generator().manual_seed(1)).double()


def returns_data(sessions, propensities=None):
    rewards = offline_rewards(sessions, 3.0).astype(np.float64)
    return ReturnsData(sessions, rewards, GAMMA, torch.device("cpu"), propensities=propensities)


def plain_steps(policy, sessions):
    """Number, outputs before it and log-probability of the click, of every step."""
    step = 0
    for session in sessions:
        for click, hidden in zip(session.clicks, plain_states(policy.encoder, session.clicks), strict=True):
            chosen = None
            if click < N:
                logits = policy.head.weight @ hidden + policy.head.bias
                chosen = plain_softmax_log_probability(logits, int(click))
            yield step, hidden, chosen
            step += 1


def assert_same_gradients(module, fast, slow):
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-6)
    expected = gradients(module, slow)
    for name, gradient in gradients(module, fast).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("correction", [False, True])
@pytest.mark.parametrize("clip", [0.8, 100.0])
def test_importance_weights_and_their_gradient(correction, clip, rng):
    policy, sessions = policy_of(SlatePolicy), random_sessions(rng, ragged=True, leave=True)
    propensities = rng.uniform(0.2, 1.0, sessions.num_steps)
    objective = ImportanceWeighted(weight_clip=clip, top_k_correction=correction)
    data = returns_data(sessions, propensities)
    batch = data.sessions.batch(np.arange(len(sessions)))
    fast = objective.losses(policy, data, batch).sum()
    returns = sessions.returns_to_go(offline_rewards(sessions, 3.0), GAMMA)
    slow, held_out, weights = 0.0, 0.0, []
    for step, _, chosen in plain_steps(policy, sessions):
        if chosen is None:
            continue
        size, chance = int(sessions.slate_lengths[step]), float(chosen.detach().exp())
        weights.append(min(size * chance / propensities[step], clip))
        factor = size * (1 - chance) ** (size - 1) if correction else 1.0
        slow = slow - weights[-1] * factor * float(returns[step]) * chosen
        held_out -= weights[-1] * float(returns[step])
    assert_same_gradients(policy, fast, slow)
    assert float(objective.held_out_losses(policy, data, batch).sum().detach()) == pytest.approx(held_out, rel=1e-5)
    metrics = objective.metrics()
    exact = np.array(weights)
    assert metrics["importance/mean_weight"] == pytest.approx(exact.mean())
    assert metrics["importance/effective_sample_share"] == pytest.approx(
        exact.sum() ** 2 / (exact**2).sum() / len(exact)
    )
    assert metrics["importance/clipped_share"] == pytest.approx((exact >= clip).mean())


def test_weights_of_the_logging_policy_itself_are_one(rng):
    """With k times the policy's own probabilities as propensities, nothing is reweighted."""
    policy, sessions = policy_of(SlatePolicy), random_sessions(rng)
    batch = returns_data(sessions).sessions.batch(np.arange(len(sessions)))
    own = np.empty(sessions.num_steps)
    own[batch.steps.numpy()] = K * policy.click_log_probabilities(batch).detach().exp().numpy()
    objective = ImportanceWeighted(weight_clip=10.0, top_k_correction=False)
    objective.losses(policy, returns_data(sessions, own), batch)
    assert objective.metrics()["importance/mean_weight"] == pytest.approx(1.0)


def test_importance_weights_need_propensities(rng):
    policy, data = policy_of(SlatePolicy), returns_data(random_sessions(rng))
    objective = ImportanceWeighted(weight_clip=10.0, top_k_correction=False)
    with pytest.raises(ValueError, match="importance weights need sessions whose propensities are all known"):
        objective.losses(policy, data, data.sessions.batch(np.arange(3)))


def test_effective_sample_size_counts_even_weights():
    assert effective_sample_size(torch.ones(7)) == pytest.approx(7.0)
    assert effective_sample_size(torch.tensor([1.0, 0.0, 0.0])) == pytest.approx(1.0)


def plain_lambda_returns(rewards, values, trace_decay):
    """G_t of one session, from its end."""
    returns = list(rewards)
    for t in range(len(rewards) - 2, -1, -1):
        returns[t] += GAMMA * ((1 - trace_decay) * values[t + 1] + trace_decay * returns[t + 1])
    return returns


@pytest.mark.parametrize("trace_decay", [0.0, 0.6, 1.0])
def test_actor_and_critic_and_their_gradients(trace_decay, rng):
    policy, sessions = policy_of(ActorCriticPolicy), random_sessions(rng, leave=True)
    data = returns_data(sessions)
    batch = data.sessions.batch(np.arange(len(sessions)))
    objective = ActorCritic(trace_decay, value_weight=0.5)
    fast = objective.losses(policy, data, batch).sum()
    rewards = offline_rewards(sessions, 3.0)
    steps = list(plain_steps(policy, sessions))
    values = [(policy.value_head.weight @ hidden + policy.value_head.bias)[0] for _, hidden, _ in steps]
    slow, errors = 0.0, []
    for first, last in zip(sessions.offsets[:-1], sessions.offsets[1:], strict=True):
        session_values = [float(value.detach()) for value in values[first:last]]
        targets = plain_lambda_returns([float(reward) for reward in rewards[first:last]], session_values, trace_decay)
        for target, value, (_, _, chosen) in zip(targets, values[first:last], steps[first:last], strict=True):
            slow = slow + 0.5 * (target - value) ** 2
            errors.append((target - float(value.detach())) ** 2)
            if chosen is not None:
                slow = slow - (target - float(value.detach())) * chosen
    assert_same_gradients(policy, fast, slow)
    assert objective.metrics()["train/value_error"] == pytest.approx(np.mean(errors))
    held_out = float(objective.held_out_losses(policy, data, batch).sum().detach())
    assert held_out == pytest.approx(float(slow.detach()), rel=1e-5)
    assert objective.metrics() == {}


def test_lambda_one_is_the_reward_to_go(rng):
    sessions = random_sessions(rng)
    data = returns_data(sessions)
    batch = data.sessions.batch(np.arange(len(sessions)))
    values = torch.from_numpy(rng.random(sessions.num_steps))
    returns = lambda_returns(data.rewards(batch), values, batch, GAMMA, 1.0)
    torch.testing.assert_close(returns, data.returns(batch).double())


def test_the_logging_policy_is_estimated_from_the_slates(rng):
    """Half of the items are shown twice as often as the others."""
    steps, items = 4000, 6
    weights = np.array([2.0, 2.0, 2.0, 1.0, 1.0, 1.0])
    keys = np.log(weights) + rng.gumbel(size=(steps, items))
    slates = np.argsort(-keys, axis=1)[:, :2]
    sessions = Sessions.from_columns(
        num_items=items,
        lengths=np.full(steps // 4, 4),
        slates=slates,
        clicks=slates[:, 0],
        rewards=np.ones(steps),
    )
    model = build(lambda: SlatePolicy(items, 2, TINY), torch.Generator().manual_seed(1))
    training, held_out = sessions.split((0.9, 0.1), seed=0)
    config = FitConfig(learning_rate=1e-2, max_epochs=20, patience=3)
    fit_logging_policy(model, training, held_out, config, generator=np.random.default_rng(0))
    # The chance of being in a slate of two: first, or second after any other.
    share = weights / weights.sum()
    others = ~np.eye(items, dtype=bool)
    exact = share + np.array([(share[other] * share[i] / (1 - share[other])).sum() for i, other in enumerate(others)])
    estimated = estimated_propensities(model, sessions, 512)
    for item in range(items):
        assert estimated[sessions.clicks == item].mean() == pytest.approx(exact[item], abs=0.04)


def test_the_likelihood_of_ragged_slates(rng):
    policy, sessions = policy_of(SlatePolicy), random_sessions(rng, ragged=True)
    data = returns_data(sessions)
    batch = data.sessions.batch(np.arange(len(sessions)))
    fast = shown_log_likelihood(policy, batch).sum()
    slow, step = 0.0, 0
    for session in sessions:
        for slate, hidden in zip(session.slates, plain_states(policy.encoder, session.clicks), strict=True):
            logits = policy.head.weight @ hidden + policy.head.bias
            slow = slow + sum(plain_softmax_log_probability(logits, int(item)) for item in slate) / len(slate)
            step += 1
    assert_same_gradients(policy, fast, slow)
