"""Run folders: complete rows only, resuming, refusing other settings; and the rows themselves."""

import io
import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from irecgan_gym.benchmarks.job_loop import run_jobs
from irecgan_gym.benchmarks.job_worker import Finished
from irecgan_gym.benchmarks.measurements import Duration, Job, Measurement, TrainingRecord, read_rows, write_rows
from irecgan_gym.benchmarks.recorder import JobRecorder
from irecgan_gym.benchmarks.run_folder import RunFolder, RunFolderError, versions
from irecgan_gym.benchmarks.run_tables import RunTables
from rich.console import Console

JOBS = [Job("experiment", agent, "max", 10, seed) for seed in range(2) for agent in ("a", "b")]
CONFIG = {"seeds": 2, "agents": {"a": {"rate": 0.1, "sizes": (1, 2)}}}


def quiet():
    return Console(file=io.StringIO())


class Work:
    """Measures the same for a job every time, and stops before job number ``stop``."""

    def __init__(self, stop=None):
        self.done = []
        self.stop = stop

    def __call__(self, job, recorder):
        if self.stop is not None and len(self.done) == self.stop:
            raise KeyboardInterrupt
        recorder.record({"train/loss": 1.0 + job.seed, "train/validation_loss": 2.0}, 0)
        recorder.record({"train/loss": 0.5}, 1)
        self.done.append(job)
        return {"reward/top-k": 0.1 + job.seed, "reward/sampled": np.float32(1) / 3}


def contents(path):
    return {name: (path / name).read_text() for name in ("config.json", "results.csv", "training.csv")}


def test_a_stopped_run_goes_on_and_ends_the_same(tmp_path):
    whole = Work()
    run_jobs(RunFolder(tmp_path / "whole", CONFIG), JOBS, whole, quiet())
    assert whole.done == JOBS

    first, second, third = Work(stop=2), Work(), Work()
    with pytest.raises(KeyboardInterrupt):
        run_jobs(RunFolder(tmp_path / "stopped", CONFIG), JOBS, first, quiet())
    run_jobs(RunFolder(tmp_path / "stopped", CONFIG), JOBS, second, quiet())
    run_jobs(RunFolder(tmp_path / "stopped", CONFIG), JOBS, third, quiet())
    # No job twice; the order may follow the durations measured before.
    assert sorted(first.done + second.done) == sorted(JOBS)
    assert third.done == []
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


def test_a_run_killed_while_writing_keeps_complete_rows_only(tmp_path, monkeypatch):
    run_jobs(RunFolder(tmp_path / "whole", CONFIG), JOBS, Work(), quiet())
    replace, writes = os.replace, []

    def killed_at_the_second_results(source, target):
        writes.append(target)
        if [str(path).endswith("results.csv") for path in writes].count(True) == 2:
            raise SystemExit
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed_at_the_second_results)
    with pytest.raises(SystemExit):
        run_jobs(RunFolder(tmp_path / "killed", CONFIG), JOBS, Work(), quiet())
    monkeypatch.undo()
    assert str(writes[-1]).endswith("results.csv")

    folder = RunFolder(tmp_path / "killed", CONFIG)
    assert {row.job for row in folder.results()} == {JOBS[0]}
    # The training rows of the second job are there already; they must not appear twice.
    assert {row.job for row in read_rows(TrainingRecord, folder.training_file)} == set(JOBS[:2])
    again = Work()
    run_jobs(folder, JOBS, again, quiet())
    assert sorted(again.done) == sorted(JOBS[1:])
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert not list((tmp_path / "killed").glob(".*"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**CONFIG, "seeds": 3}, "seeds is 2 there and 3 now"),
        (
            {"seeds": 2, "agents": {"a": {"rate": 0.2, "sizes": [1, 2]}}},
            "agents.a.rate is 0.1 there and 0.2 now",
        ),
        ({"seeds": 2, "agents": {"b": {"rate": 0.1}}}, "agents.a.rate is 0.1 there and missing now"),
        ({**CONFIG, "more": None}, "more is missing there and null now"),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path, config, message):
    RunFolder(tmp_path, CONFIG)
    with pytest.raises(RunFolderError, match=message):
        RunFolder(tmp_path, config)
    RunFolder(tmp_path, CONFIG)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("dear reader")
    with pytest.raises(RunFolderError, match="not an empty folder"):
        RunFolder(tmp_path, CONFIG)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(RunFolderError, match="not an empty folder"):
        RunFolder(tmp_path / "thesis.txt", CONFIG)


def test_a_damaged_config_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"config\.json is not valid JSON"):
        RunFolder(tmp_path, CONFIG)


def finished(metrics, records=(), seconds=1.0):
    return Finished(metrics, list(records), seconds)


