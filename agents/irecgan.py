"""IRecGAN: agent, user model and discriminator learned together (Algorithm 1 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

from irecgan_gym.agents.adversarial_updates import DiscriminatorUpdates, UserModelUpdates
from irecgan_gym.agents.generation import (
    GeneratedPool,
    RescalingSettings,
    generate_adversarial_sessions,
    returns_of_both,
    warn_of_collapse,
)
from irecgan_gym.agents.pgu import PGUConfig
from irecgan_gym.agents.policy_agent import PolicyAgent
from irecgan_gym.agents.policy_gradient import PolicyUpdates, offline_and_held_out
from irecgan_gym.agents.pre_training import pre_train_policy, pre_train_user_model
from irecgan_gym.agents.real_sessions import RealSessions
from irecgan_gym.agents.treatment import ScoreMoments
from irecgan_gym.evaluation.user_model_fidelity import fidelity
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.fitting import FitConfig, user_sessions
from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions.dataset import SessionLog, in_memory
from irecgan_gym.settings import Count, CountFrom0, Numbers, Positive
from irecgan_gym.storage.states import Things

Accuracy = Annotated[float, Numbers("must be from 0.5 to 1", lambda value: 0.5 <= value <= 1)]


@dataclass(frozen=True)
class IRecGANConfig(RescalingSettings, PGUConfig):
    """Settings of IRecGAN, beside those of PGU; the defaults are the preset ``fast``.

    Attributes:
        discriminator_fit: training of the discriminator (Eq 5); ``max_epochs`` are those of a d-step, i in
            Algorithm 1.
        user_model_learning_rate: step size of the user model's updates in the rounds (Eq 7).
        likelihood_epochs: passes of the user model over the offline data alone (Eq 3) after the r-steps of a round;
            0 in Algorithm 1, 1 for each of Eq 7 in the authors' code.
        pre_training_d_steps: most discriminator updates before the rounds. They end once it tells held-out sessions
            from generated ones (see ``discriminator_accuracy``).
        discriminator_accuracy: accuracy on held-out sessions, mean of the last three updates, that is enough to begin
            the rounds with.
        d_steps: discriminator updates a round.
        discriminator_sessions: most sessions of either kind shown to the discriminator in a d-step, m.
        num_rollouts: completions for each score of Eq 6, N.
        temperature: see :class:`~irecgan_gym.models.discriminator.DiscriminatorConfig`.
        discriminator_uses_reward: see there.
    """

    discriminator_fit: FitConfig = field(
        default_factory=lambda: FitConfig(learning_rate=1e-2, max_epochs=3, patience=None)
    )
    user_model_learning_rate: Positive = 5e-4
    likelihood_epochs: CountFrom0 = 0
    pre_training_d_steps: Count = 20
    discriminator_accuracy: Accuracy = 0.65
    d_steps: Count = 1
    discriminator_sessions: Count = 500
    num_rollouts: Count = 5
    temperature: Positive = 0.1
    discriminator_uses_reward: bool = True

    def discriminator(self, num_items: int) -> DiscriminatorConfig:
        """Return the shape of the discriminator.

        Generated sessions hold no events, by which they could be told from real ones, so D judges clicks alone.
        """
        encoder = replace(self.encoder, events=False, recall=False)
        return DiscriminatorConfig(num_items, encoder, self.temperature, self.discriminator_uses_reward)


class IRecGAN(PolicyAgent[IRecGANConfig]):
    """Adversarial policy learning: Algorithm 1 with Eq 5 (D), Eq 7 (U), Eq 10 (A) and Eq 6 for partial sessions."""

    kind = "irecgan"
    config_type = IRecGANConfig
    saved = ("policy", "user_model", "discriminator")
    streams = True
    policy: SlatePolicy

    def _build(self) -> None:
        """Make A, U and D with random parameters (line 2)."""
        num_items, config = self.num_items, self.config
        self.policy = self._module("policy", lambda: SlatePolicy(num_items, self.slate_size, config.encoder))
        self.user_model = self._module("user_model", lambda: config.new_user_model(num_items, self.slate_size))
        self.discriminator = self._module("discriminator", lambda: Discriminator(config.discriminator(num_items)))

    def _learn(self, sessions: SessionLog, validation: SessionLog | None, recorder: Recorder) -> None:
        """Learn by Algorithm 1; the comments hold its lines.

        Beyond the paper, a round may be chosen by held-out sessions, and B^r of an r-step is all the offline data.
        """
        config, policy, user_model = self.config, self.policy, self.user_model
        offline, validating_log = self._hold_out(sessions, validation, config.validation_fraction)
        held_out = in_memory(validating_log)
        real, real_held_out = RealSessions(offline, user_model.config), user_sessions(held_out, user_model.config)
        # 3: Pre-train U by maximizing Eq 3.
        pre_train_user_model(self, user_model, offline, held_out, recorder)
        # 4: Pre-train A via the policy gradient of Eq 10, using only the offline data.
        data, validating = offline_and_held_out(offline, held_out, config, self.device)
        dose = pre_train_policy(self, policy, data, validating, recorder)
        # 5, 6: A and U simulate m sequences; pre-train D according to Eq 5 on them and on m of the real data.
        updates_of_d = DiscriminatorUpdates(
            self.discriminator, policy, user_model, real, real_held_out, config, self._rng("discriminator_training")
        )
        updates_of_d.pre_train(self._schedule, recorder)

        updates_of_u = UserModelUpdates(user_model, real, real_held_out, config, self._rng("user_model_updates"))
        updates_of_a = PolicyUpdates(policy, validating, config, self._rng("policy_updates"), dose)
        rng, pool, scores = self._rng("generation"), GeneratedPool(config.generated_pool), ScoreMoments()
        score = SequenceScore(
            user_model,
            policy,
            self.discriminator,
            num_rollouts=config.num_rollouts,
            max_session_steps=config.max_generated_steps(real),
        )
        things: Things = {
            "discriminator": updates_of_d,
            "user_model": updates_of_u,
            "policy": updates_of_a,
            "generation": rng,
            "pool": pool,
            "scores": scores,
        }
        rounds = self._schedule.steps(
            "rounds", config.rounds + 1, things, until=lambda: updates_of_a.should_stop, first=1
        )
        with updates_of_a.diverging_kept(recorder):
            # 7: for e = 1 to epoch do
            for epoch in rounds:
                # 8: for r-steps do
                for _ in range(config.r_steps):
                    # 9, 10: Empty B^s, generate m simulated sequences, compute q_D(tau_0:t) at each step t by Eq 6.
                    fresh = generate_adversarial_sessions(
                        policy,
                        score,
                        config.num_generated(offline),
                        rewards=config,
                        seed=int(rng.integers(2**31)),
                        precision=config.generation_precision,
                    )
                    scores.add(fresh.scores)
                    generated = pool.with_earlier(fresh).scaled(config)
                    # 11, 12: Update U via the policy gradient of Eq 7 with B = [B^s, B^r], where q_D = 1 on B^r.
                    user_model_metrics = updates_of_u.update(generated)
                    # 13: Update A via the policy gradient of Eq 10 with B = [B^s, B^r].
                    both = returns_of_both(offline, generated, config, config, self.device)
                    policy_metrics = updates_of_a.update(both)
                updates_of_u.learn_from_offline()
                # 15: for d-steps do
                for _ in range(config.d_steps):
                    # 16, 17, 18: Draw B^s and B^r again, m sequences each, and update D according to Eq 5 for i epochs.
                    updates_of_d.update(recorder)

                measured = {
                    "adversarial/mean_q": float(fresh.scores.mean()),
                    "adversarial/std_q": float(fresh.scores.std()),
                }
                warn_of_collapse(fresh.sessions, offline)
                measured |= fresh.metrics() | user_model_metrics | policy_metrics
                recorder.record(measured | updates_of_u.validate() | updates_of_a.validate(), epoch)
        treatment = updates_of_a.finish() | updates_of_u.finish() | updates_of_d.finish() | scores.as_metrics()
        self._treated(treatment, recorder)
        recorder.record(fidelity(user_model, held_out, seed=self._seed("fidelity")).as_metrics(), 0)
