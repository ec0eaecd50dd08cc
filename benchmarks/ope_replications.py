"""Estimates over many small logs of one kind, beside the true values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.benchmarks.ope_worlds import Target, World, collect
from irecgan_gym.ope import (
    MAGIC,
    AdaptiveIPS,
    CrossFitted,
    DirectMethod,
    DoublyRobust,
    InclusionIPS,
    KnownLogger,
    LatentIPS,
    LoggedSlates,
    LuceUserModel,
    OffPolicyData,
    OffPolicyEstimate,
    OffPolicyEstimator,
    SelfNormalizedDR,
    SelfNormalizedSlateStandardIPS,
    SelfNormalizedTIS,
    SlateCascadeDoublyRobust,
    SlateIndependentIPS,
    SlatePseudoInverse,
    SlateRewardInteractionIPS,
    SlateStandardIPS,
    StateMarginalIS,
    SwitchDoublyRobust,
    TrajectoryWiseImportanceSampling,
    recommend,
)
from irecgan_gym.ope.estimate import Method
from irecgan_gym.ope.value_model import LastValues
from irecgan_gym.sessions.slate_propensities import Given

FloatArray = NDArray[np.float64]
CONFIDENCE = 0.95
RESAMPLES = 200
METHODS: tuple[Method, ...] = ("ttest", "bootstrap", "bernstein")


def make_estimators() -> list[OffPolicyEstimator]:
    """All estimators that are compared."""
    model = LastValues(CrossFitted(LuceUserModel.fit))
    return [
        DirectMethod(model),
        TrajectoryWiseImportanceSampling(),
        SelfNormalizedTIS(),
        SlateStandardIPS(),
        SelfNormalizedSlateStandardIPS(),
        LatentIPS(),
        SlateRewardInteractionIPS(),
        SlateCascadeDoublyRobust(),
        SlateIndependentIPS(),
        InclusionIPS(),
        SlatePseudoInverse(),
        AdaptiveIPS(),
        StateMarginalIS(),
        DoublyRobust(model),
        SelfNormalizedDR(model),
        SwitchDoublyRobust(model, tau=5.0),
        MAGIC(model),
    ]


@dataclass(frozen=True)
class Cell:
    """A kind of logs.

    Attributes:
        world: where.
        logger: ``"random"``, ``"max"`` or ``"mix"``.
        epsilon: share of random slates in it.
        given: what the propensities know.
        num_sessions: S.
    """

    world: World
    logger: str
    epsilon: float
    given: Given
    num_sessions: int

    @property
    def name(self) -> str:
        """For tables."""
        made_by = self.logger if not self.epsilon else f"{self.logger} + {self.epsilon:.0%} random"
        return f"{self.world.name}, {made_by}, propensities given {self.given}, {self.num_sessions:,} sessions"


@dataclass(frozen=True, eq=False)
class Replications:
    """Estimates of P policies by E estimators from R logs.

    Attributes:
        estimators: names, E of them.
        targets: names, P of them.
        truths: true values, [P].
        estimates: [R, P, E].
        covered: whether the interval of each kind holds the truth; NaN where there is no such interval;
            [R, P, E, methods].
        effective: effective sample sizes, [R, P, E].
        verdicts: of the recommendation for the first logs, [r, P].
        advised: whether the interval of the recommended estimate holds the truth, NaN where there is none; [r, P].
    """

    estimators: list[str]
    targets: list[str]
    truths: FloatArray
    estimates: FloatArray
    covered: FloatArray
    effective: FloatArray
    verdicts: NDArray[np.str_]
    advised: FloatArray


def replicate(
    cell: Cell,
    targets: list[Target],
    truths: FloatArray,
    *,
    gamma: float,
    replications: int,
    recommendations: int,
    seed: int,
    show: Callable[[str], None] = lambda text: None,
) -> Replications:
    """Estimate the values of all targets from many logs.

    Args:
        cell: the kind of logs.
        targets: the policies to be judged.
        truths: their true values, [P].
        gamma: discount factor.
        replications: R.
        recommendations: for how many of the logs it is said which estimator to use.
        seed: of the logs.
        show: receives a line now and then.
    """
    sessions, mixture = collect(cell.world, cell.logger, cell.epsilon, replications * cell.num_sessions, seed)
    logger = KnownLogger(mixture, cell.world.mdp, given=cell.given)
    logged = logger.propensities(sessions)
    estimators = make_estimators()
    shape = (replications, len(targets), len(estimators))
    estimates, effective, covered = np.empty(shape), np.empty(shape), np.empty((*shape, len(METHODS)))
    verdicts = np.full((recommendations, len(targets)), "", dtype="U12")
    advised = np.full((recommendations, len(targets)), np.nan)
    shares = np.full(cell.num_sessions, 1 / cell.num_sessions)
    counts = np.random.default_rng(0).multinomial(cell.num_sessions, shares, RESAMPLES).astype(np.float64)
    for place, (target, truth) in enumerate(zip(targets, truths, strict=True)):
        show(f"{cell.name}: target {target.name}")
        whole = OffPolicyData.create(sessions, logged, target.policy, gamma=gamma)
        whole = replace(whole, logging_policy=logger)
        for number in range(replications):
            numbers = np.arange(number * cell.num_sessions, (number + 1) * cell.num_sessions)
            data = whole.select(numbers)
            for column, estimator in enumerate(estimators):
                found = estimator.evaluate(data)
                where = (number, place, column)
                estimates[where], effective[where] = found.estimate, found.effective_sample_size
                covered[where] = _covered(found, truth, counts)
            if number < recommendations:
                advice = recommend(LoggedSlates(data.sessions, logger), target.policy, gamma=gamma)
                verdicts[number, place] = advice.verdict
                interval = advice.interval()
                if interval is not None:
                    advised[number, place] = interval.low <= truth <= interval.high
    names = [estimator.estimator_name for estimator in estimators]
    return Replications(
        names, [target.name for target in targets], truths, estimates, covered, effective, verdicts, advised
    )


def _covered(found: OffPolicyEstimate, truth: float, counts: FloatArray) -> FloatArray:
    """Tell whether the interval of each method holds the truth; NaN where there is none."""
    influences = found.statistic.influences()
    values = found.statistic.resampled(counts)
    tails = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tails, 1 - tails])
    covered = {"bootstrap": float(low <= truth <= high), "ttest": np.nan, "bernstein": np.nan}
    if influences is not None:
        for method in METHODS[::2]:
            interval = found.interval(method, alpha=1 - CONFIDENCE)
            covered[method] = float(interval.low <= truth <= interval.high)
    return np.array([covered[method] for method in METHODS])
