"""Choosing checkpoints, settings and agents by what held-out sessions of another policy say that they would earn."""

from __future__ import annotations

from typing import Any, Literal, get_args

from irecgan_gym.ope.doubly_robust import SelfNormalizedDR
from irecgan_gym.ope.estimate import OffPolicyEstimate
from irecgan_gym.ope.estimator import OffPolicyEstimator
from irecgan_gym.ope.fitted_logger import fit_logging_policy
from irecgan_gym.ope.importance_sampling import (
    SelfNormalizedLatentIPS,
    SelfNormalizedSlateRewardInteractionIPS,
    SelfNormalizedSlateStandardIPS,
)
from irecgan_gym.ope.luce_user_model import LuceUserModel
from irecgan_gym.ope.off_policy_data import OffPolicyData
from irecgan_gym.ope.policies import EvaluationPolicy
from irecgan_gym.ope.value_model import CrossFitted
from irecgan_gym.sessions import Sessions, SlatePropensities, concatenate

Deployment = Literal["sampled", "top-k"]
CriterionName = Literal[
    "snsips", "snlips", "snrips", "sndr", "snsips-lower", "snlips-lower", "snrips-lower", "sndr-lower"
]
CRITERIA: tuple[CriterionName, ...] = get_args(CriterionName)
"""Names that :func:`selection_criterion` knows."""
LOWER = "-lower"
"""Behind an estimator's name: the lower end of the estimate is what is compared."""
ONE_SIDED = 1.645
"""Standard errors below an estimate at which its lower end is, one-sided 95%."""
_ESTIMATORS: dict[str, type[OffPolicyEstimator]] = {
    "snsips": SelfNormalizedSlateStandardIPS,
    "snlips": SelfNormalizedLatentIPS,
    "snrips": SelfNormalizedSlateRewardInteractionIPS,
}


class OffPolicySelection:
    """Criterion ``(agent, held-out sessions) -> float``, higher is better: the estimated reward of a session.

    In place of a held-out loss, which says how well a policy imitates the better part of a log rather than what it
    earns. Estimates of different policies from the same sessions share most of their error, so that their order is
    surer than each of them.

    Args:
        logging: who showed the sessions' slates. When None, the sessions' own ``slate_propensities``, or where these
            are missing a model of the logging policy, fitted to the first sessions asked about.
        estimator: of values; the self-normalized one by whole slates when None, which needs no model and is quick.
        deployment: slates of the agent: ``"sampled"`` or ``"top-k"``.
        epsilon: share of uniformly random slates with ``"top-k"``, whose slates logs hardly hold otherwise.
        gamma: discount factor.
        caution: standard errors that are taken off the estimate. With 0, policies far from the log win by luck: the
            fewer sessions an estimate goes by, the larger its error, and the largest of many estimates has a large one.
    """

    def __init__(
        self,
        logging: EvaluationPolicy | None = None,
        estimator: OffPolicyEstimator | None = None,
        *,
        deployment: Deployment = "sampled",
        epsilon: float = 0.0,
        gamma: float = 1.0,
        caution: float = 0.0,
    ) -> None:
        if not caution >= 0:
            raise ValueError(f"caution must not be negative, got {caution!r}")
        self.estimator = SelfNormalizedSlateStandardIPS() if estimator is None else estimator
        self.deployment: Deployment = deployment
        self.epsilon = epsilon
        self.gamma = gamma
        self.caution = caution
        self._logging = logging
        self._last: tuple[Sessions, SlatePropensities] | None = None

    def __call__(self, agent: Any, validation: Sessions) -> float:
        """Estimate what an agent would earn in a session, less the caution.

        Args:
            agent: an agent, its network (a ``CataloguePolicy``), or an
                :class:`~irecgan_gym.ope.policies.EvaluationPolicy`.
            validation: sessions that it has not learned from, with slates of its size.
        """
        found = self.estimate(agent, validation)
        return found.estimate - (self.caution * found.standard_error() if self.caution else 0.0)

    def estimate(self, agent: Any, validation: Sessions) -> OffPolicyEstimate:
        """The same with all that says how sure it is; see :meth:`__call__` for the arguments."""
        data = OffPolicyData.create(validation, self._logged(validation), self._policy(agent), gamma=self.gamma)
        return self.estimator.evaluate(data)

    def _policy(self, agent: Any) -> EvaluationPolicy:
        if isinstance(agent, EvaluationPolicy):
            return agent
        if hasattr(agent, "evaluation_policy"):
            policy: EvaluationPolicy = agent.evaluation_policy(self.deployment, epsilon=self.epsilon, places=False)
            return policy
        from irecgan_gym.ope.agent_policies import as_evaluation_policy

        return as_evaluation_policy(agent, self.deployment, epsilon=self.epsilon, places=False)

    def _logged(self, sessions: Sessions) -> SlatePropensities:
        if self._last is None or self._last[0] is not sessions:
            if self._logging is None and sessions.slate_propensities is None:
                self._logging = fit_logging_policy(sessions)
            recorded = sessions.slate_propensities if self._logging is None else self._logging.propensities(sessions)
            assert recorded is not None
            self._last = (sessions, recorded)
        return self._last[1]


def judged_sessions(training: Sessions, held_out: Sessions) -> Sessions:
    """Return held-out sessions with the probabilities of their slates, by which policies can be judged.

    Those that the log holds, or else those of a model of its logging policy, which both parts teach.

    Args:
        training: the rest of the log.
        held_out: sessions that judge.
    """
    if held_out.slate_propensities is not None:
        return held_out
    logger = fit_logging_policy(concatenate([training, held_out]))
    return held_out.with_slate_propensities(logger.propensities(held_out))


def selection_criterion(
    name: str,
    logging: EvaluationPolicy | None = None,
    *,
    deployment: Deployment = "sampled",
    epsilon: float = 0.0,
    gamma: float = 1.0,
) -> OffPolicySelection:
    """Return a criterion by its name, for commands.

    Args:
        name: of ``CRITERIA``: an estimator, or with ``-lower`` behind it the lower end of its one-sided 95% interval.
        logging: see :class:`OffPolicySelection`.
        deployment: see there.
        epsilon: see there.
        gamma: see there.

    Raises:
        ValueError: an unknown name.
    """
    if name not in CRITERIA:
        raise ValueError(f"an off-policy criterion must be one of {', '.join(CRITERIA)}, got {name!r}")
    kind = name.removesuffix(LOWER)
    estimator = SelfNormalizedDR(CrossFitted(LuceUserModel.fit)) if kind == "sndr" else _ESTIMATORS[kind]()
    return OffPolicySelection(
        logging,
        estimator,
        deployment=deployment,
        epsilon=epsilon,
        gamma=gamma,
        caution=ONE_SIDED if name.endswith(LOWER) else 0.0,
    )
