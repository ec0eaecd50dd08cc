"""IRecGAN: agent, user model and discriminator learnt together (Algorithm 1 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from irecgan_gym.agents.discriminator_training import fit_discriminator
from irecgan_gym.agents.generation import Generated, both_kinds, generate_adversarial_sessions, generate_sessions
from irecgan_gym.agents.model_based import ModelBasedAgent, ModelBasedConfig
from torch import nn

from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.fitting import (
    ClippedAdamW,
    EarlyStopping,
    FitConfig,
    mean_log_likelihood,
    user_model_epoch,
    user_sessions,
)
from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions


@dataclass(frozen=True)
class IRecGANConfig(ModelBasedConfig):
    """Settings of IRecGAN, beside those of PGU; the defaults are the preset ``fast``.

    Attributes:
        discriminator_fit: training of the discriminator (Eq 5); ``max_epochs`` are those of a d-step, i in
            Algorithm 1.
        user_model_learning_rate: of the user model in the adversarial rounds.
        d_steps: discriminator updates a round.
        discriminator_sessions: most sessions of either kind shown to the discriminator in a d-step, m.
        num_rollouts: completions for each score of Eq 6, N.
        temperature: see :class:`~irecgan_gym.models.discriminator.DiscriminatorConfig`.
        discriminator_uses_reward: see there.
    """

    discriminator_fit: FitConfig = field(
        default_factory=lambda: FitConfig(learning_rate=1e-3, max_epochs=3, patience=None)
    )
    user_model_learning_rate: float = 1e-4
    d_steps: int = 1
    discriminator_sessions: int = 500
    num_rollouts: int = 5
    temperature: float = 0.1
    discriminator_uses_reward: bool = True


class IRecGAN(ModelBasedAgent[IRecGANConfig]):
    """Adversarial policy learning: Algorithm 1 with Eq 5 (D), Eq 7 (U), Eq 10 (A) and Eq 6 for partial sessions.

    The agent and the user model that did best on held-out sessions are kept.
    """

    kind: ClassVar[str] = "irecgan"
    config_type = IRecGANConfig

    def __init__(
        self,
        num_items: int,
        slate_size: int,
        config: IRecGANConfig | None = None,
        *,
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        super().__init__(num_items, slate_size, config, seed=seed, device=device)
        # Generated sessions hold no events, by which they could be told from real ones; D judges clicks alone.
        clicks_alone = replace(self.config.encoder, events=False, recall=False)
        discriminator_config = DiscriminatorConfig(
            num_items, clicks_alone, self.config.temperature, self.config.discriminator_uses_reward
        )
        self.discriminator = self._module(lambda: Discriminator(discriminator_config))

    def _begin_rounds(self, training: Sessions, held_out: Sessions, recorder: Recorder) -> None:
        """Line 6 of Algorithm 1, and what the rounds need."""
        self._adversaries = _Adversaries(self, training, held_out, np.random.default_rng(self._next_seed()))
        self._adversaries.train_discriminator(recorder, 0)
        self._adversaries.validate(recorder, 0)

    def _generate(self, training: Sessions, number: int, *, seed: int) -> Generated:
        score = self._adversaries.score
        return generate_adversarial_sessions(
            self.policy,
            score,
            number,
            lambda_r=self.config.lambda_r,
            seed=seed,
            precision=self.config.generation_precision,
        )

    def _learn_from_generated(self, generated: Generated, generator: np.random.Generator) -> dict[str, float]:
        return {
            "adversarial/user_model_loss": self._adversaries.update_user_model(generated, generator),
            "adversarial/mean_q": float(generated.scores.mean()),
        }

    def _end_round(self, number: int, recorder: Recorder) -> None:
        for _ in range(self.config.d_steps):
            self._adversaries.train_discriminator(recorder, number)
        self._adversaries.validate(recorder, number)

    def _end_rounds(self, held_out: Sessions, recorder: Recorder) -> None:
        self._adversaries.best_user_model.restore()
        super()._end_rounds(held_out, recorder)

    def _modules(self) -> dict[str, nn.Module]:
        return {**super()._modules(), "discriminator": self.discriminator}


class _Adversaries:
    """User model and discriminator in the adversarial rounds: what they keep from one round to the next."""

    def __init__(self, agent: IRecGAN, training: Sessions, held_out: Sessions, generator: np.random.Generator) -> None:
        config, model = agent.config, agent.user_model
        self._agent, self._config, self._rng = agent, config, generator
        self._real = user_sessions(training, model.config)
        self.score = SequenceScore(
            model,
            agent.policy,
            agent.discriminator,
            num_rollouts=config.num_rollouts,
            max_session_steps=int(self._real.lengths.max()),
        )
        self._held_out = SessionTensors(
            user_sessions(held_out, model.config), leave_option=model.leave_option, device=agent.device
        )
        self._user_optimizer = ClippedAdamW(
            model, replace(config.user_model_fit, learning_rate=config.user_model_learning_rate)
        )
        self._discriminator_optimizer = ClippedAdamW(agent.discriminator, config.discriminator_fit)
        self.best_user_model = EarlyStopping(model)

    def update_user_model(self, generated: Generated, generator: np.random.Generator) -> float:
        """Eq 7 over B = [B^s, B^r], with q_D = 1 on B^r; the mean loss a step."""
        model = self._agent.user_model
        weights = np.concatenate([np.ones(self._real.num_steps, dtype=np.float32), generated.scores])
        both = both_kinds(self._real, generated.sessions)
        data = SessionTensors(both, leave_option=model.leave_option, device=model.device)
        return user_model_epoch(model, data, self._user_optimizer, self._config.user_model_fit, generator, weights)

    def train_discriminator(self, recorder: Recorder, number: int) -> None:
        """A d-step: fresh generated sessions against a fresh draw of real ones (Eq 5)."""
        size = min(self._config.discriminator_sessions, len(self._real))
        generated = generate_sessions(
            self._agent.policy,
            self._agent.user_model,
            size,
            max_session_steps=self.score.max_session_steps,
            seed=int(self._rng.integers(2**31)),
            precision=self._config.generation_precision,
        )
        real = self._real.select(self._rng.permutation(len(self._real))[:size])
        fit_discriminator(
            self._agent.discriminator,
            real,
            generated,
            self._discriminator_optimizer,
            self._config.discriminator_fit,
            leave_option=self._agent.user_model.leave_option,
            generator=self._rng,
            recorder=recorder,
            step=number,
        )

    def validate(self, recorder: Recorder, number: int) -> None:
        """Compare the user model with the best so far on held-out sessions."""
        fit = self._config.user_model_fit
        click, reward = mean_log_likelihood(self._agent.user_model, self._held_out.all(fit.batch_size * 4))
        self.best_user_model.update(-(click + fit.lambda_p * reward))
        recorder.record(
            {
                "adversarial/validation_click_log_likelihood": click,
                "adversarial/validation_reward_log_likelihood": reward,
            },
            number,
        )
