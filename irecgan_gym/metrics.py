"""Measures of recommendation: coverage of the best items, rank of the clicked item, and intervals of means."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from irecgan_gym.sessions import Sessions


def coverage_at_r(slates: ArrayLike, states: ArrayLike, rewards: ArrayLike) -> NDArray[np.float64]:
    """Coverage@r for r = 1..k (§7.1): the share of a state's r best items that are in the slate.

    Args:
        slates: items shown at the M steps visited, [M, k].
        states: true state at each step, [M].
        rewards: true rewards of the MDP, [m, n]; equal rewards are ranked by item id.

    Returns:
        Mean over all steps, [k]; 1 where the slate holds all of the r best.
    """
    shown, table = np.asarray(slates), np.asarray(rewards)
    ranks = np.empty(table.shape, dtype=np.int64)
    order = np.argsort(-table, axis=1, kind="stable")
    np.put_along_axis(ranks, order, np.arange(table.shape[1])[None], axis=1)
    shown_ranks = ranks[np.asarray(states)[:, None], shown]
    num_steps, k = shown.shape
    found = np.bincount(shown_ranks.reshape(-1), minlength=k)[:k].cumsum()
    coverage: NDArray[np.float64] = found / (num_steps * np.arange(1, k + 1))
    return coverage


def click_ranks(sessions: Sessions, scores: ArrayLike, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rank of the clicked item when each logged slate is sorted by score, 0 for the best; [T].

    Items of equal score are in random order, so that a constant score ranks the click anywhere in its list, and
    never first by default.

    Args:
        sessions: logged sessions; steps without a click have rank -1.
        scores: a number for each entry of ``sessions.slate_items``, [L].
        rng: breaks ties.

    Raises:
        ValueError: scores of a wrong shape, or not all of them numbers.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != sessions.slate_items.shape:
        raise ValueError(f"scores must have shape {sessions.slate_items.shape}, got {values.shape}")
    if np.isnan(values).any():
        raise ValueError(f"scores[{np.flatnonzero(np.isnan(values))[0]}] is not a number")
    step = sessions.step_of_entry
    is_click = sessions.slate_items == sessions.clicks[step]
    of_click = np.zeros(sessions.num_steps)
    of_click[step[is_click]] = values[is_click]
    starts = sessions.slate_offsets[:-1]
    better = np.add.reduceat((values > of_click[step]).astype(np.int64), starts)
    equal = np.add.reduceat((values == of_click[step]).astype(np.int64), starts)
    clicked = sessions.clicks < sessions.num_items
    return np.where(clicked, better + rng.integers(np.where(clicked, equal, 1)), -1)


class Interval(NamedTuple):
    """A mean and its confidence interval.

    Attributes:
        mean: the estimate.
        low: lower end.
        high: upper end.
    """

    mean: float
    low: float
    high: float


def mean_interval(values: ArrayLike, clusters: ArrayLike | None = None, z: float = 1.96) -> Interval:
    """A mean with its normal confidence interval.

    Args:
        values: [M].
        clusters: a number for each value; values of one cluster (the steps of a session) may depend on each other.
            Each value is its own cluster when left out.
        z: half-width in standard errors; 1.96 gives 95%.

    Returns:
        The interval; NaN ends when there are fewer than two clusters.

    Raises:
        ValueError: no values.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.size == 0:
        raise ValueError("a mean needs at least one value")
    mean = float(data.mean())
    group = np.arange(data.size) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    count = int(group.max()) + 1
    if count < 2:
        return Interval(mean, float("nan"), float("nan"))
    # The mean is a ratio of sums over clusters; these are the residuals of its linear approximation.
    residuals = np.bincount(group, weights=data - mean)
    error = float(np.sqrt((residuals**2).sum() * count / (count - 1)) / data.size)
    return Interval(mean, mean - z * error, mean + z * error)


def precision_at_k(
    sessions: Sessions, ranks: NDArray[np.integer[Any]], k: int, *, min_list_length: int = 11
) -> Interval:
    """p@k of §7.2: how often the clicked item is among the first k of its re-ranked list.

    With one click a list this is what others call the hit rate.

    Args:
        sessions: logged sessions.
        ranks: from :func:`click_ranks`, [T].
        k: how many places count.
        min_list_length: shorter lists are not counted. The authors count lists of more than 10 items, for every k.

    Raises:
        ValueError: no list is long enough.
    """
    counted = (ranks >= 0) & (sessions.slate_lengths >= min_list_length)
    if not counted.any():
        raise ValueError(f"no slate with a click holds at least {min_list_length} items")
    return mean_interval(ranks[counted] < k, clusters=sessions.session_of_step[counted])
