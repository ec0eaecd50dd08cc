"""Statistics over seeds: paired bootstrap intervals, interquartile means, probabilities of improvement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame, MultiIndex, Series
from scipy import stats

from irecgan_gym.evaluation.metrics import Interval

CONFIDENCE = 0.95
RESAMPLES = 9999
MIN_SEEDS = 5
"""Fewer seeds say next to nothing about the spread between seeds: with two, Student's t multiplies it by 12.7."""


def paired_interval(first: Series, second: Series) -> Interval | None:
    """Return the mean difference of two measurements over the seeds that both have, with its 95% bootstrap interval.

    Seeds are shared: one is the same MDP, log and users for all methods, and differs far more from the next seed than
    methods differ from each other.

    Args:
        first: values by seed.
        second: values by seed, to be subtracted.

    Returns:
        None with fewer than ``MIN_SEEDS`` common seeds: the bootstrap of three numbers that happen to have one sign
        never contains 0.
    """
    differences = (first - second).dropna().sort_index()
    return bootstrap_mean(differences.to_numpy()) if len(differences) >= MIN_SEEDS else None


def bootstrap_mean(values: NDArray[np.float64]) -> Interval:
    """Return the mean with its bias-corrected and accelerated bootstrap interval (Efron), the same for the same values.

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


def score_matrices(rows: DataFrame, metric: str) -> dict[str, NDArray[np.float64]]:
    """Return a metric of every agent over the seeds and cells that all agents have, [seeds, cells].

    Args:
        rows: measurements of one experiment, e.g. those of :func:`benchmarks.engine.summaries.normalized_rows`.
        metric: name of the metric, e.g. ``"normalized/top-k"``.
    """
    rows = rows[rows["metric"] == metric]
    if rows.empty:
        return {}
    cell = ["logging_policy", "num_sessions"]
    cells = MultiIndex.from_frame(rows[cell].drop_duplicates().sort_values(cell))
    by_agent = {
        agent: of_agent.pivot(index="seed", columns=cell, values="value").reindex(columns=cells).dropna()
        for agent, of_agent in rows.groupby("agent", sort=False)
    }
    complete = sorted(set.intersection(*(set(of_agent.index) for of_agent in by_agent.values())))
    return {agent: of_agent.loc[complete].to_numpy() for agent, of_agent in by_agent.items()}


def interquartile_means(scores: Mapping[str, NDArray[np.float64]]) -> dict[str, Interval]:
    """Return the interquartile mean over seeds and cells with its stratified bootstrap interval (Agarwal et al., 2021).

    Args:
        scores: [seeds, cells] by agent.
    """
    from rliable import metrics

    return _rliable_intervals(dict(scores), metrics.aggregate_iqm, resamples=2000)


def probabilities_of_improvement(scores: Mapping[str, NDArray[np.float64]], over: str) -> dict[str, Interval]:
    """Return the probability that an agent's run beats one of another's, mean over cells, with its bootstrap interval.

    Args:
        scores: [seeds, cells] by agent; the same cells for all.
        over: the agent to be beaten.
    """
    from rliable import metrics

    pairs = {agent: (matrix, scores[over]) for agent, matrix in scores.items() if agent != over}
    return _rliable_intervals(pairs, metrics.probability_of_improvement, resamples=1000)


@contextmanager
def _global_generator(seed: int) -> Iterator[None]:
    """NumPy's global generator, seeded, and given back as it was.

    rliable (1.2) draws its resamples from that one, whatever ``random_state`` it is given.
    """
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def _rliable_intervals(
    scores: Mapping[str, Any], aggregate: Callable[..., float], *, resamples: int
) -> dict[str, Interval]:
    from rliable import library

    def as_array(*matrices: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([aggregate(*matrices)])

    with _global_generator(seed=0):
        points, intervals = library.get_interval_estimates(scores, as_array, reps=resamples)
    return {
        agent: Interval(float(points[agent][0]), *(float(end) for end in np.ravel(intervals[agent])))
        for agent in scores
    }
