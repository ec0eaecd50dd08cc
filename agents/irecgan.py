"""IRecGAN: agent, user model and discriminator learned together (Algorithm 1 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from irecgan_gym.agents.discriminator_training import fit_discriminator
from irecgan_gym.agents.generation import both_kinds, generate_adversarial_sessions, generate_sessions, returns_of_both
from irecgan_gym.agents.pgu import PGUConfig
from irecgan_gym.agents.policy_agent import PolicyAgent
from irecgan_gym.agents.policy_gradient import PolicyUpdates, fit_policy
from irecgan_gym.evaluation.user_model_fidelity import fidelity
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.fitting import (
    ClippedAdamW,
    EarlyStopping,
    FitConfig,
    fit_user_model,
    mean_log_likelihood,
    user_model_epoch,
    user_sessions,
)
from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions
from irecgan_gym.settings import Count, CountFrom0, Positive


@dataclass(frozen=True)
class IRecGANConfig(PGUConfig):
    """Settings of IRecGAN, beside those of PGU; the defaults are the preset ``fast``.

    Attributes:
        discriminator_fit: training of the discriminator (Eq 5); ``max_epochs`` are those of a d-step, i in
            Algorithm 1.
        user_model_learning_rate: step size of the user model's updates in the rounds (Eq 7).
        d_steps: discriminator updates a round.
        discriminator_sessions: most sessions of either kind shown to the discriminator in a d-step, m.
        num_rollouts: completions for each score of Eq 6, N.
        temperature: see :class:`~irecgan_gym.models.discriminator.DiscriminatorConfig`.
        discriminator_uses_reward: see there.
    """

    discriminator_fit: FitConfig = field(
        default_factory=lambda: FitConfig(learning_rate=1e-3, max_epochs=3, patience=None)
    )
    user_model_learning_rate: Positive = 1e-4
    d_steps: CountFrom0 = 1
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
    """Adversarial policy learning: Algorithm 1 with Eq 5 (D), Eq 7 (U), Eq 10 (A) and Eq 6 for partial sessions.

    The agent and the user model that did best on held-out sessions are kept.
    """

    kind = "irecgan"
    config_type = IRecGANConfig
    saved = ("policy", "user_model", "discriminator")
    policy: SlatePolicy

    def _build(self) -> None:
        """Make A, U and D with random parameters (line 2)."""
        num_items, config = self.num_items, self.config
        self.policy = self._module(lambda: SlatePolicy(num_items, self.slate_size, config.encoder))
        self.user_model = self._module(lambda: config.new_user_model(num_items, self.slate_size))
        self.discriminator = self._module(lambda: Discriminator(config.discriminator(num_items)))

    def _learn(self, sessions: Sessions, validation: Sessions | None, recorder: Recorder) -> None:
        """Learn by Algorithm 1; the comments hold its lines.

        Beyond the paper, learning stops early by held-out sessions, and B^r of an r-step is all the offline data.
        """
        config, policy, user_model = self.config, self.policy, self.user_model
        offline, held_out = self._hold_out(sessions, validation, config.validation_fraction)
        real, real_held_out = (user_sessions(part, user_model.config) for part in (offline, held_out))
        # 3: Pre-train U by maximizing Eq 3.
        fit = config.user_model_fit
        fit_user_model(offline, held_out, user_model, fit, seed=self._next_seed(), recorder=recorder)
        # 4: Pre-train A via the policy gradient of Eq 10, using only the offline data.
        fit_policy(policy, offline, held_out, config, generator=self._next_rng(), recorder=recorder)
        # 5, 6: A and U simulate m sequences; pre-train D according to Eq 5 on them and on m of the real data.
        d_optimizer, d_rng = ClippedAdamW(self.discriminator, config.discriminator_fit), self._next_rng()
        self._update_discriminator(real, d_optimizer, d_rng, recorder, 0)

        best_user_model = EarlyStopping(user_model)
        self._validate_user_model(real_held_out, best_user_model, recorder, 0)
        u_optimizer = ClippedAdamW(user_model, replace(fit, learning_rate=config.user_model_learning_rate))
        rng = self._next_rng()
        policy_updates = PolicyUpdates(policy, held_out, config, rng)
        score = SequenceScore(
            user_model,
            policy,
            self.discriminator,
            num_rollouts=config.num_rollouts,
            max_session_steps=int(real.lengths.max()),
        )
        # 7: for e = 1 to epoch do
        for epoch in range(1, config.rounds + 1):
            # 8: for r-steps do
            for _ in range(config.r_steps):
                # 9, 10: Empty B^s, generate m simulated sequences, compute q_D(tau_0:t) at each step t by Eq 6.
                generated = generate_adversarial_sessions(
                    policy,
                    score,
                    config.num_generated(offline),
                    lambda_r=config.lambda_r,
                    seed=int(rng.integers(2**31)),
                    precision=config.generation_precision,
                )
                # 11, 12: Update U via the policy gradient of Eq 7 with B = [B^s, B^r], where q_D = 1 on B^r.
                both = both_kinds(real, generated.sessions)
                steps = SessionTensors(both, leave_option=user_model.leave_option, device=self.device)
                q = np.concatenate([np.ones(real.num_steps, dtype=np.float32), generated.scores])
                user_model_loss = user_model_epoch(user_model, steps, u_optimizer, fit, rng, q)
                # 13: Update A via the policy gradient of Eq 10 with B = [B^s, B^r].
                policy_metrics = policy_updates.update(returns_of_both(offline, generated, config, self.device))
            # 15: for d-steps do
            for _ in range(config.d_steps):
                # 16, 17, 18: Draw B^s and B^r again, m sequences each, and update D according to Eq 5 for i epochs.
                self._update_discriminator(real, d_optimizer, d_rng, recorder, epoch)

            self._validate_user_model(real_held_out, best_user_model, recorder, epoch)
            mean_q = float(generated.scores.mean())
            measured = {"adversarial/user_model_loss": user_model_loss, "adversarial/mean_q": mean_q}
            recorder.record(measured | generated.metrics() | policy_metrics | policy_updates.validate(), epoch)
            if policy_updates.best.should_stop:
                break
        policy_updates.best.restore()
        best_user_model.restore()
        recorder.record(fidelity(user_model, held_out, seed=self._next_seed()).as_metrics(), 0)

    def _update_discriminator(
        self, real: Sessions, optimizer: ClippedAdamW, rng: np.random.Generator, recorder: Recorder, epoch: int
    ) -> None:
        """Train D for some epochs of Eq 5 on freshly generated sessions and as many real ones."""
        config, user_model = self.config, self.user_model
        m = min(config.discriminator_sessions, len(real))
        generated = generate_sessions(
            self.policy,
            user_model,
            m,
            max_session_steps=int(real.lengths.max()),
            seed=int(rng.integers(2**31)),
            precision=config.generation_precision,
        )
        drawn = real.select(rng.permutation(len(real))[:m])
        fit_discriminator(
            self.discriminator,
            drawn,
            generated,
            optimizer,
            config.discriminator_fit,
            leave_option=user_model.leave_option,
            generator=rng,
            recorder=recorder,
            step=epoch,
        )

    def _validate_user_model(self, held_out: Sessions, best: EarlyStopping, recorder: Recorder, epoch: int) -> None:
        """Compare U with the best so far by Eq 3 on held-out sessions."""
        fit, leave_option = self.config.user_model_fit, self.user_model.leave_option
        batches = SessionTensors(held_out, leave_option=leave_option, device=self.device).all(fit.batch_size * 4)
        click, reward = mean_log_likelihood(self.user_model, batches)
        best.update(-(click + fit.lambda_p * reward))
        names = ("adversarial/validation_click_log_likelihood", "adversarial/validation_reward_log_likelihood")
        recorder.record(dict(zip(names, (click, reward), strict=True)), epoch)
