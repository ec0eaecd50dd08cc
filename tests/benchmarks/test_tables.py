import math

import numpy as np
import pytest

from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.summaries import paired_difference
from irecgan_gym.benchmarks.rerank import click_history
from irecgan_gym.evaluation.metrics import mean_interval
from irecgan_gym.sessions import Sessions
from tests.benchmarks.run_folders import Measurement, table


def rows(agent, values):
    return [Measurement(Job("x", agent, "max", 10, seed), "reward/top-k", value) for seed, value in values.items()]


def test_differences_are_taken_within_seeds():
    results = [*rows("a", {0: 5.0, 1: 2.0, 2: 9.0, 7: 100.0}), *rows("b", {2: 8.5, 0: 4.0, 1: 1.5})]
    difference = paired_difference(table(results), "a", "b", "reward/top-k")
    assert difference == mean_interval([1.0, 0.5, 0.5])
    assert math.isnan(paired_difference(table(results[:1] + results[-2:-1]), "a", "b", "reward/top-k").low)


def test_what_ids_can_tell_of_the_test_clicks():
    def sessions(clicks, lengths):
        slates = np.stack([np.roll(np.arange(6), -click)[:3] for click in clicks])
        clicks = np.where(np.array(clicks) == 9, 6, clicks)
        return Sessions.from_columns(
            num_items=6, lengths=lengths, slates=slates, clicks=clicks, rewards=np.zeros(len(clicks))
        )

    training = sessions([0, 1, 1], [2, 1])
    test = sessions([0, 0, 3, 3, 9], [3, 2])
    known, repeated = click_history(training, test)
    assert known == pytest.approx(2 / 4)
    assert repeated == pytest.approx(1 / 4)
