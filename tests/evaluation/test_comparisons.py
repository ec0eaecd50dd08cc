"""Comparisons over seeds: exact numbers, and how often they are right on results of known effect."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from irecgan_gym.evaluation.comparisons import (
    Finding,
    PairedComparison,
    compare_paired,
    holm,
    judge_each,
    judge_family,
)


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
    covered = covered_by_ten = bootstrapped = 0
    for _ in range(1000):
        values = rng.normal(0.1, 1.0, 5)
        found = compare_paired(values)
        covered += found.low <= 0.1 <= found.high
        more = compare_paired(rng.normal(0.1, 1.0, 10))
        covered_by_ten += more.low <= 0.1 <= more.high
    for _ in range(200):
        values = rng.normal(0.1, 1.0, 5)
        ends = stats.bootstrap((values,), np.mean, n_resamples=499, random_state=rng).confidence_interval
        bootstrapped += ends.low <= 0.1 <= ends.high
    assert 0.93 <= covered / 1000 <= 0.97
    assert 0.93 <= covered_by_ten / 1000 <= 0.97
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


def families(effect, rng, *, cells, repeats, seeds=10, spread=0.3, shared=0.0, margin=0.5):
    """Families of a known effect in every cell, with an effect of the seed that its cells share."""
    for _ in range(repeats):
        values = effect + shared * rng.normal(size=(1, seeds)) + spread * rng.normal(size=(cells, seeds))
        yield [compare_paired(of_cell, margin=margin) for of_cell in values]


def findings(effect, repeats=400, **options):
    """Shares of findings on results of a known effect."""
    counts = dict.fromkeys(Finding, 0)
    for family in families(effect, np.random.default_rng(1), repeats=repeats, **options):
        counts[judge_family(family)] += 1
    return {finding: count / repeats for finding, count in counts.items()}


@pytest.mark.parametrize("shared", [0.0, 0.3])
@pytest.mark.parametrize("cells", [1, 9, 24])
def test_without_an_effect_a_statement_is_rarely_found_to_hold_or_to_be_contradicted(cells, shared):
    shares = findings(0.0, repeats=1000, cells=cells, margin=0.05, shared=shared)
    # 0.05, and twice the standard error of a share of 1000.
    assert shares[Finding.BEHIND] + shares[Finding.AHEAD] <= 0.064
    assert shares[Finding.EQUIVALENT] <= 0.01


@pytest.mark.parametrize(("cells", "least"), [(9, 0.15), (24, 0.35)])
def test_a_rule_of_any_interval_on_the_wrong_side_contradicts_far_more_often(cells, least):
    """The rule that this replaces."""
    found = families(0.0, np.random.default_rng(2), cells=cells, repeats=300)
    assert np.mean([any(one.high < 0 for one in family) for family in found]) > least


def test_power_to_see_an_effect_its_opposite_and_its_absence():
    assert findings(0.5, cells=9)[Finding.AHEAD] > 0.9
    assert findings(-0.5, cells=9)[Finding.BEHIND] > 0.99
    assert findings(0.0, cells=9)[Finding.EQUIVALENT] > 0.8
    assert findings(0.5, cells=24, shared=0.1)[Finding.AHEAD] > 0.7


def test_power_to_see_one_contrary_cell_among_many():
    rng = np.random.default_rng(3)
    contrary = 0
    for family in families(0.5, rng, cells=23, repeats=200):
        [[against]] = families(-0.5, rng, cells=1, repeats=1)
        contrary += judge_family([*family, against]) is Finding.BEHIND
    assert contrary / 200 > 0.7


def test_at_the_margin_equivalence_is_rarely_found():
    assert findings(0.5, cells=1, margin=0.5, repeats=1000)[Finding.EQUIVALENT] <= 0.064


def comparison(p_greater=0.5, p_smaller=0.5, p_equivalent=1.0):
    return PairedComparison(10, 0.0, -1.0, 1.0, p_greater, p_smaller, p_equivalent)


AHEAD = comparison(p_greater=0.001, p_smaller=0.999)


def test_one_undecided_cell_leaves_the_statement_undecided_and_one_contrary_cell_contradicts_it():
    assert judge_family([AHEAD, AHEAD]) is Finding.AHEAD
    assert judge_family([AHEAD, comparison()]) is Finding.UNDECIDED
    assert judge_family([AHEAD, comparison(p_greater=0.03, p_smaller=0.97)]) is Finding.UNDECIDED  # one-sided, 0.025
    assert judge_family([AHEAD, comparison(p_smaller=0.012)]) is Finding.BEHIND
    assert judge_family([AHEAD, AHEAD, comparison(p_smaller=0.012)]) is Finding.UNDECIDED  # 3 * 0.012 > 0.025
    assert judge_family([comparison(p_equivalent=0.04)] * 3) is Finding.EQUIVALENT
    with pytest.raises(ValueError, match="at least one"):
        judge_family([])


def test_single_findings_are_corrected_unless_the_whole_family_agrees():
    behind, equal = comparison(p_smaller=0.012), comparison(p_equivalent=0.02)
    assert judge_each([AHEAD, behind]) == [Finding.AHEAD, Finding.BEHIND]
    assert judge_each([AHEAD, behind, behind, behind]) == [Finding.AHEAD, *[Finding.UNDECIDED] * 3]
    assert judge_each([comparison(p_greater=0.02)] * 5) == [Finding.AHEAD] * 5
    assert judge_each([comparison(p_equivalent=0.04)] * 5) == [Finding.EQUIVALENT] * 5
    assert judge_each([AHEAD, equal]) == [Finding.AHEAD, Finding.EQUIVALENT]
    assert judge_each([AHEAD, equal, equal]) == [Finding.AHEAD, *[Finding.UNDECIDED] * 2]
    assert judge_each([]) == []
