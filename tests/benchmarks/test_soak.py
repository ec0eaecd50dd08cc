"""The soak test: what it takes for growth, and a short one that finds none."""

import csv

import pytest

from irecgan_gym.benchmarks import soak
from irecgan_gym.benchmarks.engine.command import command_line
from irecgan_gym.benchmarks.soak import Sample, Soak, growth, watched

SMALL = ["--compiled-steps", "40960", "--wrapper-steps", "2000", "--learned-steps", "2560", "--collected", "100000"]


def curve(memory):
    return [Sample("part", place, 1.0, value) for place, value in enumerate(memory)]


def test_growth_is_what_comes_after_the_warm_up():
    assert growth(curve([0, 50] + [100] * 98)) == 0
    assert growth(curve(range(100))) == pytest.approx(74.5 - 37)
    # A peak now and then is no growth.
    assert growth(curve([100, 100, 130, 100] * 25)) == 0


def test_memory_is_looked_at_a_hundred_times_and_steps_are_counted():
    held = iter(range(1000))
    samples = watched("part", 1000, lambda: 7, lambda: float(next(held)))
    assert [sample.memory_mb for sample in samples] == list(range(100))
    assert [sample.steps for sample in samples][::99] == [14, 1001]
    assert all(sample.steps % 7 == 0 and sample.steps >= 10 * (n + 1) for n, sample in enumerate(samples))


def test_a_short_soak_plays_everything(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(soak, "_ENVS", 64)
    assert command_line(Soak, ["--out", str(tmp_path / "soak"), *SMALL, "--most-growth", "1e6"]) == 0
    assert {file.name for file in (tmp_path / "soak").iterdir()} == {"soak.csv", "soak.png", "soak.svg"}
    with (tmp_path / "soak" / "soak.csv").open() as file:
        rows = list(csv.DictReader(file))
    parts = dict.fromkeys(row["part"] for row in rows)
    assert list(parts) == ["compiled", "wrappers, vector", "wrappers, single", "learned", "collect"]
    assert len(rows) == 500
    assert "compiled: 40,960 steps" in capsys.readouterr().out


def test_growth_is_an_error(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(soak, "_ENVS", 64)
    held = iter(range(1000))
    monkeypatch.setattr(soak, "resident_mb", lambda: float(next(held)))
    assert command_line(Soak, ["--out", str(tmp_path / "soak"), *SMALL, "--most-growth", "37"]) == 1
    assert "memory has grown by more than 37 MB: compiled by 37.5 MB" in capsys.readouterr().err
    assert (tmp_path / "soak" / "soak.png").exists()
