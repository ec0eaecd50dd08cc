from itertools import combinations, pairwise

import numpy as np
import pytest

from irecgan_gym.mdp import draw_mdp
from irecgan_gym.planning.hidden_states import Moves
from irecgan_gym.planning.learned_world import LearnedWorld
from irecgan_gym.planning.optimal_slates import optimal_slates
from irecgan_gym.planning.point_values import KnownStateSlates, PointValues
from tests.planning.test_learned_world import world_of

SLATES = np.array(list(combinations(range(4), 2)))


def tiny_world(seed):
    rng = np.random.default_rng(seed)
    moves = Moves.of(rng.random((2, 2)) + 0.2, rng.random((4, 2)) ** 3 + 0.02)
    # Clicks succeed seldom, so that what comes after a few steps does not matter.
    return LearnedWorld(np.array([0.7, 0.3]), rng.random((2, 4)) + 0.1, 0.45 * rng.random((2, 4)), moves)


def exact_value(world, belief, depth):
    """What can be earned in so many steps: all slates, all clicks, Bayes's rule; written down as it is defined."""
    if depth == 0:
        return 0.0
    best = 0.0
    table = world.moves.table()
    for slate in SLATES:
        earned = 0.0
        for item in slate:
            joint = belief * world.weights[:, item] / world.weights[:, slate].sum(axis=1) * world.successes[:, item]
            chance = joint.sum()
            earned += chance * (1 + exact_value(world, joint / chance @ table[:, item], depth - 1))
        best = max(best, earned)
    return best


def points_of(number=40):
    share = np.linspace(0, 1, number)
    return np.column_stack([share, 1 - share])


@pytest.mark.parametrize("seed", range(3))
def test_values_are_those_of_every_policy_tried(seed):
    world = tiny_world(seed)
    planner = PointValues(world, 2, points_of())
    for belief in (world.start, np.array([1.0, 0.0]), np.array([0.4, 0.6])):
        assert planner.values(belief[None])[0] == pytest.approx(exact_value(world, belief, 4), abs=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_below_the_value_of_known_states(seed):
    world = tiny_world(seed)
    points = points_of()
    qmdp = KnownStateSlates(world, 2).slates_for(points)
    upper = qmdp.scores(points, qmdp.choose(points))
    assert (PointValues(world, 2, points).values(points) <= upper + 1e-9).all()


def test_rounds_never_make_it_worse(mdp):
    world = world_of(mdp)
    points = np.random.default_rng(0).dirichlet(np.full(5, 0.3), size=30)
    values = [PointValues(world, 4, points, rounds).values(points) for rounds in (0, 1, 3, 10)]
    assert all((later >= earlier - 1e-9).all() for earlier, later in pairwise(values))
    assert values[-1].mean() > values[0].mean() + 0.1


@pytest.fixture
def mdp():
    return draw_mdp(5, 20, 3, "item", epsilon=0.2, reward_scale=0.3)


def test_where_clicks_tell_all_it_is_the_optimum():
    mdp = draw_mdp(4, 12, 1, "item", epsilon=0.0)
    world = world_of(mdp)
    values = PointValues(world, 3, np.eye(4), rounds=60).values(np.eye(4))
    np.testing.assert_allclose(values, optimal_slates(mdp, 3).values, rtol=1e-3)
