"""Run folders: complete rows only, resuming, refusing other settings; and the rows themselves."""

import io
import json
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from irecgan_gym.benchmarks.engine.digests import DIGESTS
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.job_loop import run_jobs
from irecgan_gym.benchmarks.engine.recorder import JobRecorder
from irecgan_gym.benchmarks.engine.run_folder import RunFolder, versions
from irecgan_gym.benchmarks.engine.run_folder_error import RunFolderError
from irecgan_gym.benchmarks.engine.tables import RESULTS, TRAINING, TableFile, jobs_of, read_durations, read_table
from irecgan_gym.storage.files import is_unfinished
from tests.benchmarks.run_folders import Duration, Measurement, TrainingRecord, table, write_rows

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
    assert jobs_of(folder.results()) == [JOBS[0]]
    # The training rows of the second job are there already; they must not appear twice.
    assert set(jobs_of(read_table(folder.training_file, TRAINING))) == set(JOBS[:2])
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


def test_replacing_the_rows_of_a_job(tmp_path):
    file = tmp_path / "results.csv"
    rows = TableFile(file, RESULTS, JOBS)
    rows.replace(JOBS[0], [("reward", 1.0), ("old", 2.0)])
    rows.replace(JOBS[0], [("reward", 3.0)])
    pd.testing.assert_frame_equal(read_table(file, RESULTS), table([Measurement(JOBS[0], "reward", 3.0)]))
    rows.replace(JOBS[0], [])
    assert rows.jobs == set()
    assert file.read_text() == ",".join(RESULTS) + "\n"


def test_rows_stand_in_the_order_of_the_grid(tmp_path):
    file = tmp_path / "results.csv"
    other = Job("experiment", "a", "mix", 10, 0)
    TableFile(file, RESULTS, [other]).replace(other, [("reward", 0.5)])
    rows = TableFile(file, RESULTS, JOBS)
    for job in (JOBS[2], JOBS[0], JOBS[3]):
        rows.replace(job, [("reward", 1.0)])
    # Opened again, as by the same command on the next day.
    TableFile(file, RESULTS, JOBS).replace(JOBS[1], [("reward", 1.0)])
    assert jobs_of(read_table(file, RESULTS)) == [*JOBS, other]


GROWING = {"seeds": 2, "sizes": [10], "agents": {"a": {"rate": 0.1}}, "rounds": 5}


def test_a_run_grows_along_its_axes_and_no_other_way(tmp_path):
    axes = ("seeds", "sizes", "agents")
    RunFolder(tmp_path, GROWING, axes)
    RunFolder(tmp_path, {"seeds": 5, "sizes": [20, 10], "agents": {"b": {"rate": 0.3}}, "rounds": 5}, axes)
    RunFolder(tmp_path, {**GROWING, "seeds": 1}, axes)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config == {
        "seeds": 5,
        "sizes": [10, 20],
        "agents": {"a": {"rate": 0.1}, "b": {"rate": 0.3}},
        "rounds": 5,
    }
    for change, message in (
        ({"rounds": 6}, "rounds is 5 there and 6 now"),
        ({"agents": {"b": {"rate": 0.4}}}, "agents.b.rate is 0.3 there and 0.4 now"),
        ({"agents": {"b": {}}}, "agents.b.rate is 0.3 there and missing now"),
    ):
        with pytest.raises(RunFolderError, match=message):
            RunFolder(tmp_path, {**GROWING, **change}, axes)
    assert json.loads((tmp_path / "config.json").read_text()) == config


def test_one_process_works_in_a_folder_at_a_time(tmp_path):
    folder = RunFolder(tmp_path, CONFIG)
    with folder.claim(), pytest.raises(RunFolderError, match="another process is at work"):
        run_jobs(RunFolder(tmp_path, CONFIG), JOBS, Work(), quiet())
    run_jobs(RunFolder(tmp_path, CONFIG), JOBS, Work(), quiet())
    assert set(jobs_of(folder.results())) == set(JOBS)


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
    assert RESULTS == ["experiment", "agent", "logging_policy", "num_sessions", "seed", "metric", "value"]


text = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=8)
jobs = st.builds(Job, text, text, text, st.integers(0, 10**9), st.integers(0, 2**31))
numbers = st.floats(allow_nan=False)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.builds(TrainingRecord, jobs, text, numbers, st.integers(0, 10**6)), max_size=4))
def test_rows_survive_writing_and_reading(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("rows")
    (folder / "plain.csv").write_text(write_rows(TrainingRecord, rows), encoding="utf-8", newline="")
    expected = table(rows, TrainingRecord)
    pd.testing.assert_frame_equal(read_table(folder / "plain.csv", TRAINING), expected, check_exact=True)
    written = TableFile(folder / "training.csv", TRAINING, [])
    for job in dict.fromkeys(row.job for row in rows):
        written.replace(job, [row[1:] for row in rows if row.job == job])
    again = read_table(folder / "training.csv", TRAINING)
    assert sorted(again.itertuples(index=False, name=None)) == sorted(expected.itertuples(index=False, name=None))


def test_durations_survive_writing_and_reading(tmp_path):
    rows = [Duration(job, 0.1 + job.seed) for job in JOBS]
    (tmp_path / "durations.csv").write_text(write_rows(Duration, rows))
    assert read_durations(tmp_path / "durations.csv") == {row.job: row.seconds for row in rows}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["agent,value"], "line 1: expected the columns"),
        (["experiment,agent,logging_policy,num_sessions,seed,metric,value", "e,a,max,10,zero,m,1"], "line 2"),
        (["experiment,agent,logging_policy,num_sessions,seed,metric,value", "e,a,max,10"], "line 2: expected 7 cells"),
        ([",".join(RESULTS), "e,a,max,1_0,0,m,1"], "line 2: num_sessions must be a whole number, got '1_0'"),
        ([",".join(RESULTS), "e,a,max,10,٣,m,1"], "line 2: seed must be a whole number"),
        ([",".join(RESULTS), f"e,a,max,{10**30},0,m,1"], "line 2: num_sessions must be a whole number"),
        ([",".join(RESULTS), "e,a,max,10,0,m,1e5", "e,a,max,10,0,m,one"], "line 3: value must be a number, got 'one'"),
        (
            [",".join(RESULTS), "e,a,max,10,0,m,1.0", "e,a,max,10,0,m,2.0"],
            "line 3: there is a row of e, a, max, 10, 0, m",
        ),
        ([",".join(RESULTS), "e" * 200_000 + ",a,max,10,0,m,1.0"], "line 2: field larger than field limit"),
        ([], "line 1: expected the columns"),
    ],
)
def test_damaged_rows_are_named(tmp_path, lines, message):
    file = tmp_path / "results.csv"
    file.write_text("\n".join(lines))
    with pytest.raises(RunFolderError, match=message) as caught:
        read_table(file, RESULTS)
    assert str(file) in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_table_that_is_no_text_is_named(tmp_path):
    (tmp_path / "results.csv").write_bytes((",".join(RESULTS) + "\ne,\xff,max,10,0,m,1\n").encode("latin-1"))
    with pytest.raises(RunFolderError, match=r"results\.csv, line 2: not UTF-8, at byte"):
        read_table(tmp_path / "results.csv", RESULTS)


def test_a_table_that_is_not_as_it_was_written_is_refused(tmp_path):
    folder = RunFolder(tmp_path, CONFIG)
    run_jobs(folder, JOBS, Work(), quiet())
    for file in (folder.results_file, folder.training_file, folder.durations_file):
        whole = file.read_bytes()
        rows = whole.splitlines(keepends=True)
        for damaged in (
            b"".join(rows[:1] + rows[2:]),
            whole.replace(b"0", b"1", 1),
            b"",
            whole + rows[-1],
            b"".join(rows[:1]),
        ):
            file.write_bytes(damaged)
            with pytest.raises(RunFolderError, match=f"{file.name} is not as it was written: .* remove .*digests"):
                run_jobs(RunFolder(tmp_path, CONFIG), JOBS, Work(), quiet())
        file.write_bytes(whole)
    again = Work()
    run_jobs(RunFolder(tmp_path, CONFIG), JOBS, again, quiet())
    assert again.done == []


def test_tables_of_folders_without_digests_are_read(tmp_path):
    run_jobs(RunFolder(tmp_path, CONFIG), JOBS[:2], Work(), quiet())
    (tmp_path / DIGESTS).unlink()
    again = Work()
    run_jobs(RunFolder(tmp_path, CONFIG), JOBS, again, quiet())
    assert sorted(again.done) == sorted(JOBS[2:])
    (tmp_path / "results.csv").write_text("")
    with pytest.raises(RunFolderError, match="is not as it was written"):
        RunFolder(tmp_path, CONFIG).results()


