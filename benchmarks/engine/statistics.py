"""Statistics over seeds and cells: interquartile means and probabilities of improvement, with intervals.

Seeds are shared: one is the same environment, log and users in every cell and for every method. So a seed is what is
drawn from a population, all of its cells together, and intervals are Student's t over one number a seed. Resampling the
seeds of each cell by themselves, as a stratified bootstrap does, takes what the cells of a seed have in common for
noise that averages out, and says too little by far.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame, MultiIndex
from scipy import stats

from irecgan_gym.evaluation.metrics import Interval, mean_interval

MIN_SEEDS = 5
"""Fewer seeds say next to nothing about the spread between seeds: with two, Student's t multiplies it by 12.7."""


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
    """Return the mean over seeds of the interquartile mean over cells, with its 95% t interval over seeds.

    Args:
        scores: [seeds, cells] by agent.
    """
    return {agent: mean_interval(stats.trim_mean(matrix, 0.25, axis=1)) for agent, matrix in scores.items()}


def probability_of_improvement(first: NDArray[np.float64], second: NDArray[np.float64]) -> Interval:
    """Return how often an agent is ahead of another in a cell of a seed that both share; ties count half.

    Args:
        first: scores of the one, [seeds, cells].
        second: scores of the other in the same cells and seeds, [seeds, cells].

    Returns:
        The share, with its 95% t interval over seeds, cut at 0 and 1.
    """
    ahead = (first > second) + 0.5 * (first == second)
    mean, low, high = mean_interval(ahead.mean(axis=1))
    return Interval(mean, float(np.maximum(low, 0.0)), float(np.minimum(high, 1.0)))
