"""Statistics over seeds: paired bootstrap intervals, interquartile means, probabilities of improvement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from irecgan_gym.benchmarks.measurements import Measurement
from irecgan_gym.benchmarks.tables import MIN_SEEDS
from numpy.typing import NDArray
from scipy import stats

from irecgan_gym.evaluation.metrics import Interval

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
        None with fewer than ``MIN_SEEDS`` common seeds: the bootstrap of three numbers that happen to have one sign
        never contains 0.
    """
    first, second = by_seed(results, cell, side), by_seed(results, cell, other)
    common = sorted(first.keys() & second.keys())
    if len(common) < MIN_SEEDS:
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


def score_matrices(results: Sequence[Measurement], metric: str) -> dict[str, NDArray[np.float64]]:
    """A metric of every agent over the seeds and cells that all agents have, [seeds, cells], as rliable wants it.

    Args:
        results: of one experiment, e.g. those of :func:`benchmarks.normalised.normalized_rows`.
        metric: e.g. ``"normalised/top-k"``.
    """
    values: dict[str, dict[tuple[Cell, int], float]] = {}
    for row in results:
        if row.metric == metric:
            place = ((row.job.logging_policy, row.job.num_sessions), row.job.seed)
            values.setdefault(row.job.agent, {})[place] = row.value
    if not values:
        return {}
    cells = sorted({cell for of_agent in values.values() for cell, _ in of_agent})
    seeds = sorted({seed for of_agent in values.values() for _, seed in of_agent})
    complete = [
        seed for seed in seeds if all((cell, seed) in of_agent for of_agent in values.values() for cell in cells)
    ]
    return {
        agent: np.array([[of_agent[cell, seed] for cell in cells] for seed in complete])
        for agent, of_agent in values.items()
    }


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
