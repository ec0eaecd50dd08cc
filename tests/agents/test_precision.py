"""Training with products of matrices in bfloat16 stays near training in float32."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.discriminator_training import fit_discriminator
from agents.policy_gradient import ReturnsData, offline_rewards, policy_gradient_epoch
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.building import build
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig, Optimizer, user_model_epoch, user_sessions
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
    optimizer, rng = Optimizer(model, config), np.random.default_rng(0)
    return [user_model_epoch(model, data, optimizer, config, rng) for _ in range(4)]


def policy_losses(precision):
    policy = build(lambda: SlatePolicy(N, K, SHAPE), torch.Generator().manual_seed(0))
    log = sessions()
    data = ReturnsData(log, offline_rewards(log, 3.0), 0.9, torch.device("cpu"))
    optimizer, rng = Optimizer(policy, FIT), np.random.default_rng(0)
    return [policy_gradient_epoch(policy, data, optimizer, FIT.batch_size, rng, precision=precision) for _ in range(4)]


def discriminator_losses(precision):
    model = Discriminator.create(DiscriminatorConfig(N, SHAPE), seed=0, device="cpu")
    losses = []

    class Keep:
        def record(self, metrics, step):
            losses.append(metrics["disc/loss"])

    real, generated = sessions().select(np.arange(0, 150)), sessions().select(np.arange(150, 300))
    config = replace(FIT, precision=precision)
    optimizer, rng = Optimizer(model, config), np.random.default_rng(0)
    for _ in range(4):
        fit_discriminator(model, real, generated, optimizer, config, leave_option=False, generator=rng, recorder=Keep())
    return losses


@pytest.mark.parametrize("losses", [user_model_losses, policy_losses, discriminator_losses])
def test_losses_stay_near_those_of_float32(losses):
    exact, lower = losses("float32"), losses("bfloat16")
    assert exact != lower
    assert exact[-1] < exact[0]
    np.testing.assert_allclose(lower, exact, rtol=5e-3)


def test_unknown_precisions_are_refused():
    with pytest.raises(ValueError, match="'float32' or 'bfloat16', got 'float16'"):
        FitConfig(precision="float16")
