"""ACU: actor and critic on offline and generated sessions, without a discriminator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from irecgan_gym.agents.ac import ActorCritic, ActorCriticPolicy, CriticSettings
from irecgan_gym.agents.model_based import ModelBasedAgent, ModelBasedConfig
from irecgan_gym.agents.policy_gradient import Objective

from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions


@dataclass(frozen=True)
class ACUConfig(CriticSettings, ModelBasedConfig):
    """Settings of ACU: those of PGU and of the critic."""


class ACU(ModelBasedAgent[ACUConfig]):
    """AC on offline sessions and on those of a user model fitted to them (§7.1, baseline 6)."""

    kind: ClassVar[str] = "acu"
    config_type = ACUConfig

    def _make_policy(self) -> SlatePolicy:
        return ActorCriticPolicy(self.num_items, self.slate_size, self.config.encoder)

    def _objective(self, training: Sessions, held_out: Sessions, recorder: Recorder) -> Objective:
        return ActorCritic(self.config.trace_decay, self.config.value_weight)
