"""Commands that are stopped in the middle of a training go on there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import gymnasium as gym
import pytest
from rich.console import Console

from irecgan_gym.agents import PGConfig, make_agent
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.job_loop import run_jobs
from irecgan_gym.benchmarks.engine.processors import Processes
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.jobs import ranks, train
from irecgan_gym.benchmarks.main import main
from irecgan_gym.benchmarks.shared_training import learn_job
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig

SHAPE = EncoderConfig(hidden_size=4, embedding_size=3)
EPOCHS = 40


def log():
    return gym.make("RecSim-v0", logging_policy="max", num_items=12, slate_size=3).unwrapped.collect(20, seed=0)


def agent():
    config = PGConfig(encoder=SHAPE, fit=FitConfig(max_epochs=EPOCHS, batch_size=8))
    return make_agent("pg", num_items=12, slate_size=3, config=config, seed=0, device="cpu")


def work(job, recorder, folder):
    """Train an agent; after its third epoch, say so and wait for the signal."""
    start = []

    class Waiting:
        def record(self, values, step):
            recorder.record(values, step)
            start.append(step)
            if step == 3:
                (folder.path / "at-work").write_text(str(os.getpid()))
                time.sleep(0.5)

    treatment = learn_job(agent(), job, folder, log(), recorder=Waiting())
    (folder.path / "first-epoch").write_text(str(start[0]))
    return treatment


def jobs(number):
    return [Job("test", "pg", "max", 20, seed) for seed in range(number)]


PROGRAM = """
import sys
from functools import partial
from irecgan_gym.benchmarks.engine.command import carry_out
from tests.benchmarks.test_resumed_jobs import *
class Command:
    def execute(self, console):
        folder = RunFolder(sys.argv[1], {})
        number = int(sys.argv[2])
        run_jobs(folder, jobs(number), partial(work, folder=folder), console, Processes(number, 1))
if __name__ == "__main__":
    sys.exit(carry_out(Command()))
"""


def test_sigterm_ends_a_run_with_checkpoints_and_leaves_no_child(tmp_path):
    number = 2
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, str(program), str(folder), str(number)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (folder / "at-work").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    child = int((folder / "at-work").read_text())
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 143, (output, errors)
    assert "stopped; the same command goes on" in output
    assert "Traceback" not in errors
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    kept = [*folder.glob("checkpoints/*.training/policy.*.safetensors")]
    assert kept
    assert not (folder / "results.csv").exists() or "policy_updates" not in (folder / "results.csv").read_text()
    # One of the two has come to its third epoch, the other may have begun later.
    assert 4 <= max(int(file.name.split(".")[1]) for file in kept) < EPOCHS

    # The same jobs again: rows as those of a run that nobody stopped, and nothing is left over.
    (folder / "at-work").unlink()
    here, whole = RunFolder(folder, {}), RunFolder(tmp_path / "whole", {})
    for one in (here, whole):
        failures = run_jobs(one, jobs(number), partial(work, folder=one), Console(quiet=True), Processes(1, 1))
        assert failures == {}
    for name in ("results.csv", "training.csv"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert [*folder.glob("checkpoints/*.training")] == []


def test_a_run_folder_that_is_moved_gets_no_checkpoints_in_its_old_place(tmp_path):
    folder = RunFolder(tmp_path / "run", {})

    class Moving:
        def record(self, values, step):
            if step == 1:
                folder.path.rename(tmp_path / "moved")

    with pytest.raises(ValueError, match="moved or removed while the run was at work"):
        learn_job(agent(), jobs(1)[0], folder, log(), recorder=Moving())
    assert not folder.path.exists()


def test_train_and_fit_go_on_where_they_were_stopped(tmp_path, monkeypatch, capsys):
    log().save(tmp_path / "log.parquet")
    settings = PGConfig(encoder=SHAPE, fit=FitConfig(max_epochs=5, batch_size=8))
    monkeypatch.setattr(train, "agent_settings", lambda agent, preset: settings)

    def run(out, *more):
        words = ["--data", str(tmp_path / "log.parquet"), "--out", str(out), "--device", "cpu", *more]
        return main(["train", "--agent", "pg", *words])

    assert run(tmp_path / "whole.safetensors") == 0

    class Signalling:
        def record(self, values, step):
            if step == 2:
                signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(ranks, "ProgressRecorder", Signalling)
        assert run(tmp_path / "agent.safetensors") == 143
    assert not (tmp_path / "agent.safetensors").exists()
    kept = tmp_path / "agent.safetensors.training"
    assert [file.name for file in kept.glob("*.safetensors")] == ["policy.000000003.safetensors"]
    # Other settings are refused, and the checkpoints stay.
    assert run(tmp_path / "agent.safetensors", "--seed", "1") == 2
    assert "another training" in capsys.readouterr().err
    assert run(tmp_path / "agent.safetensors") == 0
    assert (tmp_path / "agent.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert not kept.exists()
    assert run(tmp_path / "agent.safetensors", "--checkpoint-seconds", "-1") == 2
    assert "--checkpoint-seconds: seconds must not be negative, got -1" in capsys.readouterr().err
