from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irecgan_gym.logging_policies import LOGGING_POLICIES, make_logging_policy
from irecgan_gym.mdp import draw_mdp
from tests.frequencies import assert_counts

N, K, M = 50, 10, 10
DRAWS = 40_000


def policy(name, mdp=None):
    return make_logging_policy(name, mdp or draw_mdp(), K)


def shown(slates, num_items=N):
    """Whether each item is in each slate, [B, n]."""
    found = np.zeros((len(slates), num_items), dtype=bool)
    np.put_along_axis(found, slates, True, axis=1)
    return found


@pytest.mark.parametrize("name", LOGGING_POLICIES)
@pytest.mark.parametrize("state", [0, 7])
def test_propensities_are_the_frequencies_of_items_in_slates(name, state):
    chosen = policy(name)
    slates = chosen.draw(np.full(DRAWS, state), np.random.default_rng(1))
    assert_counts(shown(slates).sum(0), DRAWS, chosen.inclusion_probabilities[state])


def test_click_probabilities_are_means_over_all_slates():
    mdp = draw_mdp(3, 12, 5)
    everything = list(combinations(range(12), 3))
    for name in LOGGING_POLICIES:
        chosen = make_logging_policy(name, mdp, 3)
        for state, ranked in enumerate(mdp.ranked_items()):
            band = [slate for slate in everything if set(slate) <= set(ranked[2:6])]
            shown = {
                "random": [(slate, 1 / len(everything)) for slate in everything],
                "max": [(ranked[:3], 1.0)],
                "mix": [(ranked[:3], 0.5), *((slate, 0.5 / len(band)) for slate in band)],
            }[name]
            expected = np.zeros(12)
            for slate, probability in shown:
                rewards = mdp.rewards[state, list(slate)]
                expected[list(slate)] += probability * rewards / rewards.sum()
            np.testing.assert_allclose(chosen.click_probabilities()[state], expected, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(LOGGING_POLICIES)),
    num_states=st.integers(1, 5),
    num_items=st.integers(1, 40),
    slate_size=st.integers(1, 12),
    seed=st.integers(0, 1000),
)
def test_slates_hold_different_items_and_propensities_add_up_to_their_size(
    name, num_states, num_items, slate_size, seed
):
    band = num_items // 2 - num_items // 5
    if slate_size > num_items or (name == "mix" and slate_size > band):
        with pytest.raises(ValueError, match="slate_size"):
            make_logging_policy(name, draw_mdp(num_states, num_items), slate_size)
        return
    chosen = make_logging_policy(name, draw_mdp(num_states, num_items, seed), slate_size)
    inclusion = chosen.inclusion_probabilities
    assert ((inclusion >= 0) & (inclusion <= 1)).all()
    np.testing.assert_allclose(inclusion.sum(1), slate_size)
    rng = np.random.default_rng(seed)
    states = rng.integers(num_states, size=30)
    slates = chosen.draw(states, rng)
    assert slates.shape == (30, slate_size)
    assert ((slates >= 0) & (slates < num_items)).all()
    assert (np.diff(np.sort(slates, axis=1)) > 0).all()
    assert (inclusion[states[:, None], slates] > 0).all()


def test_random_slates_are_uniform_in_every_slot_and_in_pairs():
    slates = policy("random").draw(np.zeros(DRAWS, dtype=np.int64), np.random.default_rng(2))
    for slot in (0, 4, K - 1):
        assert_counts(np.bincount(slates[:, slot], minlength=N), DRAWS, np.full(N, 1 / N))
    found = shown(slates)
    pairs = found.T.astype(float) @ found
    different = ~np.eye(N, dtype=bool)
    assert_counts(pairs[different], DRAWS, np.full(N * (N - 1), K * (K - 1) / (N * (N - 1))))


def test_max_shows_the_best_items_of_each_state_best_first():
    mdp = draw_mdp()
    slates = policy("max", mdp).draw(np.arange(M), np.random.default_rng(0))
    rewards = np.take_along_axis(mdp.rewards, slates, axis=1)
    assert (np.diff(rewards) < 0).all()
    np.testing.assert_array_equal(np.sort(rewards), np.sort(mdp.rewards)[:, -K:])


def test_mix_tosses_a_coin_between_the_top_and_the_band():
    mdp = draw_mdp()
    rank = np.argsort(mdp.ranked_items(), axis=1)
    ranks = rank[3][policy("mix", mdp).draw(np.full(DRAWS, 3), np.random.default_rng(3))]
    top = (ranks < K).all(axis=1)
    assert ((ranks[~top] >= 10) & (ranks[~top] < 25)).all()
    assert (ranks[top] == np.arange(K)).all()
    assert_counts(np.array([top.sum()]), DRAWS, np.array([0.5]))
    inclusion = np.take_along_axis(policy("mix", mdp).inclusion_probabilities, mdp.ranked_items(), axis=1)[3]
    np.testing.assert_allclose(inclusion, [0.5] * 10 + [0.5 * 10 / 15] * 15 + [0.0] * 25)


def test_all_randomness_is_the_generators():
    states = np.arange(M)
    for name in LOGGING_POLICIES:
        first, second = (policy(name).draw(states, np.random.default_rng(4)) for _ in range(2))
        np.testing.assert_array_equal(first, second)


def test_drawn_slates_may_be_written_to():
    chosen = policy("max")
    chosen.draw(np.arange(M), np.random.default_rng(0))[:] = -1
    assert (chosen.draw(np.arange(M), np.random.default_rng(0)) >= 0).all()


def test_a_band_that_is_too_narrow_and_an_unknown_name_are_refused():
    with pytest.raises(ValueError, match=r"draws 10 items out of ranks 4 to 9 of num_items = 20, which are only 6"):
        make_logging_policy("mix", draw_mdp(num_items=20), 10)
    with pytest.raises(ValueError, match="must be one of 'random', 'max', 'mix', got 'best'"):
        policy("best")
    with pytest.raises(ValueError, match="slate_size must be from 1 to num_items = 50, got 51"):
        make_logging_policy("random", draw_mdp(), 51)
