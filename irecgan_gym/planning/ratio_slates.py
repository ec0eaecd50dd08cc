"""The best slate of a state: a 0-1 fractional programme, solved exactly by Dinkelbach's method."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Slates = NDArray[np.int64]


def best_ratio_slates(
    weights: FloatArray, values: FloatArray, slate_size: int, leaving: FloatArray | None = None
) -> Slates:
    """For each row, the k items S that maximise sum_S w_j q_j / (sum_S w_j + w_leaving).

    Dinkelbach's method (Management Science 13, 1967): given a ratio lambda, the k items of the largest w_j (q_j -
    lambda) have a larger ratio, or lambda is the maximum. The slates improve strictly until they are optimal, in a
    few steps.

    Args:
        weights: w > 0, what clicks are proportional to, [..., n].
        values: q, what a click is worth, [..., n].
        slate_size: k.
        leaving: weight of leaving in place of a click, which is worth nothing, [...]; None where nobody leaves so.

    Returns:
        Item ids in ascending order, int64 [..., k].
    """
    slates = _largest(weights, slate_size)
    ratios = slate_ratios(weights, values, slates, leaving)
    while True:
        candidates = _largest(weights * (values - ratios[..., None]), slate_size)
        improved = slate_ratios(weights, values, candidates, leaving)
        # Ratios depend on nothing but the set of items, since ids ascend: they rise strictly and so come to an end.
        better = improved > ratios
        if not better.any():
            return slates
        slates = np.where(better[..., None], candidates, slates)
        ratios = np.where(better, improved, ratios)


def slate_ratios(
    weights: FloatArray, values: FloatArray, slates: Slates, leaving: FloatArray | None = None
) -> FloatArray:
    """sum_S w_j q_j / (sum_S w_j + w_leaving) of given slates.

    Args:
        weights: w, [..., n].
        values: q, [..., n].
        slates: [..., k].
        leaving: see :func:`best_ratio_slates`, [...].

    Returns:
        [...].
    """
    shown = np.take_along_axis(weights, slates, axis=-1)
    worth = np.take_along_axis(values, slates, axis=-1)
    total = shown.sum(axis=-1)
    ratios: FloatArray = (shown * worth).sum(axis=-1) / (total if leaving is None else total + leaving)
    return ratios


def _largest(scores: FloatArray, slate_size: int) -> Slates:
    """Ids of the k largest scores in ascending order, of equal scores the lower ids."""
    return np.sort(np.argsort(-scores, axis=-1, kind="stable")[..., :slate_size], axis=-1)
