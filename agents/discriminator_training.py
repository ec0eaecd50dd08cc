"""Training the discriminator to tell real sessions from generated ones (Eq 5)."""

from __future__ import annotations

import warnings

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from irecgan_gym.agents.generation import both_kinds
from irecgan_gym.kernels.low_precision import matrix_precision
from irecgan_gym.models.batches import SessionTensors, on_device
from irecgan_gym.models.discriminator import Discriminator
from irecgan_gym.models.fitting import ClippedAdamW, FitConfig
from irecgan_gym.models.health import TrainingWarning
from irecgan_gym.recorder import Recorder, silent
from irecgan_gym.sessions import Sessions

COLLAPSED = 1e-6
"""Standard deviation of D's log-odds below which it says the same of every session."""


def discriminator_loss(real_logits: Tensor, generated_logits: Tensor) -> Tensor:
    """Return Eq 5 as a sum of two means: -mean log D(real) - mean log(1 - D(generated)).

    Args:
        real_logits: log-odds of D for real sessions, [B].
        generated_logits: for generated sessions, [B'].
    """
    return F.softplus(-real_logits).mean() + F.softplus(generated_logits).mean()


@torch.inference_mode(False)
@torch.enable_grad()
def fit_discriminator(
    discriminator: Discriminator,
    real: Sessions,
    generated: Sessions,
    optimizer: ClippedAdamW,
    config: FitConfig,
    *,
    leave_option: bool,
    generator: np.random.Generator,
    recorder: Recorder = silent,
    step: int = 0,
) -> None:
    """Train the discriminator for some epochs of Eq 5 on as many real as generated sessions.

    Args:
        discriminator: trained in place.
        real: logged sessions, label 1.
        generated: label 0.
        optimizer: of the discriminator; it lives on between calls.
        config: epochs and batch size.
        leave_option: whether users choose from the slate and "no click".
        generator: of the order of batches.
        recorder: receives ``disc/*`` once a call: accuracies and loss, each batch's before it is trained on.
        step: number of the call, for the recorder.
    """
    device = discriminator.preference.weight.device
    # Both kinds go through the network in one batch: its steps are few and want many rows.
    data = SessionTensors(both_kinds(real, generated), leave_option=leave_option, device=device)
    losses, real_right, generated_right = [], [], []
    scores: list[Tensor] = []
    for _ in range(config.max_epochs):
        scores.clear()
        orders = generator.permutation(len(real)), len(real) + generator.permutation(len(generated))
        for first in range(0, min(len(real), len(generated)), config.batch_size):
            batch = data.batch(np.concatenate([order[first : first + config.batch_size] for order in orders]))
            with matrix_precision(config.precision, device):
                logits = discriminator.logits_real_is_high(batch)
            is_real = batch.numbers < len(real)
            real_logits, generated_logits = (
                logits[on_device(np.flatnonzero(kind), device)] for kind in (is_real, ~is_real)
            )
            loss = discriminator_loss(real_logits, generated_logits)
            optimizer.step(loss)
            losses.append(loss.detach())
            scores.append(logits.detach().float())
            real_right.append((real_logits > 0).float().mean())
            generated_right.append((generated_logits < 0).float().mean())
    on_real = float(torch.stack(real_right).mean())
    on_generated = float(torch.stack(generated_right).mean())
    spread = float(torch.cat(scores).std(correction=0))
    if spread < COLLAPSED:
        warnings.warn(
            f"the discriminator has collapsed at call {step}: its scores differ by {spread:.1g}, and teach nothing",
            TrainingWarning,
            stacklevel=2,
        )
    recorder.record(
        {
            "disc/loss": float(torch.stack(losses).mean()),
            "disc/grad_norm": optimizer.mean_norm(),
            "disc/score_spread": spread,
            "disc/accuracy": (on_real + on_generated) / 2,
            "disc/accuracy_real": on_real,
            "disc/accuracy_generated": on_generated,
        },
        step,
    )


@torch.no_grad()
def discriminator_accuracy(
    discriminator: Discriminator, real: Sessions, generated: Sessions, batch_size: int, *, leave_option: bool
) -> float:
    """Return the share of sessions that are told right, mean of the shares of real and of generated ones.

    Args:
        discriminator: takes a session for real where its probability is above 1/2.
        real: logged sessions.
        generated: generated ones.
        batch_size: sessions a batch.
        leave_option: whether users choose from the slate and "no click".
    """
    data = SessionTensors(
        both_kinds(real, generated), leave_option=leave_option, device=discriminator.preference.weight.device
    )
    taken_for_real = np.empty(len(real) + len(generated), dtype=np.bool_)
    for batch in data.all(batch_size):
        taken_for_real[batch.numbers] = (discriminator.logits_real_is_high(batch) > 0).cpu().numpy()
    return float(taken_for_real[: len(real)].mean() + 1 - taken_for_real[len(real) :].mean()) / 2
