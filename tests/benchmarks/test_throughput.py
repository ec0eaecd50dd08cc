"""The throughput command on sizes that mean nothing: what it writes and refuses, and how processes are isolated."""

import csv
import json
import os

import numpy as np
import pytest

from irecgan_gym.benchmarks.engine.command import SettingsError, command_line
from irecgan_gym.benchmarks.throughput import command, environments, measuring, profiles
from irecgan_gym.benchmarks.throughput.command import Throughput
from irecgan_gym.benchmarks.throughput.growth import FULL, GrowthLaw, Series, fit_law, growth_shape, never_leaves
from irecgan_gym.benchmarks.throughput.growth_plots import MeasuredSeries, draw_growth
from irecgan_gym.benchmarks.throughput.isolation import IsolatedError, run_isolated
from irecgan_gym.benchmarks.throughput.machine import Rates
from irecgan_gym.benchmarks.throughput.report import larger_data
from irecgan_gym.benchmarks.throughput.rows import SpeedRow, comparison_table, number
from irecgan_gym.benchmarks.throughput.shapes import networks, shape


def test_smoke_run_writes_everything(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(measuring, "sardine_is_installed", lambda: False)
    arguments = ["--scale", "smoke", "--shapes", "cikm", "--seconds", "0.005", "--threads", "1", "--device", "cpu"]
    sizes = ["--batch-sizes", "4", "6", "--generated", "6", "--adversarial", "3"]
    assert command_line(Throughput, [*arguments, *sizes, "--out", str(tmp_path)]) == 0

    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {"throughput.json", "throughput.csv", "throughput.md", "growth-items.png", "growth-roll-outs.svg"}
    with (tmp_path / "throughput.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {(row["group"], row["name"], row["shape"], row["batch"]): row for row in rows}
    assert len(found) == len(rows)
    for mode, batch in (("single env", ""), ("vector env", "1"), ("vector env", "4")):
        row = found["environments", "RecSim-v0, distinct slates", mode, batch]
        assert row["compared_with"] == "CartPole-v1"
        assert float(row["ratio"]) > 0
        assert float(found["environments", "CartPole-v1", mode, batch]["value"]) == float(row["baseline"])
    row = found["environments", "RecSim-v0, scores, roll-outs of SB3's PPO", "NativeVecEnv", "4"]
    assert float(row["value"]) > 0
    assert row["compared_with"] == "DummyVecEnv"
    phases = [("training", phase, batch) for phase in ("agent", "user model", "discriminator") for batch in ("4", "6")]
    for group, phase, batch in [*phases, ("generation", "generation", "6"), ("generation", "adversarial", "3")]:
        row = found[group, phase, "cikm", batch]
        assert float(row["ratio"]) == pytest.approx(float(row["value"]) / float(row["baseline"]), rel=1e-4)
        assert 0 < float(row["limit_fraction"]) < 1
        assert 0 < float(row["processor_share"]) < 1.1
        assert float(row["peak_memory_mb"]) > 10
        assert row["threads"] == "1"
    assert ("growth", "agent", "items 100", "") in found

    record = json.loads((tmp_path / "throughput.json").read_text())
    assert record["settings"]["batch_sizes"] == [4, 6]
    assert record["machine"]["gflops_per_second"]["1"]["float32"] > 0
    assert len(record["rows"]) == len(rows)
    text = (tmp_path / "throughput.md").read_text()
    for title in ("## Environments", "## Training", "## Generation", "## Growth", "## What larger data would take"):
        assert title in text
    assert "SARDINE is not installed" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sessions": 0}, "--sessions must be at least 1"),
        ({"batch_sizes": (32, 0)}, "--batch-sizes must be at least 1"),
        ({"batch_sizes": ()}, "--batch-sizes must be at least 1"),
        ({"threads": 0}, "--threads must be at least 1"),
        ({"only": ()}, "--only takes one or more different values"),
        ({"shapes": ("cikm", "cikm")}, "--shapes takes one or more different values"),
        ({"seconds": 0.0}, "--seconds must be positive"),
        ({"device": "bogus"}, "--device: "),
    ],
)
def test_senseless_settings(changes, message):
    with pytest.raises(SettingsError, match=message):
        Throughput(**changes).check()


