"""Estimates: what is expected of a job, and how long a whole run takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irecgan_gym.benchmarks.engine.durations import Durations, as_text, longest_first, time_left
from irecgan_gym.benchmarks.engine.job import Job


def job(agent="pg", policy="max", sessions=1000, seed=0):
    return Job("e", agent, policy, sessions, seed)


def test_jobs_of_the_same_kind_tell_what_a_job_takes():
    durations = Durations({job(seed=0): 4.0, job(seed=1): 8.0, job("irecgan"): 30.0})
    assert durations.expected(job(seed=5)) == 6
    assert durations.expected(job("irecgan", seed=3)) == 30
    assert durations.expected(job(sessions=200)) is None
    durations.add(job(seed=2), 9.0)
    assert durations.expected(job(seed=5)) == 7
    assert durations.expected(job(policy="mix")) is None


def test_unknown_jobs_count_as_the_mean_of_the_known_ones():
    durations = Durations({job(): 4.0, job("irecgan"): 20.0})
    assert durations.filled([job(seed=1), job("new"), job("irecgan", seed=1)]) == [4, 12, 20]
    assert durations.filled([job("new")]) is None
    assert durations.filled([]) == []


def test_time_left():
    assert time_left([], [], 2) == 0
    assert time_left([], [5.0, 3.0, 4.0], 1) == 12
    # 5 | 3 4
    assert time_left([], [5.0, 3.0, 4.0], 2) == 7
    # Running ones go first: 1 6 | 10
    assert time_left([1.0, 10.0], [6.0], 2) == 10
    # What has taken longer than expected is about to end.
    assert time_left([-3.0, 2.0], [4.0], 2) == 4
    assert time_left([3.0], [], 4) == 3


@given(st.lists(st.floats(0, 100), max_size=12), st.integers(1, 4))
def test_time_left_lies_between_its_bounds(waiting, slots):
    left = time_left([], waiting, slots)
    least = max(max(waiting, default=0.0), sum(waiting) / slots)
    assert least - 1e-9 <= left <= sum(waiting) + 1e-9
    # Graham's bound for taking jobs as they come.
    assert left <= 2 * least + 1e-9


def test_long_jobs_start_first_within_a_seed():
    seconds = {"a": 1.0, "b": 3.0, "c": 2.0}
    jobs = [job(agent, seed=seed) for seed in (0, 1) for agent in "abc"]
    durations = Durations({job(agent, seed=9): value for agent, value in seconds.items()})
    assert [(one.agent, one.seed) for one in longest_first(jobs, durations)] == [
        ("b", 0), ("c", 0), ("a", 0), ("b", 1), ("c", 1), ("a", 1),
    ]  # fmt: skip
    assert longest_first(jobs, Durations({})) == jobs


def test_later_stages_of_a_seed_start_after_earlier_ones():
    jobs = [job(agent, seed=seed) for seed in (0, 1) for agent in "abc"]
    durations = Durations({job(agent, seed=9): seconds for agent, seconds in {"a": 1.0, "b": 9.0, "c": 3.0}.items()})
    order = longest_first(jobs, durations, lambda one: int(one.agent == "b"))
    assert [(one.agent, one.seed) for one in order] == [
        ("c", 0), ("a", 0), ("b", 0), ("c", 1), ("a", 1), ("b", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (99.4, "99 s"),
        (100, "2 min"),
        (5940, "99 min"),
        (6000, "1 h 40 min"),
    ],
)
def test_durations_for_people(seconds, text):
    assert as_text(seconds) == text
