"""PGC: PG with as many updates from offline data as IRecGAN gets, the control that tells what the rest is worth."""

from __future__ import annotations

from typing import ClassVar

from irecgan_gym.agents.policy_rounds import PolicyRounds, RoundsConfig


class PGC(PolicyRounds[RoundsConfig]):
    """IRecGAN's rounds with nothing in them but the offline data: no user model, no generated sessions, no D."""

    kind: ClassVar[str] = "pgc"
    config_type = RoundsConfig
