"""The scales of the reference policies."""

import pytest

from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.summaries import normalized_rows
from tests.benchmarks.run_folders import Measurement, table


def job(agent, seed=0, policy="max"):
    return Job("simulated_online", agent, policy, 200, seed)


def rows(agent, seed=0, policy="max", **rewards):
    return [Measurement(job(agent, seed, policy), f"{name}/top-k", value) for name, value in rewards.items()]


def values(results):
    return {(row.agent, row.seed, row.metric): row.value for row in normalized_rows(table(results)).itertuples()}


def test_random_is_0_and_the_reference_1():
    results = [
        *rows("random", reward=2.0, reward_low=1.5, reward_high=2.5),
        *rows("belief", reward=4.0),
        *rows("optimal", reward=10.0),
        *rows("pg", reward=3.0, reward_low=2.0, reward_high=5.0, length=7.0),
    ]
    found = values(results)
    assert found["pg", 0, "normalized/top-k"] == pytest.approx(0.5)
    assert found["pg", 0, "normalized_low/top-k"] == pytest.approx(0)
    assert found["pg", 0, "normalized_high/top-k"] == pytest.approx(1.5)
    assert found["pg", 0, "of_optimum/top-k"] == pytest.approx(1 / 8)
    assert found["random", 0, "normalized/top-k"] == 0
    assert found["belief", 0, "normalized/top-k"] == 1
    assert found["optimal", 0, "of_optimum/top-k"] == 1
    assert not any("length" in metric for _, _, metric in found)


def test_each_environment_has_its_own_scale():
    results = [
        *rows("random", reward=2.0),
        *rows("belief", reward=4.0),
        *rows("pg", reward=3.0),
        *rows("random", seed=1, reward=1.0),
        *rows("belief", seed=1, reward=11.0),
        *rows("pg", seed=1, reward=3.0),
    ]
    found = values(results)
    assert found["pg", 0, "normalized/top-k"] == pytest.approx(0.5)
    assert found["pg", 1, "normalized/top-k"] == pytest.approx(0.2)


def test_no_reference_no_scale():
    assert values([]) == {}
    assert values([*rows("random", reward=2.0), *rows("pg", reward=3.0)]) == {}
    assert values([*rows("belief", reward=2.0), *rows("pg", reward=3.0)]) == {}
    # Those of another cell are none.
    assert values([*rows("random", reward=2.0), *rows("pg", reward=3), *rows("belief", policy="mix", reward=4)]) == {}
    # Nor one that is no better than random slates.
    assert values([*rows("random", reward=2.0), *rows("belief", reward=2.0), *rows("pg", reward=3.0)]) == {}
