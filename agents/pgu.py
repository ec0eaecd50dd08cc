"""PGU and ACU: a policy learned from offline sessions and from those of a user model, without a discriminator."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from irecgan_gym.agents.ac import ActorCritic, ActorCriticPolicy, CriticSettings
from irecgan_gym.agents.generation import Generated, generate_sessions, returns_of_both
from irecgan_gym.agents.policy_agent import PolicyAgent, UserModelSettings
from irecgan_gym.agents.policy_gradient import (
    Objective,
    PGCConfig,
    PolicyUpdates,
    Reinforce,
    fit_policy,
    offline_rewards,
)
from irecgan_gym.evaluation.user_model_fidelity import fidelity
from irecgan_gym.kernels.low_precision import Precision
from irecgan_gym.models.fitting import FitConfig, fit_user_model
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions
from irecgan_gym.settings import Positive


@dataclass(frozen=True)
class PGUConfig(UserModelSettings, PGCConfig):
    """Settings of agents that learn from a user model's sessions too, beside those of the rounds.

    Attributes:
        user_model_fit: training of the user model (Eq 3).
        generated_share: generated sessions of an r-step, as a share of the offline sessions (paper: 1:10).
        generation_precision: of large matrix products while sessions are generated and completed;
            ``"bfloat16"`` pays where it pays in :class:`~irecgan_gym.models.fitting.FitConfig`.
    """

    user_model_fit: FitConfig = field(default_factory=FitConfig)
    generated_share: Positive = 0.1
    generation_precision: Precision = "float32"

    def num_generated(self, offline: Sessions) -> int:
        """Return the number of sessions to generate in an r-step, m."""
        return max(1, round(self.generated_share * len(offline)))


@dataclass(frozen=True)
class ACUConfig(CriticSettings, PGUConfig):
    """Settings of ACU: those of PGU and of the critic."""


class PGU(PolicyAgent[PGUConfig]):
    """PG on offline sessions and on those of a user model fitted to them (baseline 3 of §7.2)."""

    kind = "pgu"
    config_type = PGUConfig
    saved = ("policy", "user_model")
    policy: SlatePolicy

    def _build(self) -> None:
        self.policy = self._module(lambda: SlatePolicy(self.num_items, self.slate_size, self.config.encoder))
        self.user_model = self._module(lambda: self.config.new_user_model(self.num_items, self.slate_size))

    def _learn(self, sessions: Sessions, validation: Sessions | None, recorder: Recorder) -> None:
        offline, held_out = self._hold_out(sessions, validation, self.config.validation_fraction)
        _learn_without_discriminator(self, Reinforce(), offline, held_out, recorder)


class ACU(PolicyAgent[ACUConfig]):
    """AC on offline sessions and on those of a user model fitted to them (baseline 4 of §7.2)."""

    kind = "acu"
    config_type = ACUConfig
    saved = ("policy", "user_model")
    policy: ActorCriticPolicy

    def _build(self) -> None:
        self.policy = self._module(lambda: ActorCriticPolicy(self.num_items, self.slate_size, self.config.encoder))
        self.user_model = self._module(lambda: self.config.new_user_model(self.num_items, self.slate_size))

    def _learn(self, sessions: Sessions, validation: Sessions | None, recorder: Recorder) -> None:
        offline, held_out = self._hold_out(sessions, validation, self.config.validation_fraction)
        objective = ActorCritic(self.config.trace_decay, self.config.value_weight)
        _learn_without_discriminator(self, objective, offline, held_out, recorder)


def _learn_without_discriminator(
    agent: PGU | ACU, objective: Objective, offline: Sessions, held_out: Sessions, recorder: Recorder
) -> None:
    """Algorithm 1 without lines 5, 6, 10, 12 and 15 to 19: no q_D, no Eq 7, no discriminator."""
    config, policy, user_model = agent.config, agent.policy, agent.user_model
    # Lines 3 and 4: pre-train U (Eq 3), and A (Eq 10) on the offline data.
    fit_user_model(offline, held_out, user_model, config.user_model_fit, seed=agent._next_seed(), recorder=recorder)
    fit_policy(policy, offline, held_out, config, generator=agent._next_rng(), objective=objective, recorder=recorder)
    rng = agent._next_rng()
    updates = PolicyUpdates(policy, held_out, config, rng, objective)
    for epoch in range(1, config.rounds + 1):
        for _ in range(config.r_steps):
            # Line 9: generate m sessions, B^s; the agent's rewards are those of q_D = 1.
            played = generate_sessions(
                policy,
                user_model,
                config.num_generated(offline),
                max_session_steps=int(offline.lengths.max()),
                seed=int(rng.integers(2**31)),
                precision=config.generation_precision,
            )
            ones = np.ones(played.num_steps, dtype=np.float32)
            generated = Generated(played, offline_rewards(played, config.lambda_r), ones)
            # Line 13: update A by Eq 10 with B = [B^s, B^r].
            measured = generated.metrics() | updates.update(returns_of_both(offline, generated, config, agent.device))
        recorder.record(measured | updates.validate(), epoch)
        if updates.best.should_stop:
            break
    updates.best.restore()
    recorder.record(fidelity(user_model, held_out, seed=agent._next_seed()).as_metrics(), 0)
