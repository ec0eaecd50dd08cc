"""Training on a card: losses near those of the CPU in float32 and bfloat16, and no waiting within an epoch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from irecgan_gym.agents.discriminator_training import fit_discriminator
from irecgan_gym.agents.irecgan import IRecGAN, IRecGANConfig
from irecgan_gym.agents.policy_gradient import policy_gradient_epoch
from irecgan_gym.agents.returns import Reinforce, ReturnsData, offline_rewards
from irecgan_gym.kernels.low_precision import matrix_precision
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.building import build
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import ClippedAdamW, FitConfig, user_model_epoch, user_model_loss, user_sessions
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from tests.conftest import random_sessions
from tests.golden.runs import log

N, K = 30, 5
FIT = FitConfig(batch_size=32, max_epochs=1)
LSTM = EncoderConfig(num_layers=2, hidden_size=16, embedding_size=8)
SHAPES = {"lstm": LSTM, "gru": replace(LSTM, cell="gru"), "recall": replace(LSTM, events=True, recall=True)}


def sessions(shape, leave=False):
    if shape.events:
        return log("real")
    return random_sessions(np.random.default_rng(0), num_items=N, slate_size=K, num_sessions=300, leave=leave)


def user_model_losses(shape, precision, device):
    data = sessions(shape, leave=True)
    config = UserModelConfig(data.num_items, K, "leave", shape)
    model, fit = UserModel.create(config, seed=0, device=device), replace(FIT, precision=precision)
    tensors = SessionTensors(user_sessions(data, config), leave_option=True, device=device)
    optimizer, rng = ClippedAdamW(model, fit), np.random.default_rng(0)
    return [user_model_epoch(model, tensors, optimizer, fit, rng) for _ in range(4)]


def policy_losses(shape, precision, device):
    data = sessions(shape)
    policy = build(lambda: SlatePolicy(data.num_items, K, shape), torch.Generator().manual_seed(0), device)
    returns = ReturnsData(data, offline_rewards(data, 3.0), 0.9, torch.device(device))
    optimizer, rng = ClippedAdamW(policy, FIT), np.random.default_rng(0)
    return [
        policy_gradient_epoch(policy, returns, optimizer, FIT.batch_size, rng, precision=precision) for _ in range(4)
    ]


def discriminator_losses(shape, precision, device):
    shape = replace(shape, events=False, recall=False)
    data = sessions(shape)
    model, losses = Discriminator.create(DiscriminatorConfig(N, shape), seed=0, device=device), []

    class Keep:
        def record(self, metrics, step):
            losses.append(metrics["disc/loss"])

    real, generated = data.select(np.arange(0, 150)), data.select(np.arange(150, 300))
    fit, rng = replace(FIT, precision=precision), np.random.default_rng(0)
    optimizer = ClippedAdamW(model, fit)
    for _ in range(4):
        fit_discriminator(model, real, generated, optimizer, fit, leave_option=False, generator=rng, recorder=Keep())
    return losses


@pytest.mark.parametrize("losses", [user_model_losses, policy_losses, discriminator_losses])
@pytest.mark.parametrize("shape", SHAPES)
def test_losses_are_those_of_the_cpu(losses, shape):
    exact = losses(SHAPES[shape], "float32", "cpu")
    assert exact[-1] < exact[0]
    np.testing.assert_allclose(losses(SHAPES[shape], "float32", "cuda"), exact, rtol=1e-3)
    lower = losses(SHAPES[shape], "bfloat16", "cuda")
    assert lower != exact
    np.testing.assert_allclose(lower, exact, rtol=1e-2)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_batches_follow_each_other_without_waiting(precision, request):
    data = user_sessions(sessions(LSTM, leave=True), UserModelConfig(N, K, "leave", LSTM))
    model = UserModel.create(UserModelConfig(N, K, "leave", LSTM), seed=0, device="cuda")
    policy = build(lambda: SlatePolicy(N, K, LSTM), torch.Generator().manual_seed(0), "cuda")
    judge = Discriminator.create(DiscriminatorConfig(N, LSTM), seed=0, device="cuda")
    returns = ReturnsData(data, offline_rewards(data, 3.0), 0.9, torch.device("cuda"))
    tensors = SessionTensors(data, leave_option=True, device="cuda")
    losses = {
        model: lambda batch: user_model_loss(model.log_likelihood(batch), 1.0, 50.0),
        policy: lambda batch: Reinforce().losses(policy, returns, batch).sum(),
        judge: lambda batch: judge.logits_real_is_high(batch).sum(),
    }

    def one_batch(module, optimizer):
        source = returns.sessions if module is policy else tensors
        batch = source.batch(np.arange(40))
        with matrix_precision(precision, torch.device("cuda")):
            loss = losses[module](batch)
        optimizer.step(loss)

    optimizers = {module: ClippedAdamW(module, FIT) for module in losses}
    for module, optimizer in optimizers.items():
        one_batch(module, optimizer)
    request.getfixturevalue("waits_are_errors")
    for module, optimizer in optimizers.items():
        one_batch(module, optimizer)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_agent_learns_is_saved_and_scores_alike_on_the_cpu(precision, tmp_path):
    fit = FitConfig(max_epochs=2, patience=None, precision=precision)
    config = IRecGANConfig(
        encoder=replace(LSTM, embedding_std=1.0),
        fit=fit,
        user_model_fit=fit,
        discriminator_fit=replace(fit, max_epochs=1),
        rounds=2,
        pre_training_d_steps=2,
        num_rollouts=2,
        generation_precision=precision,
    )
    data, recorded = sessions(LSTM), {}

    class Keep:
        def record(self, values, step):
            recorded.update(values)

    agent = IRecGAN(N, K, config, device="cuda").learn(data, recorder=Keep())
    assert all(np.isfinite(value) for value in recorded.values())
    assert 0 < recorded["adversarial/mean_q"] < 1
    agent.save(tmp_path / "agent.safetensors")
    again = IRecGAN.load(tmp_path / "agent.safetensors", device="cpu")
    np.testing.assert_allclose(again.slate_scores(data), agent.slate_scores(data), rtol=2e-3, atol=2e-3)
    top, _ = agent.predict(np.full(3, N), deterministic=True)
    np.testing.assert_array_equal(again.predict(np.full(3, N), deterministic=True)[0], top)
