"""Is a new policy better than the current one? A plain verdict from a log, or that the log does not tell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from irecgan_gym.evaluation.metrics import Interval
from irecgan_gym.ope.difference import difference, live_test_sessions, logged_value
from irecgan_gym.ope.estimate import OffPolicyEstimate
from irecgan_gym.ope.policies import EvaluationPolicy
from irecgan_gym.ope.recommendation import LoggedSlates, Recommendation, recommend, widened
from irecgan_gym.sessions.slate_propensities import SlatePropensities

Judgement = Literal["better", "worse", "not known"]

PRACTICAL_GAPS = (0.01, 0.02, 0.05, 0.1)
"""Differences, as shares of what the current policy earns, for which the sessions of a live test are stated."""


@dataclass(frozen=True)
class LiveTest:
    """A live test of two policies side by side, with power 0.8 at a significance of 0.05.

    Attributes:
        gap: difference in what a session earns that it would see.
        sessions: sessions of each policy.
    """

    gap: float
    sessions: int


@dataclass(frozen=True, eq=False)
class Decision:
    """Verdict of a log on a new policy beside the current one.

    Attributes:
        verdict: ``"better"``: the whole interval of the difference is above the margin. ``"worse"``: it is below the
            margin. ``"not known"``: neither, or no estimate can be believed.
        reasons: sentences that say why.
        margin: smallest difference that counts.
        advice: on the log and the new policy.
        current_advice: the same for the current policy; None where that made the log.
        current: estimated value of the current policy; None where none can be believed.
        new: the same of the new policy.
        gain: the new policy's value less the current one's, paired by session.
        interval: of the gain, 95%, wider by what few effective sessions at single steps may hide; None where there is
            none to be believed.
        gains: the same by every estimator looked at, whether or not it is to be believed.
        values: values of both policies by these estimators, current first.
        deviation: standard deviation of what logged sessions earn.
    """

    verdict: Judgement
    reasons: tuple[str, ...]
    margin: float
    advice: Recommendation
    current_advice: Recommendation | None
    current: OffPolicyEstimate | None
    new: OffPolicyEstimate | None
    gain: OffPolicyEstimate | None
    interval: Interval | None
    gains: dict[str, OffPolicyEstimate]
    values: dict[str, tuple[OffPolicyEstimate, OffPolicyEstimate]]
    deviation: float

    @property
    def is_believed(self) -> bool:
        """True if the interval can be believed, under no condition but that estimated propensities are right."""
        if self.interval is None:
            return False
        advices = (self.advice,) if self.current_advice is None else (self.advice, self.current_advice)
        return not {condition for advice in advices for condition in advice.conditions} - {"estimated"}

    def live_test(self, gap: float | None = None) -> LiveTest | None:
        """Sessions of a live test that would see a gap, the estimated one when None; None where that is 0."""
        if gap is None:
            gap = None if self.gain is None else self.gain.estimate
        if not gap:
            return None
        return LiveTest(gap, live_test_sessions(gap, self.deviation))

    def __str__(self) -> str:
        lines = [f"verdict: {self.verdict}"]
        if self.interval is not None and self.current is not None and self.new is not None:
            lines.append(
                f"{self.new.estimator}: {self.current.estimate:.4f} now, {self.new.estimate:.4f} then, a difference of "
                f"{self.interval.mean:+.4f} [{self.interval.low:+.4f}, {self.interval.high:+.4f}]"
            )
        return "\n".join([*lines, *(f"- {reason}" for reason in self.reasons)])


def decide(
    log: LoggedSlates,
    new: EvaluationPolicy | SlatePropensities,
    current: EvaluationPolicy | SlatePropensities | None = None,
    *,
    gamma: float = 1.0,
    margin: float = 0.0,
) -> Decision:
    """Judge a new policy beside the current one by a log.

    The estimator is chosen for the new policy from what can be seen of the log without its rewards
    (:func:`irecgan_gym.ope.recommendation.recommend`), so that it is not chosen for what it says. The difference is
    paired by session; its interval must lie on one side of the margin by Student's t and by the bootstrap alike.
    Nothing is known where the log cannot be believed for either policy.

    Args:
        log: sessions, and who showed their slates.
        new: the policy that may be deployed.
        current: the policy to be replaced; when None, the one that made the log.
        gamma: discount factor.
        margin: smallest difference of what a session earns that counts; not negative.

    Raises:
        ValueError: a negative margin, or a log, policies or a discount that cannot be.
    """
    if not margin >= 0:
        raise ValueError(f"margin must not be negative, got {margin!r}")
    advice = recommend(log, new, gamma=gamma)
    current_advice = None if current is None else recommend(log, current, gamma=gamma)
    logged = logged_value(log.sessions, gamma)
    deviation = logged.standard_error() * float(np.sqrt(logged.num_sessions))
    before = (
        {name: replace(logged, estimator=name) for name in advice.candidates}
        if current_advice is None
        else current_advice.candidates
    )
    values = {name: (before[name], estimate) for name, estimate in advice.candidates.items() if name in before}
    gains = {name: difference(then, now) for name, (now, then) in values.items()}
    nothing = (advice, current_advice, None, None, None, None, gains, values, deviation)
    if advice.estimator is None:
        return Decision("not known", advice.reasons, margin, *nothing)
    if current_advice is not None and current_advice.estimator is None:
        reasons = tuple(f"of the current policy: {reason}" for reason in current_advice.reasons)
        return Decision("not known", reasons, margin, *nothing)

    if advice.estimator.estimator_name not in values:
        reason = f"the current policy's probabilities do not hold what {advice.estimator.estimator_name} needs"
        return Decision("not known", (reason,), margin, *nothing)
    now, then = values[advice.estimator.estimator_name]
    gain = gains[advice.estimator.estimator_name]
    hidden = advice.hidden + (0.0 if current_advice is None else current_advice.hidden)
    interval = widened(agreed_interval(gain), hidden)
    verdict, reason = _judge(interval, margin)
    found = Decision(
        verdict,
        (reason, *advice.reasons),
        margin,
        advice,
        current_advice,
        now,
        then,
        gain,
        interval,
        gains,
        values,
        deviation,
    )
    if verdict == "not known" or found.is_believed:
        return found
    return replace(found, verdict="not known", reasons=(f"{reason}, if that could be believed", *advice.reasons))


def agreed_interval(gain: OffPolicyEstimate) -> Interval:
    """Smallest 95% interval that holds Student's and the bootstrap's: weights of long tails deceive either at times."""
    both = [gain.interval("bootstrap")]
    if gain.statistic.influences() is not None:
        both.append(gain.interval("ttest"))
    return Interval(gain.estimate, min(found.low for found in both), max(found.high for found in both))


def _judge(interval: Interval, margin: float) -> tuple[Judgement, str]:
    """Return the verdict that an interval allows, and the sentence for it."""
    if interval.low == interval.high == 0:
        return "not known", "both policies show these sessions the same slates: there is no difference to see"
    beyond = "0" if not margin else f"the margin of {margin:g}"
    if interval.low > margin:
        return "better", f"the whole 95% interval of the difference is above {beyond}"
    if interval.high < -margin:
        return "worse", f"the whole 95% interval of the difference is below {'0' if not margin else f'{-margin:g}'}"
    return "not known", f"the 95% interval of the difference does not lie beyond {beyond}"
