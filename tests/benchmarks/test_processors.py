"""Jobs and threads for the processors there are."""

import os

import pytest

from irecgan_gym.benchmarks.engine.processors import (
    THREAD_VARIABLES,
    Processes,
    ProcessorsError,
    available_processors,
    plan_processes,
    thread_limits,
)


@pytest.mark.parametrize(
    ("jobs", "threads", "processors", "planned"),
    [
        (None, 1, 8, (8, 1)),
        (None, 3, 8, (2, 3)),
        (4, 1, 8, (4, 1)),
        (4, 4, 8, (2, 4)),
        (9, 1, 2, (2, 1)),
        (1, 8, 8, (1, 8)),
        (3, 1, 1, (1, 1)),
    ],
)
def test_jobs_times_threads_are_never_more_than_the_processors(jobs, threads, processors, planned):
    assert plan_processes(jobs, threads, processors) == Processes(*planned)


def test_more_threads_than_processors_are_refused():
    with pytest.raises(ProcessorsError, match="--threads 3 is more than the 2 processors"):
        plan_processes(1, 3, 2)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [("max 100000", None), ("100000 100000", 1), ("50000 100000", 1), ("99999900000 100000", None), ("nonsense", None)],
)
def test_a_containers_quota_counts(tmp_path, text, allowed):
    unlimited = available_processors(tmp_path / "none")
    (tmp_path / "cpu.max").write_text(text)
    assert available_processors(tmp_path / "cpu.max") == (allowed or unlimited)
    assert unlimited >= 1


def test_thread_limits_are_taken_back(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with thread_limits(2):
        assert {os.environ[name] for name in THREAD_VARIABLES} == {"2"}
    assert os.environ["OMP_NUM_THREADS"] == "5"
    assert "MKL_NUM_THREADS" not in os.environ
