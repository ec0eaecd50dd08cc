"""Paired comparisons of two methods over shared seeds: differences, equivalence, and families of both.

Seeds are shared: one is the same environment, log and users for all methods, so methods are compared seed by seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

MIN_PAIRS = 3
"""Fewest pairs whose spread says anything."""


@dataclass(frozen=True)
class PairedComparison:
    """Estimate of a difference with its interval and the p-values of three one-sided questions.

    Student's t interval over seeds covers as it says at the numbers of seeds that experiments have (95% at n = 5, where
    a bootstrap that is corrected for bias and acceleration covers 84%).

    Attributes:
        num_pairs: number of seeds (or users), n.
        mean: estimated difference, positive where the first method is ahead.
        low: lower end of the interval.
        high: upper end of the interval.
        p_greater: p-value against "the first method is not ahead".
        p_smaller: p-value against "the first method is not behind".
        p_equivalent: p-value against "the methods differ by the margin or more" (two one-sided tests, Schuirmann
            1987); 1 without a margin.
    """

    num_pairs: int
    mean: float
    low: float
    high: float
    p_greater: float
    p_smaller: float
    p_equivalent: float


def compare_paired(
    differences: ArrayLike, *, margin: float | None = None, confidence: float = 0.95
) -> PairedComparison | None:
    """Compare two methods by their differences over shared seeds.

    Args:
        differences: first method less second, one number for each seed; [n].
        margin: differences smaller than this are of no interest, in the unit of the differences; None for no test of
            equivalence.
        confidence: share of intervals that contain the true mean difference.

    Returns:
        The comparison, or None with fewer than :data:`MIN_PAIRS` pairs.

    Raises:
        ValueError: differences that are no flat array of finite numbers, or a margin that is not positive.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(f"differences must be finite numbers of shape [n], got shape {values.shape}: {values}")
    if len(values) < MIN_PAIRS:
        _check_margin(margin)
        return None
    # Equal numbers have no spread, but for the rounding of their mean.
    mean, spread = (values[0], 0.0) if np.ptp(values) == 0 else (values.mean(), values.std(ddof=1))
    error = float(spread) / float(np.sqrt(len(values)))
    return comparison_of_estimate(
        float(mean), error, len(values) - 1, num_pairs=len(values), margin=margin, confidence=confidence
    )


def comparison_of_estimate(
    mean: float, error: float, freedom: float, *, num_pairs: int, margin: float | None, confidence: float = 0.95
) -> PairedComparison:
    """Return the comparison that an estimated difference makes whose error is Student's t.

    Args:
        mean: the estimate.
        error: its standard error; 0 where it is certain.
        freedom: degrees of freedom of the error.
        num_pairs: number of independent pairs that it was made from.
        margin: differences smaller than this are of no interest; None for no test of equivalence.
        confidence: share of intervals that contain the true difference.

    Raises:
        ValueError: a margin that is not positive.
    """
    _check_margin(margin)
    reach = float(stdtrit(freedom, (1 + confidence) / 2)) * error

    def p_above(bound: float) -> float:
        """Return the p-value against "the difference is at most ``bound``"."""
        if error == 0:
            return 0.0 if mean > bound else 1.0
        return float(stdtr(freedom, (bound - mean) / error))

    def p_below(bound: float) -> float:
        if error == 0:
            return 0.0 if mean < bound else 1.0
        return float(stdtr(freedom, (mean - bound) / error))

    p_equivalent = 1.0 if margin is None else max(p_above(-margin), p_below(margin))
    return PairedComparison(num_pairs, mean, mean - reach, mean + reach, p_above(0.0), p_below(0.0), p_equivalent)


def _check_margin(margin: float | None) -> None:
    if margin is not None and not margin > 0:
        raise ValueError(f"margin must be positive, got {margin}")


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust the p-values of a family so that the chance of any false rejection is bounded (Holm 1979).

    Args:
        p_values: of the family's tests, [m].

    Returns:
        Adjusted p-values in the same order, [m]; a test is rejected at level alpha where its own is at most alpha.
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


class Finding(Enum):
    """Findings about "the first method is ahead, everywhere" from a family of comparisons."""

    AHEAD = "holds"
    BEHIND = "does not hold: behind"
    EQUIVALENT = "does not hold: no difference"
    UNDECIDED = "undecided"


def judge_family(comparisons: Sequence[PairedComparison], *, level: float = 0.05) -> Finding:
    """Judge a statement about all comparisons of a family at one level.

    "Ahead in all" is established where every comparison rejects "not ahead" by itself: such an intersection-union test
    needs no correction (Berger 1982), nor does "equivalent in all". "Behind in one at least" contradicts the statement,
    and is established where any comparison rejects "not behind" after Holm's correction. Both directions have half of
    the level, as a two-sided 95% interval has: so with no true difference a statement is found to hold or to be
    contradicted with a probability of at most ``level``, however many comparisons it is made of.

    Args:
        comparisons: one for each cell and measure that the statement is about; at least one.
        level: probability of a false finding.

    Raises:
        ValueError: no comparisons.
    """
    if not comparisons:
        raise ValueError("a family must hold at least one comparison")
    if all(comparison.p_greater <= level / 2 for comparison in comparisons):
        return Finding.AHEAD
    if (holm([comparison.p_smaller for comparison in comparisons]) <= level / 2).any():
        return Finding.BEHIND
    if all(comparison.p_equivalent <= level for comparison in comparisons):
        return Finding.EQUIVALENT
    return Finding.UNDECIDED


def judge_each(comparisons: Sequence[PairedComparison], *, level: float = 0.05) -> list[Finding]:
    """Judge every comparison of a family by itself, each kind of finding after Holm's correction.

    Where the statement about all of them is found to hold, or to be without a difference anywhere, that is the finding
    of each.

    Args:
        comparisons: of one family.
        level: probability of any false difference, and of any false equivalence, in the whole family.
    """
    if not comparisons:
        return []
    whole = judge_family(comparisons, level=level)
    if whole in (Finding.AHEAD, Finding.EQUIVALENT):
        return [whole] * len(comparisons)
    greater, smaller, equivalent = (
        holm(p_values)
        for p_values in zip(*((c.p_greater, c.p_smaller, c.p_equivalent) for c in comparisons), strict=True)
    )
    findings = []
    for place in range(len(comparisons)):
        if greater[place] <= level / 2:
            findings.append(Finding.AHEAD)
        elif smaller[place] <= level / 2:
            findings.append(Finding.BEHIND)
        else:
            findings.append(Finding.EQUIVALENT if equivalent[place] <= level else Finding.UNDECIDED)
    return findings
