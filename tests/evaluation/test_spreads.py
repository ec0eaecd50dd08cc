"""Comparison of spreads: agreement with the test of a correlation, coverage, and how often differences are found."""

import math

import numpy as np
import pytest
from scipy import stats

from irecgan_gym.evaluation.spreads import compare_spreads


def worlds(rng, first, second, number=10):
    """Values of two methods in shared environments, which differ more than methods do."""
    shared = rng.normal(size=number)
    return shared + first * rng.normal(size=number), shared + second * rng.normal(size=number)


def test_the_test_is_that_of_the_correlation_of_sum_and_difference():
    x, y = worlds(np.random.default_rng(0), 1.0, 0.4)
    found = compare_spreads(x, y)
    test = stats.pearsonr(x + y, x - y, alternative="greater")
    assert found.p_greater == pytest.approx(test.pvalue)
    assert found.p_smaller == pytest.approx(1 - test.pvalue)
    assert found.mean == pytest.approx(math.log(x.std() / y.std()))
    assert found.num_pairs == 10


def test_at_the_ends_of_the_interval_the_test_is_at_its_level():
    x, y = worlds(np.random.default_rng(1), 1.0, 0.4)
    found = compare_spreads(x, y)
    for end, alternative in ((found.low, "greater"), (found.high, "less")):
        scaled = x / math.exp(end)
        assert stats.pearsonr(scaled + y, scaled - y, alternative=alternative).pvalue == pytest.approx(0.025)


def test_equivalence_is_two_tests_at_the_margins():
    x, y = worlds(np.random.default_rng(2), 0.2, 0.2)
    margin = math.log(1.5)
    lower = stats.pearsonr(x * 1.5 + y, x * 1.5 - y, alternative="greater").pvalue
    upper = stats.pearsonr(x / 1.5 + y, x / 1.5 - y, alternative="less").pvalue
    assert compare_spreads(x, y, margin=margin).p_equivalent == pytest.approx(max(lower, upper))
    assert compare_spreads(x, y).p_equivalent == 1.0


@pytest.mark.parametrize("number", [5, 10])
def test_intervals_cover(number):
    rng = np.random.default_rng(3)
    truth = math.log(math.sqrt(1.25 / 1.04))
    found = [compare_spreads(*worlds(rng, 0.5, 0.2, number)) for _ in range(2000)]
    assert np.mean([one.low <= truth <= one.high for one in found]) == pytest.approx(0.95, abs=0.012)


def test_without_a_difference_one_is_rarely_found_and_a_large_one_nearly_always():
    rng = np.random.default_rng(4)
    none = [compare_spreads(*worlds(rng, 0.5, 0.5)) for _ in range(2000)]
    large = [compare_spreads(*worlds(rng, 4.0, 0.5)) for _ in range(300)]
    assert np.mean([one.p_greater <= 0.025 for one in none]) == pytest.approx(0.025, abs=0.008)
    assert np.mean([one.p_greater <= 0.025 for one in large]) > 0.9


def test_no_spread_says_nothing_and_senseless_input_is_refused():
    assert compare_spreads([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None
    assert compare_spreads([1.0, 2.0], [1.0, 3.0]) is None
    certain = compare_spreads([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert (certain.p_greater, certain.p_smaller) == (0.0, 1.0)
    assert certain.low == pytest.approx(math.log(2)) == certain.high
    with pytest.raises(ValueError, match="finite numbers, got shapes"):
        compare_spreads([1.0, 2.0, 3.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="finite numbers"):
        compare_spreads([1.0, np.nan, 3.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="margin must be positive"):
        compare_spreads([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], margin=0.0)
