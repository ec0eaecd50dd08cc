"""Means over the lists of test users, and comparison of two methods on one set of them over several trainings."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from irecgan_gym.evaluation.comparisons import MIN_PAIRS, PairedComparison, comparison_of_estimate
from irecgan_gym.evaluation.metrics import Interval


def share_interval(sums: ArrayLike, sizes: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return a mean over the lists of all users from sums by user, with an interval clustered by user.

    Args:
        sums: of a number over the lists of each user, such as hits, or hits of one method less those of another; [U].
        sizes: number of lists of each user, [U].
        confidence: probability that the interval holds the mean.

    Returns:
        The interval, Student's t of the linearized ratio; NaN ends with fewer than two users.
    """
    values, weights = np.asarray(sums, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    mean = float(values.sum() / weights.sum())
    number = len(values)
    if number < 2:
        return Interval(mean, float("nan"), float("nan"))
    parts = (values - mean * weights) / weights.sum()
    error = np.sqrt(float((parts**2).sum()) * number / (number - 1))
    half = float(stats.t.ppf((1 + confidence) / 2, number - 1)) * error
    return Interval(mean, mean - half, mean + half)


def compare_clustered(
    differences: ArrayLike, sizes: ArrayLike, *, margin: float | None = None, confidence: float = 0.95
) -> PairedComparison | None:
    """Compare two methods by the lists of users that both were tested on, with every seed of their training.

    All seeds are tested on the same users, so neither lists nor seeds are independent of each other: a user who is easy
    to serve is so for every seed, and a training that went well has served all users well. The error is clustered both
    ways, by user and by seed (Cameron, Gelbach & Miller 2011); its degrees of freedom are Satterthwaite's.

    Args:
        differences: sum over a user's lists of the first method's hits less the second's, by seed; [S, U].
        sizes: number of lists of each user, [U].
        margin: differences of a share of lists smaller than this are of no interest; None for no test of equivalence.
        confidence: share of intervals that contain the true difference.

    Returns:
        The comparison of shares of lists, or None with fewer than ``MIN_PAIRS`` users or seeds.

    Raises:
        ValueError: shapes that do not go together, or no lists.
    """
    values, weights = np.asarray(differences, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    if values.ndim != 2 or weights.shape != values.shape[1:] or not np.isfinite(values).all():
        raise ValueError(
            f"differences must be finite numbers [S, U] and sizes [U], got {values.shape}, {weights.shape}"
        )
    if not (weights > 0).all():
        raise ValueError("every user must have lists")
    num_seeds, num_users = values.shape
    if min(num_seeds, num_users) < MIN_PAIRS:
        return None
    mean = float(values.sum() / (num_seeds * weights.sum()))
    # The mean is a ratio of sums; these are the parts of its linear approximation, which add up to 0.
    parts = (values - mean * weights) / (num_seeds * weights.sum())
    of_users = float((parts.sum(axis=0) ** 2).sum()) * num_users / (num_users - 1)
    of_seeds = float((parts.sum(axis=1) ** 2).sum()) * num_seeds / (num_seeds - 1)
    # What is neither the user's nor the seed's is in both sums. No cluster may seem to make the estimate more certain.
    variance = max(of_users + of_seeds - float((parts**2).sum()), of_users, of_seeds)
    components = of_users**2 / (num_users - 1) + of_seeds**2 / (num_seeds - 1)
    freedom = variance**2 / components if components > 0 else float(num_users - 1)
    return comparison_of_estimate(
        mean, float(np.sqrt(variance)), freedom, num_pairs=num_users, margin=margin, confidence=confidence
    )
