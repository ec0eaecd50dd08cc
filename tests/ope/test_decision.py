"""Verdicts on two policies: differences by hand, live tests, and how often a verdict is wrong where truth is known."""

from pathlib import Path

import numpy as np
import pytest

from irecgan_gym.benchmarks.decision.replications import (
    DecisionReplications,
    replicate,
    rows_of,
    twin_target,
    twin_world,
)
from irecgan_gym.benchmarks.ope_worlds import make_targets, make_world, true_value
from irecgan_gym.envs.recsim import RecSimEnv
from irecgan_gym.evaluation.metrics import Interval
from irecgan_gym.ope import (
    Exposure,
    LoggedSlates,
    OffPolicyData,
    PlackettLucePolicy,
    SelfNormalizedSlateStandardIPS,
    decide,
    difference,
    fixed_scores,
    live_test_sessions,
    logged_value,
    luce_fidelity,
    same_first,
    shared_items,
)
from irecgan_gym.ope.decision import _judge


def softmax(scores, size=2):
    return PlackettLucePolicy(fixed_scores(scores), len(scores), size)


def log(number=400):
    return RecSimEnv(num_states=3, num_items=6, slate_size=2).collect(number, seed=0)


def test_differences_are_paired_by_session():
    sessions = log()
    first, second = softmax(np.linspace(0, 0.5, 6)), softmax(np.zeros(6))
    estimates = [
        SelfNormalizedSlateStandardIPS().evaluate(OffPolicyData.create(sessions, second, policy))
        for policy in (first, second)
    ]
    gain = difference(*estimates)
    assert np.isclose(gain.estimate, estimates[0].estimate - estimates[1].estimate)
    # What makes a session good under both is no part of the error.
    apart = np.hypot(*(estimate.standard_error() for estimate in estimates))
    assert gain.standard_error() < 0.7 * apart
    assert np.isclose(difference(estimates[0], estimates[0]).standard_error(), 0)
    with pytest.raises(ValueError, match="the same sessions"):
        difference(estimates[0], logged_value(sessions.select(slice(0, 10))))


def test_logged_value_is_the_mean_session():
    sessions = log(50)
    assert np.isclose(logged_value(sessions).estimate, sessions.rewards.sum() / 50)
    first = sessions.rewards[sessions.offsets[:-1]].mean()
    assert np.isclose(logged_value(sessions, 0.0).estimate, first)


def test_sessions_of_a_live_test_as_in_textbooks():
    # Two means, half a standard deviation apart, 80% power, 5% two-sided: 63 of each by the normal approximation.
    assert live_test_sessions(0.5, 1.0) == 63
    assert live_test_sessions(-0.5, 1.0) == 63
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(4000, 2, 63)) + np.array([0.5, 0.0])[:, None]
    means, errors = draws.mean(axis=2), draws.std(axis=2, ddof=1)
    seen = np.abs(means[:, 0] - means[:, 1]) / np.sqrt((errors**2).sum(axis=1) / 63) > 1.96
    assert abs(seen.mean() - 0.8) < 0.03
    with pytest.raises(ValueError, match="differ by 0"):
        live_test_sessions(0.0, 1.0)


@pytest.mark.parametrize(
    ("interval", "margin", "verdict"),
    [
        ((0.5, 0.1, 0.9), 0.0, "better"),
        ((0.5, 0.1, 0.9), 0.2, "not known"),
        ((-0.5, -0.9, -0.1), 0.0, "worse"),
        ((-0.5, -0.9, -0.1), 0.1, "not known"),
        ((0.1, -0.1, 0.3), 0.0, "not known"),
        ((0.0, 0.0, 0.0), 0.0, "not known"),
    ],
)
def test_verdicts_go_by_the_whole_interval(interval, margin, verdict):
    assert _judge(Interval(*interval), margin)[0] == verdict


def test_a_policy_beside_itself_is_not_known_to_differ():
    policy = softmax(np.linspace(0, 0.5, 6))
    decision = decide(LoggedSlates(log(), softmax(np.zeros(6))), policy, policy)
    assert decision.verdict == "not known"
    assert "no difference to see" in decision.reasons[0]
    assert decision.live_test() is None
    assert decision.live_test(0.1).sessions > 100


