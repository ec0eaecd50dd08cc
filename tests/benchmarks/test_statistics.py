"""Intervals over seeds: pairing, normalising, and agreement with what is known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.statistics import (
    bootstrap_mean,
    interquartile_means,
    paired_interval,
    probabilities_of_improvement,
    score_matrices,
)
from tests.benchmarks.run_folders import Measurement, table

CELL = ("max", 200)


def rows(agent, values, metric="reward/top-k", cell=CELL):
    return [Measurement(Job("simulated_online", agent, *cell, seed), metric, value) for seed, value in values.items()]


def by_seed(results, agent):
    found = table(results)
    return found[found["agent"] == agent].set_index("seed")["value"]


def test_differences_are_paired_by_seed():
    """Seeds differ by hundreds, methods by one: only pairs can tell."""
    rng = np.random.default_rng(0)
    worlds = 100 * rng.random(12)
    results = rows("a", {seed: world + 1 + 0.1 * rng.random() for seed, world in enumerate(worlds)})
    results += rows("b", dict(enumerate(worlds)))
    results += rows("b", {99: 1e6})  # a seed that the other has not
    interval = paired_interval(by_seed(results, "a"), by_seed(results, "b"))
    assert interval is not None
    assert 1 < interval.low < interval.mean < interval.high < 1.1


def test_a_few_seeds_are_no_evidence():
    results = [*rows("a", dict.fromkeys(range(4), 1.0)), *rows("b", dict.fromkeys(range(9), 2.0))]
    assert paired_interval(by_seed(results, "a"), by_seed(results, "b")) is None


def test_equal_differences_have_no_width():
    assert bootstrap_mean(np.array([0.5, 0.5, 0.5])) == (0.5, 0.5, 0.5)


def test_intervals_hold_the_truth_nearly_as_often_as_they_say():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(100):
        low, high = bootstrap_mean(rng.exponential(size=20))[1:]
        hits += low <= 1.0 <= high
    assert 85 <= hits <= 100


def test_matrices_keep_the_seeds_that_all_agents_and_cells_have():
    results = rows("a", {0: 1.0, 1: 2.0, 2: 3.0}) + rows("a", {1: 5.0, 2: 6.0}, cell=("mix", 200))
    results += rows("b", {0: 7.0, 1: 8.0, 2: 9.0}) + rows("b", {0: 0.0, 2: 4.0}, cell=("mix", 200))
    matrices = score_matrices(table(results), "reward/top-k")
    np.testing.assert_array_equal(matrices["a"], [[3.0, 6.0]])
    np.testing.assert_array_equal(matrices["b"], [[9.0, 4.0]])
    assert score_matrices(table(results), "reward/sampled") == {}


def test_aggregates_over_cells():
    rng = np.random.default_rng(0)
    low, high = rng.random((10, 3)), rng.random((10, 3)) + 2
    means = interquartile_means({"low": low, "high": high})
    assert means["low"].mean == pytest.approx(stats.trim_mean(low, 0.25, axis=None))
    assert means["low"].high < means["high"].low
    chance = probabilities_of_improvement({"low": low, "high": high}, over="low")["high"]
    assert chance == (1.0, 1.0, 1.0)


def test_bootstraps_give_the_same_numbers_again_and_leave_the_global_generator_alone():
    rng = np.random.default_rng(0)
    scores = {agent: rng.normal(size=(6, 2)) for agent in ("a", "b")}
    before = np.random.get_state()  # noqa: NPY002
    first = interquartile_means(scores), probabilities_of_improvement(scores, "a")
    np.random.random()  # noqa: NPY002
    assert (interquartile_means(scores), probabilities_of_improvement(scores, "a")) == first
    np.random.set_state(before)  # noqa: NPY002
    interquartile_means(scores)
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert np.random.get_state()[2] == before[2]  # noqa: NPY002
