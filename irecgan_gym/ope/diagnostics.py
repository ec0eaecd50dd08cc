"""Diagnostics of a log before anything is believed: overlap, and signs of wrong propensities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc, stdtr

from irecgan_gym.evaluation.metrics import Interval
from irecgan_gym.ope.estimate import effective_sample_size
from irecgan_gym.ope.luce_user_model import LuceUserModel
from irecgan_gym.ope.off_policy_data import OffPolicyData
from irecgan_gym.ope.policies import slate_matrix
from irecgan_gym.ope.slate_weights import SlateWeights, WholeSlate

FloatArray = NDArray[np.float64]

_SESSIONS_LOOKED_AT = 10_000
"""By tests that need the probabilities of all items at each step."""
COVERED = 0.9
"""Share of what is to be judged that a log must hold. Verdicts are about differences of a few to ten percent of what a
session earns; where more than a tenth of it is unseen, what is unseen can turn any of them round."""
SURE = 3.0
"""Standard errors below ``COVERED`` from which on a share is taken to be missing. Means of heavy-tailed weights are
mostly below 1 by chance, as they wait for a few large ones: with two, logs with nothing wrong were refused at times.
"""
SMALLEST_SHARE = 0.1
"""Of effective sessions among all: with fewer, the largest weights have not been seen."""
THIN_ERROR = 0.5
"""By what share what is earned at steps with fewer effective sessions may be estimated wrongly, beside the error that
an interval states: nothing in the log tells, and this is as far off as it was in worlds whose truth is known."""
LARGEST_THIN_SHARE = 0.5
"""Of what is earned that may come from steps with a smaller share of effective sessions than ``SMALLEST_SHARE``."""


@dataclass(frozen=True)
class Overlap:
    """Overlap of a policy with a log.

    Attributes:
        num_sessions: S.
        effective_sample_size: of the first step's weights: what is left of S before weights multiply over steps.
        mean_weight: of the first step, 1 where the logger shows every slate that the policy does. What is missing is
            the probability of slates that the log cannot hold.
        standard_error: of that mean.
        unmatched: share of the logged first slates that the policy never shows.
        largest_share: of one session in the sum of the first steps' weights.
    """

    num_sessions: int
    effective_sample_size: float
    mean_weight: float
    standard_error: float
    unmatched: float
    largest_share: float

    @property
    def is_missing(self) -> bool:
        """True if the policy does what the log cannot hold, or nearly never does: the mean weight is far below 1."""
        return self.mean_weight + SURE * self.standard_error < COVERED


def overlap(data: OffPolicyData, weights: SlateWeights | None = None) -> Overlap:
    """Weights of sessions' first steps, where no earlier step has a part.

    Args:
        data: the log and the policies.
        weights: kind of weights; whole slates when None.
    """
    first = (WholeSlate() if weights is None else weights).steps(data)[data.sessions.offsets[:-1]]
    total = float(np.abs(first).sum())
    return Overlap(
        num_sessions=data.num_sessions,
        effective_sample_size=effective_sample_size(first),
        mean_weight=float(first.mean()),
        standard_error=float(first.std(ddof=1) / np.sqrt(len(first))) if len(first) > 1 else float("inf"),
        unmatched=float((first == 0).mean()),
        largest_share=float(np.abs(first).max() / total) if total else 1.0,
    )


@dataclass(frozen=True, eq=False)
class WeightsByStep:
    """Mean cumulative weights by step, which are 1 at every step if the log holds what the policy does.

    The mean at a step is the product, up to it, of how many times as large the cumulative weights of the sessions that
    got so far are after a step as before it. Sessions that are over have no part in what comes later: they would make
    a collapse of the others' weights look small. That sessions last longer or shorter under the policy does not change
    the expectation.

    A mean far below 1 says that from that step on the policy shows slates that this log lacks. Self-normalized
    estimates divide by that mean, and so judge the policy by what little it shares with the log. Numbers of effective
    sessions do not show it: where no session has a large weight, they are all alike.

    The other way round, few sessions with large weights can make up a mean of 1. Those that have yet larger ones and
    are not in the log are missing from the estimate, which is mostly too low. Effective sessions at the steps show
    that; over whole sessions, the first steps, at which weights are still alike, hide it.

    Attributes:
        means: mean cumulative weight at each step, [N] for the N steps of the longest session.
        errors: standard errors of their logarithms, [N]; 0 where the mean is.
        num_sessions: sessions that got so far, [N].
        effective_sample_sizes: of their cumulative weights, [N].
        reward_shares: of all discounted rewards that the weights say the policy earns, divided by their means, those at
            each step, [N]; by absolute value. Not the log's: a policy that loses users early earns little later.
        covered: sum over steps of the share times the mean, where means above 1 count as 1: the share of what is
            earned that the weights speak for.
        covered_error: standard error of that.
    """

    means: FloatArray
    errors: FloatArray
    num_sessions: NDArray[np.int64]
    effective_sample_sizes: FloatArray
    reward_shares: FloatArray
    covered: float
    covered_error: float

    @property
    def is_missing(self) -> bool:
        """True if the log lacks too much of what the policy is to be judged by."""
        return self.covered + SURE * self.covered_error < COVERED

    @property
    def are_thin(self) -> NDArray[np.bool_]:
        """Steps at which few of the sessions that got so far have nearly all of the weight, [N]."""
        thin: NDArray[np.bool_] = self.effective_sample_sizes < SMALLEST_SHARE * self.num_sessions
        return thin

    @property
    def thin_share(self) -> float:
        """Share of what is earned that comes from such steps."""
        return float(self.reward_shares @ self.are_thin)

    @property
    def is_thin(self) -> bool:
        """True if too much of what the policy is to be judged by comes from such steps."""
        return self.thin_share > LARGEST_THIN_SHARE

    @property
    def thin_error(self) -> float:
        """Share of an estimate by which its interval is wider on both sides for what such steps may hide."""
        return THIN_ERROR * self.thin_share

    @property
    def is_enough(self) -> bool:
        """True if estimates by these weights can be believed, as far as single steps tell."""
        return not (self.is_missing or self.is_thin)

    @property
    def thinnest_step(self) -> int:
        """Number from 0 of the step that earns most among those at which few sessions have nearly all of the weight."""
        return int(np.argmax(self.reward_shares * self.are_thin))

    @property
    def worst_step(self) -> int:
        """Number from 0 of the step at which most of the rewards are missing."""
        return int(np.argmax(self.reward_shares * (1 - self.means)))

    def interval(self, step: int) -> Interval:
        """95% interval of the mean at a step, symmetric in its logarithm; too short where the weights collapse.

        Args:
            step: its number from 0.
        """
        mean, factor = float(self.means[step]), float(np.exp(1.96 * self.errors[step]))
        return Interval(mean, mean / factor, mean * factor)


def weights_by_step(data: OffPolicyData, weights: SlateWeights | None = None) -> WeightsByStep:
    """Look at what becomes of cumulative weights over the steps of sessions.

    Args:
        data: the log and the policies.
        weights: kind of weights, none negative; whole slates when None.
    """
    running = data.running_products((WholeSlate() if weights is None else weights).steps(data))
    after = data.by_time(running, 0.0)
    before = data.by_time(data.shifted(running, 1.0), 0.0)
    totals = before.sum(axis=0)
    factors = np.divide(after.sum(axis=0), totals, out=np.zeros_like(totals), where=totals > 0)
    means = np.cumprod(factors)
    # Influences of sessions on the logarithm of the mean, by the delta method; [S, N].
    scale = factors * totals
    surprises = np.divide(after - factors * before, scale, out=np.zeros_like(after), where=scale > 0)
    influences = np.cumsum(surprises, axis=1)
    influences[:, means == 0] = 0.0
    rewards = data.by_time(data.discounts * np.abs(data.rewards), 0.0)
    earned = np.divide((after * rewards).sum(axis=0), means, out=rewards.sum(axis=0), where=means > 0)
    if not earned.sum():
        earned = data.by_time(data.discounts, 0.0).sum(axis=0)
    shares = earned / earned.sum()
    squares = (after**2).sum(axis=0)
    return WeightsByStep(
        means=means,
        errors=np.sqrt((influences**2).sum(axis=0)),
        num_sessions=np.bincount(data.step_in_session, minlength=len(means)),
        effective_sample_sizes=np.divide(
            after.sum(axis=0) ** 2, squares, out=np.zeros_like(squares), where=squares > 0
        ),
        reward_shares=shares,
        covered=float(shares @ np.minimum(means, 1.0)),
        covered_error=float(np.sqrt(((influences @ (shares * means * (means < 1))) ** 2).sum())),
    )


def calibration_p_value(data: OffPolicyData) -> float:
    """Return the p-value of the items shown if the logger's propensities are right.

    Items at the first place are counted over all steps, beside the sum of their stated probabilities: the sum over
    items of (count - expected)^2 / expected, against the chi-squared distribution. Small values say that the
    propensities are not those of the policy that made the log.

    Returns:
        A p-value; NaN where the logging policy itself is not at hand, or nothing is random.
    """
    if data.logging_policy is None:
        return float("nan")
    sessions = data.sessions
    slates = slate_matrix(sessions, data.logging_policy.num_items, data.logging_policy.slate_size)
    table, contexts = data.logging_policy.place_table(sessions)
    expected = np.bincount(contexts, minlength=len(table)) @ table[:, 0]
    counts = np.bincount(slates[:, 0], minlength=sessions.num_items)
    many = expected >= 5
    degrees = int(many.sum()) - 1
    if degrees < 1:
        return float("nan")
    statistic = float(((counts[many] - expected[many]) ** 2 / expected[many]).sum())
    return float(gammaincc(degrees / 2, statistic / 2))


def confounding_p_value(data: OffPolicyData) -> float:
    """Return the p-value of slates that go with what was known before them, if the propensities know all of that.

    Given everything that the logger acted upon, 1{a in A_t} - p(a in A_t) has mean 0 for each item a, whatever came
    before. The vector of these is multiplied by what it must not go with: the vector of the step before, and, where the
    log holds true states that the propensities do not know, the mean vector of the state in the other half of the
    sessions. Student's test says whether the products have mean 0. Small p-values say that the logger acted upon more
    than the propensities are conditional on: the log is confounded. Large ones do not say that it is not: what a logger
    saw need not leave a trace in a log.

    Returns:
        A p-value, of both tests together by Bonferroni; NaN where the logging policy itself is not at hand or nothing
        can be tested.
    """
    if data.logging_policy is None:
        return float("nan")
    logger = data.logging_policy
    data = data.select(np.arange(min(data.num_sessions, _SESSIONS_LOOKED_AT)))
    sessions = data.sessions
    slates = slate_matrix(sessions, logger.num_items, logger.slate_size)
    table, contexts = logger.place_table(sessions)
    surprise = -table.sum(axis=1)[contexts]
    np.put_along_axis(surprise, slates, np.take_along_axis(surprise, slates, axis=1) + 1, axis=1)
    later = np.flatnonzero(data.step_in_session > 0)
    products = [(surprise[later] * surprise[later - 1]).sum(axis=1)]
    if sessions.states is not None and data.logging.given != "state":
        products.append(_by_state(surprise, sessions.states, sessions.session_of_step % 2, later))
    p_values = [p_value for p_value in map(_p_value_of_mean_0, products) if np.isfinite(p_value)]
    return min(1.0, len(p_values) * min(p_values)) if p_values else float("nan")


def place_effect_p_value(data: OffPolicyData) -> float:
    """Return the p-value of the places of clicks if users do not care about places.

    Users who do not are taken to choose as Luce's model says, with weights fitted to the other half of the sessions.
    The clicks at each place are counted beside the sum of their probabilities, against the chi-squared distribution.

    Returns:
        A p-value; NaN with too few clicks.
    """
    sessions = data.sessions
    numbers = np.arange(len(sessions))
    if len(sessions) < 2:
        return float("nan")
    counts = expected = np.zeros(int(sessions.slate_lengths[0]))
    for half in range(2):
        model = LuceUserModel.fit(sessions.select(numbers % 2 != half))
        part = sessions.select(numbers % 2 == half)
        slates = slate_matrix(part, part.num_items, len(counts))
        clicked = part.clicks < part.num_items
        weights = model.weights[part.previous_clicks[:, None], slates]
        shares = weights / weights.sum(axis=1, keepdims=True)
        expected = expected + shares[clicked].sum(axis=0)
        counts = counts + (slates == part.clicks[:, None])[clicked].sum(axis=0)
    if len(counts) < 2 or expected.min() < 5:
        return float("nan")
    return float(gammaincc((len(counts) - 1) / 2, ((counts - expected) ** 2 / expected).sum() / 2))


def _by_state(
    surprise: FloatArray, states: NDArray[np.integer], half: NDArray[np.integer], later: NDArray[np.integer]
) -> FloatArray:
    """Vectors of later steps in one half of the sessions times the mean vector of their states in the other half.

    Not the other way round too: both sums are the same product of means, and would count it twice.
    """
    tested, taught = later[half[later] == 0], later[half[later] == 1]
    products = []
    for state in np.unique(states[tested]):
        others = taught[states[taught] == state]
        if len(others):
            products.append(surprise[tested[states[tested] == state]] @ surprise[others].mean(axis=0))
    return np.concatenate(products) if products else np.zeros(0)


def _p_value_of_mean_0(values: FloatArray) -> float:
    """Student's test of a mean of 0, both ways; NaN where nothing varies or there are under 30 values."""
    if len(values) < 30 or np.ptp(values) < 1e-9:
        return float("nan")
    statistic = values.mean() / (values.std(ddof=1) / np.sqrt(len(values)))
    return float(2 * stdtr(len(values) - 1, -abs(statistic)))
