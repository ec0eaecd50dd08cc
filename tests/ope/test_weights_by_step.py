"""Mean cumulative weights by step: by hand, their expectation, and the verdicts that they hold back."""

import numpy as np
import pytest

from irecgan_gym.benchmarks.decision.page import step_rows
from irecgan_gym.ope import (
    LoggedSlates,
    OffPolicyData,
    PlackettLucePolicy,
    SlatePropensities,
    TopKPolicy,
    decide,
    fixed_scores,
    last_click_scores,
    recommend,
    weights_by_step,
)
from irecgan_gym.ope.decision import agreed_interval
from irecgan_gym.ope.diagnostics import COVERED, LARGEST_THIN_SHARE, SMALLEST_SHARE, SURE, THIN_ERROR
from irecgan_gym.ope.recommendation import ENOUGH, LARGEST_SHARE
from irecgan_gym.sessions import Sessions

NUM_ITEMS = 8
STEPS = 10
CHANCES = np.array([0.6, 0.3, 0.3, 0.3, 0.3, 0.2, 0.2, 0.2])
"""Probability of a reward by item: the best one is 0."""


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def play(scores, number, rng, *, staying=None):
    """Sessions of slates of one item, which is clicked, drawn from a softmax of scores by the item before.

    ``staying`` holds the probability by item that a session goes on, for ever up to ``STEPS`` when None.
    """
    items = np.empty((number, STEPS), dtype=int)
    before = np.full(number, NUM_ITEMS)
    for step in range(STEPS):
        bounds = softmax(scores)[before].cumsum(axis=1)
        before = items[:, step] = (bounds < rng.random((number, 1))).sum(axis=1).clip(0, NUM_ITEMS - 1)
    lengths = np.full(number, STEPS)
    if staying is not None:
        leaves = rng.random(items.shape) >= staying[items]
        lengths = np.where(leaves.any(axis=1), leaves.argmax(axis=1) + 1, STEPS)
    there = np.arange(STEPS) < lengths[:, None]
    rewards = (rng.random(items.shape) < CHANCES[items]) * 1.0
    return Sessions.from_columns(
        num_items=NUM_ITEMS, lengths=lengths, slates=items[there][:, None], clicks=items[there], rewards=rewards[there]
    )


def by_click(scores):
    return PlackettLucePolicy(last_click_scores(scores), NUM_ITEMS, 1)


UNIFORM = PlackettLucePolicy(fixed_scores(np.zeros(NUM_ITEMS)), NUM_ITEMS, 1)
HIDES_THE_BEST = np.tile(np.where(np.arange(NUM_ITEMS) == 0, -12.0, 0.0), (NUM_ITEMS + 1, 1))
"""A logger that shows the best item once in a million times."""
FINDS_THE_BEST = HIDES_THE_BEST.copy()
"""A policy that begins like this logger; then it shows the best item 3 times in 10 and the worst ones often."""
FINDS_THE_BEST[:NUM_ITEMS] = [1.6, 0, 0, 0, 0, 1, 1, 1]


