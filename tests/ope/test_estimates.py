"""Intervals, effective sample sizes and what several estimators say side by side."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from irecgan_gym.ope import (
    DirectMethod,
    KnownLogger,
    OffPolicyData,
    OffPolicyEstimate,
    OffPolicyEvaluation,
    PerDecisionImportanceSampling,
    PlackettLucePolicy,
    SelfNormalizedSlateStandardIPS,
    SelfNormalizedTIS,
    SlatePropensities,
    SlateStandardIPS,
    StateMarginalIS,
    effective_sample_size,
    fixed_scores,
    rank_correlation,
    regret,
)
from irecgan_gym.ope.estimate import SessionTerms
from irecgan_gym.sessions import Sessions
from tests.ope.worlds import all_slates

VALUES = np.array([1.0, 2.0, 4.0, 5.0])


def estimate_of(values, weights=None):
    weights = np.ones(len(values)) if weights is None else weights
    return OffPolicyEstimate("any", SessionTerms(np.asarray(values, dtype=float)), weights)


def bandit(num_items=4, size=2, number=200, seed=0):
    """One-step sessions under random slates with clicks anywhere in them."""
    rng = np.random.default_rng(seed)
    slates = all_slates(num_items, size)[rng.integers(12, size=number)]
    clicks = slates[np.arange(number), rng.integers(size, size=number)]
    return Sessions.from_columns(
        num_items=num_items,
        lengths=np.ones(number, dtype=int),
        slates=slates,
        clicks=clicks,
        rewards=rng.random(number) < 0.3 + 0.1 * clicks,
        states=np.zeros(number, dtype=int),
    )


UNIFORM = PlackettLucePolicy(fixed_scores(np.zeros(4)), 4, 2)
TILTED = PlackettLucePolicy(fixed_scores([0.0, 0.5, 1.0, 1.5]), 4, 2)


def test_student_and_bernstein_by_hand():
    found = estimate_of(VALUES)
    assert found.estimate == 3
    half = 3.182446305284263 * np.sqrt(10 / 3) / 2
    low, high = found.interval("ttest")[1:]
    np.testing.assert_allclose([low, high], [3 - half, 3 + half])
    log = np.log(4 / 0.05)
    half = np.sqrt(2 * 10 / 3 * log / 4) + 7 * 10 * log / (3 * 3)
    np.testing.assert_allclose(found.interval("bernstein", bound=10)[1:], [3 - half, 3 + half])


def test_bootstrap_is_that_of_plain_resampling():
    values = np.random.default_rng(0).exponential(size=60)
    low, high = estimate_of(values).interval("bootstrap", n_bootstrap_samples=4000)[1:]
    rng = np.random.default_rng(1)
    plain = np.quantile([rng.choice(values, 60).mean() for _ in range(4000)], [0.025, 0.975])
    np.testing.assert_allclose([low, high], plain, atol=0.03)


def test_student_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    intervals = [estimate_of(rng.normal(size=50)).interval("ttest", alpha=0.1) for _ in range(1000)]
    held = np.mean([interval.low <= 0 <= interval.high for interval in intervals])
    assert abs(held - 0.9) < 0.04


def test_bernstein_with_a_known_range_holds_it_more_often():
    rng = np.random.default_rng(0)
    for _ in range(200):
        interval = estimate_of(rng.random(30) < 0.1).interval("bernstein", bound=1.0)
        assert interval.low <= 0.1 <= interval.high


def test_influences_of_a_ratio_are_its_derivative():
    rng = np.random.default_rng(0)
    terms = SessionTerms(rng.normal(size=9), rng.normal(size=(9, 3)), 1 + rng.random((9, 3)))
    ones = np.ones(9)
    base = terms.resampled(ones[None])[0]
    influences = terms.influences()
    assert np.isclose(influences.mean(), base)
    for session in range(9):
        nudged = ones.copy()
        nudged[session] += 1e-6
        slope = (terms.resampled(nudged[None])[0] - base) / 1e-6
        assert np.isclose(slope, (influences[session] - base) / 9, atol=1e-5)


@given(arrays(float, 6, elements=st.floats(0, 100)))
def test_effective_sample_size_is_from_1_to_the_number(weights):
    found = effective_sample_size(weights)
    assert found == 0 if not (weights**2).sum() else 1 - 1e-9 <= found <= 6 + 1e-9


def test_effective_sample_size_of_equal_and_of_one_weight():
    assert np.isclose(effective_sample_size(np.full(7, 0.3)), 7)
    assert np.isclose(effective_sample_size(np.array([0.0, 5.0, 0.0])), 1)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 3))
def test_self_normalized_values_of_binary_rewards_stay_from_0_to_1(seed, strength):
    target = PlackettLucePolicy(fixed_scores(strength * np.arange(4)), 4, 2)
    data = OffPolicyData.create(bandit(number=30, seed=seed), UNIFORM, target)
    for estimator in (SelfNormalizedSlateStandardIPS(), SelfNormalizedTIS()):
        assert -1e-9 <= estimator.estimate_policy_value(data) <= 1 + 1e-9


def test_on_policy_every_weight_is_1():
    sessions = bandit()
    data = OffPolicyData.create(sessions, UNIFORM, UNIFORM)
    for estimator in (SlateStandardIPS(), SelfNormalizedSlateStandardIPS(), StateMarginalIS(states="state")):
        found = estimator.evaluate(data)
        assert np.isclose(found.estimate, sessions.rewards.mean())
        assert np.isclose(found.effective_sample_size, len(sessions))


def test_discounts_count_steps_of_the_session():
    sessions = Sessions.from_columns(
        num_items=4, lengths=[3, 1], slates=[[0, 1]] * 4, clicks=[0] * 4, rewards=[1, 1, 0, 1]
    )
    data = OffPolicyData.create(sessions, UNIFORM, UNIFORM, gamma=0.5)
    assert np.isclose(SlateStandardIPS().estimate_policy_value(data), (1 + 0.5 + 1) / 2)


def test_weights_are_cut_at_the_largest_one():
    data = OffPolicyData.create(bandit(), UNIFORM, TILTED)
    ratios = np.exp(data.target.slates - data.logging.slates)
    found = SlateStandardIPS(max_weight=1.5).estimate_policy_value(data)
    assert np.isclose(found, (np.minimum(ratios, 1.5) * data.sessions.rewards).mean())


def test_selected_sessions_are_a_log_of_their_own():
    sessions = bandit()
    numbers = np.array([5, 3, 3, 11])
    some = OffPolicyData.create(sessions, UNIFORM, TILTED).select(numbers)
    alone = OffPolicyData.create(sessions.select(numbers), UNIFORM, TILTED)
    for estimator in (SlateStandardIPS(), SelfNormalizedSlateStandardIPS()):
        assert estimator.estimate_policy_value(some) == estimator.estimate_policy_value(alone)


def test_known_names_of_calls_and_results():
    data = OffPolicyData.create(bandit(), UNIFORM, TILTED)
    evaluation = OffPolicyEvaluation(data, [SlateStandardIPS(), SelfNormalizedSlateStandardIPS()])
    values = evaluation.estimate_policy_values()
    assert list(values) == ["sips", "snsips"]
    intervals = evaluation.estimate_intervals(ci="ttest")
    assert set(intervals["sips"]) == {"mean", "95.0% CI (lower)", "95.0% CI (upper)"}
    assert intervals["sips"]["mean"] == values["sips"]
    errors = evaluation.evaluate_performance_of_estimators(values["sips"], metric="se")
    assert errors["sips"] == 0
    assert np.isclose(errors["snsips"], (values["snsips"] - values["sips"]) ** 2)
    relative = evaluation.evaluate_performance_of_estimators(2 * values["sips"])
    assert np.isclose(relative["sips"], 0.5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda data: OffPolicyEvaluation(data, [SlateStandardIPS(), SlateStandardIPS()]), "different names"),
        (lambda data: SlateStandardIPS().evaluate(data).interval("normal"), "method must be one of"),
        (lambda data: SlateStandardIPS().evaluate(data).interval(alpha=1.5), "alpha must be between"),
        (lambda data: StateMarginalIS(states="state").evaluate(data).interval("bernstein"), "no mean over sessions"),
        (lambda data: PerDecisionImportanceSampling(max_weight=0), "max_weight must be positive"),
        (lambda data: OffPolicyData.create(data.sessions, UNIFORM, TILTED, gamma=1.1), "gamma must be from 0 to 1"),
        (
            lambda data: OffPolicyData.create(data.sessions.select([0]), data.logging, data.target),
            "logging propensities are not those of these sessions",
        ),
    ],
)
def test_what_cannot_be_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build(OffPolicyData.create(bandit(), UNIFORM, TILTED))


def test_a_slate_that_the_logger_never_shows_is_refused():
    sessions = bandit()
    logs = np.zeros(len(sessions.slate_items))
    logs[7] = -np.inf
    with pytest.raises(ValueError, match="the logging policy never shows the slate of step 3"):
        OffPolicyData.create(sessions, SlatePropensities.from_columns(sessions, logs), UNIFORM)


def test_rewards_without_a_click_need_their_entries():
    sessions = Sessions.from_columns(num_items=4, lengths=[1], slates=[[0, 1]], clicks=[4], rewards=[1.0])
    with pytest.raises(ValueError, match=r"step 0 has a reward of 1\.0 without a click"):
        OffPolicyData.create(sessions, UNIFORM, UNIFORM)
    data = OffPolicyData.create(sessions, UNIFORM, TILTED, slot_rewards=[0.25, 0.75])
    weight = np.exp(data.target.slates[0] - data.logging.slates[0])
    assert np.isclose(SlateStandardIPS().estimate_policy_value(data), weight)


def test_models_need_the_policy_itself():
    sessions = bandit()
    data = OffPolicyData.create(sessions, UNIFORM, TILTED.propensities(sessions))
    from irecgan_gym.ope import LuceUserModel

    with pytest.raises(ValueError, match="needs the policy to be judged itself"):
        DirectMethod(LuceUserModel.fit(sessions)).evaluate(data)


def test_choosing_by_estimates():
    true = [1.0, 3.0, 2.0]
    assert rank_correlation([0.1, 0.3, 0.2], true) == 1
    assert rank_correlation([0.3, 0.1, 0.2], true) == -1
    assert np.isnan(rank_correlation([0.5] * 3, true))
    assert regret([0.3, 0.1, 0.2], true) == 2
    assert regret([0.3, 0.1, 0.2], true, k=2) == 1
    assert regret([0.3, 0.1, 0.2], true, k=3) == 0
    with pytest.raises(ValueError, match="two or more policies"):
        regret([0.3], [0.2])


def test_logger_of_the_suite_is_a_policy_too():
    from irecgan_gym.mdp import draw_mdp

    mdp = draw_mdp(1, 4, mdp_seed=0)
    sessions = bandit()
    known = KnownLogger.named("random", mdp, 2, given="clicks").propensities(sessions)
    found = UNIFORM.propensities(sessions)
    np.testing.assert_allclose(known.prefixes, found.prefixes, atol=1e-9)
    np.testing.assert_allclose(known.places, found.places, rtol=1e-9)
    np.testing.assert_allclose(known.inclusions, found.inclusions, rtol=1e-9)
    np.testing.assert_allclose(known.sets, found.sets, rtol=1e-9)
