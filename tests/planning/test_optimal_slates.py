"""Best slates and V* against all slates of tiny worlds."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irecgan_gym.mdp import TRANSITIONS, RecommendationMDP, draw_mdp
from irecgan_gym.planning.optimal_slates import myopic_slates, optimal_slates, top_slates
from irecgan_gym.planning.ratio_slates import best_ratio_slates, slate_ratios
from irecgan_gym.planning.uniform_slates import uniform_click_probabilities
from irecgan_gym.planning.values import UnboundedValueError, policy_values, slate_values


@settings(max_examples=60)
@given(num_items=st.integers(1, 8), data=st.data())
def test_the_best_ratio_of_all_slates(num_items, data):
    size = data.draw(st.integers(1, num_items))
    numbers = st.lists(st.floats(1e-6, 1), min_size=num_items, max_size=num_items)
    weights = np.array([data.draw(numbers) for _ in range(2)])
    values = 20 * np.array([data.draw(numbers) for _ in range(2)])
    slates = best_ratio_slates(weights, values, size)
    assert (np.diff(slates, axis=1) > 0).all()
    everything = np.array(list(combinations(range(num_items), size)))
    for row in range(2):
        ratios = [(weights[row, s] * values[row, s]).sum() / weights[row, s].sum() for s in everything]
        assert slate_ratios(weights, values, slates)[row] == pytest.approx(max(ratios), rel=1e-12)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    num_states=st.integers(1, 4),
    slate_size=st.integers(1, 6),
    kind=st.sampled_from(TRANSITIONS),
    reward_scale=st.floats(0.1, 1),
)
def test_no_slate_of_any_state_improves_on_the_optimal_ones(seed, num_states, slate_size, kind, reward_scale):
    drawn = draw_mdp(num_states, 6, seed, kind, reward_scale=reward_scale)
    mdp = RecommendationMDP(0.95 * drawn.rewards, drawn.transitions)
    slates, values = optimal_slates(mdp, slate_size)
    np.testing.assert_allclose(slate_values(mdp, slates), values)
    # Bellman's equation over all slates, whose only solution is V*.
    best = np.full(num_states, -np.inf)
    for slate in map(list, combinations(range(6), slate_size)):
        clicks = mdp.rewards[:, slate] / mdp.rewards[:, slate].sum(axis=1, keepdims=True)
        earned = (clicks * mdp.rewards[:, slate] * (1 + mdp.transitions[:, slate] @ values)).sum(axis=1)
        best = np.maximum(best, earned)
    np.testing.assert_allclose(best, values, rtol=1e-10)
    assert (values >= top_slates(mdp, slate_size).values - 1e-9).all()
    assert (values >= myopic_slates(mdp, slate_size).values - 1e-9).all()


def test_planning_matters_where_good_items_lead_to_bad_states():
    # Item 0 succeeds more often, but only item 1 leads back to state 0.
    rewards = np.array([[0.9, 0.8], [0.1, 0.1]])
    transitions = np.zeros((2, 2, 2))
    transitions[:, 0, 1] = transitions[:, 1, 0] = 1
    mdp = RecommendationMDP(rewards, transitions)
    assert top_slates(mdp, 1).slates[0, 0] == myopic_slates(mdp, 1).slates[0, 0] == 0
    slates, values = optimal_slates(mdp, 1)
    assert slates.tolist() == [[1], [1]]
    # V(0) = 0.8 (1 + V(0)) and V(1) = 0.1 (1 + V(0)).
    np.testing.assert_allclose(values, [4, 0.5])


def test_worlds_without_a_best_policy_are_refused():
    mdp = RecommendationMDP(np.array([[1.0, 1.0, 0.5]]), np.ones((1, 3, 1)))
    with pytest.raises(UnboundedValueError, match="no bound"):
        optimal_slates(mdp, 2)
    assert optimal_slates(mdp, 3).values == pytest.approx(9)


@pytest.mark.parametrize(
    ("arguments", "known"),
    [
        # Random slates, the top k, the myopic and the optimal slates.
        ({}, [1.9, 8.7, 10.4, 10.4]),
        ({"transitions": "item"}, [1.85, 8.6, 10.4, 10.6]),
        ({"transitions": "item", "reward_scale": 0.1}, [0.93, 1.64, 1.7, 2.56]),
    ],
)
def test_the_registered_worlds_are_worth_what_they_were_known_to_be(arguments, known):
    found = []
    for mdp_seed in range(10):
        mdp = draw_mdp(mdp_seed=mdp_seed, **arguments)
        uniform = policy_values(mdp, uniform_click_probabilities(mdp.rewards, 10))
        policies = (solve(mdp, 10).values for solve in (top_slates, myopic_slates, optimal_slates))
        found.append([values[0] for values in (uniform, *policies)])
    np.testing.assert_allclose(np.mean(found, axis=0), known, rtol=0.07)
