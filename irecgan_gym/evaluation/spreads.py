"""Comparison of the spread of two methods over shared seeds."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from irecgan_gym.evaluation.comparisons import MIN_PAIRS, PairedComparison


def compare_spreads(
    first: ArrayLike, second: ArrayLike, *, margin: float | None = None, confidence: float = 0.95
) -> PairedComparison | None:
    """Compare the standard deviations of two methods' paired values (Pitman 1939, Morgan 1939).

    Values of a seed share its environment and so go together, which a test for independent samples would not know. The
    sum and the difference of two values are uncorrelated if and only if their variances are equal; for values from a
    normal distribution the test and the interval are exact.

    Args:
        first: values of the first method by seed, [n].
        second: values of the second method for the same seeds, [n].
        margin: logarithm of the ratio of standard deviations below which a difference is of no interest; None for no
            test of equivalence.
        confidence: share of intervals that contain the true ratio.

    Returns:
        The comparison of the logarithm of the ratio, first over second: positive where the first spreads more. None
        with fewer than ``MIN_PAIRS`` pairs, or where a method has no spread at all.

    Raises:
        ValueError: values that are no two flat arrays of as many finite numbers, or a margin that is not positive.
    """
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(f"values must be two arrays of n finite numbers, got shapes {x.shape} and {y.shape}")
    if margin is not None and not margin > 0:
        raise ValueError(f"margin must be positive, got {margin}")
    if len(x) < MIN_PAIRS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    freedom = len(x) - 2
    log_ratio = math.log(x.std(ddof=1) / y.std(ddof=1))
    unexplained = max(0.0, 1 - float(np.corrcoef(x, y)[0, 1]) ** 2)

    def p_above(bound: float) -> float:
        """Return the p-value against "the logarithm of the ratio is at most ``bound``"."""
        # sinh(d) = (F - 1) / (2 sqrt(F)) for the ratio of variances F = exp(2 d): Pitman's statistic in other words.
        difference = math.sinh(log_ratio - bound)
        if unexplained == 0:
            return 0.0 if difference > 0 else 1.0
        return float(stdtr(freedom, -difference * math.sqrt(freedom / unexplained)))

    critical = float(stdtrit(freedom, (1 + confidence) / 2))
    reach = math.asinh(critical * math.sqrt(unexplained / freedom))
    p_equivalent = 1.0 if margin is None else max(p_above(-margin), 1 - p_above(margin))
    return PairedComparison(
        num_pairs=len(x),
        mean=log_ratio,
        low=log_ratio - reach,
        high=log_ratio + reach,
        p_greater=p_above(0.0),
        p_smaller=1 - p_above(0.0),
        p_equivalent=p_equivalent,
    )
