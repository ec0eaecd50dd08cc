"""What users do, counted and compared with the tables."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irecgan_gym.envs.recsim_dynamics import DRAWS_PER_STEP, UserDynamics
from irecgan_gym.mdp import RecommendationMDP, draw_mdp
from tests.frequencies import assert_counts

USERS = 40_000


def click_probabilities(mdp, state, slate):
    chances = np.zeros(mdp.num_items)
    chances[slate] = mdp.rewards[state, slate] / mdp.rewards[state, slate].sum()
    return chances


def assert_law(mdp, state, slate, clicks, successes, next_states):
    """Clicks, successes and next states of many users who were shown one slate in one state."""
    n, m = mdp.num_items, mdp.num_states
    click_counts = np.bincount(clicks, minlength=n)
    assert_counts(click_counts, len(clicks), click_probabilities(mdp, state, slate))
    assert_counts(np.bincount(clicks[successes], minlength=n), click_counts, mdp.rewards[state])
    assert (next_states[~successes] == state).all()
    moves = np.zeros((n, m))
    np.add.at(moves, (clicks[successes], next_states[successes]), 1)
    assert_counts(moves, moves.sum(1, keepdims=True), mdp.transitions[state])


@pytest.mark.parametrize("kind", ["softmax", "dirichlet", "item"])
@pytest.mark.parametrize("state", [0, 6])
def test_the_law_is_the_tables(kind, state):
    mdp = draw_mdp(transitions=kind, mdp_seed=1)
    slate = np.random.default_rng(state).permutation(50)[:10]
    draws = np.random.default_rng(0).random((USERS, DRAWS_PER_STEP))
    response = UserDynamics(mdp).respond(np.full(USERS, state), np.tile(slate, (USERS, 1)), draws)
    assert_law(mdp, state, slate, response.clicks, response.successes, response.states)


def test_the_vector_env_follows_the_tables_in_every_state():
    env = gym.make_vec("RecSim-v0", num_envs=USERS, autoreset_mode="NextStep", num_states=3)
    env.reset(seed=0)
    slate = np.array([3, 49, 17, 8, 20, 0, 31, 5, 40, 22])
    seen = set()
    for _ in range(3):
        clicks, rewards, terminated, _, info = env.step(np.tile(slate, (USERS, 1)))
        for state in range(3):
            rows = info["shown_in_state"] == state
            if rows.sum() > 1000:
                seen.add(state)
                assert_law(env.mdp, state, slate, clicks[rows], rewards[rows] == 1, info["state"][rows])
        assert (terminated <= (rewards == 0)).all()
    assert seen == {0, 1, 2}


def test_the_single_env_follows_the_tables():
    env = gym.make("RecSim-v0", num_states=3, num_items=12, slate_size=4).unwrapped
    env.reset(seed=0)
    slate = np.array([3, 11, 7, 8])
    rows = {state: [] for state in range(3)}
    for _ in range(12_000):
        click, reward, ended, _, info = env.step(slate)
        rows[info["shown_in_state"]].append((click, reward, info["state"]))
        if ended:
            env.reset()
    for state, outcomes in rows.items():
        clicks, rewards, states = (np.array(column) for column in zip(*outcomes, strict=True))
        assert len(clicks) > 1000
        assert_law(env.mdp, state, slate, clicks, rewards == 1, states)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10_000), num_states=st.integers(1, 5), num_items=st.integers(1, 12), data=st.data())
def test_responses_are_possible(seed, num_states, num_items, data):
    slate_size = data.draw(st.integers(1, num_items))
    mdp = draw_mdp(num_states, num_items, seed, "dirichlet", concentration=0.02)
    rng = np.random.default_rng(seed)
    states = rng.integers(num_states, size=20)
    slates = rng.permuted(np.tile(np.arange(num_items), (20, 1)), axis=1)[:, :slate_size]
    extremes = np.array([0.0, np.nextafter(1.0, 0.0)])
    draws = np.where(
        rng.random((20, DRAWS_PER_STEP)) < 0.5,
        rng.choice(extremes, (20, DRAWS_PER_STEP)),
        rng.random((20, DRAWS_PER_STEP)),
    )
    clicks, successes, after = UserDynamics(mdp).respond(states, slates, draws)
    assert (slates == clicks[:, None]).any(axis=1).all()
    assert (after[~successes] == states[~successes]).all()
    assert (mdp.transitions[states, clicks, after][successes] > 0).all()


def test_order_of_the_slate_does_not_matter_to_the_chances():
    mdp = draw_mdp(2, 6)
    slate = np.array([4, 1, 3])
    draws = np.random.default_rng(5).random((USERS, DRAWS_PER_STEP))
    for order in ([0, 1, 2], [2, 0, 1]):
        response = UserDynamics(mdp).respond(np.zeros(USERS, dtype=int), np.tile(slate[order], (USERS, 1)), draws)
        counts = np.bincount(response.clicks, minlength=6)
        assert_counts(counts, USERS, click_probabilities(mdp, 0, slate))


def test_impossible_next_states_are_never_reached_whatever_rounding_did():
    rows = np.tile([0.1] * 10 + [0.0, 0.0], (12, 1, 1))
    dynamics = UserDynamics(RecommendationMDP(np.ones((12, 1)), rows))
    largest = np.full((4, DRAWS_PER_STEP), np.nextafter(1.0, 0.0))
    response = dynamics.respond(np.zeros(4, dtype=int), np.zeros((4, 1), dtype=int), largest)
    assert (response.states == 9).all()


def test_repeats_are_replaced_by_uniformly_random_other_items():
    num_items = 9
    env = gym.make_vec("RecSim-v0", num_envs=USERS, num_items=num_items, slate_size=5)
    env.reset(seed=0)
    shown = env.step(np.tile([6, 2, 6, 6, 2], (USERS, 1)))[4]["slate"]
    assert (shown[:, :2] == [6, 2]).all()
    assert (np.diff(np.sort(shown, axis=1)) > 0).all()
    others = np.array([item not in (2, 6) for item in range(num_items)])
    for slot in (2, 3, 4):
        assert_counts(np.bincount(shown[:, slot], minlength=num_items), USERS, others / 7)
    pairs = np.bincount(shown[:, 2] * num_items + shown[:, 4], minlength=num_items**2)
    different = np.outer(others, others) & ~np.eye(num_items, dtype=bool)
    assert_counts(pairs, USERS, different.reshape(-1) / 42)


def test_clicks_on_repaired_slates_follow_what_was_shown():
    env = gym.make_vec("RecSim-v0", num_envs=1000, num_items=12, slate_size=4)
    env.reset(seed=1)
    clicks, *_, info = env.step(np.zeros((1000, 4), dtype=int))
    assert (info["slate"] == clicks[:, None]).any(axis=1).all()
    # A slate of one excellent item is no way round: three other items compete for the click.
    assert 0 < (clicks == 0).mean() < 0.9
