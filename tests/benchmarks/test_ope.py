"""A tiny run of the benchmark of off-policy evaluation, and its true values."""

import csv

import numpy as np

from irecgan_gym.benchmarks.engine.command import command_line
from irecgan_gym.benchmarks.ope import OffPolicy
from irecgan_gym.benchmarks.ope_worlds import Target, collect, make_targets, make_world, true_value
from irecgan_gym.logging_policies import make_logging_policy
from irecgan_gym.ope import PlackettLucePolicy, last_click_scores
from irecgan_gym.planning.values import policy_values


def test_true_values_are_exact_ones_where_these_are_known():
    world = make_world("small", 0)
    uniform = np.zeros((11, 10))
    target = Target("random", uniform, PlackettLucePolicy(last_click_scores(uniform), 10, 3))
    found, error = true_value(world, target, 1.0, 20_000, seed=0)
    exact = policy_values(world.mdp, make_logging_policy("random", world.mdp, 3).click_probabilities())[0]
    assert abs(found - exact) < 4 * error


def test_logs_are_those_of_the_suites_policies():
    world = make_world("small", 0)
    sessions, _ = collect(world, "max", 0.0, 50, seed=0)
    top = world.mdp.ranked_items()[:, :3]
    np.testing.assert_array_equal(sessions.slate_items.reshape(-1, 3), top[sessions.states])


def test_policies_go_from_near_to_far():
    near, far = make_targets(make_world("small", 0), (0.5, 2.0), seed=0)
    np.testing.assert_allclose(4 * near.scores, far.scores)


def test_a_tiny_run_writes_its_tables(tmp_path):
    arguments = "--replications 3 --recommendations 1 --sessions 40 --truth-sessions 500 --strengths 0.2 0.6"
    assert command_line(OffPolicy, ["--out", str(tmp_path), "--logs", "random", "mix-state", *arguments.split()]) == 0
    rows = list(csv.DictReader((tmp_path / "estimators.csv").open()))
    assert len(rows) == 2 * 2 * 17
    for row in rows:
        squared = float(row["bias"]) ** 2 + 2 / 3 * float(row["deviation"]) ** 2
        assert np.isclose(float(row["error"]) ** 2, squared)
    advice = list(csv.DictReader((tmp_path / "advice.csv").open()))
    assert all(np.isclose(sum(float(row[name]) for name in ("trust", "conditional", "refuse")), 1) for row in advice)
    assert "small, mix + 30% random, propensities given state, 40 sessions" in (tmp_path / "report.md").read_text()


def test_wrong_options_are_named(tmp_path, capsys):
    assert command_line(OffPolicy, ["--out", str(tmp_path), "--strengths", "0.5"]) != 0
    assert "--strengths" in capsys.readouterr().err