def test_what_was_measured_before_a_stop_is_written(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "measure_environments", stop)
    with pytest.raises(SystemExit) as stopped:
        command_line(Throughput, ["--scale", "smoke", "--only", "env", "--out", str(tmp_path)])
    assert stopped.value.code == 130
    assert json.loads((tmp_path / "throughput.json").read_text())["rows"] == []


def test_processes_are_isolated():
    parent = os.getpid()
    assert run_isolated(_process, 3, threads=1).value != parent
    with pytest.raises(IsolatedError, match="ZeroDivisionError"):
        run_isolated(_divide, 0, threads=1)
    with pytest.raises(IsolatedError, match="ended with exit status 3"):
        run_isolated(os._exit, 3, threads=1)


def test_peak_memory_is_that_of_the_task():
    small, large = (run_isolated(_fill, megabytes, threads=1).peak_memory_mb for megabytes in (1, 200))
    assert 190 < large - small < 215


def _process(_):
    return os.getpid()


def _divide(number_below):
    return 1 / number_below


def _fill(megabytes):
    return float(np.ones(megabytes * 125_000).sum())


@pytest.mark.parametrize("num_envs", [None, 3])
@pytest.mark.parametrize("env_id", [environments.RECSIM, environments.CARTPOLE])
@pytest.mark.parametrize("actions", ["distinct", "uniform"])
def test_env_steps(num_envs, env_id, actions):
    assert environments.measure_env(environments.EnvTask(env_id, num_envs, actions, seconds=0.001)) > 0


def test_distinct_slates_are_distinct():
    slates = environments._distinct_slates(50, 10, 200, np.random.default_rng(0))
    assert slates.shape == (200, 10)
    assert slates.min() == 0
    assert slates.max() == 49
    assert all(len(set(slate)) == 10 for slate in slates.tolist())


def test_fitted_law():
    series = Series("session length", "adversarial", (2, 4, 8, 16), "session", "constant + l + N l (l - 1) / 2", 2)
    costs = [3e-3 + 2e-4 * (length + 5 * length * (length - 1) / 2) for length in series.sizes]
    law = fit_law(series, costs)
    assert (law.fixed, law.factor) == (pytest.approx(3e-3), pytest.approx(2e-4))
    assert law.worst == pytest.approx(0, abs=1e-9)
    assert law.slope == pytest.approx(law.expected_slope)

    # A linear cost is far from the quadratic law, and its slope says so.
    wrong = fit_law(series, [1e-3 * length for length in series.sizes])
    assert wrong.worst > 0.2
    assert wrong.slope == pytest.approx(1)
    assert wrong.expected_slope > 1.3


def test_every_series_changes_one_size_only():
    for series in FULL:
        worlds = [growth_shape(series, size) for size in series.sizes]
        sizes = [
            {
                "items": world.num_items,
                "sessions": world.num_sessions,
                "session length": world.log.longest,
                "slate size": world.slate_size,
                "roll-outs": world.config.num_rollouts,
            }
            for world in worlds
        ]
        assert [size[series.axis] for size in sizes] == list(series.sizes)
        # Costs are counted for a session, so that fewer may be taken where each costs much.
        others = {axis for axis in sizes[0] if axis != series.axis and len({size[axis] for size in sizes}) > 1}
        assert others <= ({"sessions"} if series.per == "session" else set())


def test_users_of_generated_growth_never_leave():
    import torch

    from irecgan_gym.benchmarks.throughput.phases import generate_plainly

    world = growth_shape(Series("slate size", "generation", (10,), "session", "constant + k"), 10)
    models = networks(world, torch.device("cpu"))
    never_leaves(models)
    sessions = generate_plainly(models, world.config, 4, 20, seed=0)
    assert (sessions.lengths == 4).all()
    assert sessions.truncated.all()


