"""Differences of two estimates from the same sessions, and how many sessions a live test of one would need."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from irecgan_gym.ope.estimate import OffPolicyEstimate, SessionStatistic, SessionTerms
from irecgan_gym.sessions import Sessions

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StatisticDifference:
    """One statistic less another of the same sessions, which share what is random in them.

    Attributes:
        first: what is taken from.
        second: what is taken away.
    """

    first: SessionStatistic
    second: SessionStatistic

    def resampled(self, counts: FloatArray) -> FloatArray:
        """See :class:`irecgan_gym.ope.estimate.SessionStatistic`."""
        return self.first.resampled(counts) - self.second.resampled(counts)

    def influences(self) -> FloatArray | None:
        """See :class:`irecgan_gym.ope.estimate.SessionStatistic`."""
        first, second = self.first.influences(), self.second.influences()
        return None if first is None or second is None else first - second


def difference(new: OffPolicyEstimate, current: OffPolicyEstimate) -> OffPolicyEstimate:
    """Estimate how much more one policy earns in a session than another, both judged by the same sessions.

    Its intervals are those of paired differences: what makes a session good under both policies does not widen them.

    Args:
        new: estimate of the first policy; the weights of the difference are its weights.
        current: estimate of the second.

    Raises:
        ValueError: estimates from different numbers of sessions.
    """
    if new.num_sessions != current.num_sessions:
        raise ValueError(
            f"a paired difference needs the same sessions, got {new.num_sessions} and {current.num_sessions}"
        )
    name = new.estimator if new.estimator == current.estimator else f"{new.estimator} - {current.estimator}"
    return OffPolicyEstimate(
        name, StatisticDifference(new.statistic, current.statistic), new.weights, new.unweighted and current.unweighted
    )


def logged_value(sessions: Sessions, gamma: float = 1.0) -> OffPolicyEstimate:
    """Mean discounted reward of logged sessions: what the policy that made the log earns."""
    earned = sessions.returns_to_go(sessions.rewards, gamma)[sessions.offsets[:-1]].astype(np.float64)
    return OffPolicyEstimate("logged", SessionTerms(earned), np.ones(len(sessions)))


def live_test_sessions(gap: float, deviation: float, *, power: float = 0.8, alpha: float = 0.05) -> int:
    """Sessions that each of two policies must play, side by side, for a t test to tell them apart.

    2 (z_{1 - alpha / 2} + z_power)^2 deviation^2 / gap^2, rounded up.

    Args:
        gap: true difference of what the policies earn in a session; not 0.
        deviation: standard deviation of what a session earns, under either policy.
        power: probability that the test sees such a difference.
        alpha: probability that it sees one where there is none.

    Raises:
        ValueError: a gap of 0, a negative deviation, or probabilities out of (0, 1).
    """
    if not math.isfinite(gap) or gap == 0:
        raise ValueError(f"no number of sessions tells policies apart that differ by {gap!r}")
    if not deviation >= 0:
        raise ValueError(f"deviation must not be negative, got {deviation!r}")
    for name, value in (("power", power), ("alpha", alpha)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must be between 0 and 1, got {value!r}")
    quantiles = float(ndtri(1 - alpha / 2) + ndtri(power))
    return max(2, math.ceil(2 * (quantiles * deviation / gap) ** 2))
