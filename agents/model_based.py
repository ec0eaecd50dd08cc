"""Policies learnt from offline sessions and from those generated with a user model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np
from irecgan_gym.agents.generation import Generated, both_kinds, generate_sessions
from irecgan_gym.agents.policy_gradient import ReturnsData, offline_rewards
from irecgan_gym.agents.policy_rounds import PolicyRounds, RoundsConfig
from torch import nn

from irecgan_gym.evaluation.user_model_fidelity import fidelity
from irecgan_gym.kernels.low_precision import Precision, check_precision
from irecgan_gym.models.fitting import FitConfig, fit_user_model
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions

ModelBasedConfigT = TypeVar("ModelBasedConfigT", bound="ModelBasedConfig")


@dataclass(frozen=True)
class ModelBasedConfig(RoundsConfig):
    """Settings of agents that learn from a user model's sessions too, beside those of the rounds.

    Attributes:
        ending: how sessions of the user model end, see :class:`~irecgan_gym.models.user_model.UserModelConfig`.
        user_model_fit: training of the user model (Eq 3).
        generated_share: generated sessions of an r-step, as a share of the offline sessions (paper: 1:10).
        position_term: whether the user model has one, see there; simulated users do without it.
        generation_precision: of large matrix products while sessions are generated and completed;
            ``"bfloat16"`` pays where it pays in :class:`~irecgan_gym.models.fitting.FitConfig`.
    """

    ending: Literal["reward", "leave"] = "reward"
    user_model_fit: FitConfig = field(default_factory=FitConfig)
    generated_share: float = 0.1
    position_term: bool = False
    generation_precision: Precision = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.generated_share > 0:
            raise ValueError(f"generated_share must be positive, got {self.generated_share}")
        check_precision("generation_precision", self.generation_precision)


class ModelBasedAgent(PolicyRounds[ModelBasedConfigT]):
    """Each policy update learns from B = [B^s, B^r]: fresh sessions generated with the user model, and offline ones."""

    def __init__(
        self,
        num_items: int,
        slate_size: int,
        config: ModelBasedConfigT | None = None,
        *,
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        super().__init__(num_items, slate_size, config, seed=seed, device=device)
        model_config = UserModelConfig(
            num_items, slate_size, self.config.ending, self.config.encoder, self.config.position_term
        )
        self.user_model = self._module(lambda: UserModel(model_config))

    def _fit_models(self, training: Sessions, held_out: Sessions, recorder: Recorder) -> None:
        """Line 3 of Algorithm 1."""
        seed = self._next_seed()
        fit_user_model(training, held_out, self.user_model, self.config.user_model_fit, seed=seed, recorder=recorder)

    def _data(self, training: Sessions, generator: np.random.Generator) -> tuple[ReturnsData, Mapping[str, float]]:
        number = max(1, round(self.config.generated_share * len(training)))
        generated = self._generate(training, number, seed=int(generator.integers(2**31)))
        about = self._learn_from_generated(generated, generator)
        rewards = np.concatenate([offline_rewards(training, self.config.lambda_r), generated.rewards])
        data = ReturnsData(both_kinds(training, generated.sessions), rewards, self.config.gamma, self.device)
        return data, {
            **about,
            "adversarial/generated_length": generated.sessions.num_steps / number,
            "adversarial/generated_reward": float(generated.sessions.rewards.sum()) / number,
            "adversarial/rescaled_reward": float(generated.rewards.sum()) / number,
        }

    def _generate(self, training: Sessions, number: int, *, seed: int) -> Generated:
        """Sessions of the policy in ``UserModel-v0``, and the agent's rewards of their steps (Eq 10 with q_D = 1)."""
        sessions = generate_sessions(
            self.policy,
            self.user_model,
            number,
            max_session_steps=int(training.lengths.max()),
            seed=seed,
            precision=self.config.generation_precision,
        )
        ones = np.ones(sessions.num_steps, dtype=np.float32)
        return Generated(sessions, offline_rewards(sessions, self.config.lambda_r), ones)

    def _learn_from_generated(self, generated: Generated, generator: np.random.Generator) -> dict[str, float]:
        """What other models learn before the policy does, and what there is to say about it."""
        return {}

    def _end_rounds(self, held_out: Sessions, recorder: Recorder) -> None:
        recorder.record(fidelity(self.user_model, held_out, seed=self._next_seed()).as_metrics(), 0)

    def _modules(self) -> dict[str, nn.Module]:
        return {**super()._modules(), "user_model": self.user_model}
