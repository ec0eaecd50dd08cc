"""Probabilities of slates against the enumeration of all slates, and against frequencies of those drawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irecgan_gym.logging_policies import make_logging_policy
from irecgan_gym.mdp import draw_mdp
from irecgan_gym.ope import KnownLogger, PlackettLucePolicy, SlatePropensities, TopKPolicy, fixed_scores, logging_pools
from irecgan_gym.ope.plackett_luce import (
    expected_next,
    place_probabilities,
    prefix_log_probabilities,
    sample_slates,
    set_log_probabilities,
)
from irecgan_gym.ope.pseudo_inverse import moment_weights, uniform_weights
from irecgan_gym.sessions import Sessions
from tests.frequencies import assert_counts
from tests.ope.worlds import all_slates, list_sessions, luce_clicks, tiny_mdp


def plain_probability(scores, slate):
    """One item after the other, from what is left."""
    left, probability = np.exp(np.asarray(scores, dtype=np.longdouble)), np.longdouble(1)
    for item in slate:
        probability *= left[item] / left.sum()
        left[item] = 0
    return float(probability)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-12, 12), min_size=2, max_size=5), st.integers(1, 3))
def test_plackett_luce_against_all_slates(scores, size):
    size = min(size, len(scores))
    slates = all_slates(len(scores), size)
    rows = np.tile(np.array(scores, dtype=float), (len(slates), 1))
    plain = np.array([plain_probability(scores, slate) for slate in slates])
    np.testing.assert_allclose(np.exp(prefix_log_probabilities(rows, slates)[:, -1]), plain, rtol=1e-9)

    places = np.zeros((size, len(scores)))
    for slate, probability in zip(slates, plain, strict=True):
        places[np.arange(size), slate] += probability
    np.testing.assert_allclose(place_probabilities(rows[:1], size)[0], places, rtol=1e-7, atol=1e-10)

    sets = set_log_probabilities(rows, slates)
    for slate, found in zip(slates, sets, strict=True):
        same = (np.sort(slates, axis=1) == np.sort(slate)).all(axis=1)
        assert np.isclose(np.exp(found), plain[same].sum(), rtol=1e-7)


def test_place_probabilities_of_the_papers_size_add_up_to_1():
    table = place_probabilities(np.random.default_rng(0).normal(size=(2, 50)) * 2, 10)
    np.testing.assert_allclose(table.sum(axis=2), 1, rtol=1e-9)
    assert (table.sum(axis=1) <= 1 + 1e-9).all()


def test_what_is_expected_next_is_the_mean_over_what_is_left():
    rng = np.random.default_rng(0)
    scores, table = rng.normal(size=5), rng.normal(size=(3, 5))
    slates = all_slates(5, 3)
    found = expected_next(np.tile(scores, (len(slates), 1)), slates, table)
    weights = np.exp(scores)
    for slate, expectations in zip(slates, found, strict=True):
        for place in range(3):
            left = np.setdiff1d(np.arange(5), slate[:place])
            assert np.isclose(expectations[place], weights[left] @ table[place, left] / weights[left].sum())


def test_drawn_slates_have_the_probabilities_stated():
    scores = np.array([0.0, 1.5, -1.0, 0.5])
    slates = all_slates(4, 2)
    drawn = sample_slates(np.tile(scores, (20_000, 1)), 2, np.random.default_rng(0))
    counts = np.array([(drawn == slate).all(axis=1).sum() for slate in slates])
    assert_counts(counts, len(drawn), np.array([plain_probability(scores, slate) for slate in slates]))


@pytest.mark.parametrize("name", ["random", "max", "mix"])
@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_logging_policies_against_all_slates(name, epsilon):
    mdp = draw_mdp(3, 6, mdp_seed=1)
    mixture, slates = logging_pools(name, mdp, 2, epsilon=epsilon), all_slates(6, 2)
    places = mixture.place_probabilities()
    for state in range(3):
        contexts = np.full(len(slates), state)
        logs = mixture.prefix_log_probabilities(contexts, slates)
        probabilities = np.exp(logs[:, -1])
        assert np.isclose(probabilities.sum(), 1)
        for slate, prefixes, in_any_order in zip(
            slates, logs, mixture.set_log_probabilities(contexts, slates), strict=True
        ):
            assert np.isclose(np.exp(prefixes[0]), probabilities[slates[:, 0] == slate[0]].sum())
            same = (np.sort(slates, axis=1) == np.sort(slate)).all(axis=1)
            assert np.isclose(np.exp(in_any_order), probabilities[same].sum())
        indicators = np.eye(6)[slates].reshape(len(slates), -1)
        np.testing.assert_allclose(places[state].reshape(-1), probabilities @ indicators, atol=1e-12)
        moments = np.einsum("s,sx,sy->xy", probabilities, indicators, indicators)
        np.testing.assert_allclose(mixture.second_moments(state), moments, atol=1e-12)

        table = np.random.default_rng(0).normal(size=(2, 6))
        shown = probabilities > 0
        found = mixture.expected_next(contexts, slates, table)[shown]
        for slate, expectations in zip(slates[shown], found, strict=True):
            like = slates[:, 0] == slate[0]
            assert np.isclose(expectations[0], probabilities @ table[0, slates[:, 0]])
            assert np.isclose(
                expectations[1], probabilities[like] @ table[1, slates[like, 1]] / probabilities[like].sum()
            )


@pytest.mark.parametrize("name", ["random", "max", "mix"])
def test_logging_policies_are_those_of_the_suite(name):
    mdp = draw_mdp(3, 12, mdp_seed=2)
    suite, ours = make_logging_policy(name, mdp, 2), KnownLogger.named(name, mdp, 2, given="state")
    np.testing.assert_allclose(ours.mixture.place_probabilities().sum(axis=1), suite.inclusion_probabilities)
    np.testing.assert_allclose(ours.click_probabilities(), suite.click_probabilities(), atol=1e-12)
    states = np.repeat(np.arange(3), 5000)
    for drawn in (suite.draw(states, np.random.default_rng(0)), ours.mixture.sample(states, np.random.default_rng(1))):
        slates = all_slates(12, 2)
        for state in range(3):
            shown = drawn[states == state]
            counts = np.bincount(shown[:, 0] * 12 + shown[:, 1], minlength=144)[slates @ [12, 1]]
            logs = ours.mixture.prefix_log_probabilities(np.full(len(slates), state), slates)[:, -1]
            assert_counts(counts, len(shown), np.exp(logs))


@pytest.mark.parametrize("given", ["history", "clicks"])
def test_without_the_state_probabilities_are_frequencies_in_logs(given):
    mdp = tiny_mdp(num_items=4, seed=3)
    mixture, slates = logging_pools("max", mdp, 2, epsilon=0.3), all_slates(4, 2)
    law = [np.exp(mixture.prefix_log_probabilities(np.full(len(slates), s), slates)[:, -1]) for s in range(2)]
    listing = list_sessions(mdp, 2, lambda state, previous: law[state], luce_clicks, 2)
    sessions = listing.sessions
    found = KnownLogger(mixture, mdp, given=given).propensities(sessions)
    # Second steps by what is known of them: how often is each slate shown there?
    second = np.flatnonzero(sessions.lengths == 2)
    steps = sessions.offsets[second] + 1
    shown = sessions.slate_items.reshape(-1, 2)
    known = sessions.clicks[steps - 1][:, None]
    if given == "history":
        known = np.concatenate([known, shown[steps - 1]], axis=1)
    weights = listing.weights[second]
    for step in range(0, len(steps), 37):
        alike = (known == known[step]).all(axis=1)
        same = alike & (shown[steps] == shown[steps[step]]).all(axis=1)
        assert np.isclose(np.exp(found.slates[steps[step]]), weights[same].sum() / weights[alike].sum())
        in_any_order = alike & (np.sort(shown[steps], axis=1) == np.sort(shown[steps[step]])).all(axis=1)
        assert np.isclose(np.exp(found.sets[steps[step]]), weights[in_any_order].sum() / weights[alike].sum())


def test_pseudo_inverse_of_uniform_slates_in_closed_form():
    mdp, slates = draw_mdp(2, 5, mdp_seed=1), all_slates(5, 3)
    mixture = logging_pools("random", mdp, 3)
    sessions = one_step_sessions(5, slates)
    wanted = PlackettLucePolicy(fixed_scores(np.arange(5) / 3), 5, 3).place_table(sessions)
    np.testing.assert_allclose(
        uniform_weights(wanted, slates), moment_weights(wanted.table[0], mixture.second_moments(0), slates)
    )


def test_pseudo_inverse_of_whole_catalogues_and_equal_policies():
    sessions = one_step_sessions(3, all_slates(3, 3))
    wanted = PlackettLucePolicy(fixed_scores(np.zeros(3)), 3, 3).place_table(sessions)
    np.testing.assert_allclose(uniform_weights(wanted, all_slates(3, 3)), 1, rtol=1e-9)


def one_step_sessions(num_items, slates):
    return Sessions.from_columns(
        num_items=num_items,
        lengths=np.ones(len(slates), dtype=int),
        slates=slates,
        clicks=slates[:, 0],
        rewards=np.zeros(len(slates)),
    )


@pytest.mark.parametrize("epsilon", [0.0, 0.2, 1.0])
def test_softened_top_k_is_a_mixture_of_its_slate_and_any(epsilon):
    scores = np.array([0.3, 2.0, -1.0, 0.9])
    slates = all_slates(4, 2)
    found = TopKPolicy(fixed_scores(scores), 4, 2, epsilon=epsilon).propensities(one_step_sessions(4, slates))
    is_top = (slates == [1, 3]).all(axis=1)
    np.testing.assert_allclose(np.exp(found.slates), (1 - epsilon) * is_top + epsilon / len(slates))
    np.testing.assert_allclose(found.places.reshape(-1, 2)[is_top][0], 1 - epsilon + epsilon / 4)
    np.testing.assert_allclose(found.inclusions.reshape(-1, 2)[is_top][0], 1 - epsilon + epsilon / 2)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"prefixes": [0.0, -1.0, 0.5, -1.0]}, r"prefixes\[2\] must be a log-probability"),
        ({"prefixes": [-1.0, -0.5, -1.0, -1.0]}, r"prefixes\[1\] must be at most that of the entry before"),
        ({"prefixes": [-1.0, -1.0]}, r"prefixes must have shape \(4,\)"),
        ({"prefixes": [-1.0] * 4, "places": [0.5, 1.5, 0.5, 0.5]}, r"places\[1\] must be a probability"),
        ({"prefixes": [-1.0] * 4, "places": [0.5] * 4, "inclusions": [0.4] * 4}, r"inclusions\[0\] must be at least"),
        ({"prefixes": [-1.0] * 4, "sets": [-1.0, -2.0]}, r"sets\[1\] must be a log-probability, at least that of"),
    ],
)
def test_wrong_columns_are_named(columns, message):
    with pytest.raises(ValueError, match=message):
        SlatePropensities.from_columns(one_step_sessions(3, np.array([[0, 1], [1, 2]])), **columns)


def test_propensities_of_clicks_are_the_column_of_sessions():
    mdp = draw_mdp(3, 12, mdp_seed=2)
    slates = make_logging_policy("mix", mdp, 3).draw(np.array([0, 1, 2]), np.random.default_rng(0))
    sessions = Sessions.from_columns(
        num_items=12, lengths=[3], slates=slates, clicks=slates[:, 1], rewards=[1, 1, 0], states=[0, 1, 2]
    )
    found = KnownLogger.named("mix", mdp, 3, given="state").propensities(sessions).of_clicks(sessions)
    expected = make_logging_policy("mix", mdp, 3).inclusion_probabilities[[0, 1, 2], slates[:, 1]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
