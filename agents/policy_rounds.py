"""Rounds of updates after pre-training: the loop that IRecGAN, PGU, ACU and PGC have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch

from agents.pg import OfflinePolicyGradient, PGConfig, split_validation
from agents.policy_gradient import ReturnsData, held_out_loss, policy_gradient_epoch
from irecgan_gym.models.fitting import BestParameters, Optimizer
from irecgan_gym.recorder import Recorder, silent
from irecgan_gym.sessions import Sessions

RoundsConfigT = TypeVar("RoundsConfigT", bound="RoundsConfig")
RoundsAgentT = TypeVar("RoundsAgentT", bound="PolicyRounds[Any]")


@dataclass(frozen=True)
class RoundsConfig(PGConfig):
    """Settings of agents that go on learning in rounds, beside those of PG.

    Attributes:
        agent_learning_rate: of the policy in the rounds.
        rounds: how many at most.
        patience: rounds without a better held-out objective after which learning stops; None never stops early.
        r_steps: policy updates a round, each one pass over its data.
    """

    agent_learning_rate: float = 1e-4
    rounds: int = 20
    patience: int | None = 5
    r_steps: int = 1


class PolicyRounds(OfflinePolicyGradient[RoundsConfigT]):
    """Pre-trains a policy from offline data, goes on in rounds, and keeps the policy of the best held-out objective.

    A subclass says by :meth:`_data` what a policy update learns from, and by the other hooks what else a round does.
    """

    @torch.inference_mode(False)
    @torch.enable_grad()
    def learn(
        self: RoundsAgentT, sessions: Sessions, validation: Sessions | None = None, *, recorder: Recorder = silent
    ) -> RoundsAgentT:
        """See :meth:`agents.base.Agent.learn`."""
        config = self.config
        training, held_out = split_validation(sessions, validation, config.validation_fraction, self.seed)
        self._fit_models(training, held_out, recorder)
        objective = self._objective(training, held_out, recorder)
        self._fit_policy(training, held_out, objective, recorder)
        self._begin_rounds(training, held_out, recorder)
        generator = np.random.default_rng(self._next_seed())
        optimizer = Optimizer(self.policy, replace(config.fit, learning_rate=config.agent_learning_rate))
        held_out_data, best = self._offline_data(held_out), BestParameters(self.policy)
        best.update(held_out_loss(self.policy, held_out_data, config.fit.batch_size * 4))
        for number in range(1, config.rounds + 1):
            measured: dict[str, float] = {}
            for _ in range(config.r_steps):
                data, about = self._data(training, generator)
                loss = policy_gradient_epoch(
                    self.policy,
                    data,
                    optimizer,
                    config.fit.batch_size,
                    generator,
                    objective=objective,
                    precision=config.fit.precision,
                )
                measured = {**about, "adversarial/policy_loss": loss, **objective.metrics()}
            self._end_round(number, recorder)
            loss = held_out_loss(self.policy, held_out_data, config.fit.batch_size * 4)
            better = best.update(loss)
            recorder.record({**measured, "adversarial/validation_loss": loss}, number)
            if not better and config.patience is not None and best.epochs_since >= config.patience:
                break
        best.restore()
        self._end_rounds(held_out, recorder)
        return self

    def _fit_models(self, training: Sessions, held_out: Sessions, recorder: Recorder) -> None:
        """Before the policy is pre-trained."""

    def _begin_rounds(self, training: Sessions, held_out: Sessions, recorder: Recorder) -> None:
        """After the policy is pre-trained."""

    def _data(self, training: Sessions, generator: np.random.Generator) -> tuple[ReturnsData, Mapping[str, float]]:
        """What the next policy update learns from, and what there is to say about it."""
        return self._offline_data(training), {}

    def _end_round(self, number: int, recorder: Recorder) -> None:
        """After the policy updates of a round."""

    def _end_rounds(self, held_out: Sessions, recorder: Recorder) -> None:
        """When the best policy has been put back."""
