"""Learned users as simulators: the two-sample test, agreement of values, and one tiny run."""

import gymnasium as gym
import numpy as np
import pytest

import irecgan_gym  # noqa: F401
from irecgan_gym.agents.references.simple import RandomPolicy
from irecgan_gym.benchmarks.engine.command import command_line
from irecgan_gym.benchmarks.engine.tables import read_results
from irecgan_gym.benchmarks.simulators import Simulators, agreement
from irecgan_gym.benchmarks.two_sample import answered_twice, two_sample_test
from irecgan_gym.collection import collect
from irecgan_gym.models.belief_user_model import BeliefUserModel
from irecgan_gym.planning.hidden_states import Moves
from irecgan_gym.planning.learned_world import LearnedWorld

N = 8
WEIGHTS = np.linspace(0.2, 0.9, N)[None]


def users(weights):
    world = LearnedWorld(np.ones(1), weights, WEIGHTS, Moves.of(np.ones((1, 1)), np.ones((N, 1))))
    return BeliefUserModel(world, 3)


@pytest.fixture(scope="module")
def sessions():
    env = gym.make_vec("UserModel-v0", num_envs=900, user_model=users(WEIGHTS))
    return collect(RandomPolicy(N, 3, seed=0), env, 900, 0)


def test_the_true_model_is_not_found_out_and_a_wrong_one_is(sessions):
    assert two_sample_test(users(WEIGHTS), sessions, seed=0).p_value > 0.05
    wrong = two_sample_test(users(1 - WEIGHTS), sessions, seed=0)
    assert wrong.told_apart > 0.6
    assert wrong.p_value < 1e-3


def test_twins_differ_in_the_last_answer_alone(sessions):
    real, drawn = answered_twice(users(WEIGHTS), sessions, seed=1)
    last = real.offsets[1:] - 1
    for name in ("clicks", "rewards"):
        first, second = (np.delete(getattr(part, name), last) for part in (real, drawn))
        np.testing.assert_array_equal(first, second)
    assert len(real) < len(sessions)
    np.testing.assert_array_equal(real.slate_items, drawn.slate_items)
    assert (real.clicks[last] != drawn.clicks[last]).mean() > 0.3
    assert all(click in slate for click, slate in zip(drawn.clicks, drawn.slate_items.reshape(-1, 3), strict=True))


def test_cuts_say_nothing_of_what_comes_after_them(sessions):
    real, drawn = answered_twice(users(WEIGHTS), sessions, seed=2)
    last = real.offsets[1:] - 1
    assert real.rewards[last].mean() == pytest.approx(drawn.rewards[last].mean(), abs=0.06)


def test_agreement_of_values():
    found = agreement(np.array([3.0, 1.0, 2.0]), np.array([4.0, 1.0, 5.0]))
    assert found["rank/spearman"] == pytest.approx(0.5)
    assert found["rank/kendall"] == pytest.approx(1 / 3)
    assert (found["rank/regret"], found["rank/error"]) == (1, pytest.approx(4 / 3))


def test_models_are_compared_on_a_log(tmp_path, capsys):
    options = "--env RecSim-v0 --logging-policy random --sessions 60 --seeds 1 --models lstm choice --jobs 1"
    assert command_line(Simulators, [*options.split(), "--eval-sessions", "60", "--out", str(tmp_path / "run")]) == 0
    results = read_results(tmp_path / "run")
    ranks = results[results["metric"] == "rank/spearman"].set_index("agent")["value"]
    assert ((ranks >= -1) & (ranks <= 1)).all()
    assert set(ranks.index) == {"lstm", "choice"}
    assert "Which model to trust" in capsys.readouterr().out
