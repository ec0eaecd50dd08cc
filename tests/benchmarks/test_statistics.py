"""Intervals over seeds: pairing, normalising, and agreement with what is known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.measurements import Job, Measurement
from benchmarks.statistics import (
    bootstrap_mean,
    interquartile_means,
    normalised,
    paired_interval,
    probabilities_of_improvement,
    score_matrix,
)

CELL = ("max", 200)


def rows(agent, values, metric="reward/top-k", cell=CELL):
    return [Measurement(Job("simulated_online", agent, *cell, seed), metric, value) for seed, value in values.items()]


def test_differences_are_paired_by_seed():
    """Seeds differ by hundreds, methods by one: only pairs can tell."""
    rng = np.random.default_rng(0)
    worlds = 100 * rng.random(12)
    results = rows("a", {seed: world + 1 + 0.1 * rng.random() for seed, world in enumerate(worlds)})
    results += rows("b", dict(enumerate(worlds)))
    results += rows("b", {99: 1e6})  # a seed that the other has not
    interval = paired_interval(results, CELL, ("a", "reward/top-k"), ("b", "reward/top-k"))
    assert interval is not None
    assert 1 < interval.low < interval.mean < interval.high < 1.1


def test_one_seed_is_no_evidence():
    results = [*rows("a", {0: 1.0}), *rows("b", {0: 2.0})]
    assert paired_interval(results, CELL, ("a", "reward/top-k"), ("b", "reward/top-k")) is None


def test_equal_differences_have_no_width():
    assert bootstrap_mean(np.array([0.5, 0.5, 0.5])) == (0.5, 0.5, 0.5)


def test_intervals_hold_the_truth_nearly_as_often_as_they_say():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(100):
        low, high = bootstrap_mean(rng.exponential(size=20))[1:]
        hits += low <= 1.0 <= high
    assert 85 <= hits <= 100


def test_scores_are_normalised_within_each_seed_and_cell():
    results = rows("random", {0: 1.0, 1: 2.0}) + rows("belief", {0: 3.0, 1: 10.0})
    results += rows("a", {0: 2.0, 1: 2.0, 2: 5.0})
    scores = normalised(results, "reward/top-k")
    assert scores["a"] == {CELL: {0: 0.5, 1: 0.0}}
    assert scores["random"][CELL] == {0: 0.0, 1: 0.0}
    assert scores["belief"][CELL] == {0: 1.0, 1: 1.0}


def test_matrices_keep_the_seeds_that_all_cells_have():
    matrix = score_matrix({("max", 200): {0: 1.0, 1: 2.0, 2: 3.0}, ("mix", 200): {1: 5.0, 2: 6.0}})
    np.testing.assert_array_equal(matrix, [[2.0, 5.0], [3.0, 6.0]])


def test_aggregates_over_cells():
    rng = np.random.default_rng(0)
    low, high = rng.random((10, 3)), rng.random((10, 3)) + 2
    means = interquartile_means({"low": low, "high": high})
    assert means["low"].mean == pytest.approx(stats.trim_mean(low, 0.25, axis=None))
    assert means["low"].high < means["high"].low
    chance = probabilities_of_improvement({"low": low, "high": high}, over="low")["high"]
    assert chance == (1.0, 1.0, 1.0)
