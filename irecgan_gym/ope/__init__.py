"""Off-policy evaluation: what a policy would earn, from sessions of another one."""

from irecgan_gym.ope.adaptive import AdaptiveIPS, AdaptiveWeights
from irecgan_gym.ope.cascade_doubly_robust import PlaceRewards, SlateCascadeDoublyRobust
from irecgan_gym.ope.decision import Decision, LiveTest, decide
from irecgan_gym.ope.diagnostics import (
    Overlap,
    WeightsByStep,
    calibration_p_value,
    confounding_p_value,
    overlap,
    place_effect_p_value,
    weights_by_step,
)
from irecgan_gym.ope.difference import difference, live_test_sessions, logged_value
from irecgan_gym.ope.direct_method import DirectMethod
from irecgan_gym.ope.doubly_robust import DoublyRobust, SelfNormalizedDR, SwitchDoublyRobust
from irecgan_gym.ope.estimate import OffPolicyEstimate, effective_sample_size
from irecgan_gym.ope.estimator import OffPolicyEstimator
from irecgan_gym.ope.evaluation import OffPolicyEvaluation
from irecgan_gym.ope.exposure import Exposure, same_first, shared_items
from irecgan_gym.ope.fitted_logger import fit_logging_policy
from irecgan_gym.ope.importance_sampling import (
    InclusionIPS,
    LatentIPS,
    PerDecisionImportanceSampling,
    SelfNormalizedLatentIPS,
    SelfNormalizedPDIS,
    SelfNormalizedSlateIndependentIPS,
    SelfNormalizedSlateRewardInteractionIPS,
    SelfNormalizedSlateStandardIPS,
    SelfNormalizedTIS,
    SlateIndependentIPS,
    SlatePseudoInverse,
    SlateRewardInteractionIPS,
    SlateStandardIPS,
    TrajectoryWiseImportanceSampling,
)
from irecgan_gym.ope.known_logger import KnownLogger, logging_pools
from irecgan_gym.ope.luce_fidelity import LuceFidelity, luce_fidelity
from irecgan_gym.ope.luce_user_model import LuceUserModel
from irecgan_gym.ope.magic import MAGIC
from irecgan_gym.ope.off_policy_data import OffPolicyData
from irecgan_gym.ope.off_policy_selection import OffPolicySelection, judged_sessions, selection_criterion
from irecgan_gym.ope.policies import (
    EvaluationPolicy,
    PlackettLucePolicy,
    PointMassPolicy,
    TopKPolicy,
    fixed_scores,
    last_click_scores,
)
from irecgan_gym.ope.recommendation import LoggedSlates, Recommendation, recommend
from irecgan_gym.ope.selection import rank_correlation, regret
from irecgan_gym.ope.slate_weights import Abstraction, AnyPlace, FromTheTop, PseudoInverse, SinglePlace, WholeSlate
from irecgan_gym.ope.state_marginal import StateMarginalIS
from irecgan_gym.ope.value_model import CrossFitted, LastValues, ValueColumns, ValueModel
from irecgan_gym.sessions.slate_propensities import SlatePropensities

__all__ = [
    "MAGIC",
    "Abstraction",
    "AdaptiveIPS",
    "AdaptiveWeights",
    "AnyPlace",
    "CrossFitted",
    "Decision",
    "DirectMethod",
    "DoublyRobust",
    "EvaluationPolicy",
    "Exposure",
    "FromTheTop",
    "InclusionIPS",
    "KnownLogger",
    "LastValues",
    "LatentIPS",
    "LiveTest",
    "LoggedSlates",
    "LuceFidelity",
    "LuceUserModel",
    "OffPolicyData",
    "OffPolicyEstimate",
    "OffPolicyEstimator",
    "OffPolicyEvaluation",
    "OffPolicySelection",
    "Overlap",
    "PerDecisionImportanceSampling",
    "PlaceRewards",
    "PlackettLucePolicy",
    "PointMassPolicy",
    "PseudoInverse",
    "Recommendation",
    "SelfNormalizedDR",
    "SelfNormalizedLatentIPS",
    "SelfNormalizedPDIS",
    "SelfNormalizedSlateIndependentIPS",
    "SelfNormalizedSlateRewardInteractionIPS",
    "SelfNormalizedSlateStandardIPS",
    "SelfNormalizedTIS",
    "SinglePlace",
    "SlateCascadeDoublyRobust",
    "SlateIndependentIPS",
    "SlatePropensities",
    "SlatePseudoInverse",
    "SlateRewardInteractionIPS",
    "SlateStandardIPS",
    "StateMarginalIS",
    "SwitchDoublyRobust",
    "TopKPolicy",
    "TrajectoryWiseImportanceSampling",
    "ValueColumns",
    "ValueModel",
    "WeightsByStep",
    "WholeSlate",
    "calibration_p_value",
    "confounding_p_value",
    "decide",
    "difference",
    "effective_sample_size",
    "fit_logging_policy",
    "fixed_scores",
    "judged_sessions",
    "last_click_scores",
    "live_test_sessions",
    "logged_value",
    "logging_pools",
    "luce_fidelity",
    "overlap",
    "place_effect_p_value",
    "rank_correlation",
    "recommend",
    "regret",
    "same_first",
    "selection_criterion",
    "shared_items",
    "weights_by_step",
]
