"""One job of the third-party test: an algorithm of another library learns in a world, and acts in the true one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from irecgan_gym.agents import preset
from irecgan_gym.benchmarks.measurements import Job
from irecgan_gym.benchmarks.online_job import OnlineWork, Streams
from irecgan_gym.benchmarks.third_party_algorithms import ALGORITHMS, Envs
from irecgan_gym.benchmarks.third_party_training import (
    MAX_SESSION_STEPS,
    ThirdPartyConfig,
    Trainee,
    learn_adversarially,
)

from irecgan_gym.models.fitting import fit_user_model
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions

World = Literal["env", "model", "adversarial"]
WORLDS: tuple[World, ...] = ("env", "model", "adversarial")
"""What algorithms learn in: the true env; a user model fitted to logs; the same under the adversarial reward."""


def method_name(algorithm: str, world: str) -> str:
    """The name of an algorithm that learns in a world, e.g. ``"ppo/model"``."""
    return f"{algorithm}/{world}"


METHODS: dict[str, tuple[str, World]] = {
    method_name(algorithm, world): (algorithm, world) for algorithm in ALGORITHMS for world in WORLDS
}
"""Algorithm and world by the method's name."""


@dataclass(frozen=True)
class ThirdPartyWork:
    """Does jobs of the third-party test; all that is random in a job comes from the job's seed.

    Attributes:
        config: how algorithms of other libraries learn.
        ours: does the jobs of agents of this project and of reference policies, on the same logs and users.
    """

    config: ThirdPartyConfig
    ours: OnlineWork

    def __call__(self, job: Job, recorder: Recorder) -> dict[str, float]:
        """Do a job; measurements are those of :class:`~benchmarks.online_job.OnlineWork`."""
        if job.agent not in METHODS:
            return self.ours(job, recorder)
        algorithm, world = METHODS[job.agent]
        # The log comes first: what follows draws from global generators.
        log, _ = self.ours.log(job)
        seeds = [int(word) for word in np.random.SeedSequence(Streams.of(job.seed).agent).generate_state(3)]
        if world == "env":
            envs = _training_envs(self.ours.env, self.config, mdp_seed=job.seed)
            trainee = Trainee(algorithm, envs, log, self.config, seeds[0])
            trainee.learn()
        else:
            fit = preset("irecgan", self.ours.preset)
            training, validation = log.split((1 - fit.validation_fraction, fit.validation_fraction), seed=seeds[1])
            user_model = self._user_model(job, training, validation, seeds[1])
            envs = _training_envs("UserModel-v0", self.config, user_model=user_model)
            trainee = Trainee(algorithm, envs, log, self.config, seeds[0])
            if world == "model":
                trainee.learn()
            else:
                learn_adversarially(trainee, envs, user_model, training, fit, seeds[2], recorder)
        trainee.model.save(self.ours.folder.checkpoint(job).with_suffix(".zip"))
        return self.ours.deploy(trainee.policy, job)

    def _user_model(self, job: Job, training: Sessions, validation: Sessions, seed: int) -> UserModel:
        """A user model fitted to a log (Eq 3) as IRecGAN fits its own; methods with the same log share it by a file.

        It is the same whichever job makes it, so that jobs may also make it at the same time.
        """
        file = self.ours.folder.checkpoint(replace(job, agent="user-model"))
        if file.exists():
            return UserModel.load(file, device="cpu")
        fit = preset("irecgan", self.ours.preset)
        config = UserModelConfig(training.num_items, training.slate_size, fit.ending, fit.encoder)
        user_model = UserModel.create(config, seed=seed, device="cpu")
        fit_user_model(training, validation, user_model, fit.user_model_fit, seed=seed)
        user_model.save(file)
        return user_model


def _training_envs(env: str, config: ThirdPartyConfig, **options: Any) -> Envs:
    return gym.make_vec(
        env,
        num_envs=config.num_envs,
        max_episode_steps=MAX_SESSION_STEPS,
        autoreset_mode=AutoresetMode.SAME_STEP,
        **options,
    )
