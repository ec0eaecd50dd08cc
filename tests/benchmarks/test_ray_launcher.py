"""Jobs on a Ray cluster of this machine: the same run folder as here, whatever happens to a worker."""

import io
import os
import signal
from types import SimpleNamespace

import pytest
from rich.console import Console

from irecgan_gym.benchmarks.engine.command import command_line
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.job_loop import run_jobs
from irecgan_gym.benchmarks.engine.processors import THREAD_VARIABLES, Processes
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.engine.worker import Finished
from irecgan_gym.benchmarks.simulated_online import SimulatedOnline
from tests.benchmarks.test_job_loop import grid, surroundings, work

TABLES = ("results.csv", "training.csv")


class Work:
    """The work of the local launcher's tests, and jobs that lose their process once, or tell where they are done."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, job, recorder):
        if job.agent == "unlucky":
            died = self.folder / "died"
            if not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        if job.agent == "where":
            return surroundings(job, recorder)
        return work(job, recorder)


def test_a_cluster_writes_the_same_run_folder(tmp_path, monkeypatch):
    """One test with one cluster: starting it, and importing PyTorch in its workers, is what takes time."""
    ray_launcher = pytest.importorskip("irecgan_gym.benchmarks.engine.ray_launcher", exc_type=ModuleNotFoundError)
    monkeypatch.chdir(tmp_path)
    jobs, here = grid("first", "unlucky", "second", "raises", seeds=2), RunFolder("here", {})
    (tmp_path / "died").touch()
    assert len(run_jobs(here, jobs, Work(tmp_path), Console(file=io.StringIO()))) == 2
    (tmp_path / "died").unlink()
    with ray_launcher.ray_cluster(None, 2) as launcher:
        assert launcher.processors == 2
        seen, there = Console(file=io.StringIO(), width=200), RunFolder("there", {})
        failures = run_jobs(there, jobs, Work(tmp_path), seen, Processes(2, 1), launcher=launcher)
        # Two jobs at a time may fail in either order.
        assert {str(reason) for reason in failures.values()} == {f"RuntimeError: no luck with seed {n}" for n in (0, 1)}
        assert (tmp_path / "died").exists()
        for table in TABLES:
            assert (tmp_path / "there" / table).read_bytes() == (tmp_path / "here" / table).read_bytes()
        assert sorted(os.listdir("there/tensorboard")) == sorted(os.listdir("here/tensorboard"))
        assert "no luck" in there.failure(Job("experiment", "raises", "max", 10, 0)).read_text()

        # The same command goes on where it stopped.
        assert run_jobs(there, [jobs[0], *grid("where")], Work(tmp_path), seen, launcher=launcher) == {}
        values = there.results().query("agent == 'where'").set_index("metric")["value"]
        assert values["process"] != os.getpid()
        assert set(values[["threads", *THREAD_VARIABLES]]) == {1}

        arguments = ["--agents", "lstm", "--logging-policy", "max", "--sessions", "30", "--eval-sessions", "20"]
        for name, how in (("one", ["--jobs", "1"]), ("two", ["--launcher", "ray"])):
            assert command_line(SimulatedOnline, [*arguments, "--seeds", "2", "--out", name, *how]) == 0
        assert (tmp_path / "one" / TABLES[0]).read_bytes() == (tmp_path / "two" / TABLES[0]).read_bytes()


def test_a_job_whose_workers_all_die_fails_alone(tmp_path, monkeypatch):
    ray_launcher = pytest.importorskip("irecgan_gym.benchmarks.engine.ray_launcher", exc_type=ModuleNotFoundError)
    begun = []

    def begin(shared, job, *rest):
        begun.append(job)
        return len(begun) - 1

    task = SimpleNamespace(options=lambda **options: SimpleNamespace(remote=begin))
    monkeypatch.setattr(ray_launcher.ray, "remote", lambda function: task)
    monkeypatch.setattr(ray_launcher.ray, "put", lambda value: value)
    monkeypatch.setattr(ray_launcher.ray, "wait", lambda tasks, num_returns: (tasks[:1], tasks[1:]))
    done = Finished({"reward": 1.0}, [], 1.0)
    monkeypatch.setattr(ray_launcher, "_outcome", lambda number: None if begun[number].agent == "killed" else done)
    jobs, folder = grid("first", "killed", "second"), RunFolder(tmp_path, {})
    launcher = ray_launcher.RayLauncher()
    failures = run_jobs(folder, jobs, work, Console(file=io.StringIO()), Processes(2, 1), launcher=launcher)
    assert failures == {jobs[1]: "the worker process died, 3 times"}
    assert set(folder.results()["agent"]) == {"first", "second"}
    assert len(begun) == 5


def test_a_machine_without_the_run_folder_says_so(tmp_path, monkeypatch):
    ray_launcher = pytest.importorskip("irecgan_gym.benchmarks.engine.ray_launcher", exc_type=ModuleNotFoundError)
    monkeypatch.chdir(tmp_path)
    folder = RunFolder(tmp_path / "run", {})
    (tmp_path / "run").rename(tmp_path / "moved")
    for place in (tmp_path, tmp_path / "none"):
        done = ray_launcher._do_job_here([None], grid("a")[0], folder, str(place), [], 1)
        assert f"{os.uname().nodename} does not see the folders of the command" in done.reason


def test_a_cluster_that_is_not_asked_for_or_not_there(tmp_path, capsys, monkeypatch):
    arguments = ["--out", str(tmp_path / "run")]
    assert command_line(SimulatedOnline, [*arguments, "--ray-address", "auto"]) == 2
    assert "--ray-address auto is for --launcher ray" in capsys.readouterr().err
    monkeypatch.setattr("irecgan_gym.benchmarks.engine.experiment.missing", lambda extra: f"install {extra}")
    assert command_line(SimulatedOnline, [*arguments, "--launcher", "ray"]) == 2
    assert "--launcher ray: install ray" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
