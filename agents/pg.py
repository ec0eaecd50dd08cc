"""PG: the agent learnt by policy gradient from offline data alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from agents.policy_agent import PolicyAgent
from agents.policy_gradient import ReturnsData, fit_policy, offline_rewards
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.recorder import Recorder, silent
from irecgan_gym.sessions import Sessions


@dataclass(frozen=True)
class PGConfig:
    """Settings of PG.

    Attributes:
        encoder: shape of the policy's recurrent state.
        fit: how it is trained.
        gamma: discount factor of the reward-to-go.
        lambda_r: weight of a step's reward against the constant 1 of Eq 10.
        validation_fraction: share of the sessions held out for early stopping when no validation is given.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    gamma: float = 0.9
    lambda_r: float = 3.0
    validation_fraction: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma must be from 0 to 1, got {self.gamma}")
        if not 0 < self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must be between 0 and 1, got {self.validation_fraction}")


class PG(PolicyAgent[PGConfig]):
    """REINFORCE on logged sessions: Eq 10 with q_D = 1 and no generated data (§7.1, baseline 2)."""

    kind: ClassVar[str] = "pg"
    config_type = PGConfig

    def learn(self, sessions: Sessions, validation: Sessions | None = None, *, recorder: Recorder = silent) -> PG:
        """See :meth:`agents.base.Agent.learn`."""
        training, held_out = split_validation(sessions, validation, self.config.validation_fraction, self.seed)
        data, held_out_data = (
            ReturnsData(part, offline_rewards(part, self.config.lambda_r), self.config.gamma, self.device)
            for part in (training, held_out)
        )
        generator = np.random.default_rng(self._next_seed())
        fit_policy(self.policy, data, held_out_data, self.config.fit, generator=generator, recorder=recorder)
        return self


def split_validation(
    sessions: Sessions, validation: Sessions | None, fraction: float, seed: int
) -> tuple[Sessions, Sessions]:
    """The sessions to learn from and those held out: a given validation set, or a part of the sessions.

    Raises:
        ValueError: too few sessions for both parts to hold one.
    """
    if validation is None:
        sessions, validation = sessions.split((1 - fraction, fraction), seed=seed)
    for name, part in (("training", sessions), ("validation", validation)):
        if len(part) == 0:
            raise ValueError(f"no {name} sessions: give more sessions, or a validation set of your own")
    return sessions, validation
