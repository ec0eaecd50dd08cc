"""Recommendation environments for Gymnasium, learned user models and adversarial policy learning (IRecGAN).

``import irecgan_gym as ig`` registers the environments and offers what programs need by one name each, from here and
from the subpackages. A name is imported when it is first used, so that logs, readers and ``RecSim-v0`` do not load
PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from irecgan_gym._lazy import lazily
from irecgan_gym._version import __version__
from irecgan_gym.registration import register_envs
from irecgan_gym.sessions import (
    Catalogue,
    CatalogueError,
    Session,
    SessionDataset,
    Sessions,
    SessionsError,
    SessionStatistics,
    concatenate,
    with_leaving_step,
)

if TYPE_CHECKING:
    from irecgan_gym import agents, evaluation, minari_exchange, models, planning, readers, sb3, wrappers
    from irecgan_gym.agents import (
        AC,
        ACU,
        AGENT_NAMES,
        LSTM,
        LSTMD,
        PG,
        PGC,
        PGIS,
        PGU,
        ACConfig,
        ACUConfig,
        Agent,
        AutoPlanner,
        AutoPlannerConfig,
        Belief,
        Blind,
        ChoicePlanner,
        ChoicePlannerConfig,
        IRecGAN,
        IRecGANConfig,
        LatentPlanner,
        LatentPlannerConfig,
        LSTMConfig,
        LSTMDConfig,
        MaxLogBelief,
        MaxLogOptimal,
        MaxReward,
        Myopic,
        Optimal,
        PGConfig,
        PGISConfig,
        PGLimit,
        PopularityPolicy,
        RandomPolicy,
        agent_class,
        make_agent,
        preset,
    )
    from irecgan_gym.collection import SlatePredictor, collect
    from irecgan_gym.evaluation import (
        Fidelity,
        OnlineResult,
        RerankResult,
        evaluate_online,
        evaluate_reranking,
        fidelity,
    )
    from irecgan_gym.mdp import RecommendationMDP, draw_mdp
    from irecgan_gym.models import (
        Discriminator,
        DiscriminatorConfig,
        EncoderConfig,
        FitConfig,
        SequenceScore,
        SlatePolicy,
        UserModel,
        UserModelConfig,
        fit_user_model,
    )
    from irecgan_gym.readers import ImpressionColumns, ReadReport, TableColumns, read, read_to_disk
    from irecgan_gym.recorder import (
        MLflowRecorder,
        ProgressRecorder,
        Recorder,
        Recorders,
        TensorBoardRecorder,
        WandbRecorder,
    )
    from irecgan_gym.wrappers import AdversarialReward, VectorAdversarialReward
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "irecgan_gym.agents": (
                "AC ACConfig ACU ACUConfig Agent agent_class AGENT_NAMES AutoPlanner AutoPlannerConfig Belief "
                "Blind ChoicePlanner ChoicePlannerConfig IRecGAN IRecGANConfig LatentPlanner "
                "LatentPlannerConfig LSTM LSTMConfig LSTMD LSTMDConfig make_agent MaxLogBelief MaxLogOptimal "
                "MaxReward Myopic Optimal PG PGC PGConfig PGIS PGISConfig PGLimit PGU PopularityPolicy preset "
                "RandomPolicy"
            ),
            "irecgan_gym.collection": "SlatePredictor collect",
            "irecgan_gym.evaluation": (
                "Fidelity OnlineResult RerankResult evaluate_online evaluate_reranking fidelity"
            ),
            "irecgan_gym.mdp": "RecommendationMDP draw_mdp",
            "irecgan_gym.models": (
                "Discriminator DiscriminatorConfig EncoderConfig FitConfig SequenceScore SlatePolicy UserModel "
                "UserModelConfig fit_user_model"
            ),
            "irecgan_gym.readers": "ImpressionColumns ReadReport TableColumns read read_to_disk",
            "irecgan_gym.recorder": (
                "MLflowRecorder ProgressRecorder Recorder Recorders TensorBoardRecorder WandbRecorder"
            ),
            "irecgan_gym.wrappers": "AdversarialReward VectorAdversarialReward",
        },
        "agents evaluation minari_exchange models planning readers sb3 wrappers",
    )

__all__ = [
    "AC",
    "ACU",
    "AGENT_NAMES",
    "LSTM",
    "LSTMD",
    "PG",
    "PGC",
    "PGIS",
    "PGU",
    "ACConfig",
    "ACUConfig",
    "AdversarialReward",
    "Agent",
    "AutoPlanner",
    "AutoPlannerConfig",
    "Belief",
    "Blind",
    "Catalogue",
    "CatalogueError",
    "ChoicePlanner",
    "ChoicePlannerConfig",
    "Discriminator",
    "DiscriminatorConfig",
    "EncoderConfig",
    "Fidelity",
    "FitConfig",
    "IRecGAN",
    "IRecGANConfig",
    "ImpressionColumns",
    "LSTMConfig",
    "LSTMDConfig",
    "LatentPlanner",
    "LatentPlannerConfig",
    "MLflowRecorder",
    "MaxLogBelief",
    "MaxLogOptimal",
    "MaxReward",
    "Myopic",
    "OnlineResult",
    "Optimal",
    "PGConfig",
    "PGISConfig",
    "PGLimit",
    "PopularityPolicy",
    "ProgressRecorder",
    "RandomPolicy",
    "ReadReport",
    "RecommendationMDP",
    "Recorder",
    "Recorders",
    "RerankResult",
    "SequenceScore",
    "Session",
    "SessionDataset",
    "SessionStatistics",
    "Sessions",
    "SessionsError",
    "SlatePolicy",
    "SlatePredictor",
    "TableColumns",
    "TensorBoardRecorder",
    "UserModel",
    "UserModelConfig",
    "VectorAdversarialReward",
    "WandbRecorder",
    "__version__",
    "agent_class",
    "agents",
    "collect",
    "concatenate",
    "draw_mdp",
    "evaluate_online",
    "evaluate_reranking",
    "evaluation",
    "fidelity",
    "fit_user_model",
    "make_agent",
    "minari_exchange",
    "models",
    "planning",
    "preset",
    "read",
    "read_to_disk",
    "readers",
    "register_envs",
    "sb3",
    "with_leaving_step",
    "wrappers",
]


register_envs()
