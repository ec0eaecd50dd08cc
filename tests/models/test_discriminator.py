import numpy as np
import pytest
import torch

from irecgan_gym.agents.discriminator_training import (
    discriminator_accuracy,
    discriminator_loss,
    fit_discriminator,
)
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import ClippedAdamW, FitConfig
from irecgan_gym.sessions import Sessions
from tests.conftest import random_sessions
from tests.plain import gradients, plain_discriminator

TINY = EncoderConfig("lstm", 1, hidden_size=4, embedding_size=3)


def tiny_discriminator(use_reward=True):
    config = DiscriminatorConfig(7, TINY, use_reward=use_reward)
    return Discriminator.create(config, seed=2, device="cpu").double()


def plain_scores(model, sessions, leave):
    extra = [7] if leave else []
    return torch.stack(
        [
            plain_discriminator(model, [[*map(int, slate), *extra] for slate in s.slates], s.clicks, s.rewards)
            for s in sessions
        ]
    )


@pytest.mark.parametrize("use_reward", [False, True])
@pytest.mark.parametrize("leave", [False, True])
def test_loss_and_gradient_of_eq_5(use_reward, leave, rng):
    model = tiny_discriminator(use_reward)
    real = random_sessions(rng, ragged=True, leave=leave)
    generated = random_sessions(rng, num_sessions=5, leave=leave)
    logits = [
        model.logits_real_is_high(SessionTensors(part, leave_option=leave).batch(np.arange(len(part))))
        for part in (real, generated)
    ]
    loss = discriminator_loss(*logits)
    plain = -plain_scores(model, real, leave).log().mean() - (1 - plain_scores(model, generated, leave)).log().mean()
    torch.testing.assert_close(loss, plain)
    slow = gradients(model, plain)
    for name, gradient in gradients(model, loss).items():
        torch.testing.assert_close(gradient, slow[name], msg=name)


def test_one_step_after_the_other_gives_the_score_of_the_whole(rng):
    model = tiny_discriminator()
    for session, expected in zip(s := random_sessions(rng), plain_scores(model, s, False), strict=True):
        partial = model.start(1)
        for slate, click, reward in zip(session.slates, session.clicks, session.rewards, strict=True):
            partial = model.observe(
                partial,
                torch.from_numpy(slate.astype(np.int64))[None],
                torch.tensor([int(click)]),
                torch.tensor([float(reward)], dtype=torch.float64),
            )
        torch.testing.assert_close(model.probabilities(partial)[0], expected)


@torch.no_grad()
@pytest.mark.parametrize("batch_size", [4, 100])
@pytest.mark.parametrize("leave", [False, True])
def test_the_accuracy_is_the_mean_of_both_kinds_shares(leave, batch_size, rng):
    model = tiny_discriminator()
    real = random_sessions(rng, num_sessions=20, ragged=True, leave=leave)
    generated = random_sessions(rng, num_sessions=7, leave=leave)
    # Scores so high and low that some of each kind are taken for the other.
    right = [
        np.mean([float(score) > 0.5 for score in plain_scores(model, real, leave)]),
        np.mean([float(score) < 0.5 for score in plain_scores(model, generated, leave)]),
    ]
    assert min(right) > 0
    assert max(right) < 1
    assert right[0] + right[1] != 1
    found = discriminator_accuracy(model, real, generated, batch_size, leave_option=leave)
    assert found == pytest.approx(np.mean(right))


def test_it_learns_to_tell_two_kinds_of_sessions_apart(rng):
    """Real users click the largest item of their slate, generated ones the smallest."""

    def sessions(pick):
        slates = np.stack([rng.permutation(7)[:3] for _ in range(800)])
        return Sessions.from_columns(
            num_items=7, lengths=np.full(200, 4), slates=slates, clicks=pick(slates, axis=1), rewards=np.ones(800)
        )

    config = DiscriminatorConfig(7, EncoderConfig(hidden_size=8, embedding_size=8))
    model = Discriminator.create(config, seed=0, device="cpu")
    recorded = {}

    class Recorder:
        def record(self, values, step):
            recorded.update(values)

    fit = FitConfig(learning_rate=1e-2, max_epochs=10, batch_size=32)
    fit_discriminator(
        model,
        sessions(np.max),
        sessions(np.min),
        ClippedAdamW(model, fit),
        fit,
        leave_option=False,
        generator=rng,
        recorder=Recorder(),
    )
    real = SessionTensors(sessions(np.max), leave_option=False).batch(np.arange(200))
    fake = SessionTensors(sessions(np.min), leave_option=False).batch(np.arange(200))
    assert (model.logits_real_is_high(real) > 0).float().mean() > 0.95
    assert (model.logits_real_is_high(fake) < 0).float().mean() > 0.95
    assert set(recorded) == {
        f"disc/{name}"
        for name in ("loss", "accuracy", "accuracy_real", "accuracy_generated", "grad_norm", "score_spread")
    }
    assert recorded["disc/score_spread"] > 1
