"""Policy gradients: rewards and returns of sessions (Eq 10), one pass over them, training with early stopping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from irecgan_gym.agents.policy_agent import NetworkConfig
from irecgan_gym.kernels.low_precision import Precision, matrix_precision
from irecgan_gym.models.batches import SessionTensors, StepBatch
from irecgan_gym.models.fitting import ClippedAdamW, EarlyStopping
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.recorder import Recorder, silent
from irecgan_gym.sessions import Sessions
from irecgan_gym.settings import Count, CountFrom0, NotNegative, Positive, Share


@dataclass(frozen=True)
class PGConfig(NetworkConfig):
    """Settings of agents that learn a policy by gradient from offline data.

    Attributes:
        gamma: discount factor of the reward-to-go.
        lambda_r: weight of a step's reward against the constant 1 of Eq 10.
    """

    gamma: Share = 0.9
    lambda_r: NotNegative = 3.0


@dataclass(frozen=True)
class PGCConfig(PGConfig):
    """Settings of agents that go on learning in rounds after pre-training, beside those of PG.

    Attributes:
        agent_learning_rate: step size of the policy's updates in the rounds.
        rounds: most rounds, the epochs of Algorithm 1.
        patience: rounds without a better held-out loss after which learning stops; None never stops early.
        r_steps: policy updates a round, each one pass over its data.
    """

    agent_learning_rate: Positive = 1e-4
    rounds: CountFrom0 = 20
    patience: CountFrom0 | None = 5
    r_steps: Count = 1


def offline_rewards(sessions: Sessions, lambda_r: float) -> NDArray[np.float32]:
    """Return the agent's rewards of logged steps, 1 + lambda_r r_t (Eq 10 with q_D = 1); float32 [T].

    The step in which a user leaves without a click earns nothing: no item was chosen, and there is no click whose
    probability could be raised.
    """
    rewards = 1 + lambda_r * sessions.rewards
    rewards[sessions.clicks == sessions.num_items] = 0
    return rewards.astype(np.float32)


class ReturnsData:
    """Sessions with the agent's rewards and the reward-to-go of their steps, on a device.

    Args:
        sessions: logged or generated sessions.
        rewards: the agent's reward of each step, float [T].
        gamma: discount factor.
        device: device of the batches.
    """

    def __init__(self, sessions: Sessions, rewards: NDArray[np.float32], gamma: float, device: torch.device) -> None:
        self.sessions = SessionTensors(sessions, leave_option=False, device=device)
        self.gamma = gamma
        self._rewards = torch.tensor(rewards, device=device)
        self._returns = torch.from_numpy(sessions.returns_to_go(rewards, gamma)).to(device)

    def rewards(self, batch: StepBatch) -> Tensor:
        """Return the agent's reward of each step of the batch, [M]."""
        return self._rewards[batch.steps]

    def returns(self, batch: StepBatch) -> Tensor:
        """Return R_t^a, the reward-to-go of each step of the batch, [M]."""
        return self._returns[batch.steps]


def offline_returns(sessions: Sessions, config: PGConfig, device: torch.device) -> ReturnsData:
    """Return logged sessions with the rewards of Eq 10 with q_D = 1, on a device."""
    return ReturnsData(sessions, offline_rewards(sessions, config.lambda_r), config.gamma, device)


class Objective(Protocol):
    """Loss of a policy: the one thing in which PG, PGIS and AC differ."""

    def losses(self, policy: SlatePolicy, data: ReturnsData, batch: StepBatch) -> Tensor:
        """Return the loss of every step of a batch, [M]; training minimizes their sum."""

    def metrics(self) -> Mapping[str, float]:
        """Return the measurements since the last call, by name."""