def test_means_by_hand():
    sessions = Sessions.from_columns(
        num_items=2,
        lengths=[2, 1, 3],
        slates=[[0]] * 6,
        clicks=[0] * 6,
        rewards=[1, 0, 2, 0, 1, 1],
    )
    ratios = np.array([0.5, 2.0, 1.0, 1.5, 0.5, 0.2])
    logged = SlatePropensities.from_probabilities(sessions, np.full(6, 0.25), given="clicks")
    wanted = SlatePropensities.from_probabilities(sessions, 0.25 * ratios, given="clicks")
    found = weights_by_step(OffPolicyData.create(sessions, logged, wanted))
    # First 0.5, 1, 1.5; then 0.5 and 1.5 become 1 and 0.75; then 0.75 becomes 0.15.
    np.testing.assert_allclose(found.means, [1.0, 1.75 / 2, 1.75 / 2 * 0.2])
    np.testing.assert_allclose(found.effective_sample_sizes, [9 / 3.5, 1.75**2 / (1 + 0.75**2), 1])
    # Rewards 1, 2, 0 weigh 2.5 together; 0 and 1 weigh 0.75, and the last 0.15; all over the mean of their step.
    earned = np.array([2.5, 0.75 / 0.875, 0.15 / 0.175])
    np.testing.assert_allclose(found.reward_shares, earned / earned.sum())
    assert np.isclose(found.covered, (earned @ [1, 0.875, 0.175]) / earned.sum())
    assert found.worst_step == 2
    np.testing.assert_array_equal(found.num_sessions, [3, 2, 1])
    assert not found.are_thin.any()
    assert found.thin_share == 0
    # Of the first mean alone the error is the usual one, of the logarithm.
    assert np.isclose(found.errors[0], np.sqrt(0.5) / 3)
    halved = weights_by_step(OffPolicyData.create(sessions, logged, wanted, gamma=0.5))
    earned *= [1, 0.5, 0.25]
    np.testing.assert_allclose(halved.reward_shares, earned / earned.sum())


def test_a_policy_that_never_shows_what_was_shown_leaves_nothing():
    sessions = Sessions.from_columns(num_items=2, lengths=[2, 2], slates=[[0]] * 4, clicks=[0] * 4, rewards=[0] * 4)
    logged = SlatePropensities.from_probabilities(sessions, np.array([1, 0.5, 1, 0.5]), given="clicks")
    turns = TopKPolicy(last_click_scores(np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])), 2, 1)
    found = weights_by_step(OffPolicyData.create(sessions, logged, turns))
    np.testing.assert_array_equal(found.means, [1, 0])
    # Without any reward, steps count alike.
    np.testing.assert_array_equal(found.reward_shares, [0.5, 0.5])
    assert found.covered == 0.5
    assert found.is_missing
    assert (found.interval(1).low, found.interval(1).high) == (0, 0)


def near_scores():
    return 0.4 * np.random.default_rng(1).normal(size=(NUM_ITEMS + 1, NUM_ITEMS))


@pytest.mark.parametrize("leaving", [False, True])
def test_logs_that_hold_what_the_policy_does_have_means_of_1_and_are_hardly_ever_refused(leaving):
    scores, staying = near_scores(), None
    if leaving:
        # The policy prefers items that keep users: its sessions are longer, which is no reason for a refusal.
        staying = np.linspace(0.5, 0.95, NUM_ITEMS)
        scores = scores + 2 * (staying - staying.mean())
    held, missing, logs = np.zeros(STEPS), 0, 100
    for seed in range(logs):
        sessions = play(np.zeros((NUM_ITEMS + 1, NUM_ITEMS)), 500, np.random.default_rng(seed), staying=staying)
        found = weights_by_step(OffPolicyData.create(sessions, UNIFORM, by_click(scores)))
        assert len(found.means) == STEPS
        held += [found.interval(step).low <= 1 <= found.interval(step).high for step in range(STEPS)]
        missing += found.is_missing
    # 95 of 100 where weights are light, at first; fewer at late steps, whose largest weights are mostly not seen.
    assert held[:3].min() >= 88
    assert held.min() >= 70
    assert missing <= 2


