"""PGU and ACU: a policy learned from offline sessions and from those of a user model, without a discriminator."""

from __future__ import annotations

from dataclasses import dataclass, field

from irecgan_gym.agents.ac import ActorCritic, ActorCriticPolicy, CriticSettings
from irecgan_gym.agents.generation import (
    GeneratedPool,
    RescalingSettings,
    generate_sessions,
    returns_of_both,
    warn_of_collapse,
    with_rewards,
)
from irecgan_gym.agents.policy_agent import PolicyAgent, UserModelSettings
from irecgan_gym.agents.policy_gradient import PGCConfig, PolicyUpdates, offline_and_held_out
from irecgan_gym.agents.pre_training import pre_train_policy, pre_train_user_model
from irecgan_gym.agents.real_sessions import RealSessions
from irecgan_gym.agents.returns import Objective, Reinforce
from irecgan_gym.evaluation.user_model_fidelity import fidelity
from irecgan_gym.kernels.low_precision import Precision
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.dataset import SessionLog, in_memory
from irecgan_gym.settings import CountFrom0, Positive
from irecgan_gym.storage.states import Things


@dataclass(frozen=True)
class PGUConfig(PGCConfig, UserModelSettings):
    """Settings of agents that learn from a user model's sessions too, beside those of the rounds.

    Attributes:
        user_model_fit: training of the user model (Eq 3).
        generated_pool: generated sessions of earlier rounds that are learned from again; 0 as in Algorithm 1, which
            empties B^s in every r-step (the authors' code keeps 6,000).
        length_cut: length at which generated sessions are cut, as a multiple of the mean length of the logged ones (2
            in the authors' code); None for the length of the longest.
        generation_precision: of large matrix products while sessions are generated and completed;
            ``"bfloat16"`` pays where it pays in :class:`~irecgan_gym.models.fitting.FitConfig`.
    """

    user_model_fit: FitConfig = field(default_factory=FitConfig)
    generated_pool: CountFrom0 = 0
    length_cut: Positive | None = None
    generation_precision: Precision = "float32"

    def max_generated_steps(self, real: Sessions | RealSessions) -> int:
        """Return the length at which generated sessions are cut."""
        if self.length_cut is None:
            return int(real.lengths.max())
        return max(1, round(self.length_cut * float(real.lengths.mean())))


@dataclass(frozen=True)
class ACUConfig(CriticSettings, PGUConfig):
    """Settings of ACU: those of PGU and of the critic."""


class PGU(PolicyAgent[PGUConfig]):
    """PG on offline sessions and on those of a user model fitted to them (baseline 3 of §7.2)."""

    kind = "pgu"
    config_type = PGUConfig
    saved = ("policy", "user_model")
    streams = True
    policy: SlatePolicy

    def _build(self) -> None:
        self.policy = self._module("policy", lambda: SlatePolicy(self.num_items, self.slate_size, self.config.encoder))
        self.user_model = self._module(
            "user_model", lambda: self.config.new_user_model(self.num_items, self.slate_size)
        )

    def _learn(self, sessions: SessionLog, validation: SessionLog | None, recorder: Recorder) -> None:
        offline, held_out = self._hold_out(sessions, validation, self.config.validation_fraction)
        _learn_without_discriminator(self, Reinforce(), offline, held_out, recorder)


class ACU(PolicyAgent[ACUConfig]):
    """AC on offline sessions and on those of a user model fitted to them (baseline 4 of §7.2)."""

    kind = "acu"
    config_type = ACUConfig
    saved = ("policy", "user_model")
    streams = True
    policy: ActorCriticPolicy

    def _build(self) -> None:
        shape = (self.num_items, self.slate_size, self.config.encoder)
        self.policy = self._module("policy", lambda: ActorCriticPolicy(*shape))
        self.user_model = self._module(
            "user_model", lambda: self.config.new_user_model(self.num_items, self.slate_size)
        )

    def _learn(self, sessions: SessionLog, validation: SessionLog | None, recorder: Recorder) -> None:
        offline, held_out = self._hold_out(sessions, validation, self.config.validation_fraction)
        objective = ActorCritic(self.config.trace_decay, self.config.value_weight)
        _learn_without_discriminator(self, objective, offline, held_out, recorder)


def _learn_without_discriminator(
    agent: PGU | ACU, objective: Objective, offline: SessionLog, validation: SessionLog, recorder: Recorder
) -> None:
    """Algorithm 1 without lines 5, 6, 10, 12 and 15 to 19: no q_D, no Eq 7, no discriminator."""
    config, policy, user_model = agent.config, agent.policy, agent.user_model
    held_out = in_memory(validation)
    # Lines 3 and 4: pre-train U (Eq 3), and A (Eq 10) on the offline data.
    pre_train_user_model(agent, user_model, offline, held_out, recorder)
    data, validating = offline_and_held_out(offline, held_out, config, agent.device)
    dose = pre_train_policy(agent, policy, data, validating, recorder, objective)
    updates = PolicyUpdates(policy, validating, config, agent._rng("policy_updates"), dose, objective)
    rng, pool, unscaled = agent._rng("generation"), GeneratedPool(config.generated_pool), RescalingSettings()
    max_steps = config.max_generated_steps(RealSessions(offline, user_model.config))
    things: Things = {"policy": updates, "generation": rng, "pool": pool}
    rounds = agent._schedule.steps("rounds", config.rounds + 1, things, until=lambda: updates.should_stop, first=1)
    with updates.diverging_kept(recorder):
        for epoch in rounds:
            for _ in range(config.r_steps):
                # Line 9: generate m sessions, B^s; the agent's rewards are those of q_D = 1.
                played = generate_sessions(
                    policy,
                    user_model,
                    config.num_generated(offline),
                    max_session_steps=max_steps,
                    seed=int(rng.integers(2**31)),
                    precision=config.generation_precision,
                )
                generated = pool.with_earlier(with_rewards(played, config))
                # Line 13: update A by Eq 10 with B = [B^s, B^r].
                both = returns_of_both(offline, generated, config, unscaled, agent.device)
                measured = generated.metrics() | updates.update(both)
            warn_of_collapse(played, offline)
            recorder.record(measured | updates.validate(), epoch)
    agent._treated(updates.finish(), recorder)
    recorder.record(fidelity(user_model, held_out, seed=agent._seed("fidelity")).as_metrics(), 0)
