from itertools import combinations

import numpy as np
import pytest

from irecgan_gym.mdp import draw_mdp
from irecgan_gym.planning.belief_filter import BeliefFilter
from irecgan_gym.planning.belief_slates import BeliefSlates
from irecgan_gym.planning.hidden_states import Moves
from irecgan_gym.planning.learned_world import LearnedWorld, ensemble
from irecgan_gym.planning.logged_steps import LoggedSteps
from irecgan_gym.planning.optimal_slates import optimal_slates
from irecgan_gym.planning.planned_slates import PlannedSlates
from irecgan_gym.planning.slate_sampling import choose_temperature, draw_slates, item_scores
from irecgan_gym.planning.values import item_values
from tests.models.test_latent_user_model import log_of


def world_of(mdp):
    """The same users, where the item alone says where they go: then the moves are a product."""
    assert np.allclose(mdp.transitions, mdp.transitions[:1])
    start = np.eye(mdp.num_states)[0]
    moves = Moves.of(np.ones((mdp.num_states, mdp.num_states)), np.ascontiguousarray(mdp.transitions[0]))
    return LearnedWorld(start, mdp.rewards, mdp.rewards, moves)


@pytest.fixture(scope="module")
def mdp():
    return draw_mdp(5, 20, 3, "item", epsilon=0.2, reward_scale=0.3)


def test_values_of_known_states_are_those_of_the_optimal_slates(mdp):
    np.testing.assert_allclose(world_of(mdp).known_state_values(4), optimal_slates(mdp, 4).values)


def test_filter_is_that_of_the_tables(mdp):
    world, exact = world_of(mdp), BeliefFilter(mdp)
    rng = np.random.default_rng(0)
    beliefs = rng.dirichlet(np.ones(5), size=50)
    slates = np.array([rng.permutation(20)[:4] for _ in range(50)])
    clicks = slates[:, 1]
    np.testing.assert_allclose(world.totals(slates), exact.slate_totals(slates))
    expected = exact.update(beliefs, exact.slate_totals(slates), clicks)
    np.testing.assert_allclose(world.update(beliefs, world.totals(slates), clicks), expected)


def test_beliefs_along_a_log_are_those_of_step_by_step(mdp):
    sessions, _ = log_of(20, num_items=20, slate_size=4)
    steps, world = LoggedSteps.of(sessions), world_of(mdp)
    found = world.beliefs_along(steps)
    row = 0
    for session in sessions:
        belief = world.first_beliefs(1)
        for slate, click in zip(session.slates, session.clicks, strict=True):
            np.testing.assert_allclose(found[row], belief[0])
            belief = world.update(belief, world.totals(slate[None].astype(np.int64)), np.array([click]))
            row += 1


def test_an_ensemble_learns_which_world_it_is_in(mdp):
    one, other = world_of(mdp), world_of(draw_mdp(3, 20, 4, "item"))
    both = ensemble([one, other], np.array([0.25, 0.75]))
    values = both.known_state_values(4)
    np.testing.assert_allclose(values, [*one.known_state_values(4), *other.known_state_values(4)])
    slates = np.array([[1, 5, 8, 11]])
    beliefs = both.update(both.first_beliefs(1), both.totals(slates), np.array([5]))[0]
    evidence = [
        share * float((world.start * world.weights[:, 5] * world.successes[:, 5] / world.totals(slates)[0]).sum())
        for world, share in ((one, 0.25), (other, 0.75))
    ]
    assert beliefs[:5].sum() == pytest.approx(evidence[0] / sum(evidence))
    within = one.update(one.first_beliefs(1), one.totals(slates), np.array([5]))[0]
    np.testing.assert_allclose(beliefs[:5] / beliefs[:5].sum(), within)


def test_planned_slates_are_near_the_best_of_all():
    rng = np.random.default_rng(0)
    weights, values = rng.random((3, 9)) + 0.05, rng.random((3, 9)) * 3
    beliefs = rng.dirichlet(np.full(3, 0.5), size=200)
    planner = PlannedSlates(weights, values, 3)
    every = np.array(list(combinations(range(9), 3)))
    best = np.array([planner.scores(np.tile(belief, (len(every), 1)), every).max() for belief in beliefs])
    reached = planner.scores(beliefs, planner.choose(beliefs))
    assert (reached <= best + 1e-12).all()
    assert np.mean(reached >= best - 1e-9) > 0.97
    assert (reached / best).min() > 0.98


def test_planned_slates_are_as_good_as_those_of_the_full_search(mdp):
    values = item_values(mdp, optimal_slates(mdp, 4).values)
    quick, full = (kind(mdp.rewards, values, 4) for kind in (PlannedSlates, BeliefSlates))
    beliefs = np.random.default_rng(1).dirichlet(np.full(5, 0.3), size=300)
    ratio = full.scores(beliefs, quick.choose(beliefs)) / full.scores(beliefs, full.choose(beliefs))
    assert ratio.min() > 0.98
    assert ratio.mean() > 0.9998
    np.testing.assert_allclose(
        quick.scores(beliefs, quick.choose(beliefs)), full.scores(beliefs, quick.choose(beliefs))
    )


def test_values_by_belief_are_those_of_each_row():
    rng = np.random.default_rng(0)
    weights, values = rng.random((3, 9)) + 0.05, rng.random((6, 3, 9))
    beliefs = rng.dirichlet(np.ones(3), size=6)
    found = PlannedSlates(weights, values, 3).choose(beliefs)
    single = [PlannedSlates(weights, values[row], 3).choose(beliefs[row : row + 1])[0] for row in range(6)]
    np.testing.assert_array_equal(found, single)


def test_sampled_slates_lose_what_they_may(mdp):
    world = world_of(mdp)
    chooser = PlannedSlates(world.weights, world.click_values(world.known_state_values(4)), 4)
    rng = np.random.default_rng(0)
    beliefs = rng.dirichlet(np.ones(5), size=500)
    temperature = choose_temperature(chooser, beliefs, loss=0.05, rng=rng)
    slates = chooser.choose(beliefs)
    scores = item_scores(chooser, beliefs, slates)
    best = chooser.scores(beliefs, slates)
    allowed = 0.05 * np.mean(best / (1 + best))
    losses = [
        np.mean(best - chooser.scores(beliefs, draw_slates(scores, factor * temperature, 4, rng)))
        for factor in (1e-6, 1, 4)
    ]
    assert losses[0] == pytest.approx(0, abs=1e-9)
    assert losses[1] == pytest.approx(allowed, rel=0.3)
    assert losses[2] > allowed
