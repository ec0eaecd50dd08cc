"""Planning for users who may leave in place of a click: values, slates and beliefs against slow plain versions."""

from itertools import combinations

import numpy as np
import pytest

from irecgan_gym.planning.hidden_states import Moves
from irecgan_gym.planning.learned_world import LearnedWorld, ensemble
from irecgan_gym.planning.point_values import KnownStateSlates, PointValues
from irecgan_gym.planning.simulated_values import simulated_reward

STATES, ITEMS, SIZE = 3, 6, 2


@pytest.fixture(name="world")
def world_of_leaving_users(rng):
    shape = (STATES, ITEMS)
    moves = Moves.of(rng.uniform(0.1, 1, (STATES, STATES)), rng.uniform(0.1, 1, (ITEMS, STATES)))
    start = rng.dirichlet(np.ones(STATES))
    return LearnedWorld(
        start, rng.uniform(0.1, 1, shape), rng.uniform(0.1, 0.9, shape), moves, leaving=rng.uniform(0.2, 1.0, STATES)
    )


def chances(world, state, slate):
    """Of a click on each item of a slate; the rest is that of leaving."""
    shown = world.weights[state, list(slate)]
    return shown / (shown.sum() + world.leaving[state])


def worth(world, state, slate, later):
    """A click earns its reward, and the session goes on whether it earned one or not; ``later`` by state and item."""
    return chances(world, state, slate) @ (world.successes + later)[state, list(slate)]


def test_values_are_those_of_value_iteration_over_all_slates(world):
    slates = list(combinations(range(ITEMS), SIZE))
    values, moves = np.zeros(STATES), world.moves.table()
    for _ in range(100):
        later = moves @ values
        values = np.array([max(worth(world, state, slate, later) for slate in slates) for state in range(STATES)])
    np.testing.assert_allclose(world.known_state_values(SIZE), values, rtol=1e-6)
    best = [max(slates, key=lambda slate, state=state: worth(world, state, slate, later)) for state in range(STATES)]
    chooser = KnownStateSlates(world, SIZE).slates_for(np.eye(STATES))
    np.testing.assert_array_equal(chooser.choose(np.eye(STATES)), best)
    np.testing.assert_allclose(chooser.scores(np.eye(STATES), np.array(best)), values, rtol=1e-6)
    np.testing.assert_allclose(world.slate_values(np.array(best)), values, rtol=1e-6)
    fewer = chooser.among(np.arange(4), SIZE, np.arange(STATES))
    found = fewer.choose(np.eye(STATES))
    for state in range(STATES):
        within = combinations(range(4), SIZE)
        assert tuple(found[state]) == max(within, key=lambda slate: worth(world, state, slate, later))


def test_who_leaves_by_choice_is_kept_by_what_draws_clicks():
    """In one state sum_S w r / w_leaving is earned; where failures end sessions, what draws clicks and fails costs."""
    weights, successes = np.array([[0.1, 0.1, 1.0]]), np.array([[0.9, 0.8, 0.3]])
    moves, certain = Moves.of(np.ones((1, 1)), np.ones((3, 1))), np.ones((1, 1))
    fails = LearnedWorld(np.ones(1), weights, successes, moves)
    leaves = LearnedWorld(np.ones(1), weights, successes, moves, leaving=np.array([0.5]))
    assert KnownStateSlates(fails, 2).slates_for(certain).choose(certain)[0].tolist() == [0, 1]
    assert KnownStateSlates(leaves, 2).slates_for(certain).choose(certain)[0].tolist() == [0, 2]
    np.testing.assert_allclose(leaves.known_state_values(2), [(0.1 * 0.9 + 1.0 * 0.3) / 0.5])


def test_beliefs_are_bayes_rule_given_that_the_session_went_on(world):
    belief, slate, click = np.array([0.5, 0.2, 0.3]), np.array([[1, 4]]), 4
    joint = np.zeros(STATES)
    for state in range(STATES):
        joint += belief[state] * chances(world, state, slate[0])[1] * world.moves.table()[state, click]
    found = world.update(belief[None], world.totals(slate), np.array([click]))
    np.testing.assert_allclose(found[0], joint / joint.sum())


def test_values_of_points_are_earned_and_below_those_of_known_states(world):
    points = np.eye(STATES)
    values = PointValues(world, SIZE, points).values(points)
    known = world.known_state_values(SIZE)
    assert (values <= known + 1e-9).all()
    assert (values > 0.5 * known).all()


def test_worlds_are_joined_checked_and_not_simulated(world):
    both = ensemble([world, world], np.array([0.4, 0.6]))
    np.testing.assert_array_equal(both.leaving, np.tile(world.leaving, 2))
    wrong = LearnedWorld(world.start, world.weights, world.successes, world.moves, leaving=-world.leaving)
    with pytest.raises(ValueError, match="leaving must be at least 0"):
        wrong.checked()
    with pytest.raises(ValueError, match="these leave"):
        simulated_reward(world, world, KnownStateSlates(world, SIZE), 5, np.random.default_rng(0))
