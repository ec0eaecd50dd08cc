"""Coverage, ranks, p@k and intervals against hand computation and slow plain versions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irecgan_gym.evaluation.metrics import (
    click_ranks,
    counted_lists,
    coverage_at_r,
    mean_interval,
    mean_reciprocal_rank,
    precision_at_k,
)
from irecgan_gym.sessions import Sessions
from tests.conftest import random_sessions


def logged_lists(lists, clicks, num_items=20, users=None):
    """One session a list."""
    return Sessions.from_columns(
        num_items=num_items,
        lengths=[1] * len(lists),
        slates=np.concatenate(lists),
        slate_lengths=[len(items) for items in lists],
        clicks=clicks,
        rewards=[1] * len(lists),
        users=users,
    )


def test_coverage_by_hand():
    rewards = np.array([[0.9, 0.1, 0.5, 0.7], [0.2, 0.8, 0.6, 0.4]])
    # State 0 ranks items 0 3 2 1, state 1 ranks them 1 2 3 0.
    coverage = coverage_at_r([[2, 0], [2, 3]], [0, 1], rewards)
    # r = 1: item 0 is shown, item 1 is not. r = 2: {0, 3} has 0, {1, 2} has 2.
    np.testing.assert_allclose(coverage, [1 / 2, 2 / 4])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 5))
def test_coverage_against_sets(seed, size, num_states):
    rng = np.random.default_rng(seed)
    rewards = rng.random((num_states, 8))
    states = rng.integers(num_states, size=9)
    slates = np.array([rng.permutation(8)[:size] for _ in states])
    coverage = coverage_at_r(slates, states, rewards)
    for r in range(1, size + 1):
        shares = [
            len(set(slate.tolist()) & set(np.argsort(-rewards[state])[:r].tolist())) / r
            for slate, state in zip(slates, states, strict=True)
        ]
        assert coverage[r - 1] == pytest.approx(np.mean(shares))
    best = np.argsort(-rewards, axis=1)[states, :size]
    np.testing.assert_allclose(coverage_at_r(best, states, rewards), 1.0)
    assert ((coverage >= 0) & (coverage <= 1)).all()


def test_coverage_does_not_depend_on_the_order_of_the_slate(rng):
    rewards, states = rng.random((3, 9)), rng.integers(3, size=20)
    slates = np.array([rng.permutation(9)[:4] for _ in states])
    np.testing.assert_array_equal(
        coverage_at_r(slates, states, rewards), coverage_at_r(slates[:, ::-1], states, rewards)
    )


def test_ranks_by_hand():
    sessions = logged_lists([[0, 1, 2], [3, 4], [5, 6, 7, 8]], clicks=[1, 4, 20])
    scores = [0.5, 0.2, 0.1, -np.inf, np.inf, 1, 2, 3, 4]
    ranks = click_ranks(sessions, scores, np.random.default_rng(0))
    np.testing.assert_array_equal(ranks, [1, 0, -1])


def test_ties_are_uniform_and_do_not_favour_the_click():
    num_lists, size = 6000, 4
    lists = [[3, 0, 1, 2]] * num_lists
    sessions = logged_lists(lists, clicks=[3] * num_lists)
    ranks = click_ranks(sessions, np.zeros(num_lists * size), np.random.default_rng(1))
    counts = np.bincount(ranks, minlength=size)
    expected = num_lists / size
    assert len(counts) == size
    assert (((counts - expected) ** 2) / expected).sum() < 16.3  # chi-square, 3 degrees of freedom, p = 0.001


def test_ties_below_and_above_the_click_stay_there():
    sessions = logged_lists([[0, 1, 2, 3, 4]] * 200, clicks=[2] * 200)
    scores = np.tile([9.0, 9.0, 5.0, 5.0, 1.0], 200)
    assert set(click_ranks(sessions, scores, np.random.default_rng(0)).tolist()) == {2, 3}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_ranks_against_sorting(seed):
    rng = np.random.default_rng(seed)
    sessions = random_sessions(rng, ragged=True, leave=True)
    scores = rng.permutation(len(sessions.slate_items)).astype(float)
    ranks = click_ranks(sessions, scores, rng)
    for step in range(sessions.num_steps):
        first, last = sessions.slate_offsets[step : step + 2]
        order = sessions.slate_items[first:last][np.argsort(-scores[first:last])].tolist()
        click = int(sessions.clicks[step])
        assert ranks[step] == (order.index(click) if click < sessions.num_items else -1)


@pytest.mark.parametrize("size", [11, 25])
def test_random_scores_find_k_of_every_list_length(size):
    rng = np.random.default_rng(size)
    num_lists = 4000
    lists = [rng.permutation(30)[:size] for _ in range(num_lists)]
    sessions = logged_lists(lists, [rng.choice(items) for items in lists], num_items=30)
    ranks = click_ranks(sessions, rng.random(num_lists * size), rng)
    for k in (1, 10):
        precision = precision_at_k(sessions, ranks, k)
        assert precision.mean == pytest.approx(k / size, abs=4 * math.sqrt(0.25 / num_lists))
        assert precision.low < precision.mean < precision.high


def test_short_lists_count_only_when_asked_for():
    lists = [list(range(3)), list(range(12))]
    sessions = logged_lists(lists, clicks=[0, 5])
    ranks = np.array([0, 5])
    assert precision_at_k(sessions, ranks, 1).mean == 0
    assert precision_at_k(sessions, ranks, 1, min_list_length=2).mean == 0.5
    assert mean_reciprocal_rank(sessions, ranks, min_list_length=2).mean == pytest.approx((1 + 1 / 6) / 2)
    with pytest.raises(ValueError, match="at least 13 items"):
        precision_at_k(sessions, ranks, 1, min_list_length=13)
    with pytest.raises(ValueError, match="k must be at least 1"):
        precision_at_k(sessions, ranks, 0)


def test_steps_without_a_click_do_not_count():
    sessions = logged_lists([[0, 1], [2, 3]], clicks=[0, 20])
    np.testing.assert_array_equal(counted_lists(sessions, np.array([0, -1]), 2), [True, False])


def test_intervals_of_lists_are_clustered_by_user():
    # Two lists a user, always both right or both wrong: twice the lists say no more than the users do.
    hits = np.repeat(np.arange(40) % 2, 2)
    lists = [list(range(11))] * 80
    users = np.repeat(np.arange(40), 2)
    clustered = precision_at_k(logged_lists(lists, [0] * 80, users=users), hits, 1)
    single = mean_interval(np.arange(40) % 2 == 0)
    assert clustered.half_width == pytest.approx(single.half_width)
    assert precision_at_k(logged_lists(lists, [0] * 80), hits, 1).half_width < clustered.half_width


@pytest.mark.parametrize("scores", [[0.0], [0.0, np.nan]])
def test_wrong_scores_are_refused(scores):
    with pytest.raises(ValueError, match="scores"):
        click_ranks(logged_lists([[0, 1]], [0]), scores, np.random.default_rng(0))


def test_interval_by_hand():
    interval = mean_interval([1.0, 2.0, 3.0])
    # Standard error 1 / sqrt(3), two degrees of freedom.
    assert interval.mean == 2
    assert interval.half_width == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)


def test_interval_holds_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = [interval.low < 0 < interval.high for interval in (mean_interval(rng.normal(size=4)) for _ in range(2000))]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.02)


def test_interval_of_little():
    lonely = mean_interval([3.0])
    assert lonely.mean == 3
    assert math.isnan(lonely.low)
    assert math.isnan(mean_interval([1.0, 2.0], clusters=[5, 5]).high)
    with pytest.raises(ValueError, match="at least one value"):
        mean_interval([])
    with pytest.raises(ValueError, match="confidence"):
        mean_interval([1.0], confidence=1.0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30), st.floats(0.5, 0.99))
def test_intervals_shift_scale_and_nest(values, confidence):
    interval = mean_interval(values, confidence=confidence)
    moved = mean_interval([3 * value + 1 for value in values], confidence=confidence)
    assert moved.mean == pytest.approx(3 * interval.mean + 1, abs=1e-9)
    assert moved.half_width == pytest.approx(3 * interval.half_width, abs=1e-9)
    assert mean_interval(values, confidence=0.999).half_width >= interval.half_width
