"""Statistics over seeds: paired bootstrap intervals, normalised scores, interquartile means."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.measurements import Measurement
from irecgan_gym.metrics import Interval

CONFIDENCE = 0.95
RESAMPLES = 9999
Cell = tuple[str, int]
"""Logging policy and number of logged sessions."""
Side = tuple[str, str]
"""Agent and metric."""


def by_seed(results: Sequence[Measurement], cell: Cell, side: Side) -> dict[int, float]:
    """A metric of an agent in one cell, by seed."""
    return {
        row.job.seed: row.value
        for row in results
        if (row.job.logging_policy, row.job.num_sessions) == cell and (row.job.agent, row.metric) == side
    }


def paired_interval(results: Sequence[Measurement], cell: Cell, side: Side, other: Side) -> Interval | None:
    """Mean difference of two measurements over the seeds that both have, with its 95% bootstrap interval.

    Seeds are shared: one is the same MDP, log and users for all methods, and differs far more from the next seed than
    methods differ from each other.

    Returns:
        None with fewer than two common seeds; the ends are the mean itself where all differences are equal.
    """
    first, second = by_seed(results, cell, side), by_seed(results, cell, other)
    common = sorted(first.keys() & second.keys())
    if len(common) < 2:
        return None
    return bootstrap_mean(np.array([first[seed] - second[seed] for seed in common]))


def bootstrap_mean(values: NDArray[np.float64]) -> Interval:
    """Mean with its bias-corrected and accelerated bootstrap interval (Efron); always the same for the same values.

    Args:
        values: at least two, [S].
    """
    mean = float(values.mean())
    if np.ptp(values) == 0:
        return Interval(mean, mean, mean)
    found = stats.bootstrap(
        (values,), np.mean, confidence_level=CONFIDENCE, n_resamples=RESAMPLES, rng=np.random.default_rng(0)
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high))


def normalised(
    results: Sequence[Measurement], metric: str, *, zero: str = "random", one: str = "belief"
) -> dict[str, dict[Cell, dict[int, float]]]:
    """A metric by agent, cell and seed on the scale where one reference policy is 0 and another is 1.

    The references are those of the same cell and seed, so that hard and easy MDPs count alike.
    """
    cells = sorted({(row.job.logging_policy, row.job.num_sessions) for row in results})
    scores: dict[str, dict[Cell, dict[int, float]]] = {}
    for agent in dict.fromkeys(row.job.agent for row in results):
        for cell in cells:
            low, high = by_seed(results, cell, (zero, metric)), by_seed(results, cell, (one, metric))
            values = {
                seed: (value - low[seed]) / (high[seed] - low[seed])
                for seed, value in by_seed(results, cell, (agent, metric)).items()
                if seed in low and seed in high and high[seed] != low[seed]
            }
            if values:
                scores.setdefault(agent, {})[cell] = values
    return scores


def score_matrix(scores: Mapping[Cell, Mapping[int, float]]) -> NDArray[np.float64]:
    """Scores of one agent over the seeds that all its cells have, [seeds, cells], as rliable wants them."""
    seeds = sorted(set.intersection(*(set(values) for values in scores.values())))
    return np.array([[values[seed] for values in scores.values()] for seed in seeds])


def interquartile_means(scores: Mapping[str, NDArray[np.float64]]) -> dict[str, Interval]:
    """Interquartile mean over seeds and cells with its stratified bootstrap interval (Agarwal et al., 2021).

    Args:
        scores: [seeds, cells] by agent.
    """
    from rliable import metrics

    return _rliable_intervals(dict(scores), metrics.aggregate_iqm, resamples=2000)


def probabilities_of_improvement(scores: Mapping[str, NDArray[np.float64]], over: str) -> dict[str, Interval]:
    """Probability that an agent's run beats one of another's, averaged over cells, with its bootstrap interval.

    Args:
        scores: [seeds, cells] by agent; the same cells for all.
        over: the agent to be beaten.
    """
    from rliable import metrics

    pairs = {agent: (matrix, scores[over]) for agent, matrix in scores.items() if agent != over}
    return _rliable_intervals(pairs, metrics.probability_of_improvement, resamples=1000)


def _rliable_intervals(
    scores: Mapping[str, Any], aggregate: Callable[..., float], *, resamples: int
) -> dict[str, Interval]:
    from rliable import library

    def as_array(*matrices: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([aggregate(*matrices)])

    with warnings.catch_warnings():
        # rliable hands its generator on by a name that arch is about to drop.
        warnings.simplefilter("ignore", FutureWarning)
        points, intervals = library.get_interval_estimates(
            scores, as_array, reps=resamples, random_state=np.random.RandomState(0)
        )
    return {
        agent: Interval(float(points[agent][0]), *(float(end) for end in np.ravel(intervals[agent])))
        for agent in scores
    }
