from itertools import product

import numpy as np
import pytest

from irecgan_gym.planning.hidden_states import Moves, filter_states, smooth_states, sums_by
from irecgan_gym.planning.logged_steps import LoggedSteps
from irecgan_gym.sessions import Sessions

NUM_ITEMS, NUM_STATES = 4, 3


def small_log(lengths=(3, 1, 4, 2), seed=0):
    rng = np.random.default_rng(seed)
    number = sum(lengths)
    slates = np.array([rng.permutation(NUM_ITEMS)[:2] for _ in range(number)])
    clicks = slates[np.arange(number), rng.integers(2, size=number)]
    rewards = np.ones(number)
    rewards[np.cumsum(lengths) - 1] = 0
    return Sessions.from_columns(
        num_items=NUM_ITEMS, lengths=list(lengths), slates=slates, clicks=clicks, rewards=rewards
    )


@pytest.fixture
def case():
    rng = np.random.default_rng(1)
    steps = LoggedSteps.of(small_log())
    start = rng.dirichlet(np.ones(NUM_STATES))
    moves = Moves.of(rng.random((NUM_STATES, NUM_STATES)) + 0.1, rng.random((NUM_ITEMS, NUM_STATES)) + 0.1)
    return steps, start, moves, rng.normal(size=(steps.num_steps, NUM_STATES)) * 3


def paths(steps, start, moves, evidence):
    """Every path of states of every session, with its probability; written down path by path."""
    table = moves.table()
    for session in range(steps.num_sessions):
        rows = np.flatnonzero(steps.session == session)
        found = []
        for path in product(range(NUM_STATES), repeat=len(rows)):
            chance = start[path[0]] * np.exp(evidence[rows[0], path[0]])
            for place in range(1, len(rows)):
                chance *= table[path[place - 1], steps.clicks[rows[place - 1]], path[place]]
                chance *= np.exp(evidence[rows[place], path[place]])
            found.append((path, chance))
        yield rows, found


def test_moves_are_distributions(case):
    _, _, moves, _ = case
    np.testing.assert_allclose(moves.table().sum(axis=2), 1)
    values = np.array([0.3, 2.0, -1.0])
    np.testing.assert_allclose(moves.expected(values), moves.table() @ values)
    weights = np.array([[0.2, 0.3, 0.5]])
    np.testing.assert_allclose(moves.after(weights, np.array([2]))[0], weights[0] @ moves.table()[:, 2])


def test_likelihood_is_that_of_all_paths(case):
    steps, start, moves, evidence = case
    found = smooth_states(steps, start, moves, evidence)
    expected = [np.log(sum(chance for _, chance in of)) for _, of in paths(*case)]
    np.testing.assert_allclose(found.log_likelihood, expected, rtol=1e-12)
    np.testing.assert_allclose(filter_states(steps, start, moves, evidence)[1].sum(), np.sum(expected))


def test_posterior_and_moves_are_those_of_all_paths(case):
    steps, start, moves, evidence = case
    weights = np.array([1.0, 0.5, 2.0, 3.0])
    found = smooth_states(steps, start, moves, evidence, weights)
    states = np.zeros_like(evidence)
    moved = np.zeros((NUM_STATES, NUM_STATES))
    moved_to, moved_from = np.zeros((NUM_ITEMS, NUM_STATES)), np.zeros((NUM_ITEMS, NUM_STATES))
    for session, (rows, of) in enumerate(paths(*case)):
        total = sum(chance for _, chance in of)
        for path, chance in of:
            for place, row in enumerate(rows):
                states[row, path[place]] += chance / total
                if place:
                    click, share = steps.clicks[rows[place - 1]], weights[session] * chance / total
                    moved[path[place - 1], path[place]] += share
                    moved_to[click, path[place]] += share
                    moved_from[click, path[place - 1]] += share
    np.testing.assert_allclose(found.states, states, atol=1e-12)
    np.testing.assert_allclose(found.moved, moved, atol=1e-12)
    np.testing.assert_allclose(found.moved_to, moved_to, atol=1e-12)
    np.testing.assert_allclose(found.moved_from, moved_from, atol=1e-12)


def test_filter_is_bayes_rule_on_the_paths_so_far(case):
    steps, start, moves, evidence = case
    predicted, _ = filter_states(steps, start, moves, evidence)
    table = moves.table()
    for session in range(steps.num_sessions):
        belief = start
        for row in np.flatnonzero(steps.session == session):
            np.testing.assert_allclose(predicted[row], belief)
            posterior = belief * np.exp(evidence[row])
            belief = posterior / posterior.sum() @ table[:, steps.clicks[row]]


def test_sums_by_groups():
    rows = np.arange(8.0).reshape(4, 2)
    np.testing.assert_array_equal(sums_by(np.array([2, 0, 2, 0]), rows, 3), [[8, 10], [0, 0], [4, 6]])


def test_layout_of_steps():
    steps = LoggedSteps.of(small_log())
    # Sessions of 3, 1, 4 and 2 steps begin at 0, 3, 4 and 8: rounds go by length.
    assert [rows.tolist() for rows in steps.rounds] == [[4, 0, 8, 3], [5, 1, 9], [6, 2], [7]]
    np.testing.assert_array_equal(steps.shown.sum(axis=1), np.full((10, 1), 2))


def test_steps_of_users_who_leave_are_refused():
    left = Sessions.from_columns(num_items=2, lengths=[1], slates=[[0, 1]], clicks=[2], rewards=[0])
    with pytest.raises(ValueError, match="clicks\\[0\\] is no item"):
        LoggedSteps.of(left)
    graded = Sessions.from_columns(num_items=2, lengths=[1], slates=[[0, 1]], clicks=[1], rewards=[0.5])
    with pytest.raises(ValueError, match="rewards\\[0\\] must be 0 or 1"):
        LoggedSteps.of(graded)