def test_nothing_is_said_of_policies_without_overlap():
    far = softmax(np.array([0, 0, 0, 0, 30.0, 30.0]))
    decision = decide(LoggedSlates(log(60), softmax(np.zeros(6))), far)
    assert (decision.verdict, decision.gain, decision.interval) == ("not known", None, None)
    assert decision.gains
    assert "verdict: not known" in str(decision)


def test_twins_earn_exactly_the_same():
    world = twin_world(make_world("small", 0))
    (current,) = make_targets(world, (1.0,), 0)
    new = twin_target(world, current)
    assert not np.allclose(current.scores, new.scores)
    values = [true_value(world, target, 1.0, 20_000, seed) for seed, target in enumerate((current, new))]
    assert abs(values[0][0] - values[1][0]) < 3.5 * np.hypot(values[0][1], values[1][1])


def test_better_is_hardly_ever_said_of_policies_of_equal_value():
    settings = DecisionReplications(out=Path("unused"), sessions=300, replications=40, strength=0.3, truth_sessions=1)
    for case in ("equal", "equal, own log"):
        judged = list(replicate(case, settings))
        ((_, truth, _, number, better, worse, _, wrong, believed, covered),) = rows_of(case, 300, judged)
        assert (truth, number) == ("equal", 40)
        # Of intervals that are believed, those that do not hold 0 are the wrong verdicts.
        assert wrong == believed - covered
        assert believed == sum(one.decision.is_believed for one in judged) > 20
        # With a chance of 2.5% each, five or more of 40 come once in 300 times; the whole table is the command's.
        assert better <= 4
        assert wrong == better + worse


def test_a_much_better_policy_is_seen():
    env = RecSimEnv(num_states=3, num_items=6, slate_size=2)
    worth = env.mdp.rewards.mean(axis=0)
    log_of_random = LoggedSlates(env.collect(2000, seed=3), softmax(np.zeros(6)))
    scores = 2 * (worth - worth.mean()) / worth.std() * 0.5
    assert decide(log_of_random, softmax(scores)).verdict == "better"
    assert decide(log_of_random, softmax(-scores)).verdict == "worse"
    # Of the policy that is now better, random slates are known to be worse.
    assert decide(log_of_random, softmax(np.zeros(6)), softmax(scores)).verdict == "worse"


def test_exposure_by_hand():
    sessions = log(30)
    always = Exposure(np.array([1.0, 1, 0, 0, 0, 0]), np.tile([[[0, 1]]], (sessions.num_steps, 1, 1)))
    assert always.coverage == 1 / 3
    assert np.isclose(always.effective_items, 2)
    assert np.isclose(always.gini, 2 / 3)
    assert always.variety == 0
    alike = Exposure.of(softmax(np.zeros(6)), sessions, draws=50, seed=0)
    assert np.isclose(alike.shares.sum(), 2)
    assert alike.effective_items > 5.9
    assert alike.gini < 0.1
    # A random slate of 2 of 6 holds each of two given items one time in three.
    assert abs(shared_items(always, alike) - 1 / 3) < 0.02
    assert abs(alike.variety - 2 / 3) < 0.02
    assert abs(same_first(always, alike) - 1 / 6) < 0.02
    np.testing.assert_allclose(Exposure.logged(sessions).shares * sessions.num_steps, np.bincount(sessions.slate_items))


def test_a_small_model_that_knows_the_users_beats_chance():
    sessions = RecSimEnv(num_states=2, num_items=6, slate_size=3).collect(800, seed=0)
    found = luce_fidelity(sessions)
    assert found.click_log_likelihood > found.uniform_log_likelihood
    assert np.isclose(found.uniform_log_likelihood, -np.log(3))
    assert abs(found.predicted_reward - found.mean_reward) < 0.05
    assert "It expects" in found.verdict
    with pytest.raises(ValueError, match="two sessions"):
        luce_fidelity(sessions.select([0]))
