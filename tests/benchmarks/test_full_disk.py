"""A disk that is full: every command that writes says so in one line with the path, and leaves the old file."""

import errno
import os

import gymnasium as gym
import pytest

from irecgan_gym.agents import make_agent, preset
from irecgan_gym.benchmarks.main import main

SMALL = {"num_items": 12, "slate_size": 3}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A log, an agent, and a run folder with one seed."""
    folder = tmp_path_factory.mktemp("files")
    made = gym.make("RecSim-v0", logging_policy="max", **SMALL)
    made.get_wrapper_attr("collect")(20, seed=0).save(folder / "log.parquet")
    make_agent("pg", num_items=12, slate_size=3, config=preset("pg", "fast"), seed=0).save(folder / "agent.safetensors")
    assert main(grid(folder, seeds=1)) == 0
    return folder


def grid(folder, seeds):
    words = "--agents pg --logging-policy max --sessions 20 --eval-sessions 10 --jobs 1 --out"
    return ["online", *words.split(), str(folder / "run"), "--seeds", str(seeds)]


@pytest.fixture
def full_disk(monkeypatch):
    """Every file that is written finds the disk full, once all of it has been handed over."""

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill():
        monkeypatch.setattr("irecgan_gym.storage.files.os.fsync", full)

    return fill


COMMANDS = {
    "simulate": "simulate --sessions 20",
    "fit": "fit --data {files}/log.parquet --ending reward",
    "train": "train --data {files}/log.parquet --agent pg --ending reward",
    "report": "report {files}/run",
    "read": "read irecgan-text {files}/authors.txt",
    "evaluate a policy": "simulate --sessions 20 --policy {files}/agent.safetensors --env-kwargs @{files}/env.json",
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_the_file_is_named_and_stays(words, files, tmp_path, full_disk, capsys):
    (files / "authors.txt").write_text("0;0;0;;0\n0;0;3;3,4;0\n0;1;4;3,4;0\n0;1;4;3,4;0\n")
    (files / "env.json").write_text('{"num_items": 12, "slate_size": 3}')
    out = tmp_path / "old"
    out.write_text("old")
    full_disk()
    assert main([*words.format(files=files).split(), "--out", str(out)]) in (1, 2)
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert str(out) in error
    assert "No space left on device" in error
    # Training keeps its checkpoints beside the file, so that the same command goes on when there is room again.
    kept = {"old.training"} if words.startswith(("fit", "train")) else set()
    assert {file.name for file in tmp_path.iterdir()} == {"old"} | kept
    assert out.read_text() == "old"


def test_a_run_keeps_what_had_finished(files, full_disk, capsys):
    before = {name: (files / "run" / name).read_bytes() for name in ("results.csv", "training.csv", "config.json")}
    full_disk()
    assert main(grid(files, seeds=2)) == 1
    assert capsys.readouterr().err.strip() == f"error: {files / 'run' / 'config.json'}: No space left on device"
    assert {name: (files / "run" / name).read_bytes() for name in before} == before
