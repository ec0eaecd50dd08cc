"""Which estimator to believe for a policy and a log, and when to believe none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from irecgan_gym.evaluation.metrics import Interval
from irecgan_gym.ope.diagnostics import (
    SMALLEST_SHARE,
    Overlap,
    WeightsByStep,
    calibration_p_value,
    confounding_p_value,
    overlap,
    place_effect_p_value,
    weights_by_step,
)
from irecgan_gym.ope.doubly_robust import DoublyRobust, SelfNormalizedDR
from irecgan_gym.ope.estimate import OffPolicyEstimate
from irecgan_gym.ope.estimator import OffPolicyEstimator
from irecgan_gym.ope.importance_sampling import (
    InclusionIPS,
    PerDecisionImportanceSampling,
    SelfNormalizedLatentIPS,
    SelfNormalizedSlateIndependentIPS,
    SelfNormalizedSlateRewardInteractionIPS,
    SelfNormalizedSlateStandardIPS,
)
from irecgan_gym.ope.luce_user_model import LuceUserModel
from irecgan_gym.ope.off_policy_data import OffPolicyData
from irecgan_gym.ope.policies import EvaluationPolicy
from irecgan_gym.ope.slate_weights import Abstraction
from irecgan_gym.ope.value_model import CrossFitted, LastValues
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.slate_propensities import SlatePropensities

ENOUGH = 200.0
"""Effective sessions from which on an interval is believed."""
TOO_FEW = 50.0
"""Effective sessions below which nothing is."""
LARGEST_SHARE = 0.1
"""Of the weights that a single session may have."""
SURPRISE = 1e-3
"""P-value at which propensities are not believed."""


class LoggedSlates(NamedTuple):
    """A log, and who showed its slates.

    Attributes:
        sessions: the log.
        logging: the policy that showed them, or the probabilities with which it did.
    """

    sessions: Sessions
    logging: EvaluationPolicy | SlatePropensities

    @classmethod
    def recorded(cls, sessions: Sessions) -> LoggedSlates:
        """A log that says itself with which probabilities its slates were shown.

        Raises:
            ValueError: it does not.
        """
        if sessions.slate_propensities is None:
            raise ValueError("these sessions hold no probabilities of their slates (slate_propensities)")
        return cls(sessions, sessions.slate_propensities)


Verdict = Literal["trust", "conditional", "refuse"]
Condition = Literal["estimated", "few", "assumption"]
"""What an advice depends on: that estimated propensities are right, that few effective sessions hold what matters, or
that users are as the estimator assumes."""


@dataclass(frozen=True, eq=False)
class Recommendation:
    """Advice on a log for a policy.

    Attributes:
        verdict: ``"trust"``: the estimate and its interval can be believed. ``"conditional"``: they can, if what the
            estimator assumes holds (``estimator.assumption``) or ``reasons`` do not matter. ``"refuse"``: no estimate
            can be believed.
        estimator: the one to use; None with ``"refuse"``.
        estimate: what it says; None with ``"refuse"``.
        reasons: sentences that say why.
        overlap: of the sessions' first steps.
        weights: by step, of the estimator to use; with ``"refuse"``, of the one that would have been.
        candidates: estimates of all estimators looked at, by name, for the curious.
        conditions: of ``"conditional"``; empty otherwise.
    """

    verdict: Verdict
    estimator: OffPolicyEstimator | None
    estimate: OffPolicyEstimate | None
    reasons: tuple[str, ...]
    overlap: Overlap
    weights: WeightsByStep
    candidates: dict[str, OffPolicyEstimate] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()

    def interval(self) -> Interval | None:
        """95% bootstrap interval of the estimate, wider by what thin steps may hide; None with ``"refuse"``."""
        return None if self.estimate is None else widened(self.estimate.interval("bootstrap"), self.hidden)

    @property
    def hidden(self) -> float:
        """Reward by which the estimate may be off for steps at which few sessions have nearly all of the weight."""
        return 0.0 if self.estimate is None else self.weights.thin_error * abs(self.estimate.estimate)

    def __str__(self) -> str:
        lines = [f"verdict: {self.verdict}"]
        interval = self.interval()
        if self.estimate is not None and interval is not None:
            lines.append(
                f"{self.estimate.estimator}: {interval.mean:.4f} [{interval.low:.4f}, {interval.high:.4f}], "
                f"{self.estimate.effective_sample_size:,.0f} effective of {self.estimate.num_sessions:,} sessions"
            )
        return "\n".join([*lines, *(f"- {reason}" for reason in self.reasons)])


def widened(interval: Interval, by: float) -> Interval:
    """An interval that is wider by so much on both sides."""
    return Interval(interval.mean, interval.low - by, interval.high + by)


def recommend(log: LoggedSlates, policy: EvaluationPolicy | SlatePropensities, *, gamma: float = 1.0) -> Recommendation:
    """Say which estimator to use for a policy and a log, from what can be seen of them.

    Refused is a log whose propensities cannot be right (its slates are not as probable as they say), whose logger seems
    to have acted upon more than they know (confounding), which does not hold what the policy does (no overlap at first,
    or weights that vanish at later steps), or that leaves too few effective sessions, in all or at later steps that
    earn more than half; where such steps earn less, the interval is wider. Otherwise, the doubly robust estimator is
    taken, or the self-normalized one where there is no model; by the items of a slate in any order where the log shows
    that users do not care about it. With too few effective sessions for these, one that assumes more may do, under the
    condition that this holds.

    Args:
        log: the sessions and who made them.
        policy: to be judged.
        gamma: discount factor.
    """
    data = OffPolicyData.create(log.sessions, log.logging, policy, gamma=gamma)
    there = overlap(data)
    doubts = _doubts(data)
    order_matters = not place_effect_p_value(data) > 0.01
    has_policy = data.target_policy is not None
    model = LastValues(CrossFitted(LuceUserModel.fit))
    safe: list[_Weighing] = [SelfNormalizedDR(model)] if has_policy else []
    safe.append(SelfNormalizedSlateStandardIPS())
    notes: list[str] = []
    if data.target.sets is not None and data.logging.sets is not None and not order_matters:
        notes.append("clicks do not depend on places as far as the log shows, so that the order of a slate is left out")
        without_order: list[_Weighing] = [_OrderlessDR(model, Abstraction())] if has_policy else []
        safe = [*without_order, SelfNormalizedLatentIPS(), *safe]
        there = overlap(data, Abstraction())
    bold: list[_Weighing] = [SelfNormalizedSlateRewardInteractionIPS()]
    if data.target.places is not None and data.logging.places is not None:
        bold.append(SelfNormalizedSlateIndependentIPS())
    if data.target.inclusions is not None and data.logging.inclusions is not None:
        bold.append(InclusionIPS())
    found = {estimator.estimator_name: (estimator, estimator.evaluate(data)) for estimator in [*safe, *bold]}
    candidates = {name: estimate for name, (_, estimate) in found.items()}
    kinds = {type(estimator.slate_weights): estimator.slate_weights for estimator in [*safe, *bold]}
    by_step = {kind: weights_by_step(data, weights) for kind, weights in kinds.items()}

    def weights_of(estimator: _Weighing) -> WeightsByStep:
        return by_step[type(estimator.slate_weights)]

    def best(estimators: list[_Weighing], enough: float) -> tuple[_Weighing, OffPolicyEstimate] | None:
        covering = [estimator for estimator in estimators if weights_of(estimator).is_enough]
        return _best([found[estimator.estimator_name] for estimator in covering], enough)

    usual = weights_of(safe[0])
    if doubts:
        return Recommendation("refuse", None, None, tuple(doubts), there, usual, candidates)
    if there.is_missing:
        reason = (
            f"no overlap: about {1 - there.mean_weight:.0%} of what the policy shows first is not in the log, whatever "
            "its size"
        )
        return Recommendation("refuse", None, None, (reason, *notes), there, usual, candidates)
    if usual.is_missing:
        notes.insert(0, _missing(usual))
    elif usual.is_thin:
        notes.insert(0, _thin(usual))
    conditions: list[Condition] = []
    if data.logging.estimated:
        conditions.append("estimated")
        notes.append("the propensities are estimated: the estimate is right if the model of the logger is")
    chosen = best(safe, ENOUGH)
    reason = "" if chosen is None else _size(chosen[1])
    if chosen is None:
        chosen = best(safe, TOO_FEW)
        if chosen is not None:
            conditions.append("few")
            reason = f"{_size(chosen[1])}: its interval may be too narrow"
    if chosen is None:
        chosen = best(bold, ENOUGH)
        if chosen is not None:
            conditions.append("assumption")
            reason = f"only if {chosen[0].assumption}; estimators that assume nothing have too few effective sessions"
    if chosen is not None:
        verdict: Verdict = "conditional" if conditions else "trust"
        of_chosen = weights_of(chosen[0])
        if of_chosen.thin_share:
            notes.append(f"{_thin(of_chosen)}: the interval is wider by half of it")
        return Recommendation(
            verdict, *chosen, (*notes, reason), there, of_chosen, candidates, conditions=tuple(conditions)
        )
    uncovered = _best([found[estimator.estimator_name] for estimator in safe], TOO_FEW)
    if usual.is_enough or uncovered is None:
        largest = max(estimate.effective_sample_size for estimate in candidates.values())
        notes.append(f"too few effective sessions: {largest:,.0f} of {data.num_sessions:,} at best")
    return Recommendation("refuse", None, None, tuple(notes), there, usual, candidates)


_Weighing = DoublyRobust | PerDecisionImportanceSampling
"""Estimators that say which weights they go by."""


class _OrderlessDR(SelfNormalizedDR):
    """Doubly robust with the order of slates left out, as Luce's model leaves it out."""

    estimator_name = "sndr-set"
    assumption = Abstraction.assumption


