import numpy as np
import pytest
import torch

from irecgan_gym.agents.returns import Reinforce, ReturnsData
from irecgan_gym.kernels.low_precision import LowPrecision
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.building import build
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.slate_policy import SlatePolicy
from tests.conftest import random_sessions
from tests.plain import gradients, plain_agent_objective

TINY = EncoderConfig("gru", 1, hidden_size=4, embedding_size=3)


def tiny_policy():
    return build(lambda: SlatePolicy(7, 3, TINY), torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize("lambda_r", [0.0, 3.0])
@pytest.mark.parametrize("leave", [False, True])
def test_loss_and_gradient_of_eq_8_and_eq_10(lambda_r, leave, rng):
    policy = tiny_policy()
    sessions = random_sessions(rng, leave=leave)
    q = rng.random(sessions.num_steps)
    rewards = np.where(sessions.clicks == 7, 0, q * (1 + lambda_r * sessions.rewards))
    data = ReturnsData(sessions, rewards.astype(np.float64), 0.9, torch.device("cpu"))
    batch = data.sessions.batch(np.arange(len(sessions)))
    loss = Reinforce().losses(policy, data, batch).sum()
    plain = -plain_agent_objective(policy, sessions, q, 0.9, lambda_r)
    torch.testing.assert_close(loss, plain, rtol=1e-5, atol=1e-5)
    slow = gradients(policy, plain)
    for name, gradient in gradients(policy, loss).items():
        torch.testing.assert_close(gradient, slow[name], rtol=1e-4, atol=1e-5, msg=name)


def test_the_policy_is_a_softmax_over_all_items(rng):
    policy = tiny_policy()
    batch = SessionTensors(random_sessions(rng), leave_option=False).batch(np.arange(5))
    log_probabilities = policy.log_probabilities(policy.encoder(batch))
    torch.testing.assert_close(log_probabilities.exp().sum(-1), torch.ones(len(batch.clicks), dtype=torch.float64))
    state = policy.start(4)
    top = policy.top(state)
    assert torch.equal(top[0], policy.log_probabilities(policy.encoder.output(state))[0].argsort(descending=True)[:3])
    slates = policy.sample(state, torch.Generator().manual_seed(0))
    assert all(len(set(row.tolist())) == 3 for row in slates)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_slates_of_a_large_catalogue_are_drawn_whether_or_not_gradients_are_recorded(precision):
    shape = EncoderConfig(hidden_size=128, embedding_size=3)
    policy = build(lambda: SlatePolicy(1100, 3, shape), torch.Generator().manual_seed(1))
    lower = LowPrecision(precision)(policy)
    assert torch.is_grad_enabled()
    state = lower.start(5).detach()
    drawn, best = lower.sample(state, torch.Generator().manual_seed(2)), lower.top(state)
    with torch.no_grad():
        assert torch.equal(lower.sample(state, torch.Generator().manual_seed(2)), drawn)
        assert torch.equal(lower.top(state), best)
