"""PyTorch modules: user model, policy, discriminator, the score of Eq 6, and how they are fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from irecgan_gym._lazy import lazily

if TYPE_CHECKING:
    from irecgan_gym.models.batches import SessionTensors, StepBatch, StepEvents
    from irecgan_gym.models.building import build, resolve_device
    from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
    from irecgan_gym.models.encoder import EncoderConfig, RecurrentEncoder
    from irecgan_gym.models.fitting import FitConfig, fit_user_model
    from irecgan_gym.models.predictor_policy import PolicyPredictor, PredictorPolicy, RolloutPolicy, as_rollout_policy
    from irecgan_gym.models.ranks import data_parallel
    from irecgan_gym.models.sequence_score import Prefixes, SequenceScore
    from irecgan_gym.models.slate_policy import CataloguePolicy, SlatePolicy, UserModelPolicy
    from irecgan_gym.models.user_model import LogLikelihood, Response, UserModel, UserModelConfig
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "irecgan_gym.models.batches": "SessionTensors StepBatch StepEvents",
            "irecgan_gym.models.building": "build resolve_device",
            "irecgan_gym.models.discriminator": "Discriminator DiscriminatorConfig",
            "irecgan_gym.models.encoder": "EncoderConfig RecurrentEncoder",
            "irecgan_gym.models.fitting": "FitConfig fit_user_model",
            "irecgan_gym.models.predictor_policy": "PolicyPredictor PredictorPolicy RolloutPolicy as_rollout_policy",
            "irecgan_gym.models.ranks": "data_parallel",
            "irecgan_gym.models.sequence_score": "Prefixes SequenceScore",
            "irecgan_gym.models.slate_policy": "CataloguePolicy SlatePolicy UserModelPolicy",
            "irecgan_gym.models.user_model": "LogLikelihood Response UserModel UserModelConfig",
        },
    )

__all__ = [
    "CataloguePolicy",
    "Discriminator",
    "DiscriminatorConfig",
    "EncoderConfig",
    "FitConfig",
    "LogLikelihood",
    "PolicyPredictor",
    "PredictorPolicy",
    "Prefixes",
    "RecurrentEncoder",
    "Response",
    "RolloutPolicy",
    "SequenceScore",
    "SessionTensors",
    "SlatePolicy",
    "StepBatch",
    "StepEvents",
    "UserModel",
    "UserModelConfig",
    "UserModelPolicy",
    "as_rollout_policy",
    "build",
    "data_parallel",
    "fit_user_model",
    "resolve_device",
]
