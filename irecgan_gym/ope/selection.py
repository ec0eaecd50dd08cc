"""Quality of choices between policies by estimates: rank correlation, and what is lost by following them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import spearmanr

FloatArray = NDArray[np.float64]


def rank_correlation(estimates: ArrayLike, true_values: ArrayLike) -> float:
    """Spearman's correlation of estimated and true values of some policies; NaN where all estimates are equal.

    Args:
        estimates: of P policies, [P].
        true_values: of the same, [P].
    """
    first, second = _pair(estimates, true_values)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(spearmanr(first, second).statistic)


def regret(estimates: ArrayLike, true_values: ArrayLike, *, k: int = 1) -> float:
    """True value of the best policy less that of the best among the k of the highest estimates (regret@k).

    Args:
        estimates: of P policies, [P].
        true_values: of the same, [P].
        k: from 1 to P.
    """
    first, second = _pair(estimates, true_values)
    if not 1 <= k <= len(first):
        raise ValueError(f"k must be from 1 to {len(first)}, got {k}")
    chosen = np.argsort(-first, kind="stable")[:k]
    return float(second.max() - second[chosen].max())


def _pair(estimates: ArrayLike, true_values: ArrayLike) -> tuple[FloatArray, FloatArray]:
    first, second = np.asarray(estimates, dtype=np.float64), np.asarray(true_values, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError(
            f"two or more policies with an estimate and a true value each, got {first.shape}, {second.shape}"
        )
    return first, second
