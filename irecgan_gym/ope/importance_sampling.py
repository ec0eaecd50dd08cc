"""Importance sampling over the steps of sessions, with any kind of weights within a slate."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.ope.estimate import OffPolicyEstimate, SessionTerms
from irecgan_gym.ope.estimator import OffPolicyEstimator
from irecgan_gym.ope.off_policy_data import OffPolicyData
from irecgan_gym.ope.slate_weights import (
    Abstraction,
    AnyPlace,
    FromTheTop,
    PseudoInverse,
    SinglePlace,
    SlateWeights,
    WholeSlate,
)

FloatArray = NDArray[np.float64]


class PerDecisionImportanceSampling(OffPolicyEstimator):
    r"""(1/S) sum over sessions and steps of gamma^t w_0..w_{t-1} sum over entries of w_{t,l} r_{t,l} (pdis).

    Rewards are weighed by what was done up to them and not by what came later, which tells nothing of them.

    Precup, Sutton and Singh: Eligibility traces for off-policy policy evaluation, ICML 2000.

    Args:
        slate_weights: what is taken of a slate; the whole slate when None.
        max_weight: weights above are cut down to it, which trades variance for bias; None cuts nothing.
    """

    estimator_name: ClassVar[str] = "pdis"

    def __init__(self, slate_weights: SlateWeights | None = None, *, max_weight: float | None = None) -> None:
        if max_weight is not None and not max_weight > 0:
            raise ValueError(f"max_weight must be positive, got {max_weight!r}")
        self.slate_weights = WholeSlate() if slate_weights is None else slate_weights
        self.max_weight = max_weight

    def evaluate(self, data: OffPolicyData) -> OffPolicyEstimate:
        """See :class:`irecgan_gym.ope.estimator.OffPolicyEstimator`."""
        of_steps, earned, _ = self._weighed(data)
        return OffPolicyEstimate(
            self.estimator_name, SessionTerms(data.sum_of_steps(data.discounts * earned)), _mean_weights(data, of_steps)
        )

    def _weighed(self, data: OffPolicyData) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Running weights, what steps earn when weighed, and the weights that are carried to the next; [T] each."""
        entries = self.slate_weights.entries(data)
        carried = data.running_products(self.slate_weights.steps(data))
        before = data.shifted(carried, 1.0)
        steps = data.sessions.step_of_entry
        weights = before[steps] * entries
        if self.max_weight is not None:
            weights = np.minimum(weights, self.max_weight)
            carried = np.minimum(carried, self.max_weight)
        return carried, data.sum_of_entries(weights * data.slot_rewards), carried


class SelfNormalizedPDIS(PerDecisionImportanceSampling):
    r"""sum over t of gamma^t (sum over sessions of w_0..w_t r_t) / (sum over sessions of w_0..w_t) (snpdis).

    A session that is over keeps its last weight, as of then nothing is earned. Biased, but consistent; with rewards
    from 0 to 1 it is never above the number of steps.
    """

    estimator_name: ClassVar[str] = "snpdis"

    def evaluate(self, data: OffPolicyData) -> OffPolicyEstimate:
        """See :class:`irecgan_gym.ope.estimator.OffPolicyEstimator`."""
        of_steps, earned, carried = self._weighed(data)
        numerators = data.by_time(data.discounts * earned, 0.0)
        weights = data.by_time(carried, np.nan)
        last = weights[np.arange(len(weights)), data.sessions.lengths - 1]
        denominators = np.where(np.isnan(weights), last[:, None], weights)
        terms = SessionTerms(np.zeros(len(weights)), numerators, denominators)
        return OffPolicyEstimate(self.estimator_name, terms, _mean_weights(data, of_steps))


class TrajectoryWiseImportanceSampling(OffPolicyEstimator):
    r"""(1/S) sum over sessions of w_0..w_end sum over t of gamma^t r_t (tis).

    Precup, Sutton and Singh, ICML 2000. Weighs everything by the whole session: unbiased, and hardly ever of use.

    Args:
        slate_weights: what is taken of a slate; the whole slate when None.
    """

    estimator_name: ClassVar[str] = "tis"
    self_normalized: ClassVar[bool] = False

    def __init__(self, slate_weights: SlateWeights | None = None) -> None:
        self.slate_weights = WholeSlate() if slate_weights is None else slate_weights

    def evaluate(self, data: OffPolicyData) -> OffPolicyEstimate:
        """See :class:`irecgan_gym.ope.estimator.OffPolicyEstimator`."""
        running = data.running_products(self.slate_weights.steps(data))
        weights = running[data.sessions.offsets[1:] - 1]
        values = weights * data.sum_of_steps(data.discounts * data.rewards)
        terms = SessionTerms(values)
        if self.self_normalized:
            terms = SessionTerms(np.zeros(len(values)), values[:, None], weights[:, None])
        return OffPolicyEstimate(self.estimator_name, terms, weights)


