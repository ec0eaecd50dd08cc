"""Training of algorithms of other libraries in slate envs, under the adversarial reward too."""

from __future__ import annotations

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from irecgan_gym.agents import IRecGANConfig
from irecgan_gym.agents.discriminator_training import fit_discriminator
from irecgan_gym.benchmarks.third_party.algorithms import ALGORITHMS, Envs, Surface
from irecgan_gym.benchmarks.third_party.config import MAX_SESSION_STEPS, ThirdPartyConfig
from irecgan_gym.collection import SlatePredictor, collect
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.fitting import ClippedAdamW, user_sessions
from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.models.user_model import UserModel
from irecgan_gym.recorder import Recorder
from irecgan_gym.sb3 import NativeVecEnv
from irecgan_gym.sessions import Sessions
from irecgan_gym.wrappers import VectorAdversarialReward


class Trainee:
    """A model of another library in its training envs.

    Args:
        algorithm: by name.
        envs: slate envs, in autoreset mode ``SAME_STEP``.
        log: says which items are popular.
        config: how it learns.
        seed: of its parameters and of its training.

    Attributes:
        config: how it learns.
        surface: how it meets the envs.
        model: the library's own.
        policy: the model as it is deployed, also while it learns.
        total_actions: that it may take in its training.
    """

    model: BaseAlgorithm
    policy: SlatePredictor
    total_actions: int

    def __init__(self, algorithm: str, envs: Envs, log: Sessions, config: ThirdPartyConfig, seed: int) -> None:
        clicks = np.bincount(log.clicks[log.clicks < log.num_items], minlength=log.num_items)
        ranking = np.argsort(-clicks, kind="stable")
        self.config = config
        self._seed = seed
        self.surface: Surface = ALGORITHMS[algorithm].surface(envs, config.history, ranking)
        self.model = ALGORITHMS[algorithm].create(
            self._as_vec_env(envs), self.surface, gamma=config.gamma, timesteps=config.timesteps, seed=seed
        )
        self.policy = self.surface.deployed(self.model)
        self.total_actions = config.timesteps * self.surface.actions_a_slate

    def learn(self, callback: BaseCallback | None = None) -> None:
        """Take all actions of the training."""
        self.model.learn(self.total_actions, callback=callback)

    def move_to(self, envs: Envs) -> None:
        """Learn in other envs of the same spaces."""
        vec_env = self._as_vec_env(envs)
        # The model has seeded its first envs only.
        vec_env.seed(self._seed)
        self.model.set_env(vec_env)

    def _as_vec_env(self, envs: Envs) -> NativeVecEnv:
        return NativeVecEnv(self.surface.wrap(envs))


def learn_adversarially(
    trainee: Trainee,
    envs: Envs,
    user_model: UserModel,
    real: Sessions,
    fit: IRecGANConfig,
    seed: int,
    recorder: Recorder,
) -> None:
    """Learn under the adversarial reward (Eq 10), rolled out by the trainee; the discriminator learns too (Eq 5).

    Args:
        trainee: learns in place.
        envs: those of the user model, without a wrapper; as many as the trainee has.
        user_model: plays the users, in the roll-outs too.
        real: logged sessions.
        fit: settings of the discriminator and of its training.
        seed: of the discriminator and of all that it learns from.
        recorder: receives ``disc/*`` after each update of the discriminator.
    """
    settings = DiscriminatorConfig(real.num_items, fit.encoder, fit.temperature, fit.discriminator_uses_reward)
    discriminator = Discriminator.create(settings, seed=seed, device=user_model.device)
    score = SequenceScore(
        user_model,
        trainee.policy,
        discriminator,
        num_rollouts=trainee.config.num_rollouts,
        max_session_steps=MAX_SESSION_STEPS,
    )
    trainee.move_to(VectorAdversarialReward(envs, score=score, mode="generation", lambda_r=trainee.config.lambda_r))
    trainee.learn(DiscriminatorTraining(trainee, score, real, fit, seed, recorder))


class DiscriminatorTraining(BaseCallback):
    """Teaches the discriminator, now and then, to tell the trainee's sessions from real ones.

    Args:
        trainee: is learning meanwhile.
        score: Eq 6; holds the discriminator and the user model.
        real: logged sessions.
        fit: settings of the discriminator's training.
        seed: of the sessions that it learns from and of their order.
        recorder: receives ``disc/*`` after each update.
    """

    def __init__(
        self,
        trainee: Trainee,
        score: SequenceScore,
        real: Sessions,
        fit: IRecGANConfig,
        seed: int,
        recorder: Recorder,
    ) -> None:
        super().__init__()
        self._trainee, self._score, self._fit, self._recorder = trainee, score, fit, recorder
        self._real = user_sessions(real, score.user_model.config)
        self._optimizer = ClippedAdamW(score.discriminator, fit.discriminator_fit)
        self._rng = np.random.default_rng(seed)
        self._updates = 0

    def _on_training_start(self) -> None:
        self._update()

    def _on_step(self) -> bool:
        total = self._trainee.config.discriminator_updates
        if self._updates < total and self.num_timesteps * total >= self._trainee.total_actions * self._updates:
            self._update()
        return True

    def _update(self) -> None:
        size = min(self._fit.discriminator_sessions, len(self._real))
        user_model = self._score.user_model
        generated = collect(
            self._trainee.policy,
            "UserModel-v0",
            size,
            seed=int(self._rng.integers(2**31)),
            max_session_steps=MAX_SESSION_STEPS,
            env_kwargs={"user_model": user_model},
        )
        fit_discriminator(
            self._score.discriminator,
            self._real.select(self._rng.permutation(len(self._real))[:size]),
            generated,
            self._optimizer,
            self._fit.discriminator_fit,
            leave_option=user_model.leave_option,
            generator=self._rng,
            recorder=self._recorder,
            step=self._updates,
        )
        self._updates += 1
