"""Training and generation with products of matrices in bfloat16 stay near those in float32."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from irecgan_gym.agents.discriminator_training import fit_discriminator
from irecgan_gym.agents.generation import generate_adversarial_sessions
from irecgan_gym.agents.irecgan import IRecGAN, IRecGANConfig
from irecgan_gym.agents.policy_gradient import policy_gradient_epoch
from irecgan_gym.agents.returns import ReturnsData, ReturnSettings, offline_rewards
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.building import build
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import ClippedAdamW, FitConfig, user_model_epoch, user_sessions
from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from tests.conftest import random_sessions

N, K = 30, 5
SHAPE = EncoderConfig(hidden_size=16, embedding_size=8)
FIT = FitConfig(batch_size=32, max_epochs=1)


def sessions(leave=False):
    return random_sessions(np.random.default_rng(0), num_items=N, slate_size=K, num_sessions=300, leave=leave)


def user_model_losses(precision):
    model = UserModel.create(UserModelConfig(N, K, "leave", SHAPE), seed=0, device="cpu")
    data = SessionTensors(user_sessions(sessions(leave=True), model.config), leave_option=True)
    config = replace(FIT, precision=precision)
    optimizer, rng = ClippedAdamW(model, config), np.random.default_rng(0)
    return [user_model_epoch(model, data, optimizer, config, rng) for _ in range(4)]


def policy_losses(precision):
    policy = build(lambda: SlatePolicy(N, K, SHAPE), torch.Generator().manual_seed(0))
    log = sessions()
    data = ReturnsData(log, offline_rewards(log, 3.0), 0.9, torch.device("cpu"))
    optimizer, rng = ClippedAdamW(policy, FIT), np.random.default_rng(0)
    return [policy_gradient_epoch(policy, data, optimizer, FIT.batch_size, rng, precision=precision) for _ in range(4)]


def discriminator_losses(precision):
    model = Discriminator.create(DiscriminatorConfig(N, SHAPE), seed=0, device="cpu")
    losses = []

    class Keep:
        def record(self, metrics, step):
            losses.append(metrics["disc/loss"])

    real, generated = sessions().select(np.arange(0, 150)), sessions().select(np.arange(150, 300))
    config = replace(FIT, precision=precision)
    optimizer, rng = ClippedAdamW(model, config), np.random.default_rng(0)
    for _ in range(4):
        fit_discriminator(model, real, generated, optimizer, config, leave_option=False, generator=rng, recorder=Keep())
    return losses


@pytest.mark.parametrize("losses", [user_model_losses, policy_losses, discriminator_losses])
def test_losses_stay_near_those_of_float32(losses):
    exact, lower = losses("float32"), losses("bfloat16")
    assert exact != lower
    assert exact[-1] < exact[0]
    np.testing.assert_allclose(lower, exact, rtol=5e-3)


def generated(precision):
    """Sessions of networks whose products are all large enough to be lowered, with scores far from even."""
    shape = EncoderConfig(hidden_size=128, embedding_size=16, embedding_std=1.0)
    model = UserModel.create(UserModelConfig(1100, K, "leave", shape), seed=0, device="cpu")
    policy = build(lambda: SlatePolicy(1100, K, shape), torch.Generator().manual_seed(1))
    discriminator = Discriminator.create(DiscriminatorConfig(1100, shape), seed=2, device="cpu")
    score = SequenceScore(model, policy, discriminator, num_rollouts=2, max_session_steps=6)
    return generate_adversarial_sessions(policy, score, 3_000, rewards=ReturnSettings(), seed=0, precision=precision)


def test_generated_sessions_and_their_scores_have_the_law_of_float32():
    exact, lower = generated("float32"), generated("bfloat16")
    assert exact.scores.std() > 0.05
    assert not np.array_equal(exact.scores, lower.scores)
    columns = [
        (exact.sessions.lengths, lower.sessions.lengths),
        (exact.sessions.rewards, lower.sessions.rewards),
        (exact.sessions.slate_items, lower.sessions.slate_items),
        # Scores of a session's steps depend on each other; its first step stands for it.
        (exact.scores[exact.sessions.offsets[:-1]], lower.scores[lower.sessions.offsets[:-1]]),
    ]
    for left, right in columns:
        error = np.hypot(left.std() / np.sqrt(len(left)), right.std() / np.sqrt(len(right)))
        assert abs(left.mean() - right.mean()) < 4 * error


def test_an_agent_generates_in_the_precision_of_its_settings():
    log, metrics = sessions(), {}

    class Keep:
        def record(self, values, step):
            metrics.setdefault(precision, {}).update(values)

    for precision in ("float32", "bfloat16"):
        fit = FitConfig(max_epochs=1, patience=None)
        config = IRecGANConfig(
            encoder=replace(SHAPE, embedding_std=1.0),
            fit=fit,
            user_model_fit=fit,
            rounds=1,
            pre_training_d_steps=1,
            num_rollouts=2,
            generation_precision=precision,
        )
        IRecGAN(N, K, config, device="cpu").learn(log, recorder=Keep())
    # What comes before the first generated session is the same to the last bit.
    assert metrics["float32"]["train/policy_loss"] == metrics["bfloat16"]["train/policy_loss"]
    exact, lower = (metrics[name]["adversarial/mean_q"] for name in ("float32", "bfloat16"))
    assert exact != lower
    assert exact == pytest.approx(lower, abs=0.01)


def test_unknown_precisions_are_refused():
    with pytest.raises(ValueError, match="precision must be 'float32' or 'bfloat16', got 'float16'"):
        FitConfig(precision="float16")
    with pytest.raises(ValueError, match="generation_precision must be 'float32' or 'bfloat16', got 'half'"):
        IRecGANConfig(generation_precision="half")
