"""Comparisons over seeds: exact numbers, and how often they are right on results of known effect."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from irecgan_gym.evaluation.comparisons import Finding, PairedComparison, compare_paired, holm, judge_family


def test_numbers_are_those_of_students_t():
    values = np.array([0.3, -0.1, 0.4, 0.2, 0.25])
    found = compare_paired(values, margin=0.5)
    test = stats.ttest_1samp(values, 0.0)
    interval = test.confidence_interval(0.95)
    assert (found.num_pairs, found.mean) == (5, pytest.approx(0.21))
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert found.p_greater == pytest.approx(stats.ttest_1samp(values, 0.0, alternative="greater").pvalue)
    assert found.p_smaller == pytest.approx(1 - found.p_greater)
    upper = stats.ttest_1samp(values, 0.5, alternative="less").pvalue
    lower = stats.ttest_1samp(values, -0.5, alternative="greater").pvalue
    assert found.p_equivalent == pytest.approx(max(upper, lower))


def test_few_pairs_say_nothing_and_equal_pairs_are_certain():
    assert compare_paired([0.1, 0.2]) is None
    same = compare_paired([0.2, 0.2, 0.2], margin=0.3)
    assert (same.low, same.high, same.p_greater, same.p_smaller, same.p_equivalent) == (0.2, 0.2, 0.0, 1.0, 0.0)
    nothing = compare_paired([0.0, 0.0, 0.0], margin=0.1)
    assert (nothing.p_greater, nothing.p_smaller, nothing.p_equivalent) == (1.0, 1.0, 0.0)
    assert compare_paired([0.0, 0.0, 0.0]).p_equivalent == 1.0


@pytest.mark.parametrize(
    ("differences", "margin", "message"),
    [([[0.0]], None, "shape"), ([0.0, np.nan, 1.0], None, "finite"), ([0.0, 1.0, 2.0], 0.0, "margin")],
)
def test_senseless_input_is_refused(differences, margin, message):
    with pytest.raises(ValueError, match=message):
        compare_paired(differences, margin=margin)


def test_the_interval_covers_where_the_bootstrap_does_not():
    rng = np.random.default_rng(0)
    covered = bootstrapped = 0
    for _ in range(1000):
        values = rng.normal(0.1, 1.0, 5)
        found = compare_paired(values)
        covered += found.low <= 0.1 <= found.high
    for _ in range(200):
        values = rng.normal(0.1, 1.0, 5)
        ends = stats.bootstrap((values,), np.mean, n_resamples=499, rng=rng).confidence_interval
        bootstrapped += ends.low <= 0.1 <= ends.high
    assert 0.93 <= covered / 1000 <= 0.97
    assert bootstrapped / 200 < 0.92


def test_holm_on_the_textbook_example():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values):
    values, adjusted = np.array(p_values), holm(p_values)
    assert (adjusted >= values - 1e-12).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(values, kind="stable")]) >= 0).all()
    assert adjusted.min() == pytest.approx(min(1, values.min() * len(values)))


def findings(effect, *, cells, seeds=10, margin=0.5, repeats=400, spread=0.3):
    """Shares of findings on results of a known effect, in every cell."""
    rng = np.random.default_rng(1)
    counts = dict.fromkeys(Finding, 0)
    for _ in range(repeats):
        family = [compare_paired(rng.normal(effect, spread, seeds), margin=margin) for _ in range(cells)]
        counts[judge_family(family)] += 1
    return {finding: count / repeats for finding, count in counts.items()}


@pytest.mark.parametrize("cells", [1, 9, 24])
def test_without_an_effect_a_statement_is_rarely_found_to_hold_or_to_be_contradicted(cells):
    shares = findings(0.0, cells=cells, margin=0.05)
    assert shares[Finding.BEHIND] <= 0.08
    assert shares[Finding.AHEAD] <= 0.08
    assert shares[Finding.EQUIVALENT] <= 0.08


def test_power_to_see_an_effect_its_opposite_and_its_absence():
    assert findings(0.5, cells=9)[Finding.AHEAD] > 0.9
    assert findings(-0.5, cells=9)[Finding.BEHIND] > 0.99
    assert findings(0.0, cells=9)[Finding.EQUIVALENT] > 0.8


def test_at_the_margin_equivalence_is_rarely_found():
    assert findings(0.5, cells=1, margin=0.5)[Finding.EQUIVALENT] <= 0.08


def comparison(p_greater=0.5, p_smaller=0.5, p_equivalent=1.0):
    return PairedComparison(10, 0.0, -1.0, 1.0, p_greater, p_smaller, p_equivalent)


def test_one_undecided_cell_leaves_the_statement_undecided_and_one_contrary_cell_contradicts_it():
    ahead = comparison(p_greater=0.001, p_smaller=0.999)
    assert judge_family([ahead, ahead]) is Finding.AHEAD
    assert judge_family([ahead, comparison()]) is Finding.UNDECIDED
    assert judge_family([ahead, comparison(p_smaller=0.02)]) is Finding.BEHIND
    assert judge_family([ahead, ahead, comparison(p_smaller=0.02)]) is Finding.UNDECIDED  # 3 * 0.02 > 0.05
    assert judge_family([comparison(p_equivalent=0.04)] * 3) is Finding.EQUIVALENT
    with pytest.raises(ValueError, match="at least one"):
        judge_family([])
