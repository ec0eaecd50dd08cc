"""Comparison on one set of test users: agreement with intervals clustered by user, and coverage."""

import numpy as np
import pytest

from irecgan_gym.evaluation.clustered import compare_clustered
from irecgan_gym.evaluation.comparisons import compare_paired
from irecgan_gym.evaluation.metrics import mean_interval


def test_where_seeds_agree_the_error_is_that_of_users():
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 5, size=40)
    hits = [rng.integers(-1, 2, size=size) for size in sizes]
    sums = np.array([of.sum() for of in hits], dtype=float)
    found = compare_clustered(np.tile(sums, (4, 1)), sizes)
    # As seeds agree to the last digit, they are one sample of users; the interval per list is that of mean_interval.
    interval = mean_interval(np.concatenate(hits), clusters=np.repeat(np.arange(40), sizes))
    assert (found.mean, found.num_pairs) == (pytest.approx(interval.mean), 40)
    assert (found.high - found.low) / 2 == pytest.approx(interval.half_width, rel=0.02)


def test_where_users_agree_the_error_is_that_of_seeds():
    by_seed = np.array([0.1, 0.3, -0.1, 0.2, 0.4])
    sizes = np.array([1, 2, 3])
    found = compare_clustered(by_seed[:, None] * sizes, sizes)
    paired = compare_paired(by_seed)
    assert found.mean == pytest.approx(paired.mean)
    assert found.high - found.low == pytest.approx(paired.high - paired.low, rel=0.2)


@pytest.mark.parametrize(
    ("of_user", "of_seed", "width"), [(0.3, 0.0, 0.02), (0.3, 0.03, 0.02), (0.0, 0.05, 0.02), (0.0, 0.0, 0.045)]
)
def test_intervals_cover_whatever_varies(of_user, of_seed, width):
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(800):
        sizes = 1 + rng.poisson(1.0, size=100)
        effects = 0.02 + of_user * rng.normal(size=100) + of_seed * rng.normal(size=(5, 1))
        found = compare_clustered(effects * sizes + 0.4 * np.sqrt(sizes) * rng.normal(size=(5, 100)), sizes)
        covered.append(found.low <= 0.02 <= found.high)
    assert np.mean(covered) == pytest.approx(0.95, abs=width)


def test_seeds_taken_for_independent_samples_cover_little():
    """The error that this replaces: all seeds have the same users, which intervals over seeds alone leave out."""
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(300):
        effects = 0.02 + 0.3 * rng.normal(size=100) + 0.1 * rng.normal(size=(5, 100))
        interval = compare_paired(effects.mean(axis=1))
        covered.append(interval.low <= 0.02 <= interval.high)
    assert np.mean(covered) < 0.6


def test_few_users_or_seeds_say_nothing_and_senseless_input_is_refused():
    assert compare_clustered(np.zeros((2, 9)), np.ones(9)) is None
    assert compare_clustered(np.zeros((9, 2)), np.ones(2)) is None
    same = compare_clustered(np.zeros((3, 4)), np.ones(4), margin=0.01)
    assert (same.mean, same.low, same.high, same.p_greater, same.p_equivalent) == (0.0, 0.0, 0.0, 1.0, 0.0)
    with pytest.raises(ValueError, match="must be finite numbers"):
        compare_clustered(np.zeros(9), np.ones(9))
    with pytest.raises(ValueError, match="must have lists"):
        compare_clustered(np.zeros((3, 4)), np.zeros(4))
