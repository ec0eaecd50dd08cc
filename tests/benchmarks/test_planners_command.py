"""The comparison of planners on one tiny grid, what it counts, and what it refuses."""

from itertools import product
from pathlib import Path

import numpy as np

from irecgan_gym.benchmarks.engine.command import command_line
from irecgan_gym.benchmarks.engine.tables import frame, read_results
from irecgan_gym.benchmarks.figures.planners import planner_figures
from irecgan_gym.benchmarks.planner_tables import planner_tables
from irecgan_gym.benchmarks.planners import Planners


def test_every_agent_is_measured_on_every_seed_and_the_run_grows(tmp_path, capsys):
    arguments = "--env RecSim-v0 --logging-policy random --sessions 60 --agents choice tabular-pg --jobs 1"
    places = ["--eval-sessions", "50", "--out", str(tmp_path / "run")]
    assert command_line(Planners, [*arguments.split(), *places, "--seeds", "1"]) == 0
    first = read_results(tmp_path / "run")
    assert command_line(Planners, [*arguments.split(), *places, "--seeds", "2"]) == 0
    results = read_results(tmp_path / "run")
    rewards = results[results["metric"] == "reward/top-k"]
    names = ["random", "belief", "max-log-belief", "choice", "tabular-pg"]
    assert list(rewards["agent"]) == names * 2
    assert list(rewards["seed"]) == [0] * 5 + [1] * 5
    assert set(rewards["logging_policy"]) == {"RecSim-v0/random"}
    same = results[results["seed"] == 0].reset_index(drop=True)
    assert same["value"].equals(first["value"])
    mean = rewards[rewards["agent"] == "choice"]["value"].mean()
    shown = capsys.readouterr().out
    assert "In how many cells choice leads" in shown
    assert f"{mean:.2f}" in shown
    plots = {path.relative_to(tmp_path / "run" / "plots") for path in (tmp_path / "run" / "plots").rglob("*.png")}
    assert plots == {Path("planners-reward.png"), Path("training-RecSim-v0-random-60.png")}


def test_rewards_are_drawn_by_the_size_of_the_log():
    results = frame(
        [
            ("planners", agent, f"{world}/{policy}", size, seed, "reward/top-k", base + size / 1000 + seed)
            for world, policy, size in product(("RecSim-v0", "RecSim-Planning-v0"), ("random", "max"), (200, 1000))
            for agent, base in (("auto", 1.0), ("pg", 0.0))
            for seed in range(5)
            # A grid on its way: one panel is still empty.
            if (world, policy) != ("RecSim-Planning-v0", "max")
        ]
    )
    [draw] = planner_figures(results).values()
    figure = draw()
    panels = {axes.get_title(): axes for axes in figure.axes}
    assert list(panels) == [
        "RecSim-v0, random",
        "RecSim-v0, max",
        "RecSim-Planning-v0, random",
        "RecSim-Planning-v0, max",
    ]
    lines = {line.get_label(): line for line in panels["RecSim-v0, max"].get_lines()}
    np.testing.assert_allclose(lines["auto"].get_ydata(), [1.0 + 0.2 + 2, 1.0 + 1.0 + 2])
    assert (lines["auto"].get_xdata() < lines["pg"].get_xdata()).all()
    assert not panels["RecSim-Planning-v0, max"].get_lines()
    assert planner_figures(results[results["agent"] == "nobody"]) == {}


def test_cells_are_counted_as_their_paired_intervals_say():
    def rows(cell, agent, values):
        return [("planners", agent, cell, 200, seed, "reward/top-k", value) for seed, value in enumerate(values)]

    results = frame(
        [
            *rows("w/random", "random", [1.0, 1.0, 1.0]),
            *rows("w/random", "belief", [3.0, 3.0, 3.0]),
            *rows("w/random", "a", [2.8, 2.9, 2.7]),
            *rows("w/random", "b", [2.0, 2.1, 2.0]),
            *rows("w/random", "c", [2.8, 2.8, 2.9]),
            *rows("w/max", "a", [1.0, 1.1, 1.0]),
            *rows("w/max", "b", [2.0, 2.1, 2.1]),
        ]
    )
    cells, counts = planner_tables(results, ["a", "b", "c", "never measured"])
    assert counts.rows == [
        ("b", "2", "1", "1", "1"),
        ("c", "1", "0", "0", "0"),
        ("the best of them in each cell", "2", "0", "0", "1"),
    ]
    # (2.8 - 1) / (3 - 1)
    assert cells.rows[0][:2] == ("w/random (200)", "2.80")
    assert cells.rows[0][4] == "0.90"
    assert cells.rows[1][4:] == ("-", "-")


def test_unknown_agents_are_refused(tmp_path, capsys):
    assert command_line(Planners, ["--agents", "oracle", "--out", str(tmp_path / "run")]) == 2
    assert "oracle" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
