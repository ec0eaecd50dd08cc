"""Fitting the user model to logged sessions by maximum likelihood (Eq 3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from irecgan_gym.leaving import with_leaving_step
from irecgan_gym.models.batches import SessionTensors, StepBatch
from irecgan_gym.models.precision import Precision, check_precision, matrix_precision
from irecgan_gym.models.user_model import LogLikelihood, UserModel, UserModelConfig
from irecgan_gym.recorder import Recorder, silent
from irecgan_gym.sessions import Sessions


@dataclass(frozen=True)
class FitConfig:
    """How a model is trained on logged sessions.

    Attributes:
        learning_rate: of Adam.
        batch_size: sessions a batch.
        max_epochs: passes over the training sessions at most.
        patience: epochs without a better validation loss after which training stops; None never stops early.
        max_grad_norm: gradients are scaled down to this norm.
        weight_decay: of AdamW (decoupled).
        lambda_p: weight of the reward term against the click term in Eq 3.
        precision: of matrix products. ``"bfloat16"`` pays where the processor multiplies it faster than float32 (GPUs,
            CPUs with AMX); parameters, recurrent cells, softmaxes and losses stay float32; on GPUs, recurrent
            layers do.
    """

    learning_rate: float = 2e-3
    batch_size: int = 64
    max_epochs: int = 100
    patience: int | None = 5
    max_grad_norm: float = 5.0
    weight_decay: float = 1e-2
    lambda_p: float = 1.0
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        for name in ("learning_rate", "batch_size", "max_epochs", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        check_precision("precision", self.precision)


class BestParameters:
    """Remembers a module's parameters at their best validation loss."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._state: dict[str, Tensor] = {}
        self.loss = float("inf")
        self.epochs_since = 0

    def update(self, loss: float) -> bool:
        """Take note of a validation loss; whether it is the best so far."""
        better = loss < self.loss
        if better:
            self.loss, self.epochs_since = loss, 0
            self._state = {name: value.detach().clone() for name, value in self._module.state_dict().items()}
        else:
            self.epochs_since += 1
        return better

    def restore(self) -> None:
        """Put the best parameters back."""
        self._module.load_state_dict(self._state)


class Optimizer:
    """AdamW with clipped gradients, over the parameters of one module."""

    def __init__(self, module: nn.Module, config: FitConfig) -> None:
        self._parameters = list(module.parameters())
        # One pass over parameters, gradients and moments: with a large catalogue, their memory traffic is the cost.
        self._adam = torch.optim.AdamW(
            self._parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self._max_grad_norm = config.max_grad_norm

    def step(self, loss: Tensor) -> None:
        """One update down the gradient of ``loss``."""
        self._adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._clip()
        self._adam.step()

    def _clip(self) -> None:
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        norm = nn.utils.get_total_norm(gradients, foreach=True)
        # Gradients that are short enough need no second pass; on a GPU, waiting for the norm would cost more.
        if norm.is_cuda or norm > self._max_grad_norm:
            nn.utils.clip_grads_with_norm_(self._parameters, self._max_grad_norm, norm, foreach=True)


def user_sessions(sessions: Sessions, config: UserModelConfig) -> Sessions:
    """Sessions as the user model sees them: with the leaving step where users leave, checked against the model.

    Raises:
        ValueError: rewards other than 0 and 1, another catalogue, or a user who left in a model without leaving.
    """
    if sessions.num_items != config.num_items:
        raise ValueError(f"the sessions have {sessions.num_items} items, the user model {config.num_items}")
    wrong = np.flatnonzero((sessions.rewards != 0) & (sessions.rewards != 1))
    if len(wrong):
        raise ValueError(
            f"rewards[{wrong[0]}] is {sessions.rewards[wrong[0]]}: the user model's rewards are 0 or 1 (a sigmoid f_r)"
        )
    if config.ending == "leave":
        return with_leaving_step(sessions)
    if (sessions.clicks == sessions.num_items).any():
        raise ValueError("in these sessions users leave without a click: use ending='leave'")
    return sessions


def user_model_loss(
    likelihood: LogLikelihood, lambda_p: float, mean_steps: float, weights: Tensor | None = None
) -> Tensor:
    """Negative of Eq 3, or with ``weights`` q_D(tau_0:t) a loss whose gradient is minus Eq 7.

    Args:
        likelihood: of every step, [M].
        lambda_p: weight of the reward term.
        mean_steps: what the sum over steps is divided by (see :meth:`SessionTensors.mean_steps`).
        weights: of every step, [M]; 1 when left out.
    """
    terms = likelihood.click + lambda_p * likelihood.reward
    return -(terms if weights is None else weights * terms).sum() / mean_steps


@torch.no_grad()
def mean_log_likelihood(model: UserModel, batches: Iterable[StepBatch]) -> tuple[float, float]:
    """Click and reward log-likelihood per step, in nats."""
    click = reward = steps = 0.0
    for batch in batches:
        likelihood = model.log_likelihood(batch)
        click += float(likelihood.click.sum())
        reward += float(likelihood.reward.sum())
        steps += len(batch.clicks)
    return click / steps, reward / steps


def user_model_epoch(
    model: UserModel,
    data: SessionTensors,
    optimizer: Optimizer,
    config: FitConfig,
    generator: np.random.Generator,
    weights: NDArray[np.float32] | None = None,
) -> float:
    """One pass over the data by Eq 3, or by Eq 7 with ``weights`` q_D [T]; the mean loss a step."""
    mean_steps = data.mean_steps(config.batch_size)
    weight_column = None if weights is None else torch.from_numpy(weights).to(model.device)
    # Added up on the device: a number would have to be waited for after every batch.
    total = torch.zeros((), dtype=torch.float64, device=model.device)
    for batch in data.shuffled(config.batch_size, generator):
        batch_weights = None if weight_column is None else weight_column[batch.steps]
        with matrix_precision(config.precision, model.device):
            loss = user_model_loss(model.log_likelihood(batch), config.lambda_p, mean_steps, batch_weights)
        optimizer.step(loss)
        total += loss.detach().double() * mean_steps
    return float(total) / data.sessions.num_steps


@torch.inference_mode(False)
@torch.enable_grad()
def fit_user_model(
    training: Sessions,
    validation: Sessions,
    model: UserModel,
    config: FitConfig,
    *,
    seed: int,
    recorder: Recorder = silent,
) -> UserModel:
    """Train a user model by Eq 3 and leave it at its best validation likelihood.

    Args:
        training: sessions to learn from.
        validation: held-out sessions that choose the epoch.
        model: trained in place.
        config: how.
        seed: of the order of batches.
        recorder: receives ``user_model/*`` once an epoch.

    Returns:
        The same model.
    """
    data, held_out = (
        SessionTensors(user_sessions(part, model.config), leave_option=model.leave_option, device=model.device)
        for part in (training, validation)
    )
    generator = np.random.default_rng(seed)
    optimizer, best = Optimizer(model, config), BestParameters(model)
    for epoch in range(config.max_epochs):
        train_loss = user_model_epoch(model, data, optimizer, config, generator)
        click, reward = mean_log_likelihood(model, held_out.all(config.batch_size * 4))
        better = best.update(-(click + config.lambda_p * reward))
        recorder.record(
            {
                "user_model/train_loss": train_loss,
                "user_model/validation_click_log_likelihood": click,
                "user_model/validation_reward_log_likelihood": reward,
            },
            epoch,
        )
        if not better and config.patience is not None and best.epochs_since >= config.patience:
            break
    best.restore()
    return model