def test_growth_figures(tmp_path):
    series = Series("items", "agent", (50, 1000), "session", "constant + n")
    measured = MeasuredSeries(series, (1e-3, 2e-2), (300.0, 310.0), GrowthLaw(0.0, 2e-5, 0.1, 1.0, 1.0))
    assert [path.name for path in draw_growth([measured, measured], tmp_path)] == ["growth-items.png"]
    assert (tmp_path / "growth-items.svg").exists()


def row(**changes):
    known = {"group": "training", "name": "agent", "shape": "cikm", "batch": 32, "precision": "float32", "threads": 2}
    compared = {"compared_with": "plain PyTorch", "baseline": 10.0, "ratio": 20.0, "limit_fraction": 0.5}
    return SpeedRow(**{**known, "value": 200.0, "unit": "sessions/s", **compared, **changes})


def test_tables_leave_out_what_says_nothing():
    assert comparison_table([row(), row(batch=256)]).headings == (
        "what",
        "shape",
        "batch",
        "sessions/s",
        "plain PyTorch",
        "ratio",
        "share of limit",
    )
    mixed = comparison_table([row(), row(precision="bfloat16"), row(compared_with="SARDINE"), row(compared_with="")])
    assert "precision" in mixed.headings
    assert [line[mixed.headings.index("compared with")] for line in mixed.rows] == [
        "plain PyTorch 10",
        "plain PyTorch 10",
        "SARDINE 10",
    ]
    assert mixed.markdown().count("\n") == 5
    assert [number(value) for value in (None, 0.01234, 12.34, 123.4, 12345.6)] == [
        "-",
        "0.0123",
        "12.3",
        "123",
        "12,346",
    ]


def test_forecast_scales_with_sessions_and_the_limit():
    rates = {2: Rates({"float32": 1e11}, 1e10)}
    cikm = shape("cikm", cikm_sessions=50, max_sessions=50)
    first, second = larger_data([cikm], [row(), row(batch=256, value=100.0)], rates)
    # 10^8 sessions at the better of both speeds.
    assert f"{1e8 / 200 / 86400:.3g} days (agent)" in first
    assert "A million items: the agent has 566 million parameters" in second
    assert list(larger_data([cikm], [], rates)) == []


def test_profiles_name_the_operators_of_every_phase(capsys):
    # All operators: which are the first of them depends on the time that each took.
    sizes = ["--shape", "fast", "--batch-size", "4", "--num-sessions", "3", "--seconds", "0.005", "--threads", "1"]
    assert command_line(profiles.Profiles, ["--scale", "smoke", "--top", "1000", *sizes]) == 0
    output = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for phase in ("agent", "user model", "discriminator", "generation", "adversarial"):
        assert f"{phase} plain PyTorch" in output
        assert f"{phase} suite, float32" in output
    # Training has backward passes, in the suite as elsewhere; the suite's optimiser is a fused one.
    assert "mkldnn_rnn_layer_backward" in output
    assert "_fused_adamw_" in output
    assert command_line(profiles.Profiles, ["--scale", "smoke", "--top", "0"]) == 2
    assert "--top must be at least 1" in capsys.readouterr().err


def test_a_catalogue_of_another_size_is_a_shape_of_its_own(capsys):
    other = shape("cikm", cikm_sessions=20, max_sessions=20, cikm_items=100)
    assert (other.name, other.num_items) == ("cikm, 100 items", 100)
    assert other.sessions(seed=0).num_items == 100
    assert shape("cikm", cikm_sessions=20, max_sessions=20, cikm_items=40_000).name == "cikm"
    assert command_line(Throughput, ["--items", "34", "--scale", "smoke"]) == 2
    assert "--items must be at least 35 (the longest slate), got 34" in " ".join(capsys.readouterr().err.split())
