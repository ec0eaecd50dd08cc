"""The filter against Bayes's rule written out, slates for beliefs against all slates."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irecgan_gym.logging_policies import LOGGING_POLICIES, make_logging_policy
from irecgan_gym.mdp import TRANSITIONS, draw_mdp
from irecgan_gym.planning.belief_filter import BeliefFilter, LoggedClickFilter
from irecgan_gym.planning.belief_slates import BeliefSlates
from irecgan_gym.planning.optimal_slates import optimal_slates
from irecgan_gym.planning.values import item_values


def chooser(mdp, slate_size):
    return BeliefSlates(mdp.rewards, item_values(mdp, optimal_slates(mdp, slate_size).values), slate_size)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), kind=st.sampled_from(TRANSITIONS), steps=st.integers(1, 4))
def test_beliefs_are_those_of_all_paths(seed, kind, steps):
    mdp, rng = draw_mdp(3, 5, seed, kind), np.random.default_rng(seed)
    filter_ = BeliefFilter(mdp)
    beliefs = filter_.start(2)
    # joint[s]: probability of all clicks and successes so far and of state s now.
    joints = [{0: 1.0}, {0: 1.0}]
    for _ in range(steps):
        slates = np.stack([rng.permutation(5)[:2] for _ in range(2)])
        clicks = slates[[0, 1], rng.integers(2, size=2)]
        for user, (slate, click) in enumerate(zip(slates, clicks, strict=True)):
            after = dict.fromkeys(range(3), 0.0)
            for state, probability in joints[user].items():
                reward = mdp.rewards[state, click]
                chance = probability * reward / mdp.rewards[state, slate].sum() * reward
                for following in after:
                    after[following] += chance * mdp.transitions[state, click, following]
            joints[user] = after
        beliefs = filter_.update(beliefs, filter_.slate_totals(slates), clicks)
    expected = np.array([[joint[state] for state in range(3)] for joint in joints])
    np.testing.assert_allclose(beliefs, expected / expected.sum(axis=1, keepdims=True), atol=1e-12)


@pytest.mark.parametrize("name", LOGGING_POLICIES)
@pytest.mark.parametrize("kind", TRANSITIONS)
def test_clicks_alone_say_what_they_say_over_all_slates_and_paths(name, kind):
    mdp = draw_mdp(3, 8, 2, kind)
    clicked = make_logging_policy(name, mdp, 2).click_probabilities()
    filter_ = LoggedClickFilter(mdp, clicked)
    path = mdp.ranked_items()[0, :3] if name == "max" else np.array([4, 0, 4])
    beliefs, joint = filter_.start(1), {0: 1.0}
    for click in path:
        after = dict.fromkeys(range(3), 0.0)
        for state, probability in joint.items():
            for following in after:
                success = clicked[state, click] * mdp.rewards[state, click]
                after[following] += probability * success * mdp.transitions[state, click, following]
        beliefs, joint = filter_.update(beliefs, np.array([click])), after
        total = sum(joint.values())
        if total == 0:
            break
        np.testing.assert_allclose(beliefs[0], [joint[state] / total for state in range(3)], atol=1e-12)


def test_clicks_that_no_log_holds_exclude_no_state():
    mdp = draw_mdp(3, 8, 2, "softmax")
    filter_ = LoggedClickFilter(mdp, make_logging_policy("max", mdp, 2).click_probabilities())
    beliefs = filter_.update(filter_.start(1), mdp.ranked_items()[0, -1:])
    assert (beliefs > 0).all()
    np.testing.assert_allclose(beliefs.sum(), 1)


def test_slates_for_beliefs_are_seldom_worse_than_the_best_of_all():
    rng, gaps = np.random.default_rng(0), []
    for seed in range(24):
        mdp = draw_mdp(4, 9, seed, TRANSITIONS[seed % 3], reward_scale=(1.0, 0.1)[seed % 2])
        search = chooser(mdp, 1 + seed % 4)
        beliefs = rng.dirichlet(np.full(4, 0.5), size=50)
        slates = search.choose(beliefs)
        assert (np.diff(slates, axis=1) > 0).all()
        everything = [np.tile(slate, (50, 1)) for slate in combinations(range(9), search.slate_size)]
        best = np.max([search.scores(beliefs, slate) for slate in everything], axis=0)
        gaps.append(1 - search.scores(beliefs, slates) / best)
    gaps = np.concatenate(gaps)
    assert gaps.max() < 0.03
    assert (gaps > 1e-10).mean() < 0.005


def test_certain_beliefs_get_the_optimal_slates():
    mdp = draw_mdp(transitions="item")
    optimal = optimal_slates(mdp, 10)
    search = chooser(mdp, 10)
    np.testing.assert_array_equal(search.choose(np.eye(10)), optimal.slates)
    np.testing.assert_allclose(search.scores(np.eye(10), optimal.slates), optimal.values)


@pytest.mark.parametrize("kind", TRANSITIONS)
def test_no_exchange_improves_a_slate_and_random_starts_find_nothing_much_better(kind, monkeypatch):
    # Few exchanges at a time, so that the users are looked at in several parts.
    monkeypatch.setattr("irecgan_gym.planning.belief_slates._MAX_EXCHANGES", 2000)
    rng = np.random.default_rng(1)
    mdp = draw_mdp(6, 20, 3, kind)
    search = chooser(mdp, 4)
    beliefs = rng.dirichlet(np.ones(6), size=12)
    slates = search.choose(beliefs)
    scores = search.scores(beliefs, slates)
    for slot in range(4):
        for item in range(20):
            exchanged = slates.copy()
            exchanged[:, slot] = item
            new = (slates != item).all(axis=1)
            assert (search.scores(beliefs, exchanged)[new] <= scores[new] * (1 + 1e-9)).all()
    guesses = [np.stack([rng.permutation(20)[:4] for _ in range(12)]) for _ in range(500)]
    assert (np.max([search.scores(beliefs, guess) for guess in guesses], axis=0) <= scores * (1 + 1e-9)).all()


def test_the_whole_catalogue_and_nobody():
    mdp = draw_mdp(3, 4, 0)
    search = chooser(mdp, 4)
    assert search.choose(np.full((2, 3), 1 / 3)).tolist() == [[0, 1, 2, 3]] * 2
    assert search.choose(np.empty((0, 3))).shape == (0, 4)
