"""Intervals over seeds and cells: agreement with what is known exactly, and how often they cover."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.statistics import interquartile_means, probability_of_improvement, score_matrices
from tests.benchmarks.run_folders import Measurement, table

CELL = ("max", 200)


def rows(agent, values, metric="reward/top-k", cell=CELL):
    return [Measurement(Job("simulated_online", agent, *cell, seed), metric, value) for seed, value in values.items()]


def test_matrices_keep_the_seeds_that_all_agents_and_cells_have():
    results = rows("a", {0: 1.0, 1: 2.0, 2: 3.0}) + rows("a", {1: 5.0, 2: 6.0}, cell=("mix", 200))
    results += rows("b", {0: 7.0, 1: 8.0, 2: 9.0}) + rows("b", {0: 0.0, 2: 4.0}, cell=("mix", 200))
    matrices = score_matrices(table(results), "reward/top-k")
    np.testing.assert_array_equal(matrices["a"], [[3.0, 6.0]])
    np.testing.assert_array_equal(matrices["b"], [[9.0, 4.0]])
    assert score_matrices(table(results), "reward/sampled") == {}


def test_interquartile_means_by_hand():
    scores = np.array([[0.0, 1.0, 2.0, 90.0], [-70.0, 3.0, 4.0, 5.0], [5.0, 6.0, 5.0, 6.0]])
    found = interquartile_means({"a": scores})["a"]
    by_seed = [1.5, 3.5, 5.5]
    interval = stats.ttest_1samp(by_seed, 0.0).confidence_interval(0.95)
    assert found == pytest.approx((3.5, interval.low, interval.high))


def test_probability_of_improvement_by_hand():
    first = np.array([[1.0, 2.0], [1.0, 1.0], [0.0, 3.0]])
    second = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 2.0]])
    interval = stats.ttest_1samp([1.0, 0.75, 0.5], 0.0).confidence_interval(0.95)
    assert probability_of_improvement(first, second) == pytest.approx((0.75, interval.low, 1.0))
    assert probability_of_improvement(first + 9, second) == (1.0, 1.0, 1.0)


def with_shared_seeds(rng, seeds, cells=9):
    """Scores whose seeds are good or bad in all cells alike, as environments are."""
    return 0.7 + 0.1 * rng.normal(size=(seeds, 1)) + 0.05 * rng.normal(size=(seeds, cells)) + np.linspace(0, 1, cells)


@pytest.mark.parametrize("seeds", [5, 10])
def test_intervals_of_interquartile_means_cover_where_seeds_are_shared(seeds):
    rng = np.random.default_rng(0)
    truth = interquartile_means({"a": with_shared_seeds(rng, 200_000)})["a"].mean
    covered = []
    for _ in range(1500):
        interval = interquartile_means({"a": with_shared_seeds(rng, seeds)})["a"]
        covered.append(interval.low <= truth <= interval.high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_resampling_seeds_apart_in_every_cell_covers_little():
    """The stratified bootstrap of interquartile means, which this replaces."""
    rng = np.random.default_rng(0)
    truth = stats.trim_mean(with_shared_seeds(rng, 200_000), 0.25, axis=None)
    covered = []
    for _ in range(200):
        scores = with_shared_seeds(rng, 10)
        drawn = rng.integers(10, size=(200, *scores.shape))
        resampled = np.take_along_axis(scores[None], drawn, axis=1).reshape(200, -1)
        low, high = np.quantile(stats.trim_mean(resampled, 0.25, axis=1), [0.025, 0.975])
        covered.append(low <= truth <= high)
    assert np.mean(covered) < 0.7


@pytest.mark.parametrize("seeds", [5, 10])
def test_intervals_of_probabilities_of_improvement_cover_where_seeds_are_shared(seeds):
    rng = np.random.default_rng(1)

    def pair(number):
        effect = 0.3 * rng.normal(size=(number, 1))
        first, second = rng.normal(size=(2, number, 24))
        return 0.2 + effect + first, second

    truth = probability_of_improvement(*pair(100_000)).mean
    intervals = [probability_of_improvement(*pair(seeds)) for _ in range(1500)]
    assert np.mean([low <= truth <= high for _, low, high in intervals]) == pytest.approx(0.95, abs=0.015)
