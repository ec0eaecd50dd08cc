"""IRecGAN: agent, user model and discriminator learnt together (Algorithm 1 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np
from torch import nn

from agents.discriminator_training import fit_discriminator
from agents.generation import Generated, generate_adversarial_sessions, generate_sessions
from agents.pg import split_validation
from agents.policy_agent import PolicyAgent
from agents.policy_gradient import (
    ReturnsData,
    fit_policy,
    held_out_loss,
    offline_rewards,
    policy_gradient_epoch,
)
from irecgan_gym.fidelity import fidelity
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import (
    BestParameters,
    FitConfig,
    Optimizer,
    fit_user_model,
    mean_log_likelihood,
    user_model_epoch,
    user_sessions,
)
from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.recorder import Recorder, silent
from irecgan_gym.sessions import Sessions, concatenate


@dataclass(frozen=True)
class IRecGANConfig:
    """Settings of IRecGAN; the defaults are the preset ``fast``.

    Attributes:
        encoder: shape of the recurrent state of agent, user model and discriminator (each has its own).
        ending: how sessions of the user model end, see :class:`~irecgan_gym.models.user_model.UserModelConfig`.
        agent_fit: pre-training of the agent from offline data.
        user_model_fit: pre-training of the user model (Eq 3).
        discriminator_fit: training of the discriminator (Eq 5); ``max_epochs`` are those of a d-step, i in
            Algorithm 1.
        agent_learning_rate: of the agent in the adversarial rounds.
        user_model_learning_rate: of the user model in the adversarial rounds.
        rounds: adversarial rounds at most.
        patience: rounds without a better held-out objective after which learning stops; None never stops early.
        r_steps: generation, user model and agent updates a round.
        d_steps: discriminator updates a round.
        generated_share: generated sessions of an r-step, as a share of the offline sessions (paper: 1:10).
        discriminator_sessions: most sessions of either kind shown to the discriminator in a d-step, m.
        num_rollouts: completions for each score of Eq 6, N.
        gamma: discount factor of the reward-to-go.
        lambda_r: weight of rewards against the constant 1 in Eq 10.
        temperature: see :class:`~irecgan_gym.models.discriminator.DiscriminatorConfig`.
        discriminator_uses_reward: see there.
        validation_fraction: share of the sessions held out when no validation is given.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    ending: Literal["reward", "leave"] = "reward"
    agent_fit: FitConfig = field(default_factory=FitConfig)
    user_model_fit: FitConfig = field(default_factory=FitConfig)
    discriminator_fit: FitConfig = field(
        default_factory=lambda: FitConfig(learning_rate=1e-3, max_epochs=3, patience=None)
    )
    agent_learning_rate: float = 1e-4
    user_model_learning_rate: float = 1e-4
    rounds: int = 20
    patience: int | None = 5
    r_steps: int = 1
    d_steps: int = 1
    generated_share: float = 0.1
    discriminator_sessions: int = 500
    num_rollouts: int = 5
    gamma: float = 0.9
    lambda_r: float = 3.0
    temperature: float = 0.1
    discriminator_uses_reward: bool = True
    validation_fraction: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma must be from 0 to 1, got {self.gamma}")
        if not self.generated_share > 0:
            raise ValueError(f"generated_share must be positive, got {self.generated_share}")
        if not 0 < self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must be between 0 and 1, got {self.validation_fraction}")


