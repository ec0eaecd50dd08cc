"""The run engine: results that do not depend on how many jobs at a time, failures that stay alone, stopping."""

import io
import multiprocessing
import os
import signal
import threading
import time

import pytest
import torch
from rich.console import Console

from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.job_loop import run_jobs
from irecgan_gym.benchmarks.engine.jobs_failed import JobsFailedError
from irecgan_gym.benchmarks.engine.processors import THREAD_VARIABLES, Processes
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.engine.tables import TRAINING, jobs_of, read_durations, read_table
from tests.benchmarks.run_folders import Duration, write_rows

# Each test that starts workers starts two: importing PyTorch there takes seconds.
TWO = Processes(jobs=2, threads=1)


def grid(*agents, seeds=1):
    return [Job("experiment", agent, "max", 10, seed) for seed in range(seeds) for agent in agents]


def console():
    return Console(file=io.StringIO(), width=200)


def work(job, recorder):
    """Numbers that depend on the job alone, in a time that does not; and every kind of failure."""
    if job.agent == "raises":
        raise RuntimeError(f"no luck with seed {job.seed}")
    if job.agent == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if job.agent == "exits":
        os._exit(3)
    if job.agent == "nothing":
        return {}
    if job.agent == "endless":
        time.sleep(600)
    numbers = torch.rand(3, generator=torch.Generator().manual_seed(job.seed)).tolist()
    recorder.record({"train/loss": numbers[0]}, 0)
    recorder.record({"train/loss": numbers[1]}, 1)
    return {"reward/top-k": numbers[2], "reward/sampled": float(len(job.agent))}


def surroundings(job, recorder):
    """Where a job is done."""
    limits = {name: float(os.environ[name]) for name in THREAD_VARIABLES}
    return {"threads": torch.get_num_threads(), "process": os.getpid(), "parent": os.getppid(), **limits}


def test_results_do_not_depend_on_the_number_of_jobs_at_a_time(tmp_path):
    jobs = grid("first", "second", "third", seeds=3)
    # So that jobs end in another order than that of the grid.
    seconds = {"first": 1.0, "second": 3.0, "third": 2.0}
    done = [Duration(Job("experiment", agent, "max", 10, 99), value) for agent, value in seconds.items()]
    for name, processes in (("one", Processes()), ("two", TWO)):
        folder = RunFolder(tmp_path / name, {})
        folder.durations_file.write_text(write_rows(Duration, done))
        assert run_jobs(folder, jobs, work, console(), processes) == {}
    for table in ("results.csv", "training.csv"):
        assert (tmp_path / "one" / table).read_bytes() == (tmp_path / "two" / table).read_bytes()
    assert jobs_of(RunFolder(tmp_path / "two", {}).results()) == jobs
    assert len(read_table(tmp_path / "two" / "training.csv", TRAINING)) == 2 * len(jobs)
    assert len(list((tmp_path / "two" / "tensorboard").iterdir())) == len(jobs)
    assert set(read_durations(tmp_path / "two" / "durations.csv")) >= set(jobs)


def test_failures_and_dead_workers_take_nothing_with_them(tmp_path):
    jobs = grid("raises", "good", "killed", "fine", "exits", "nothing", "last")
    folder, seen = RunFolder(tmp_path, {}), console()
    failures = run_jobs(folder, jobs, work, seen, TWO)
    assert set(folder.results()["agent"]) == {"good", "fine", "last"}
    assert {job.agent: reason for job, reason in failures.items()} == {
        "raises": "RuntimeError: no luck with seed 0",
        "killed": "the worker process was killed by SIGKILL",
        "exits": "the worker process ended with exit status 3",
        "nothing": "ValueError: job nothing-max-10-seed0 has measured nothing",
    }
    assert 'raise RuntimeError(f"no luck' in (folder.failures / "raises-max-10-seed0.txt").read_text()
    assert "lack of memory" in (folder.failures / "killed-max-10-seed0.txt").read_text()
    assert "killed-max-10-seed0: FAILED: the worker process was killed by SIGKILL" in seen.file.getvalue()
    message = str(JobsFailedError(failures, folder))
    assert "4 jobs have failed" in message
    assert "  raises-max-10-seed0: RuntimeError: no luck with seed 0" in message
    assert multiprocessing.active_children() == []


def test_failures_in_this_process(tmp_path):
    folder = RunFolder(tmp_path, {})
    failures = run_jobs(folder, grid("good", "raises", "fine"), work, console())
    assert [job.agent for job in failures] == ["raises"]
    assert set(folder.results()["agent"]) == {"good", "fine"}

    # The same command tries again what failed, and nothing else.
    tried = []

    def better(job, recorder):
        tried.append(job.agent)
        return {"reward": 1.0}

    assert run_jobs(folder, grid("good", "raises", "fine"), better, console()) == {}
    assert tried == ["raises"]
    assert list(folder.failures.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("first\nsecond"), "ValueError: first"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_reasons_are_one_line(tmp_path, error, reason):
    def fails(job, recorder):
        raise error

    failures = run_jobs(RunFolder(tmp_path, {}), grid("a"), fails, console())
    assert list(failures.values()) == [reason]


def test_many_failures_are_not_all_listed(tmp_path):
    folder = RunFolder(tmp_path, {})
    failures = run_jobs(folder, grid("raises", seeds=12), work, console())
    message = str(JobsFailedError(failures, folder))
    assert "12 jobs have failed" in message
    assert "and 2 more" in message
    assert "raises-max-10-seed11" not in message


def test_workers_stay_and_have_the_threads_they_should(tmp_path):
    folder, before = RunFolder(tmp_path, {}), dict(os.environ)
    run_jobs(folder, grid("a", "b", seeds=3), surroundings, console(), Processes(jobs=2, threads=2))
    values = folder.results().groupby("metric")["value"].apply(list).to_dict()
    assert set(values["threads"]) == {2.0}
    assert torch.get_num_threads() == 1  # As the tests' own process was told.
    assert all(set(values[name]) == {2.0} for name in THREAD_VARIABLES)
    assert dict(os.environ) == before
    assert set(values["parent"]) == {float(os.getpid())}
    assert 1 <= len(set(values["process"])) <= 2


@pytest.fixture
def _interrupts_heard():
    """A shell starts background commands with SIGINT ignored, and then Python does not listen to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interrupts_heard")
def test_stopping_ends_running_jobs_and_keeps_finished_ones(tmp_path):
    folder = RunFolder(tmp_path, {})

    def interrupt():
        while not folder.results_file.exists():
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_jobs(folder, grid("good", "endless", "endless too"), work_or_sleep, console(), TWO)
    thread.join()
    assert set(folder.results()["agent"]) == {"good"}
    assert multiprocessing.active_children() == []
    with folder.claim():
        pass  # The folder is free again.


def work_or_sleep(job, recorder):
    if job.agent.startswith("endless"):
        time.sleep(600)
    return work(job, recorder)
