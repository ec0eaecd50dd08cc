"""Learning a policy from sessions by gradient: data with returns, one pass over it, training with early stopping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from irecgan_gym.kernels.low_precision import Precision, matrix_precision
from irecgan_gym.models.batches import SessionTensors, StepBatch
from irecgan_gym.models.fitting import ClippedAdamW, EarlyStopping, FitConfig
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.recorder import Recorder, silent
from irecgan_gym.sessions import Sessions


def offline_rewards(sessions: Sessions, lambda_r: float) -> NDArray[np.float32]:
    """Rewards of logged steps for the agent, 1 + lambda_r r_t (Eq 10 with q_D = 1); float32 [T].

    The step in which a user leaves without a click earns nothing: no item was chosen, and there is no click whose
    probability could be raised.
    """
    rewards = 1 + lambda_r * sessions.rewards
    rewards[sessions.clicks == sessions.num_items] = 0
    return rewards.astype(np.float32)


class ReturnsData:
    """Sessions with the agent's rewards and the returns to go of their steps, on a device.

    Args:
        sessions: logged or generated sessions.
        rewards: the agent's reward of each step, float [T].
        gamma: discount factor.
        device: where batches live.
    """

    def __init__(self, sessions: Sessions, rewards: NDArray[np.float32], gamma: float, device: torch.device) -> None:
        self.sessions = SessionTensors(sessions, leave_option=False, device=device)
        self.gamma = gamma
        self._rewards = torch.tensor(rewards, device=device)
        self._returns = torch.from_numpy(sessions.returns_to_go(rewards, gamma)).to(device)

    def rewards(self, batch: StepBatch) -> Tensor:
        """r_t^a of the batch's steps, [M]."""
        return self._rewards[batch.steps]

    def returns(self, batch: StepBatch) -> Tensor:
        """R_t^a of the batch's steps, [M]."""
        return self._returns[batch.steps]


class Objective(Protocol):
    """What an agent's loss is: the one thing in which PG, PGIS and AC differ."""

    def losses(self, policy: SlatePolicy, data: ReturnsData, batch: StepBatch) -> Tensor:
        """A number for every step of a batch, [M]; learning follows the gradient of minus their sum."""

    def metrics(self) -> Mapping[str, float]:
        """What was measured since the last call."""


class Reinforce:
    """-R_t^a log pi(c_t in a_t | s_t), whose gradient is minus Eq 10 (Eq 8 where lambda_r is 0)."""

    def losses(self, policy: SlatePolicy, data: ReturnsData, batch: StepBatch) -> Tensor:
        """See :meth:`Objective.losses`."""
        return -data.returns(batch) * policy.click_log_probabilities(batch)

    def metrics(self) -> Mapping[str, float]:
        """Nothing."""
        return {}


def policy_gradient_epoch(
    policy: SlatePolicy,
    data: ReturnsData,
    optimizer: ClippedAdamW,
    batch_size: int,
    generator: np.random.Generator,
    *,
    objective: Objective | None = None,
    precision: Precision = "float32",
) -> float:
    """One pass over the data.

    Args:
        policy: trained in place.
        data: what to learn from.
        optimizer: of the policy.
        batch_size: sessions a batch.
        generator: of the order of batches.
        objective: the loss; :class:`Reinforce` when None.
        precision: of matrix products.

    Returns:
        The mean loss a step.
    """
    objective = Reinforce() if objective is None else objective
    mean_steps = data.sessions.mean_steps(batch_size)
    # Added up on the device: a number would have to be waited for after every batch.
    total = torch.zeros((), dtype=torch.float64, device=policy.device)
    for batch in data.sessions.shuffled(batch_size, generator):
        with matrix_precision(precision, policy.device):
            losses = objective.losses(policy, data, batch)
        loss = losses.sum() / mean_steps
        optimizer.step(loss)
        total += loss.detach().double() * mean_steps
    return float(total) / data.sessions.sessions.num_steps


@torch.no_grad()
def held_out_loss(policy: SlatePolicy, data: ReturnsData, batch_size: int) -> float:
    """-sum R_t log pi(c_t) / sum R_t on sessions not learnt from, in nats.

    The one measure by which all agents choose when to stop, whatever they learn by.
    """
    total = weight = 0.0
    for batch in data.sessions.all(batch_size):
        returns = data.returns(batch)
        total -= float((returns * policy.click_log_probabilities(batch)).sum())
        weight += float(returns.sum())
    return total / max(weight, 1e-12)


def fit_policy(
    policy: SlatePolicy,
    training: ReturnsData,
    validation: ReturnsData,
    config: FitConfig,
    *,
    generator: np.random.Generator,
    objective: Objective | None = None,
    recorder: Recorder = silent,
) -> None:
    """Train a policy from logged sessions alone, and leave it at its best held-out objective."""
    objective = Reinforce() if objective is None else objective
    optimizer, best = ClippedAdamW(policy, config), EarlyStopping(policy)
    for epoch in range(config.max_epochs):
        train_loss = policy_gradient_epoch(
            policy,
            training,
            optimizer,
            config.batch_size,
            generator,
            objective=objective,
            precision=config.precision,
        )
        loss = held_out_loss(policy, validation, config.batch_size * 4)
        better = best.update(loss)
        recorder.record({"train/policy_loss": train_loss, "train/validation_loss": loss, **objective.metrics()}, epoch)
        if not better and config.patience is not None and best.epochs_since >= config.patience:
            break
    best.restore()