class SelfNormalizedTIS(TrajectoryWiseImportanceSampling):
    """The same over the sum of the weights (sntis): biased, but consistent, and within what sessions earned."""

    estimator_name: ClassVar[str] = "sntis"
    self_normalized: ClassVar[bool] = True


class SlateStandardIPS(PerDecisionImportanceSampling):
    """Per decision, by whole slates (sips). See :class:`irecgan_gym.ope.slate_weights.WholeSlate`."""

    estimator_name: ClassVar[str] = "sips"

    def __init__(self, *, max_weight: float | None = None) -> None:
        super().__init__(WholeSlate(), max_weight=max_weight)


class SelfNormalizedSlateStandardIPS(SelfNormalizedPDIS):
    """Per decision, by whole slates, self-normalized (snsips)."""

    estimator_name: ClassVar[str] = "snsips"

    def __init__(self, *, max_weight: float | None = None) -> None:
        super().__init__(WholeSlate(), max_weight=max_weight)


class SlateIndependentIPS(PerDecisionImportanceSampling):
    """Per decision, by single entries (iips). See :class:`irecgan_gym.ope.slate_weights.SinglePlace`."""

    estimator_name: ClassVar[str] = "iips"
    assumption: ClassVar[str] = SinglePlace.assumption

    def __init__(self, *, max_weight: float | None = None) -> None:
        super().__init__(SinglePlace(), max_weight=max_weight)


class SelfNormalizedSlateIndependentIPS(SelfNormalizedPDIS):
    """Per decision, by single entries, self-normalized (sniips)."""

    estimator_name: ClassVar[str] = "sniips"
    assumption: ClassVar[str] = SinglePlace.assumption

    def __init__(self, *, max_weight: float | None = None) -> None:
        super().__init__(SinglePlace(), max_weight=max_weight)


class InclusionIPS(PerDecisionImportanceSampling):
    """Per decision, by items wherever they stand (inclusion-ips).

    See :class:`irecgan_gym.ope.slate_weights.AnyPlace`.
    """

    estimator_name: ClassVar[str] = "inclusion-ips"
    assumption: ClassVar[str] = AnyPlace.assumption

    def __init__(self, *, max_weight: float | None = None) -> None:
        super().__init__(AnyPlace(), max_weight=max_weight)


class SlateRewardInteractionIPS(PerDecisionImportanceSampling):
    """Per decision, by entries with those above (rips). See :class:`irecgan_gym.ope.slate_weights.FromTheTop`."""

    estimator_name: ClassVar[str] = "rips"
    assumption: ClassVar[str] = FromTheTop.assumption

    def __init__(self, *, max_weight: float | None = None) -> None:
        super().__init__(FromTheTop(), max_weight=max_weight)


class SelfNormalizedSlateRewardInteractionIPS(SelfNormalizedPDIS):
    """Per decision, by entries with those above, self-normalized (snrips)."""

    estimator_name: ClassVar[str] = "snrips"
    assumption: ClassVar[str] = FromTheTop.assumption

    def __init__(self, *, max_weight: float | None = None) -> None:
        super().__init__(FromTheTop(), max_weight=max_weight)


class SlatePseudoInverse(PerDecisionImportanceSampling):
    """Per decision, by the pseudo-inverse (pi). See :class:`irecgan_gym.ope.slate_weights.PseudoInverse`."""

    estimator_name: ClassVar[str] = "pi"
    assumption: ClassVar[str] = PseudoInverse.assumption

    def __init__(self, *, max_weight: float | None = None) -> None:
        super().__init__(PseudoInverse(), max_weight=max_weight)


class LatentIPS(PerDecisionImportanceSampling):
    """Per decision, by an abstraction of the slate (lips). See :class:`irecgan_gym.ope.slate_weights.Abstraction`.

    Args:
        abstraction: what users act upon; the items in any order when None.
        max_weight: see :class:`PerDecisionImportanceSampling`.
    """

    estimator_name: ClassVar[str] = "lips"
    assumption: ClassVar[str] = Abstraction.assumption

    def __init__(self, abstraction: Abstraction | None = None, *, max_weight: float | None = None) -> None:
        super().__init__(Abstraction() if abstraction is None else abstraction, max_weight=max_weight)


class SelfNormalizedLatentIPS(SelfNormalizedPDIS):
    """Per decision, by an abstraction of the slate, self-normalized (snlips).

    Args:
        abstraction: what users act upon; the items in any order when None.
        max_weight: see :class:`PerDecisionImportanceSampling`.
    """

    estimator_name: ClassVar[str] = "snlips"
    assumption: ClassVar[str] = Abstraction.assumption

    def __init__(self, abstraction: Abstraction | None = None, *, max_weight: float | None = None) -> None:
        super().__init__(Abstraction() if abstraction is None else abstraction, max_weight=max_weight)


def _mean_weights(data: OffPolicyData, of_steps: FloatArray) -> FloatArray:
    means: FloatArray = data.sum_of_steps(of_steps) / data.sessions.lengths
    return means