def _doubts(data: OffPolicyData) -> list[str]:
    """Why the propensities are not to be believed; empty if nothing speaks against them."""
    doubts = []
    calibration = calibration_p_value(data)
    if calibration < SURPRISE:
        doubts.append(
            f"the slates shown are not as probable as the propensities say ({p_text(calibration)}): they are not those "
            "of the policy that made the log"
        )
    if data.logging.given != "state":
        confounding = confounding_p_value(data)
        if confounding < SURPRISE:
            doubts.append(
                f"confounding suspected: slates go with what the propensities do not know ({p_text(confounding)})"
            )
        made_by = data.sessions.provenance.get("logging_policy")
        if data.sessions.provenance.get("source") == "RecSim" and made_by in ("max", "mix"):
            doubts.append(f"confounded: the log says that it was made by {made_by!r}, which sees the user's state")
    return doubts


def _missing(weights: WeightsByStep) -> str:
    step = weights.worst_step
    return (
        f"the weights do not cover what the policy does: their mean is {weights.means[step]:.2g} at step {step + 1}, "
        f"and 1 if the log holds what the policy does; about {1 - weights.covered:.0%} of what sessions earn is unseen"
    )


def _thin(weights: WeightsByStep) -> str:
    step = weights.thinnest_step
    return (
        "few sessions have nearly all of the weight at some steps: "
        f"{weights.effective_sample_sizes[step]:,.0f} of {weights.num_sessions[step]:,} are effective at step "
        f"{step + 1}, and {weights.thin_share:.0%} of what sessions earn comes from such steps"
    )


def _best(
    found: list[tuple[_Weighing, OffPolicyEstimate]], enough: float
) -> tuple[_Weighing, OffPolicyEstimate] | None:
    """The first one of enough effective sessions.

    Not that of the smallest standard error: errors are smallest where the log happens to lack the sessions of large
    weights, and the estimate is then too low.
    """
    for estimator, estimate in found:
        needed = max(enough, SMALLEST_SHARE * estimate.num_sessions)
        if estimate.effective_sample_size >= needed and estimate.largest_share <= LARGEST_SHARE:
            return estimator, estimate
    return None


def p_text(p_value: float) -> str:
    """Return a p-value as text; those below a millionth are all alike."""
    return "p < 1e-6" if p_value < 1e-6 else f"p = {p_value:.1g}"


def _size(estimate: OffPolicyEstimate) -> str:
    return f"{estimate.effective_sample_size:,.0f} effective of {estimate.num_sessions:,} sessions"