def test_a_better_policy_is_not_called_worse_where_the_log_lacks_what_it_does():
    logger, target = by_click(HIDES_THE_BEST), by_click(FINDS_THE_BEST)
    truth = [
        play(scores, 20_000, np.random.default_rng(9)).rewards.sum() / 20_000
        for scores in (FINDS_THE_BEST, HIDES_THE_BEST)
    ]
    assert truth[0] > truth[1] + 0.5
    for seed in range(3):
        sessions = play(HIDES_THE_BEST, 2000, np.random.default_rng(seed))
        decision = decide(LoggedSlates(sessions, logger), target)
        # By effective sessions and the weight of single ones, the wrong verdict would be a sure one.
        gain = decision.gains["snsips"]
        assert gain.effective_sample_size > max(ENOUGH, SMALLEST_SHARE * 2000)
        assert gain.largest_share < LARGEST_SHARE
        assert agreed_interval(gain).high < 0
        # So it is by the first step, at which both policies are alike.
        assert not decision.advice.overlap.is_missing
        weights = decision.advice.weights
        assert np.isclose(weights.means[0], 1)
        assert (np.diff(weights.means) < 0).all()
        assert weights.interval(STEPS - 1).high < 0.1
        assert weights.covered + SURE * weights.covered_error < COVERED
        assert (decision.verdict, decision.interval, decision.new) == ("not known", None, None)
        worst = weights.worst_step
        assert f"{weights.means[worst]:.2g} at step {worst + 1}" in decision.reasons[0]
        # The same of the policy to be replaced.
        other_way = decide(LoggedSlates(sessions, logger), logger, target)
        assert other_way.verdict == "not known"
        assert "of the current policy: the weights do not cover" in other_way.reasons[0]


STAYS = np.full(NUM_ITEMS, 0.75)


def prefers_the_best(strength):
    """Scores of a policy that begins with anything, and then shows the best item e^strength times as often."""
    scores = np.zeros((NUM_ITEMS + 1, NUM_ITEMS))
    scores[:NUM_ITEMS, 0] = strength
    return scores


def random_log(seed):
    return play(np.zeros((NUM_ITEMS + 1, NUM_ITEMS)), 1500, np.random.default_rng(seed), staying=STAYS)


def test_effective_sessions_at_single_steps_by_hand():
    # Two steps a session; at the second, one of 30 sessions has nearly all of the weight.
    sessions = Sessions.from_columns(
        num_items=2, lengths=[2] * 30, slates=[[0]] * 60, clicks=[0] * 60, rewards=[1, 1] * 30
    )
    second = np.full(30, 0.1)
    second[0] = 27.1
    ratios = np.stack([np.ones(30), second], axis=1).reshape(-1)
    logged = SlatePropensities.from_probabilities(sessions, np.full(60, 0.02), given="clicks")
    wanted = SlatePropensities.from_probabilities(sessions, 0.02 * ratios, given="clicks")
    found = weights_by_step(OffPolicyData.create(sessions, logged, wanted))
    np.testing.assert_allclose(found.means, [1, 1])
    np.testing.assert_allclose(found.effective_sample_sizes, [30, 30**2 / (27.1**2 + 0.29)])
    np.testing.assert_array_equal(found.num_sessions, [30, 30])
    np.testing.assert_array_equal(found.are_thin, [False, True])
    assert found.thinnest_step == 1
    assert np.isclose(found.thin_share, 0.5)
    assert np.isclose(found.thin_error, 0.25)
    # A step at which nothing is earned does not matter.
    columns = sessions.to_columns() | {"rewards": np.tile([1, 0], 30)}
    without = Sessions.from_columns(**columns)
    found = weights_by_step(OffPolicyData.create(without, logged, wanted))
    assert found.thin_share == found.thin_error == 0
    assert not found.is_thin


def test_where_later_steps_have_a_handful_of_effective_sessions_intervals_are_wider():
    scores = prefers_the_best(2.2)
    truth = play(scores, 20_000, np.random.default_rng(9), staying=STAYS).rewards.sum() / 20_000
    for seed in (0, 4, 6):
        decision = decide(LoggedSlates(random_log(seed), UNIFORM), by_click(scores))
        advice, weights = decision.advice, decision.advice.weights
        # By means and by whole sessions all is well, and the interval that follows from them misses the truth.
        assert advice.estimate.effective_sample_size > max(ENOUGH, SMALLEST_SHARE * 1500)
        assert advice.estimate.largest_share < LARGEST_SHARE
        assert not weights.is_missing
        plain, stated = advice.estimate.interval("bootstrap"), advice.interval()
        assert not plain.low <= truth <= plain.high
        assert stated.low <= truth <= stated.high
        assert 0.2 < weights.thin_share < LARGEST_THIN_SHARE
        hidden = THIN_ERROR * weights.thin_share * advice.estimate.estimate
        np.testing.assert_allclose([plain.low - stated.low, stated.high - plain.high], hidden)
        gain = agreed_interval(decision.gain)
        np.testing.assert_allclose(
            [decision.interval.low, decision.interval.high], [gain.low - hidden, gain.high + hidden]
        )
        assert advice.verdict == "trust"
        step = weights.thinnest_step
        assert weights.effective_sample_sizes[step] < SMALLEST_SHARE * weights.num_sessions[step]
        assert f"of {weights.num_sessions[step]:,} are effective at step {step + 1}" in " ".join(advice.reasons)


