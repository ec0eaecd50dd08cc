"""Policy gradient on sessions: reward-to-go times the gradient of log pi(c_t in a_t | s_t) (Eq 8-10)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from irecgan_gym.models.batches import SessionTensors, StepBatch
from irecgan_gym.models.fitting import BestParameters, FitConfig, Optimizer, Precision, matrix_precision
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


def policy_gradient_loss(log_probabilities: Tensor, returns: Tensor, mean_steps: float) -> Tensor:
    """A loss whose gradient is minus Eq 10.

    Args:
        log_probabilities: log pi(c_t in a_t | s_t), [M].
        returns: R_t^a, [M].
        mean_steps: what the sum over steps is divided by.
    """
    return -(returns * log_probabilities).sum() / mean_steps


class ReturnsData:
    """Sessions and the returns to go of their steps, on a device.

    Args:
        sessions: logged or generated sessions.
        rewards: the agent's reward of each step, float [T].
        gamma: discount factor.
        device: where batches live.
    """

    def __init__(self, sessions: Sessions, rewards: NDArray[np.float32], gamma: float, device: torch.device) -> None:
        self.sessions = SessionTensors(sessions, leave_option=False, device=device)
        self._returns = torch.from_numpy(sessions.returns_to_go(rewards, gamma)).to(device)

    def returns(self, batch: StepBatch) -> Tensor:
        """R_t^a of the batch's steps, [M]."""
        return self._returns[batch.steps]


def policy_gradient_epoch(
    policy: SlatePolicy,
    data: ReturnsData,
    optimizer: Optimizer,
    batch_size: int,
    generator: np.random.Generator,
    precision: Precision = "float32",
) -> float:
    """One pass over the data; the mean loss a step."""
    mean_steps = data.sessions.mean_steps(batch_size)
    total = 0.0
    for batch in data.sessions.shuffled(batch_size, generator):
        with matrix_precision(precision, policy.head.weight.device):
            log_probabilities = policy.click_log_probabilities(batch)
        loss = policy_gradient_loss(log_probabilities, data.returns(batch), mean_steps)
        optimizer.step(loss)
        total += float(loss.detach()) * mean_steps
    return total / data.sessions.sessions.num_steps


@torch.no_grad()
def held_out_loss(policy: SlatePolicy, data: ReturnsData, batch_size: int) -> float:
    """The objective on sessions not learnt from: -sum R_t log pi(c_t) / sum R_t, in nats."""
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
    recorder: Recorder = silent,
) -> None:
    """Train a policy from logged sessions alone, and leave it at its best held-out objective."""
    optimizer, best = Optimizer(policy, config), BestParameters(policy)
    for epoch in range(config.max_epochs):
        train_loss = policy_gradient_epoch(policy, training, optimizer, config.batch_size, generator, config.precision)
        loss = held_out_loss(policy, validation, config.batch_size * 4)
        better = best.update(loss)
        recorder.record({"train/policy_loss": train_loss, "train/validation_loss": loss}, epoch)
        if not better and config.patience is not None and best.epochs_since >= config.patience:
            break
    best.restore()
