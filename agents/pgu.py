"""PGU: policy gradient on offline and generated sessions, without a discriminator."""

from __future__ import annotations

from typing import ClassVar

from irecgan_gym.agents.model_based import ModelBasedAgent, ModelBasedConfig


class PGU(ModelBasedAgent[ModelBasedConfig]):
    """PG on offline sessions and on those of a user model fitted to them (§7.1, baseline 5)."""

    kind: ClassVar[str] = "pgu"
    config_type = ModelBasedConfig
