"""Laws of rewards: what a user model takes them for, given scores of the clicked item (f_r of Eq 2)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import chain
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from irecgan_gym.kernels.sampling import bernoulli, categorical
from irecgan_gym.sessions.dataset import SessionLog, parts_of

RewardKind = Literal["bernoulli", "gaussian", "poisson", "binned"]
_MOST = 20.0
"""Logarithms of rates are cut there, before they overflow."""


class RewardLaw(nn.Module, ABC):
    """Distribution of a reward by the scores of the clicked item.

    Attributes:
        num_scores: scores of an item, R.
        has_zero: whether a reward may be 0, as that of a step without a click is.
    """

    num_scores = 1
    has_zero = True

    @abstractmethod
    def log_likelihood(self, scores: Tensor, rewards: Tensor) -> Tensor:
        """Log-probability (or density) of rewards [M] given scores [M, R]; [M]."""

    @abstractmethod
    def mean(self, scores: Tensor) -> Tensor:
        """Expected rewards; [..., R] to [...]."""

    @abstractmethod
    def sample(self, scores: Tensor, generator: torch.Generator) -> Tensor:
        """Rewards drawn by scores [M, R]; [M]."""

    @abstractmethod
    def wrong(self, rewards: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Tell which rewards cannot be of this law, [T]."""

    @property
    @abstractmethod
    def words(self) -> str:
        """Rewards that can be of this law, for messages."""


class BernoulliLaw(RewardLaw):
    """0 or 1, by the log-odds of a 1 (the paper's)."""

    words = "0 or 1 (a sigmoid f_r)"

    def log_likelihood(self, scores: Tensor, rewards: Tensor) -> Tensor:
        """See :meth:`RewardLaw.log_likelihood`."""
        odds = scores.squeeze(-1)
        return -F.binary_cross_entropy_with_logits(odds, rewards.to(odds.dtype), reduction="none")

    def mean(self, scores: Tensor) -> Tensor:
        """See :meth:`RewardLaw.mean`."""
        return scores.squeeze(-1).sigmoid()

    def sample(self, scores: Tensor, generator: torch.Generator) -> Tensor:
        """See :meth:`RewardLaw.sample`."""
        return bernoulli(self.mean(scores), generator)

    def wrong(self, rewards: NDArray[np.floating]) -> NDArray[np.bool_]:
        """See :meth:`RewardLaw.wrong`."""
        wrong: NDArray[np.bool_] = (rewards != 0) & (rewards != 1)
        return wrong


class _ScaledLaw(RewardLaw):
    """Law that begins at the mean of the log's rewards, with which it stays once it has learned.

    Attributes:
        center: mean reward of the clicks of the first log.
        scale: standard deviation of them, 1 where they are all alike.
        taken: whether a log was seen.
    """

    center: Tensor
    scale: Tensor
    taken: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("center", torch.empty(()))
        self.register_buffer("scale", torch.empty(()))
        self.register_buffer("taken", torch.empty((), dtype=torch.bool))

    def draw_parameters(self, generator: torch.Generator) -> None:
        """No log was seen; nothing is random."""
        self.center.fill_(1.0)
        self.scale.fill_(1.0)
        self.taken.fill_(False)

    def take(self, sessions: SessionLog) -> None:
        """Measure the rewards of the clicks of the first log."""
        if bool(self.taken):
            return
        # Exact sums, which are the same wherever the parts of a log end.
        number = sum(len(rewards) for rewards in _rewards_of_clicks(sessions))
        if number:
            center = math.fsum(chain.from_iterable(_rewards_of_clicks(sessions))) / number
            squares = ((rewards - center) ** 2 for rewards in _rewards_of_clicks(sessions))
            self.center.fill_(center)
            self.scale.fill_(math.sqrt(math.fsum(chain.from_iterable(squares)) / number) or 1.0)
            self.taken.fill_(True)


def _rewards_of_clicks(sessions: SessionLog) -> Iterator[NDArray[np.float64]]:
    """Rewards of the steps with a click, part by part."""
    return (part.rewards[part.clicks < part.num_items].astype(np.float64) for part in parts_of(sessions))