class IRecGAN(PolicyAgent[IRecGANConfig]):
    """Adversarial policy learning: Algorithm 1 with Eq 5 (D), Eq 7 (U), Eq 10 (A) and Eq 6 for partial sessions.

    Generated sessions come from ``UserModel-v0`` under the adversarial reward wrapper, the one place where rewards
    are rescaled. The agent and the user model that did best on held-out sessions are kept.
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
        model_config = UserModelConfig(num_items, slate_size, self.config.ending, self.config.encoder)
        self.user_model = self._module(lambda: UserModel(model_config))
        discriminator_config = DiscriminatorConfig(
            num_items, self.config.encoder, self.config.temperature, self.config.discriminator_uses_reward
        )
        self.discriminator = self._module(lambda: Discriminator(discriminator_config))

    def learn(self, sessions: Sessions, validation: Sessions | None = None, *, recorder: Recorder = silent) -> IRecGAN:
        """See :meth:`agents.base.Agent.learn`."""
        config = self.config
        training, held_out = split_validation(sessions, validation, config.validation_fraction, self.seed)
        self._pretrain(training, held_out, recorder)
        rounds = _Rounds(self, training, held_out)
        rounds.train_discriminator(recorder, 0)
        rounds.validate(recorder, 0, {})
        for number in range(1, config.rounds + 1):
            measured: dict[str, float] = {}
            for _ in range(config.r_steps):
                measured = rounds.update_generators()
            for _ in range(config.d_steps):
                rounds.train_discriminator(recorder, number)
            rounds.validate(recorder, number, measured)
            if config.patience is not None and rounds.best_policy.epochs_since >= config.patience:
                break
        rounds.best_policy.restore()
        rounds.best_user_model.restore()
        recorder.record(fidelity(self.user_model, held_out, seed=self._next_seed()).as_metrics(), 0)
        return self

    def _pretrain(self, training: Sessions, held_out: Sessions, recorder: Recorder) -> None:
        """Lines 3 and 4 of Algorithm 1."""
        config = self.config
        fit_user_model(
            training,
            held_out,
            self.user_model,
            config.user_model_fit,
            seed=self._next_seed(),
            recorder=recorder,
        )
        data, held_out_data = (self._offline_data(part) for part in (training, held_out))
        fit_policy(
            self.policy,
            data,
            held_out_data,
            config.agent_fit,
            generator=np.random.default_rng(self._next_seed()),
            recorder=recorder,
        )

    def _offline_data(self, sessions: Sessions) -> ReturnsData:
        rewards = offline_rewards(sessions, self.config.lambda_r)
        return ReturnsData(sessions, rewards, self.config.gamma, self.device)

    def _modules(self) -> dict[str, nn.Module]:
        return {"policy": self.policy, "user_model": self.user_model, "discriminator": self.discriminator}


class _Rounds:
    """The adversarial rounds of Algorithm 1: what they keep from one round to the next."""

    def __init__(self, agent: IRecGAN, training: Sessions, held_out: Sessions) -> None:
        config = agent.config
        self._agent, self._config = agent, config
        self._training = training
        self._real = user_sessions(training, agent.user_model.config)
        self._rng = np.random.default_rng(agent._next_seed())
        self._max_steps = int(self._real.lengths.max())
        self._score = SequenceScore(
            agent.user_model,
            agent.policy,
            agent.discriminator,
            num_rollouts=config.num_rollouts,
            max_session_steps=self._max_steps,
        )
        self._held_out = agent._offline_data(held_out)
        self._held_out_user = SessionTensors(
            user_sessions(held_out, agent.user_model.config),
            leave_option=agent.user_model.leave_option,
            device=agent.device,
        )
        self._policy_optimizer = Optimizer(
            agent.policy, replace(config.agent_fit, learning_rate=config.agent_learning_rate)
        )
        self._user_optimizer = Optimizer(
            agent.user_model, replace(config.user_model_fit, learning_rate=config.user_model_learning_rate)
        )
        self._discriminator_optimizer = Optimizer(agent.discriminator, config.discriminator_fit)
        self.best_policy = BestParameters(agent.policy)
        self.best_user_model = BestParameters(agent.user_model)

    def _seed(self) -> int:
        return int(self._rng.integers(2**31))

    def update_generators(self) -> dict[str, float]:
        """An r-step: generate with q_D, then update U by Eq 7 and A by Eq 10 on generated and offline sessions."""
        num_generated = max(1, round(self._config.generated_share * len(self._training)))
        generated = generate_adversarial_sessions(
            self._agent.policy, self._score, num_generated, lambda_r=self._config.lambda_r, seed=self._seed()
        )
        user_loss = self._update_user_model(generated)
        policy_loss = self._update_policy(generated)
        return {
            "adversarial/policy_loss": policy_loss,
            "adversarial/user_model_loss": user_loss,
            "adversarial/mean_q": float(generated.scores.mean()),
            "adversarial/generated_length": generated.sessions.num_steps / num_generated,
            "adversarial/generated_reward": float(generated.sessions.rewards.sum()) / num_generated,
            "adversarial/rescaled_reward": float(generated.rewards.sum()) / num_generated,
        }

    def _update_user_model(self, generated: Generated) -> float:
        """Eq 7 over B = [B^s, B^r], with q_D = 1 on B^r."""
        fit, model = self._config.user_model_fit, self._agent.user_model
        both = concatenate([_bare(self._real), _bare(generated.sessions)])
        weights = np.concatenate([np.ones(self._real.num_steps, dtype=np.float32), generated.scores])
        data = SessionTensors(both, leave_option=model.leave_option, device=model.device)
        return user_model_epoch(model, data, self._user_optimizer, fit, self._rng, weights)

    def _update_policy(self, generated: Generated) -> float:
        """Eq 10 over B = [B^s, B^r]; the wrapper has rescaled the rewards of B^s already."""
        both = concatenate([_bare(self._training), _bare(generated.sessions)])
        rewards = np.concatenate([offline_rewards(self._training, self._config.lambda_r), generated.rewards])
        data = ReturnsData(both, rewards, self._config.gamma, self._agent.device)
        return policy_gradient_epoch(
            self._agent.policy,
            data,
            self._policy_optimizer,
            self._config.agent_fit.batch_size,
            self._rng,
            self._config.agent_fit.precision,
        )

    def train_discriminator(self, recorder: Recorder, number: int) -> None:
        """A d-step: fresh generated sessions against a fresh draw of real ones (Eq 5)."""
        size = min(self._config.discriminator_sessions, len(self._real))
        generated = generate_sessions(
            self._agent.policy,
            self._agent.user_model,
            size,
            max_session_steps=self._max_steps,
            seed=self._seed(),
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

    def validate(self, recorder: Recorder, number: int, measured: dict[str, float]) -> None:
        """Compare agent and user model with their best so far on held-out sessions."""
        fit = self._config.agent_fit
        policy_loss = held_out_loss(self._agent.policy, self._held_out, fit.batch_size * 4)
        click, reward = mean_log_likelihood(self._agent.user_model, self._held_out_user.all(fit.batch_size * 4))
        self.best_policy.update(policy_loss)
        self.best_user_model.update(-(click + self._config.user_model_fit.lambda_p * reward))
        recorder.record(
            {
                **measured,
                "adversarial/validation_loss": policy_loss,
                "adversarial/validation_click_log_likelihood": click,
                "adversarial/validation_reward_log_likelihood": reward,
            },
            number,
        )


def _bare(sessions: Sessions) -> Sessions:
    """Only the columns that generated sessions have too."""
    return replace(
        sessions,
        propensities=None,
        states=None,
        users=None,
        event_offsets=None,
        event_items=None,
        item_names=None,
        provenance={},
    )
