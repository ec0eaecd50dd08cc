"""Fitted models of users and loggers, tests of logs, and the recommendation."""

from functools import cache

import numpy as np
import pytest

from irecgan_gym.envs.recsim import RecSimEnv
from irecgan_gym.mdp import RecommendationMDP
from irecgan_gym.ope import (
    CrossFitted,
    DirectMethod,
    DoublyRobust,
    KnownLogger,
    LoggedSlates,
    LuceUserModel,
    OffPolicyData,
    PlackettLucePolicy,
    SlateStandardIPS,
    TopKPolicy,
    calibration_p_value,
    confounding_p_value,
    fit_logging_policy,
    fixed_scores,
    last_click_scores,
    overlap,
    place_effect_p_value,
    recommend,
)
from irecgan_gym.sessions import Sessions
from tests.ope.worlds import tiny_mdp

REWARDS = np.array([[0.9, 0.5, 0.3, 0.7, 0.2, 0.6]])
ONE_STATE = RecommendationMDP(REWARDS, np.ones((1, 6, 1)))
TARGET = PlackettLucePolicy(fixed_scores(REWARDS[0]), 6, 2)


@cache
def one_state_log(number=3000):
    return RecSimEnv(mdp=ONE_STATE, slate_size=2).collect(number, seed=0, max_session_steps=None)


def logger(given="clicks", name="random", mdp=ONE_STATE, size=2):
    return KnownLogger.named(name, mdp, size, given=given)


def true_value(target_weights):
    """Exact value in the world of one state, of slates drawn from a softmax without replacement."""
    rewards, shares = REWARDS[0], target_weights / target_weights.sum()
    success = 0.0
    for first in range(6):
        for second in range(6):
            if first != second:
                chance = shares[first] * shares[second] / (1 - shares[first])
                pair = rewards[[first, second]]
                success += chance * (pair**2).sum() / pair.sum()
    return success / (1 - success)


def test_a_right_model_finds_weights_rewards_and_values():
    model = LuceUserModel.fit(one_state_log(), strength=1e6)
    shares = model.weights[0, :6] / model.weights[0, :6].sum()
    np.testing.assert_allclose(shares, REWARDS[0] / REWARDS[0].sum(), atol=0.02)
    # With so much strength all clicks are alike: items are told apart by choices alone.
    model = LuceUserModel.fit(one_state_log(), strength=5.0)
    data = OffPolicyData.create(one_state_log(), logger(), TARGET)
    found = DirectMethod(model).estimate_policy_value(data)
    assert abs(found / true_value(np.exp(REWARDS[0])) - 1) < 0.05


def test_a_good_model_makes_the_doubly_robust_estimate_surer():
    data = OffPolicyData.create(one_state_log(), logger(), TARGET)
    plain = SlateStandardIPS().evaluate(data)
    robust = DoublyRobust(CrossFitted(LuceUserModel.fit)).evaluate(data)
    true = true_value(np.exp(REWARDS[0]))
    for found in (plain, robust):
        assert abs(found.estimate - true) < 4 * found.standard_error()
    assert robust.standard_error() < plain.standard_error()


def test_models_of_users_who_leave_offer_no_click_beside_the_slate():
    rng = np.random.default_rng(0)
    number = 2000
    slates = rng.permuted(np.tile(np.arange(4), (number, 1)), axis=1)[:, :2]
    clicks = np.where(rng.random(number) < 0.5, 4, slates[:, 0])
    sessions = Sessions.from_columns(
        num_items=4, lengths=np.ones(number, dtype=int), slates=slates, clicks=clicks, rewards=(clicks < 4) * 1.0
    )
    data = OffPolicyData.create(sessions, logger(mdp=tiny_mdp()), PlackettLucePolicy(fixed_scores(np.zeros(4)), 4, 2))
    assert abs(DirectMethod(LuceUserModel.fit(sessions)).estimate_policy_value(data) - 0.5) < 0.04


def test_cross_fitting_judges_no_session_by_itself():
    seen = []

    class Judge:
        def __init__(self, sessions):
            self.taught = set(sessions.users.tolist())

        def values(self, data):
            judged = set(data.sessions.users.tolist())
            seen.append((self.taught, judged))
            users = data.sessions.users[data.sessions.session_of_step].astype(float)
            return users, -users

    sessions = Sessions.from_columns(
        num_items=3,
        lengths=[1, 2, 1, 3, 1],
        slates=[[0, 1]] * 8,
        clicks=[0] * 8,
        rewards=[0] * 8,
        users=[10, 11, 12, 13, 14],
    )
    uniform = PlackettLucePolicy(fixed_scores(np.zeros(3)), 3, 2)
    found = CrossFitted(Judge, folds=2).values(OffPolicyData.create(sessions, uniform, uniform))
    assert all(not taught & judged for taught, judged in seen)
    np.testing.assert_array_equal(found[0], sessions.users[sessions.session_of_step])
    np.testing.assert_array_equal(found[1], -found[0])