class Reinforce:
    """-R_t^a log pi(c_t in a_t | s_t), whose gradient is minus Eq 10 (Eq 8 where lambda_r is 0)."""

    def losses(self, policy: SlatePolicy, data: ReturnsData, batch: StepBatch) -> Tensor:
        """Return the loss of every step, [M]."""
        return -data.returns(batch) * policy.click_log_probabilities(batch)

    def metrics(self) -> Mapping[str, float]:
        """Return nothing: there is nothing to measure."""
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
    """Train a policy in one pass over the data (Eq 10) and return the mean loss a step.

    Args:
        policy: trained in place.
        data: sessions with their returns.
        optimizer: updates the policy.
        batch_size: sessions a batch.
        generator: of the order of batches.
        objective: the loss; :class:`Reinforce` when None.
        precision: of matrix products.
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
    """Return -sum R_t log pi(c_t) / sum R_t on held-out sessions, in nats.

    All agents stop early by this one measure, whatever their objective.
    """
    total = weight = 0.0
    for batch in data.sessions.all(batch_size):
        returns = data.returns(batch)
        total -= float((returns * policy.click_log_probabilities(batch)).sum())
        weight += float(returns.sum())
    return total / max(weight, 1e-12)


@torch.inference_mode(False)
@torch.enable_grad()
def fit_policy(
    policy: SlatePolicy,
    training: Sessions,
    validation: Sessions,
    config: PGConfig,
    *,
    generator: np.random.Generator,
    objective: Objective | None = None,
    recorder: Recorder = silent,
) -> None:
    """Train a policy from logged sessions alone, and leave it at its best held-out loss.

    Args:
        policy: trained in place.
        training: sessions to learn from.
        validation: held-out sessions that choose the epoch.
        config: discounting, weight of the rewards, and in ``fit`` the training.
        generator: of the order of batches.
        objective: the loss; :class:`Reinforce` when None.
        recorder: receives ``train/*`` once an epoch.
    """
    fit, objective = config.fit, Reinforce() if objective is None else objective
    data, held_out = (offline_returns(part, config, policy.device) for part in (training, validation))
    optimizer, best = ClippedAdamW(policy, fit), EarlyStopping(policy, fit.patience)
    for epoch in range(fit.max_epochs):
        train_loss = policy_gradient_epoch(
            policy, data, optimizer, fit.batch_size, generator, objective=objective, precision=fit.precision
        )
        loss = held_out_loss(policy, held_out, fit.batch_size * 4)
        best.update(loss)
        recorder.record({"train/policy_loss": train_loss, "train/validation_loss": loss, **objective.metrics()}, epoch)
        if best.should_stop:
            break
    best.restore()


class PolicyUpdates:
    """Updates of a pre-trained policy in rounds (Eq 10), and the best policy on held-out sessions.

    Args:
        policy: trained in place.
        validation: held-out sessions that choose the round.
        config: settings of the rounds.
        generator: of the order of batches.
        objective: the loss; :class:`Reinforce` when None.

    Attributes:
        best: the policy of the best round, the pre-trained one being round 0.
    """

    def __init__(
        self,
        policy: SlatePolicy,
        validation: Sessions,
        config: PGCConfig,
        generator: np.random.Generator,
        objective: Objective | None = None,
    ) -> None:
        self._policy, self._fit, self._generator = policy, config.fit, generator
        self._held_out = offline_returns(validation, config, policy.device)
        self._objective = Reinforce() if objective is None else objective
        self._optimizer = ClippedAdamW(policy, replace(config.fit, learning_rate=config.agent_learning_rate))
        self.best = EarlyStopping(policy, config.patience)
        self.validate()

    def update(self, data: ReturnsData) -> dict[str, float]:
        """Make one pass over the data of an r-step, and return the loss and the objective's measurements."""
        fit = self._fit
        loss = policy_gradient_epoch(
            self._policy,
            data,
            self._optimizer,
            fit.batch_size,
            self._generator,
            objective=self._objective,
            precision=fit.precision,
        )
        return {"adversarial/policy_loss": loss, **self._objective.metrics()}

    def validate(self) -> dict[str, float]:
        """Compare the policy with the best so far, and return its held-out loss."""
        loss = held_out_loss(self._policy, self._held_out, self._fit.batch_size * 4)
        self.best.update(loss)
        return {"adversarial/validation_loss": loss}
