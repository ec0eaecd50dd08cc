"""PG: the agent learnt by policy gradient from offline data alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import nn

from agents.policy_agent import PolicyAgent
from agents.policy_gradient import Objective, Reinforce, ReturnsData, fit_policy, offline_rewards
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.recorder import Recorder, silent
from irecgan_gym.sessions import Sessions

PGConfigT = TypeVar("PGConfigT", bound="PGConfig")
PGAgentT = TypeVar("PGAgentT", bound="OfflinePolicyGradient[Any]")


@dataclass(frozen=True)
class PGConfig:
    """Settings of agents that learn a policy by gradient from offline data.

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


class OfflinePolicyGradient(PolicyAgent[PGConfigT]):
    """What PG, PGIS and AC share, and what the agents that also learn from generated sessions start with."""

    policy: SlatePolicy

    def __init__(
        self,
        num_items: int,
        slate_size: int,
        config: PGConfigT | None = None,
        *,
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        super().__init__(num_items, slate_size, config, seed=seed, device=device)
        self.policy = self._module(self._make_policy)

    def _make_policy(self) -> SlatePolicy:
        return SlatePolicy(self.num_items, self.slate_size, self.config.encoder)

    def _objective(self, training: Sessions, held_out: Sessions, recorder: Recorder) -> Objective:
        """The loss on the training sessions."""
        return Reinforce()

    @torch.inference_mode(False)
    @torch.enable_grad()
    def learn(
        self: PGAgentT, sessions: Sessions, validation: Sessions | None = None, *, recorder: Recorder = silent
    ) -> PGAgentT:
        """See :meth:`agents.base.Agent.learn`."""
        training, held_out = split_validation(sessions, validation, self.config.validation_fraction, self.seed)
        self._fit_policy(training, held_out, self._objective(training, held_out, recorder), recorder)
        return self

    def _fit_policy(self, training: Sessions, held_out: Sessions, objective: Objective, recorder: Recorder) -> None:
        fit_policy(
            self.policy,
            self._offline_data(training),
            self._offline_data(held_out),
            self.config.fit,
            generator=np.random.default_rng(self._next_seed()),
            objective=objective,
            recorder=recorder,
        )

    def _offline_data(self, sessions: Sessions) -> ReturnsData:
        rewards = offline_rewards(sessions, self.config.lambda_r)
        return ReturnsData(sessions, rewards, self.config.gamma, self.device)

    def _modules(self) -> dict[str, nn.Module]:
        return {"policy": self.policy}


class PG(OfflinePolicyGradient[PGConfig]):
    """REINFORCE on logged sessions: Eq 10 with q_D = 1 and no generated data (§7.1, baseline 2)."""

    kind: ClassVar[str] = "pg"
    config_type = PGConfig


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
