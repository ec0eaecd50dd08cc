import numpy as np
import pytest

from irecgan_gym.planning.hidden_states import Moves
from irecgan_gym.planning.learned_world import LearnedWorld, ensemble
from irecgan_gym.planning.point_values import KnownStateSlates
from irecgan_gym.planning.simulated_values import simulated_reward


def known_world(rng, states=3, items=7):
    """Users whose state the last click tells."""
    target = np.eye(states)[np.arange(items) % states]
    moves = Moves.of(np.ones((states, states)), target)
    shape = (states, items)
    return LearnedWorld(np.eye(states)[0], rng.uniform(0.1, 1, shape), rng.uniform(0.1, 0.8, shape), moves)


def test_sessions_with_the_users_in_mind_earn_their_exact_value(rng):
    world = known_world(rng)
    earned = simulated_reward(world, world, KnownStateSlates(world, 3), 4000, np.random.default_rng(0))
    expected = world.known_state_values(3)[0]
    assert abs(earned.mean() - expected) < 4 * earned.std() / np.sqrt(4000)


def test_plans_for_others_earn_less(rng):
    world, other = known_world(rng), known_world(rng)
    own, wrong = (
        simulated_reward(world, known, KnownStateSlates(known, 3), 4000, np.random.default_rng(0))
        for known in (world, other)
    )
    assert own.mean() > wrong.mean() + 0.1


def test_plans_go_by_cautious_chances_and_beliefs_by_the_estimates(rng):
    world = known_world(rng)
    bad = np.where(np.arange(7) < 3, 0.01, world.successes)
    careful = LearnedWorld(world.start, world.weights, world.successes, world.moves, bad)
    slates = KnownStateSlates(careful, 3, foresight=0.0).slates_for(world.start[None]).choose(np.eye(3))
    as_if = LearnedWorld(world.start, world.weights, bad, world.moves)
    np.testing.assert_array_equal(
        slates, KnownStateSlates(as_if, 3, foresight=0.0).slates_for(world.start[None]).choose(np.eye(3))
    )
    np.testing.assert_allclose(careful.known_state_values(3), as_if.known_state_values(3))
    beliefs, clicks = np.full((1, 3), 1 / 3), np.array([4])
    totals = world.totals(np.array([[0, 4, 5]]))
    np.testing.assert_array_equal(careful.update(beliefs, totals, clicks), world.update(beliefs, totals, clicks))
    both = ensemble([world, careful], np.array([0.5, 0.5]))
    np.testing.assert_array_equal(both.planned, np.concatenate([world.successes, bad]))
    assert ensemble([world, world], np.array([0.5, 0.5])).cautious is None


def test_the_same_seed_has_the_same_users(rng):
    world = known_world(rng)
    chooser = KnownStateSlates(world, 3)
    first, again = (simulated_reward(world, world, chooser, 50, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    cut = simulated_reward(world, world, chooser, 50, np.random.default_rng(1), max_steps=2)
    assert cut.max() == pytest.approx(2)