def test_a_fitted_logger_finds_the_law_that_made_the_log():
    rng = np.random.default_rng(0)
    scores = np.array([1.0, 0.0, -1.0, 0.5])
    law = PlackettLucePolicy(fixed_scores(scores), 4, 2)
    nothing = np.zeros(4000, dtype=int)
    blank = Sessions.from_columns(
        num_items=4, lengths=nothing + 1, slates=[[0, 1]] * 4000, clicks=nothing, rewards=nothing
    )
    slates = law.sample(blank, 1, rng)[:, 0]
    sessions = Sessions.from_columns(
        num_items=4, lengths=[1] * 4000, slates=slates, clicks=slates[:, 0], rewards=np.zeros(4000)
    )
    for by in ("click", "nothing"):
        found = fit_logging_policy(sessions, by=by).propensities(sessions)
        assert found.estimated
        np.testing.assert_allclose(np.exp(found.slates), np.exp(law.propensities(sessions).slates), atol=0.02)


@cache
def recsim_log(name, number=1500):
    env = RecSimEnv(num_states=5, num_items=10, slate_size=3, logging_policy=name)
    return env.mdp, env.collect(number, seed=1)


def near(mdp, strength=0.4):
    scores = strength * np.random.default_rng(0).normal(size=(mdp.num_items + 1, mdp.num_items))
    return PlackettLucePolicy(last_click_scores(scores), mdp.num_items, 3)


def test_random_logs_are_trusted_and_right():
    mdp, sessions = recsim_log("random")
    advice = recommend(LoggedSlates(sessions, logger(mdp=mdp, size=3)), near(mdp))
    assert advice.verdict == "trust"
    assert advice.estimate.effective_sample_size > 100
    interval = advice.interval()
    assert interval.low < interval.mean < interval.high
    assert "verdict: trust" in str(advice)


@pytest.mark.parametrize("name", ["max", "mix"])
def test_loggers_that_saw_the_state_are_refused(name):
    mdp, sessions = recsim_log(name)
    log = LoggedSlates(sessions, logger(name=name, mdp=mdp, size=3))
    advice = recommend(log, near(mdp))
    assert advice.verdict == "refuse"
    assert advice.estimate is None
    assert any("confound" in reason for reason in advice.reasons)
    # Without what the log says of itself, its slates and states still do.
    assert confounding_p_value(OffPolicyData.create(sessions, log.logging, near(mdp))) < 1e-6


def test_right_propensities_raise_no_suspicion():
    mdp, sessions = recsim_log("random")
    data = OffPolicyData.create(sessions, logger(mdp=mdp, size=3), near(mdp))
    assert confounding_p_value(data) > 1e-3
    assert calibration_p_value(data) > 1e-3
    mdp, sessions = recsim_log("mix")
    data = OffPolicyData.create(sessions, logger("state", "mix", mdp, 3), near(mdp))
    assert confounding_p_value(data) > 1e-3


def test_wrong_propensities_are_found_out():
    mdp, sessions = recsim_log("random")
    wrong = PlackettLucePolicy(fixed_scores(np.linspace(-0.3, 0.3, 10)), 10, 3)
    assert calibration_p_value(OffPolicyData.create(sessions, wrong, near(mdp))) < 1e-6
    advice = recommend(LoggedSlates(sessions, wrong), near(mdp))
    assert advice.verdict == "refuse"
    assert "not as probable" in advice.reasons[0]


def test_without_overlap_nothing_is_believed():
    # The logger never shows the two items that the policy always does.
    sessions = Sessions.from_columns(
        num_items=4, lengths=[1] * 400, slates=[[0, 1], [1, 0]] * 200, clicks=[0] * 400, rewards=[1, 0] * 200
    )
    shows_two = TopKPolicy(fixed_scores([3.0, 2.0, 1.0, 0.0]), 4, 2, epsilon=0.5)
    other = TopKPolicy(fixed_scores([0.0, 1.0, 2.0, 3.0]), 4, 2)
    data = OffPolicyData.create(sessions, shows_two, other)
    assert overlap(data).mean_weight == 0
    assert overlap(data).is_missing
    assert recommend(LoggedSlates(sessions, shows_two.propensities(sessions)), other).verdict == "refuse"


def test_a_far_policy_is_never_trusted_and_a_small_log_says_nothing_of_it():
    mdp, sessions = recsim_log("random")
    far = near(mdp, strength=12.0)
    assert recommend(LoggedSlates(sessions, logger(mdp=mdp, size=3)), far).verdict != "trust"
    advice = recommend(LoggedSlates(sessions.select(slice(0, 60)), logger(mdp=mdp, size=3)), far)
    assert advice.verdict == "refuse"
    assert any("effective" in reason or "overlap" in reason for reason in advice.reasons)


def test_places_that_matter_are_seen():
    mdp, sessions = recsim_log("random")
    data = OffPolicyData.create(sessions, logger(mdp=mdp, size=3), near(mdp))
    assert place_effect_p_value(data) > 0.01
    slates = sessions.slate_items.reshape(-1, 3)
    # The same slates, with most clicks at the top.
    top = np.random.default_rng(0).random(sessions.num_steps) < 0.3
    biased = Sessions.from_columns(
        num_items=10,
        lengths=sessions.lengths,
        slates=slates,
        clicks=np.where(top, slates[:, 0], sessions.clicks),
        rewards=sessions.rewards,
    )
    data = OffPolicyData.create(biased, logger(mdp=mdp, size=3), near(mdp))
    assert place_effect_p_value(data) < 1e-6


def test_estimated_propensities_are_believed_under_a_condition_only():
    mdp, sessions = recsim_log("random")
    advice = recommend(LoggedSlates(sessions, fit_logging_policy(sessions, by="nothing")), near(mdp))
    assert advice.verdict == "conditional"
    assert any("estimated" in reason for reason in advice.reasons)