def test_finishing_again_replaces_the_rows(tmp_path):
    folder = RunFolder(tmp_path, CONFIG)
    tables = RunTables(folder, JOBS)
    tables.finish(JOBS[0], finished({"reward": 1.0, "old": 2.0}, seconds=5.0))
    tables.finish(JOBS[0], finished({"reward": 3.0}, seconds=4.0))
    assert folder.results() == [Measurement(JOBS[0], "reward", 3.0)]
    assert folder.durations() == {JOBS[0]: 4.0}


def test_rows_stand_in_the_order_of_the_grid(tmp_path):
    folder = RunFolder(tmp_path, CONFIG)
    other = Job("experiment", "a", "mix", 10, 0)
    RunTables(folder, [other]).finish(other, finished({"reward": 0.5}))
    tables = RunTables(folder, JOBS)
    for job in (JOBS[2], JOBS[0], JOBS[3]):
        tables.finish(job, finished({"reward": 1.0}, [TrainingRecord(job, "loss", 2.0, 0)]))
    # Opened again, as by the same command on the next day.
    RunTables(folder, JOBS).finish(JOBS[1], finished({"reward": 1.0}))
    assert [row.job for row in folder.results()] == [*JOBS, other]
    assert [row.job for row in read_rows(TrainingRecord, folder.training_file)] == [JOBS[0], JOBS[2], JOBS[3]]
    assert list(folder.durations()) == [*JOBS, other]


def test_one_process_works_in_a_folder_at_a_time(tmp_path):
    folder = RunFolder(tmp_path, CONFIG)
    with folder.claim(), pytest.raises(RunFolderError, match="another process is at work"):
        run_jobs(RunFolder(tmp_path, CONFIG), JOBS, Work(), quiet())
    run_jobs(RunFolder(tmp_path, CONFIG), JOBS, Work(), quiet())
    assert {row.job for row in folder.results()} == set(JOBS)


def test_versions_are_noted_once_while_they_stay_the_same(tmp_path):
    for _ in range(2):
        RunFolder(tmp_path, CONFIG)
    noted = json.loads((tmp_path / "versions.json").read_text())
    assert len(noted) == 1
    assert noted[0]["packages"]["numpy"] == np.__version__


def test_versions_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    found = versions()
    assert found["commit"] is None
    assert found["uncommitted_changes"] is None


def test_header_of_the_results():
    assert write_rows(Measurement, []) == "experiment,agent,logging_policy,num_sessions,seed,metric,value\n"


text = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=8)
jobs = st.builds(Job, text, text, text, st.integers(0, 10**9), st.integers(0, 2**31))
numbers = st.floats(allow_nan=False)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.builds(TrainingRecord, jobs, text, numbers, st.integers(0, 10**6)), max_size=4))
def test_rows_survive_writing_and_reading(tmp_path_factory, rows):
    file = tmp_path_factory.mktemp("rows") / "training.csv"
    file.write_text(write_rows(TrainingRecord, rows), encoding="utf-8", newline="")
    assert read_rows(TrainingRecord, file) == rows


def test_durations_survive_writing_and_reading(tmp_path):
    rows = [Duration(job, 0.1 + job.seed) for job in JOBS]
    (tmp_path / "durations.csv").write_text(write_rows(Duration, rows))
    assert read_rows(Duration, tmp_path / "durations.csv") == rows


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["agent,value"], "line 1: expected the columns"),
        (["experiment,agent,logging_policy,num_sessions,seed,metric,value", "e,a,max,10,zero,m,1"], "line 2"),
        (["experiment,agent,logging_policy,num_sessions,seed,metric,value", "e,a,max,10"], "line 2"),
    ],
)
def test_damaged_rows_are_named(tmp_path, lines, message):
    file = tmp_path / "results.csv"
    file.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=message):
        read_rows(Measurement, file)


def test_recorder_keeps_shows_and_writes_events(tmp_path):
    shown = []
    with JobRecorder(JOBS[0], tmp_path, shown.append) as recorder:
        recorder.record({"disc/accuracy": 0.5, "disc/loss": 1.0}, 3)
        recorder.record({"train/policy_loss": 9.0, "train/validation_loss": 2.5}, 4)
        recorder.record({}, 5)
    assert [(row.metric, row.value, row.step) for row in recorder.records] == [
        ("disc/accuracy", 0.5, 3),
        ("disc/loss", 1.0, 3),
        ("train/policy_loss", 9.0, 4),
        ("train/validation_loss", 2.5, 4),
    ]
    assert shown == ["disc 3: accuracy 0.500, loss 1.000", "train 4: validation_loss 2.500"]
    assert len(list((tmp_path / JOBS[0].name).iterdir())) == 1
    with JobRecorder(JOBS[0], tmp_path):
        pass
    assert not (tmp_path / JOBS[0].name).exists()


def test_names_of_jobs_are_safe_for_files():
    assert Job("e", "../a b", "max", 10, 0).name == "..-a-b-max-10-seed0"