def test_a_run_killed_between_a_table_and_its_digest_goes_on(tmp_path, monkeypatch):
    replace = os.replace
    for stop in range(2, 9):
        writes = []

        def killed(source, target, stop=stop, writes=writes):
            writes.append(target)
            if len(writes) > stop:
                raise SystemExit
            replace(source, target)

        folder = tmp_path / str(stop)
        RunFolder(folder, CONFIG)
        monkeypatch.setattr(os, "replace", killed)
        with pytest.raises(SystemExit):
            run_jobs(RunFolder(folder, CONFIG), JOBS, Work(), quiet())
        monkeypatch.undo()
        run_jobs(RunFolder(folder, CONFIG), JOBS, Work(), quiet())
        assert set(jobs_of(RunFolder(folder, CONFIG).results())) == set(JOBS)


@pytest.mark.parametrize("text", ["", "[]", '{"results.csv": "x"}', "[" * 100_000])
def test_damaged_digests_are_named(tmp_path, text):
    run_jobs(RunFolder(tmp_path, CONFIG), JOBS[:1], Work(), quiet())
    (tmp_path / DIGESTS).write_text(text)
    with pytest.raises(RunFolderError, match=r"digests\.json"):
        RunFolder(tmp_path, CONFIG).results()


def test_a_folder_whose_first_command_was_killed_takes_another(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", lambda *_: os._exit(9))
    child = os.fork()
    if not child:
        RunFolder(tmp_path, CONFIG)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    monkeypatch.undo()
    assert [is_unfinished(file.name) for file in tmp_path.iterdir()] == [True]
    RunFolder(tmp_path, CONFIG)
    assert not any(is_unfinished(file.name) for file in tmp_path.iterdir())


def test_of_two_commands_on_a_new_folder_the_first_has_it(tmp_path, monkeypatch):
    """The other passes its checks while there is no config.json yet, and must look again when the folder is its own."""
    claim = RunFolder.claim

    def late(self):
        monkeypatch.setattr(RunFolder, "claim", claim)
        RunFolder(tmp_path, CONFIG)
        return claim(self)

    monkeypatch.setattr(RunFolder, "claim", late)
    with pytest.raises(RunFolderError, match="seeds is 2 there and 3 now"):
        RunFolder(tmp_path, {**CONFIG, "seeds": 3})
    assert json.loads((tmp_path / "config.json").read_text())["seeds"] == 2


# TensorBoard's own thread finds its file gone.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_folder_that_is_moved_meanwhile_is_not_made_again(tmp_path):
    folder = RunFolder(tmp_path / "run", CONFIG)

    class Moving(Work):
        def __call__(self, job, recorder):
            measured = super().__call__(job, recorder)
            if len(self.done) == 2:
                (tmp_path / "run").rename(tmp_path / "moved")
                with pytest.raises(RunFolderError, match="was moved or removed"):
                    folder.checkpoint(job)
            return measured

    with pytest.raises(RunFolderError, match="run was moved or removed while the run was at work"):
        run_jobs(folder, JOBS, Moving(), quiet())
    assert not (tmp_path / "run").exists()
    assert jobs_of(RunFolder(tmp_path / "moved", CONFIG).results()) == JOBS[:1]


@pytest.mark.parametrize("name", ["config.json", "versions.json"])
@pytest.mark.parametrize("text", ["", "3", "[1]", '"a"', "[" * 100_000])
def test_damaged_files_of_settings_are_named(tmp_path, name, text):
    RunFolder(tmp_path, CONFIG)
    (tmp_path / name).write_text(text)
    with pytest.raises(RunFolderError, match=name):
        RunFolder(tmp_path, CONFIG)


def test_recorder_keeps_shows_and_writes_events(tmp_path):
    shown = []
    with JobRecorder(JOBS[0], tmp_path, shown.append) as recorder:
        recorder.record({"disc/accuracy": 0.5, "disc/loss": 1.0}, 3)
        recorder.record({"train/policy_loss": 9.0, "train/validation_loss": 2.5}, 4)
        recorder.record({}, 5)
    assert recorder.records == [
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
