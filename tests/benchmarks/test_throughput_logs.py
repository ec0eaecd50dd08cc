"""Synthetic logs: sizes, distinct slates, and the law of items."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irecgan_gym.benchmarks.throughput.synthetic_logs import CIKM, LogShape, distinct_zipf_items, log_of_shape


def test_log_of_the_cikm_shape(rng):
    log = log_of_shape(CIKM, 3_000, rng)
    assert len(log) == 3_000
    assert log.num_items == 40_000
    assert log.lengths.mean() == pytest.approx(2.8, abs=0.15)
    assert log.lengths.min() == 1
    assert log.lengths.max() <= 40
    assert (log.slate_lengths.min(), log.slate_lengths.max()) == (15, 35)
    assert log.slate_lengths.mean() == pytest.approx(25, abs=0.3)
    assert set(np.unique(log.rewards)) == {0.0, 1.0}
    # Clicks are uniform over places, so they fall in the first half of the slates half of the time.
    first = log.slate_offsets[:-1]
    places = np.array(
        [np.flatnonzero(slate == click)[0] for slate, click in zip(_slates(log), log.clicks, strict=True)]
    )
    assert (2 * places < log.slate_lengths - 1).mean() == pytest.approx(0.48, abs=0.03)
    # Zipf: the most popular item of 40,000 is in a good part of all slates, and half of all items in hardly any.
    assert np.isin(np.arange(len(first)), log.step_of_entry[log.slate_items == 0]).mean() > 0.5
    assert (log.slate_items >= 20_000).mean() < 0.1


def _slates(log):
    return np.split(log.slate_items, log.slate_offsets[1:-1])


def test_equal_seeds_give_equal_logs():
    one, two = (log_of_shape(LogShape(100, slate_sizes=(3, 5)), 50, np.random.default_rng(7)) for _ in range(2))
    assert (one.slate_items == two.slate_items).all()
    assert (one.clicks == two.clicks).all()


def test_lengths_are_cut(rng):
    log = log_of_shape(LogShape(20, mean_length=1e9, longest=6, slate_sizes=(2, 2)), 10, rng)
    assert (log.lengths == 6).all()


@given(st.integers(1, 30), st.lists(st.integers(1, 30), max_size=20), st.integers(0, 5))
def test_slates_hold_different_items(num_items, sizes, seed):
    sizes = np.minimum(np.array(sizes, dtype=np.int64), num_items)
    items = distinct_zipf_items(num_items, sizes, np.random.default_rng(seed))
    assert len(items) == sizes.sum()
    for slate in np.split(items, np.cumsum(sizes)[:-1]) if len(sizes) else []:
        assert len(set(slate.tolist())) == len(slate)
        assert set(slate.tolist()) <= set(range(num_items))


def test_single_items_follow_zipf(rng):
    items = distinct_zipf_items(4, np.ones(40_000, dtype=np.int64), rng)
    shares = np.bincount(items, minlength=4) / len(items)
    expected = (1 / np.arange(1, 5)) / (1 / np.arange(1, 5)).sum()
    assert shares == pytest.approx(expected, abs=0.01)


def test_slates_larger_than_the_catalogue_are_refused(rng):
    with pytest.raises(ValueError, match="at most num_items=3 different items, got 4"):
        distinct_zipf_items(3, np.array([2, 4]), rng)