class GaussianLaw(_ScaledLaw):
    """Any number, normally distributed around a mean that is linear in the score; one variance for all."""

    words = "any finite number"

    def __init__(self) -> None:
        super().__init__()
        self.log_deviation = nn.Parameter(torch.empty(()))

    def draw_parameters(self, generator: torch.Generator) -> None:
        """No log was seen, and the deviation is the scale of the rewards; nothing is random."""
        super().draw_parameters(generator)
        self.log_deviation.zero_()

    def log_likelihood(self, scores: Tensor, rewards: Tensor) -> Tensor:
        """See :meth:`RewardLaw.log_likelihood`; a log-density in the rewards' own unit."""
        error = (rewards - self.mean(scores)) / (self.scale * self.log_deviation.exp())
        return -0.5 * error.square() - self.log_deviation - self.scale.log() - 0.5 * math.log(2 * math.pi)

    def mean(self, scores: Tensor) -> Tensor:
        """See :meth:`RewardLaw.mean`."""
        return self.center + self.scale * scores.squeeze(-1)

    def sample(self, scores: Tensor, generator: torch.Generator) -> Tensor:
        """See :meth:`RewardLaw.sample`."""
        mean = self.mean(scores)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return mean + self.scale * self.log_deviation.exp() * noise

    def wrong(self, rewards: NDArray[np.floating]) -> NDArray[np.bool_]:
        """See :meth:`RewardLaw.wrong`."""
        wrong: NDArray[np.bool_] = ~np.isfinite(rewards)
        return wrong


class PoissonLaw(_ScaledLaw):
    """Counts, whose rate is exponential in the score."""

    words = "whole numbers from 0 (counts)"

    def log_likelihood(self, scores: Tensor, rewards: Tensor) -> Tensor:
        """See :meth:`RewardLaw.log_likelihood`."""
        log_rate = self._log_rates(scores)
        return rewards * log_rate - log_rate.exp() - torch.lgamma(rewards + 1)

    def mean(self, scores: Tensor) -> Tensor:
        """See :meth:`RewardLaw.mean`."""
        return self._log_rates(scores).exp()

    def sample(self, scores: Tensor, generator: torch.Generator) -> Tensor:
        """See :meth:`RewardLaw.sample`."""
        return torch.poisson(self.mean(scores), generator)

    def wrong(self, rewards: NDArray[np.floating]) -> NDArray[np.bool_]:
        """See :meth:`RewardLaw.wrong`."""
        wrong: NDArray[np.bool_] = (rewards < 0) | (rewards != np.floor(rewards))
        return wrong

    def _log_rates(self, scores: Tensor) -> Tensor:
        return (scores.squeeze(-1) + self.center.clamp(min=1e-6).log()).clamp(max=_MOST)


class BinnedLaw(RewardLaw):
    """A few values, such as the stars of a rating, each with a logit of its own.

    Args:
        values: of the rewards, ascending.
    """

    def __init__(self, values: tuple[float, ...]) -> None:
        super().__init__()
        self._values, self.has_zero = values, 0.0 in values
        self.num_scores = len(values)
        self.bias = nn.Parameter(torch.empty(len(values)))

    def draw_parameters(self, generator: torch.Generator) -> None:
        """All values are alike at first; nothing is random."""
        self.bias.zero_()

    def log_likelihood(self, scores: Tensor, rewards: Tensor) -> Tensor:
        """See :meth:`RewardLaw.log_likelihood`; of rewards that are no value, that of the nearest."""
        place = (rewards[:, None] - self._of(scores)).abs().argmin(1, keepdim=True)
        return (scores + self.bias).log_softmax(-1).gather(1, place).squeeze(1)

    def mean(self, scores: Tensor) -> Tensor:
        """See :meth:`RewardLaw.mean`."""
        return ((scores + self.bias).softmax(-1) * self._of(scores)).sum(-1)

    def sample(self, scores: Tensor, generator: torch.Generator) -> Tensor:
        """See :meth:`RewardLaw.sample`."""
        return self._of(scores)[categorical(scores + self.bias, generator)]

    def wrong(self, rewards: NDArray[np.floating]) -> NDArray[np.bool_]:
        """See :meth:`RewardLaw.wrong`."""
        return ~np.isin(rewards.astype(np.float32), np.array(self._values, dtype=np.float32))

    @property
    def words(self) -> str:
        """See :attr:`RewardLaw.words`."""
        return f"one of {', '.join(f'{value:g}' for value in self._values)}"

    def _of(self, scores: Tensor) -> Tensor:
        return scores.new_tensor(self._values)


def reward_law(kind: RewardKind, bins: tuple[float, ...] = ()) -> RewardLaw:
    """The law of a kind; ``bins`` are the values of ``"binned"`` rewards."""
    if kind == "binned":
        return BinnedLaw(bins)
    laws: dict[str, type[RewardLaw]] = {"bernoulli": BernoulliLaw, "gaussian": GaussianLaw, "poisson": PoissonLaw}
    return laws[kind]()