def test_logs_are_refused_where_such_steps_earn_more_than_half():
    scores = prefers_the_best(2.6)
    for seed in (1, 2, 5):
        decision = decide(LoggedSlates(random_log(seed), UNIFORM), by_click(scores))
        weights = decision.advice.weights
        assert decision.advice.candidates["sndr"].effective_sample_size > max(ENOUGH, SMALLEST_SHARE * 1500)
        assert not weights.is_missing
        assert weights.thin_share > LARGEST_THIN_SHARE
        assert (decision.advice.verdict, decision.verdict) == ("refuse", "not known")
        assert "are effective at step" in decision.reasons[0]


def test_a_policy_that_leaves_a_tenth_of_the_sessions_at_each_step_is_trusted_as_it_is():
    scores = prefers_the_best(1.2)
    for seed in (0, 1, 3):
        advice = recommend(LoggedSlates(random_log(seed), UNIFORM), by_click(scores))
        assert advice.weights.effective_sample_sizes[-1] < 50
        assert advice.weights.thin_share == 0
        assert advice.verdict == "trust"
        assert advice.interval() == advice.estimate.interval("bootstrap")


def test_late_steps_at_which_hardly_anything_is_earned_do_not_matter():
    sessions = play(HIDES_THE_BEST, 1000, np.random.default_rng(0))
    late = np.tile(np.arange(STEPS) > 0, 1000)
    columns = sessions.to_columns() | {"rewards": np.where(late, 0.01, 1.0) * sessions.rewards}
    advice = recommend(
        LoggedSlates(Sessions.from_columns(**columns), by_click(HIDES_THE_BEST)), by_click(FINDS_THE_BEST)
    )
    assert advice.weights.means[-1] < 0.1
    assert not advice.weights.is_missing
    assert advice.verdict == "trust"


def test_a_policy_near_the_log_stays_trusted():
    sessions = play(np.zeros((NUM_ITEMS + 1, NUM_ITEMS)), 2000, np.random.default_rng(0))
    decision = decide(LoggedSlates(sessions, UNIFORM), by_click(np.tile(0.8 * (CHANCES - 0.3), (NUM_ITEMS + 1, 1))))
    assert decision.advice.verdict == "trust"
    assert decision.verdict == "better"


def test_the_page_shows_some_of_many_steps_and_the_one_with_most_unseen():
    sessions = play(HIDES_THE_BEST, 300, np.random.default_rng(0))
    few = step_rows(weights_by_step(OffPolicyData.create(sessions, by_click(HIDES_THE_BEST), by_click(FINDS_THE_BEST))))
    assert [row.number for row in few] == list(range(1, STEPS + 1))
    assert np.isclose(sum(row.share for row in few), 1)
    assert few[0].width == 100 > few[1].width > few[2].width
    one = Sessions.from_columns(
        num_items=NUM_ITEMS, lengths=[300], slates=np.zeros((300, 1), int), clicks=[0] * 300, rewards=np.arange(300)
    )
    weights = weights_by_step(OffPolicyData.create(one, UNIFORM, by_click(np.zeros((NUM_ITEMS + 1, NUM_ITEMS)))))
    many = [row.number for row in step_rows(weights)]
    assert many[0] == 1
    assert many[-1] == 300
    assert len(many) <= 13
    assert weights.worst_step + 1 in many
