"""Estimates: a number, its uncertainty, and the effective number of sessions behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from irecgan_gym.evaluation.metrics import Interval

FloatArray = NDArray[np.float64]
Method = Literal["bootstrap", "ttest", "bernstein"]
METHODS: tuple[Method, ...] = ("bootstrap", "ttest", "bernstein")

_RESAMPLES_AT_ONCE = 2**22


class SessionStatistic(Protocol):
    """A number computed from sessions, each of which may count several times."""

    def resampled(self, counts: FloatArray) -> FloatArray:
        """The number with each session counted so many times; [R, S] to [R]."""

    def influences(self) -> FloatArray | None:
        """Numbers [S] of which the statistic is the mean to first order; None where there is no simple form."""


@dataclass(frozen=True, eq=False)
class SessionTerms:
    """mean over sessions of ``plain``, plus sum over columns of mean of ``numerators`` / mean of ``denominators``.

    Attributes:
        plain: [S].
        numerators: [S, C]; None for no ratios.
        denominators: [S, C].
    """

    plain: FloatArray
    numerators: FloatArray | None = None
    denominators: FloatArray | None = None

    def resampled(self, counts: FloatArray) -> FloatArray:
        """See :class:`SessionStatistic`."""
        totals = counts.sum(axis=1)
        values: FloatArray = counts @ self.plain / totals
        if self.numerators is not None and self.denominators is not None:
            values = values + _ratios(counts @ self.numerators, counts @ self.denominators).sum(axis=1)
        return values

    def influences(self) -> FloatArray | None:
        """See :class:`SessionStatistic`; of ratios, by the delta method."""
        if self.numerators is None or self.denominators is None:
            return self.plain
        means = self.denominators.mean(axis=0)
        ratios = _ratios(self.numerators.mean(axis=0), means)
        deviations = _ratios(
            self.numerators - ratios * self.denominators, np.broadcast_to(means, self.numerators.shape)
        )
        influences: FloatArray = self.plain + (ratios + deviations).sum(axis=1)
        return influences


def _ratios(numerators: FloatArray, denominators: FloatArray) -> FloatArray:
    # Without any weight there is nothing to normalize, and nothing is earned.
    return np.divide(numerators, denominators, out=np.zeros(np.shape(numerators)), where=denominators != 0)


@dataclass(frozen=True, eq=False)
class OffPolicyEstimate:
    """An estimate of what a policy earns in a session.

    Attributes:
        estimator: its name.
        statistic: the estimate as a function of the sessions.
        weights: mean importance weight of each session's steps; 1 where the estimator weighs nothing; [S].
        unweighted: whether the estimate is a model's word rather than that of weighed sessions.
    """

    estimator: str
    statistic: SessionStatistic
    weights: FloatArray
    unweighted: bool = False

    @property
    def num_sessions(self) -> int:
        """S."""
        return len(self.weights)

    @property
    def estimate(self) -> float:
        """Expected discounted reward of a session."""
        return float(self.statistic.resampled(np.ones((1, self.num_sessions)))[0])

    @property
    def effective_sample_size(self) -> float:
        """Kish's (sum of w)^2 / sum of w^2 over the sessions' weights: S if all are alike, 1 if one has everything."""
        return effective_sample_size(self.weights)

    @property
    def largest_share(self) -> float:
        """Share of the heaviest session in the sum of all weights."""
        total = float(np.abs(self.weights).sum())
        return float(np.abs(self.weights).max() / total) if total else 1.0

    def standard_error(self) -> float:
        """Of the estimate: from the sessions' influences, else from 200 bootstrap samples."""
        influences = self.statistic.influences()
        if influences is None:
            return float(self._bootstrap(200, 0).std(ddof=1))
        return float(influences.std(ddof=1) / np.sqrt(len(influences))) if len(influences) > 1 else float("nan")

    def interval(
        self,
        method: Method = "bootstrap",
        *,
        alpha: float = 0.05,
        n_bootstrap_samples: int = 1000,
        random_state: int = 0,
        bound: float | None = None,
    ) -> Interval:
        """The estimate with an interval that holds the true value with probability 1 - alpha.

        Args:
            method: ``"bootstrap"``: percentiles over samples of sessions with replacement. ``"ttest"``: Student's, from
                the sessions' influences. ``"bernstein"``: the empirical Bernstein bound of Maurer and Pontil (COLT
                2009), mean +- sqrt(2 V log(4 / alpha) / S) + 7 R log(4 / alpha) / (3 (S - 1)), with V their variance
                and R their range.
            alpha: how often it may be wrong.
            n_bootstrap_samples: how many.
            random_state: seed of the bootstrap.
            bound: R, known beforehand. Without it the range observed is taken, and the bound is no guarantee: the
                largest weight may not have been seen.

        Raises:
            ValueError: an unknown method, an alpha out of (0, 1), or a log of one session.
        """
        if not 0 < alpha < 1:
            raise ValueError(f"alpha must be between 0 and 1, got {alpha!r}")
        if self.num_sessions < 2:
            raise ValueError("an interval needs two sessions at least")
        estimate = self.estimate
        if method == "bootstrap":
            values = self._bootstrap(n_bootstrap_samples, random_state)
            low, high = np.quantile(values, [alpha / 2, 1 - alpha / 2])
            return Interval(estimate, float(low), float(high))
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}")
        if method == "ttest":
            half = float(stdtrit(self.num_sessions - 1, 1 - alpha / 2)) * self.standard_error()
            return Interval(estimate, estimate - half, estimate + half)
        influences = self.statistic.influences()
        if influences is None:
            raise ValueError(f"{self.estimator} is no mean over sessions: 'bernstein' does not apply, take 'bootstrap'")
        log = np.log(4 / alpha)
        spread = float(np.ptp(influences)) if bound is None else float(bound)
        deviation = np.sqrt(2 * influences.var(ddof=1) * log / self.num_sessions)
        half = float(deviation + 7 * spread * log / (3 * (self.num_sessions - 1)))
        return Interval(estimate, estimate - half, estimate + half)

    def _bootstrap(self, number: int, seed: int) -> FloatArray:
        rng = np.random.default_rng(seed)
        size = self.num_sessions
        at_once = max(1, _RESAMPLES_AT_ONCE // size)
        shares = np.full(size, 1 / size)
        values = [
            self.statistic.resampled(rng.multinomial(size, shares, min(at_once, number - first)).astype(np.float64))
            for first in range(0, number, at_once)
        ]
        return np.concatenate(values)


def effective_sample_size(weights: FloatArray) -> float:
    """(sum of w)^2 / sum of w^2; 0 if all weights are."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0
