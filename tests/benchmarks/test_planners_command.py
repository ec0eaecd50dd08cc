"""The comparison of planners on one tiny grid, and what it refuses."""

import csv

from irecgan_gym.benchmarks.engine.command import command_line
from irecgan_gym.benchmarks.planners import Planners


def test_every_agent_has_a_row_a_seed_and_the_table_says_who_is_ahead(tmp_path, capsys):
    arguments = "--env RecSim-v0 --logging-policy random --sessions 60 --agents choice tabular-pg belief --seeds 0 1"
    assert (
        command_line(Planners, [*arguments.split(), "--eval-sessions", "50", "--out", str(tmp_path / "rows.csv")]) == 0
    )
    with (tmp_path / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["agent"], row["seed"]) for row in rows] == [
        (agent, seed) for seed in "01" for agent in ("choice", "tabular-pg", "belief")
    ]
    assert all(float(row["top-k"]) > 0 and float(row["sampled"]) > 0 for row in rows)
    shown = capsys.readouterr().out
    mean = sum(float(row["top-k"]) for row in rows if row["agent"] == "choice") / 2
    assert f"| RecSim-v0, random(60) | {mean:.2f} |" in shown


def test_unknown_agents_are_refused(tmp_path, capsys):
    assert command_line(Planners, ["--agents", "oracle", "--out", str(tmp_path / "rows.csv")]) == 2
    assert "oracle" in capsys.readouterr().err
    assert not (tmp_path / "rows.csv").exists()
