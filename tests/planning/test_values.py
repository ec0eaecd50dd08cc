"""Values of given policies, and clicks under random slates, against plain enumeration."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irecgan_gym.mdp import TRANSITIONS, RecommendationMDP, draw_mdp
from irecgan_gym.planning.uniform_slates import uniform_click_probabilities
from irecgan_gym.planning.values import (
    UnboundedValueError,
    click_probabilities,
    item_values,
    policy_values,
    refuse_endless_sessions,
    slate_values,
)


def tables(rewards, destinations):
    """An MDP in which item a leads from state s to ``destinations[s][a]`` for certain."""
    rewards = np.array(rewards, dtype=float)
    transitions = np.zeros((*rewards.shape, len(rewards)))
    for state, row in enumerate(destinations):
        transitions[state, np.arange(len(row)), row] = 1
    return RecommendationMDP(rewards, transitions)


def test_values_by_hand():
    # State 0 shows both items: clicks 3/4 and 1/4, successes 3/4 * 0.75 and 1/4 * 0.25, to states 1 and 0.
    mdp = tables([[0.75, 0.25], [0.5, 0.5]], [[1, 0], [1, 1]])
    # V(1) = 1/2 (1 + V(1)) = 1; V(0) = 9/16 (1 + 1) + 1/16 (1 + V(0)).
    np.testing.assert_allclose(slate_values(mdp, np.array([[0, 1], [1, 0]])), [19 / 15, 1])
    np.testing.assert_allclose(item_values(mdp, np.array([19 / 15, 1])), [[1.5, 0.25 * (1 + 19 / 15)], [1, 1]])


@settings(max_examples=30)
@given(
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 6)).flatmap(
        lambda s: st.tuples(st.just(s[0]), st.just(s[1]), st.integers(1, s[1]))
    ),
    seed=st.integers(0, 1000),
    kind=st.sampled_from(TRANSITIONS),
)
def test_values_are_what_many_steps_earn(sizes, seed, kind):
    num_states, num_items, slate_size = sizes
    # Sessions fail with a probability of more than 0.1 at every step.
    drawn = draw_mdp(num_states, num_items, seed, kind)
    mdp = RecommendationMDP(0.9 * drawn.rewards, drawn.transitions)
    rng = np.random.default_rng(seed)
    slates = np.stack([rng.permutation(num_items)[:slate_size] for _ in range(num_states)])
    values = [0.0] * num_states
    for _ in range(400):
        previous, values = values, []
        for state, slate in enumerate(slates):
            total = sum(mdp.rewards[state, item] for item in slate)
            values.append(
                sum(
                    mdp.rewards[state, item] ** 2 / total * (1 + mdp.transitions[state, item] @ np.array(previous))
                    for item in slate
                )
            )
    np.testing.assert_allclose(slate_values(mdp, slates), values, rtol=1e-9)


@settings(max_examples=60)
@given(
    rewards=st.integers(1, 7).flatmap(
        lambda n: st.lists(st.lists(st.floats(1e-9, 1), min_size=n, max_size=n), min_size=1, max_size=3)
    ),
    data=st.data(),
)
def test_clicks_under_random_slates_are_the_mean_over_all_slates(rewards, data):
    rewards = np.array(rewards)
    size = data.draw(st.integers(1, rewards.shape[1]))
    check_uniform_clicks(rewards, size)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_clicks_under_random_slates_with_rewards_of_very_different_sizes(size):
    check_uniform_clicks(np.array([[1.0, 1e-300, 1e-12, 0.5, 1e-3]]), size)


def check_uniform_clicks(rewards, size):
    slates = list(combinations(range(rewards.shape[1]), size))
    expected = sum(click_probabilities(rewards, np.tile(slate, (len(rewards), 1))) for slate in slates) / len(slates)
    np.testing.assert_allclose(uniform_click_probabilities(rewards, size), expected, rtol=1e-11, atol=1e-300)


def test_clicks_under_random_slates_of_a_large_catalogue():
    # More items than are held at a time; a hundred of 1,000 items is more slates than floating point can count.
    rewards = np.random.default_rng(0).uniform(0.2, 1, (2, 1000))
    probabilities = uniform_click_probabilities(rewards, 100)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    # The sum over so many items hardly varies.
    np.testing.assert_allclose(probabilities, rewards / rewards.sum(axis=1, keepdims=True), rtol=0.01)


def test_a_policy_whose_sessions_never_end_is_refused():
    # Both items of state 1 succeed for certain and keep the user there.
    mdp = tables([[0.5, 0.5, 0.5], [1, 1, 0.5]], [[0, 1, 0], [1, 1, 0]])
    with pytest.raises(UnboundedValueError, match="never end from state 1"):
        slate_values(mdp, np.array([[0, 1], [0, 1]]))
    with pytest.raises(UnboundedValueError, match="from state 1 on, slates of 2 items"):
        refuse_endless_sessions(mdp, 2)
    # With another slate, sessions end; so they do where a slate needs the third item.
    assert np.isfinite(slate_values(mdp, np.array([[0, 1], [0, 2]]))).all()
    refuse_endless_sessions(mdp, 3)
    # An item that fails now and then is the way out.
    leaky = tables([[0.5, 0.5], [1, 1]], [[0, 1], [1, 0]])
    refuse_endless_sessions(leaky, 2)
    # V(0) = 1/4 (1 + V(0)) + 1/4 (1 + V(1)) and V(1) = 1 + V(1) / 2 + V(0) / 2.
    np.testing.assert_allclose(policy_values(leaky, np.full((2, 2), 0.5)), [2, 4])
