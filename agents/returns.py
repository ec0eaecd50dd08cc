"""Returns of sessions: the agent's rewards (Eq 10) with q_D = 1, rewards-to-go, and losses made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from irecgan_gym.models.batches import SessionTensors, StepBatch
from irecgan_gym.models.ranks import ALONE, Ranks
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.sessions import Sessions
from irecgan_gym.settings import NotNegative, Share, check_settings


@dataclass(frozen=True)
class ReturnSettings:
    """Settings of the agent's rewards and returns.

    Attributes:
        gamma: discount factor of the reward-to-go.
        lambda_r: weight of a step's reward against the constant 1 of Eq 10.
        unrewarded_click: constant of a click that earned nothing. It is 1 in Eq 10, like that of any other click;
            0 as if such clicks had not been logged, which is so in the authors' code.
    """

    gamma: Share = 0.9
    lambda_r: NotNegative = 3.0
    unrewarded_click: NotNegative = 1.0

    def __post_init__(self) -> None:
        check_settings(self)


def offline_rewards(sessions: Sessions, lambda_r: float, unrewarded_click: float = 1.0) -> NDArray[np.float32]:
    """Return the agent's rewards of logged steps, 1 + lambda_r r_t (Eq 10 with q_D = 1); float32 [T].

    The step in which a user leaves without a click earns nothing: no item was chosen, and there is no click whose
    probability could be raised.

    Args:
        sessions: logged or generated sessions.
        lambda_r: weight of a reward.
        unrewarded_click: see :class:`ReturnSettings`.
    """
    rewards = np.where(sessions.rewards == 0, unrewarded_click, 1 + lambda_r * sessions.rewards)
    rewards[sessions.clicks == sessions.num_items] = 0
    return rewards.astype(np.float32)


class ReturnsData:
    """Sessions with the agent's rewards and the reward-to-go of their steps, on a device.

    Args:
        sessions: logged or generated sessions.
        rewards: the agent's reward of each step, float [T].
        gamma: discount factor.
        device: device of the batches.
        returns: R_t^a of each step where it is not the sum of discounted rewards, float [T].
        propensities: probability that each clicked item was shown, [T], any number where the user left; None where
            some are not known.

    Attributes:
        propensities: the same on the device, float32 [T], or None.
    """

    def __init__(
        self,
        sessions: Sessions,
        rewards: NDArray[np.float32],
        gamma: float,
        device: torch.device,
        *,
        returns: NDArray[np.float32] | None = None,
        propensities: NDArray[np.float32] | None = None,
    ) -> None:
        self.sessions = SessionTensors(sessions, leave_option=False, device=device)
        self.gamma = gamma
        self._rewards = torch.tensor(rewards, device=device)
        returns = sessions.returns_to_go(rewards, gamma) if returns is None else returns
        self._returns = torch.from_numpy(returns).to(device)
        self.propensities = None if propensities is None else torch.tensor(propensities, device=device)

    @property
    def num_sessions(self) -> int:
        """Number of sessions."""
        return len(self.sessions.sessions)

    @property
    def num_steps(self) -> int:
        """Steps of all sessions."""
        return self.sessions.num_steps

    @property
    def propensities_known(self) -> bool:
        """True where the propensities of all clicks are known."""
        return self.propensities is not None

    def mean_steps(self, batch_size: int) -> float:
        """See :meth:`irecgan_gym.models.batches.SessionTensors.mean_steps`."""
        return self.sessions.mean_steps(batch_size)

    def all(self, batch_size: int) -> Iterator[tuple[ReturnsData, StepBatch]]:
        """Yield every session once, in the order of the columns, in batches, with the returns that they belong to."""
        return ((self, batch) for batch in self.sessions.all(batch_size))

    def shuffled(
        self, batch_size: int, generator: np.random.Generator, ranks: Ranks = ALONE
    ) -> Iterator[tuple[ReturnsData, StepBatch]]:
        """Yield the same in random order."""
        return ((self, batch) for batch in self.sessions.shuffled(batch_size, generator, ranks))

    def rewards(self, batch: StepBatch) -> Tensor:
        """Return the agent's reward of each step of the batch, [M]."""
        return self._rewards[batch.steps]

    def returns(self, batch: StepBatch) -> Tensor:
        """Return R_t^a, the reward-to-go of each step of the batch, [M]."""
        return self._returns[batch.steps]


def offline_returns(
    sessions: Sessions,
    settings: ReturnSettings,
    device: torch.device,
    propensities: NDArray[np.float32] | None = None,
) -> ReturnsData:
    """Return logged sessions with the rewards of Eq 10 with q_D = 1, on a device.

    Args:
        sessions: logged sessions.
        settings: discounting and weight of the rewards.
        device: device of the batches.
        propensities: those of the clicked items, [T]; the logged ones when None.
    """
    rewards = offline_rewards(sessions, settings.lambda_r, settings.unrewarded_click)
    known = known_propensities(sessions) if propensities is None else np.nan_to_num(propensities, nan=1.0)
    return ReturnsData(sessions, rewards, settings.gamma, device, propensities=known)


def known_propensities(sessions: Sessions) -> NDArray[np.float32] | None:
    """Return the logged propensities, 1 where the user left; float32 [T], or None where those of some clicks lack."""
    logged = sessions.propensities
    if logged is None or np.isnan(logged[sessions.clicks < sessions.num_items]).any():
        return None
    known: NDArray[np.float32] = np.nan_to_num(logged, nan=1.0).astype(np.float32)
    return known


class Returns(Protocol):
    """Sessions with their returns, in memory or on disk, as batches; each comes with the returns that it belongs to."""

    @property
    def num_sessions(self) -> int:
        """Number of sessions."""

    @property
    def num_steps(self) -> int:
        """Steps of all sessions."""

    @property
    def propensities_known(self) -> bool:
        """True where the propensities of all clicks are known."""

    def mean_steps(self, batch_size: int) -> float:
        """Return the expected number of steps of a batch."""

    def all(self, batch_size: int) -> Iterator[tuple[ReturnsData, StepBatch]]:
        """Yield every session once, in the order of the log."""

    def shuffled(
        self, batch_size: int, generator: np.random.Generator, ranks: Ranks = ALONE
    ) -> Iterator[tuple[ReturnsData, StepBatch]]:
        """Yield every session once, in random order."""


class Objective(Protocol):
    """Loss of a policy: the one thing in which PG, PGIS and AC differ."""

    def losses(self, policy: SlatePolicy, data: ReturnsData, batch: StepBatch) -> Tensor:
        """Return the loss of every step of a batch, [M]; training minimizes their sum."""

    def held_out_losses(self, policy: SlatePolicy, data: ReturnsData, batch: StepBatch) -> Tensor:
        """Return what the method wants to be small on sessions that it does not learn from; of every step, [M]."""

    def metrics(self) -> Mapping[str, float]:
        """Return the measurements since the last call, by name."""


class Reinforce:
    """-R_t^a log pi(c_t in a_t | s_t), whose gradient is minus Eq 10 (Eq 8 where lambda_r is 0)."""

    def losses(self, policy: SlatePolicy, data: ReturnsData, batch: StepBatch) -> Tensor:
        """Return the loss of every step, [M]."""
        return -data.returns(batch) * policy.click_log_probabilities(batch)

    def held_out_losses(self, policy: SlatePolicy, data: ReturnsData, batch: StepBatch) -> Tensor:
        """Return the same."""
        return self.losses(policy, data, batch)

    def metrics(self) -> Mapping[str, float]:
        """Return nothing: there is nothing to measure."""
        return {}
