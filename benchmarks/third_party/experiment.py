"""The third-party test: agents of other libraries, trained in three worlds and deployed in the true one."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from pandas import DataFrame

from irecgan_gym.agents import preset
from irecgan_gym.benchmarks.engine.command import check_at_least, check_known, check_positive
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.figures.run import Figures, by_cell
from irecgan_gym.benchmarks.figures.third_party import third_party_figure
from irecgan_gym.benchmarks.joining import agent_settings, as_json, check_agents
from irecgan_gym.benchmarks.online_test import MEASURES, LoggingPolicy, OnlineTest, Streams
from irecgan_gym.benchmarks.third_party.algorithms import ALGORITHMS, Envs
from irecgan_gym.benchmarks.third_party.config import MAX_SESSION_STEPS, ThirdPartyConfig
from irecgan_gym.models.fitting import fit_user_model
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions

World = Literal["env", "model", "adversarial"]
WORLDS: tuple[World, ...] = ("env", "model", "adversarial")
"""Worlds to learn in: the true env; a user model fitted to logs; the same under the adversarial reward."""
METHODS: dict[str, tuple[str, World]] = {
    f"{algorithm}/{world}": (algorithm, world) for algorithm in ALGORITHMS for world in WORLDS
}
"""Algorithm and world by the name of the method, e.g. ``"ppo/model"``."""


@dataclass(frozen=True, kw_only=True)
class ThirdParty(OnlineTest):
    """Train algorithms of Stable-Baselines3 and sb3-contrib, deploy them, and compare what they earn with our agents.

    Each algorithm learns in up to three worlds: `env`, the true environment; `model`, UserModel-v0 fitted to a log of
    it; `adversarial`, the same under the adversarial reward, rolled out by the algorithm's own policy. Each seed is
    another environment, another log and other users; all methods share them. The same command on the same folder goes
    on where it stopped, and tries again what failed; with further algorithms, worlds, agents or seeds the run grows.
    """

    name = "third_party"
    axes = ("agents", "algorithms", "worlds", "seeds")
    measures = tuple(
        measure
        for measure in MEASURES
        if measure.metric in ("reward/top-k", "reward/sampled", "normalized/top-k", "coverage@1/top-k")
    )

    algorithms: tuple[str, ...] = tuple(ALGORITHMS)
    """Algorithms of the other libraries."""
    worlds: tuple[World, ...] = WORLDS
    """Worlds that they learn in."""
    agents: tuple[str, ...] = ("irecgan",)
    """Agents that learn from the log, by name or as module:Class."""
    logging_policy: LoggingPolicy = "max"
    """Policy that makes the log."""
    sessions: int = 1000
    """Logged sessions."""
    seeds: int = 3
    """Number of seeds; 0, 1, 2, ... are used."""
    timesteps: int = ThirdPartyConfig.timesteps
    """Slates that each algorithm learns from."""
    history: int = ThirdPartyConfig.history
    """Clicks that the algorithms see, the last one included."""
    device: str = "cpu"
    """Device on which our agents are trained; the algorithms learn on the CPU."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_agents(self.agents)
        check_known(tuple(ALGORITHMS), algorithms=self.algorithms)
        check_known(WORLDS, worlds=self.worlds)
        check_positive(seeds=self.seeds, timesteps=self.timesteps, history=self.history)
        check_at_least(10, "a tenth is held out", sessions=self.sessions)
        super().check()

    def config(self) -> dict[str, Any]:
        """Return all settings that measurements depend on, those of the agents and algorithms included."""
        return super().config() | {
            "logging_policy": self.logging_policy,
            "sessions": self.sessions,
            "seeds": self.seeds,
            "preset": self.preset,
            "worlds": list(self.worlds),
            "training": asdict(self._training),
            "algorithms": {name: ALGORITHMS[name].as_settings() for name in self.algorithms},
            "agents": {name: as_json(agent_settings(name, self.preset)) for name in self.agents},
        }

    @property
    def _training(self) -> ThirdPartyConfig:
        return ThirdPartyConfig(timesteps=self.timesteps, history=self.history)

    def grid(self, results: DataFrame) -> list[Job]:
        """Return all jobs of the run, in the order of their rows."""
        methods = [f"{algorithm}/{world}" for algorithm in self.algorithms for world in self.worlds]
        return [
            Job(self.name, name, self.logging_policy, self.sessions, seed)
            for seed in range(self.seeds)
            for name in (*self.references(), *self.agents, *methods)
        ]

    def measure(self, job: Job, recorder: Recorder, folder: RunFolder) -> dict[str, float]:
        """Let an algorithm learn in a world and deploy it; agents and references as in the simulated online test."""
        if job.agent not in METHODS:
            return super().measure(job, recorder, folder)
        from irecgan_gym.benchmarks.third_party.training import Trainee, learn_adversarially

        algorithm, world = METHODS[job.agent]
        # The log comes first: what follows draws from global generators.
        log, _ = self.log(job)
        seeds = [int(word) for word in np.random.SeedSequence(Streams.of(job.seed).agent).generate_state(3)]
        if world == "env":
            envs = self._training_envs(self.env, **self.world(job.seed))
            trainee = Trainee(algorithm, envs, log, self._training, seeds[0])
            trainee.learn()
        else:
            fit = preset("irecgan", self.preset)
            training, validation = log.split((1 - fit.validation_fraction, fit.validation_fraction), seed=seeds[1])
            user_model = self._user_model(job, training, validation, seeds[1], folder)
            envs = self._training_envs("UserModel-v0", user_model=user_model)
            trainee = Trainee(algorithm, envs, log, self._training, seeds[0])
            if world == "model":
                trainee.learn()
            else:
                learn_adversarially(trainee, envs, user_model, training, fit, seeds[2], recorder)
        trainee.model.save(folder.checkpoint(job).with_suffix(".zip"))
        return self.deploy(trainee.policy, job)

    def _user_model(
        self, job: Job, training: Sessions, validation: Sessions, seed: int, folder: RunFolder
    ) -> UserModel:
        """Fit a user model to a log (Eq 3) as IRecGAN fits its own; methods with the same log share it by a file.

        It is the same whichever job makes it, so that jobs may also make it at the same time.
        """
        file = folder.checkpoint(replace(job, agent="user-model"))
        if file.exists():
            return UserModel.load(file, device="cpu")
        fit = preset("irecgan", self.preset)
        config = UserModelConfig(training.num_items, training.slate_size, fit.ending, fit.encoder)
        user_model = UserModel.create(config, seed=seed, device="cpu")
        fit_user_model(training, validation, user_model, fit.user_model_fit, seed=seed)
        user_model.save(file)
        return user_model

    def _training_envs(self, env: str, **kwargs: Any) -> Envs:
        return gym.make_vec(
            env,
            num_envs=self._training.num_envs,
            max_episode_steps=MAX_SESSION_STEPS,
            autoreset_mode=AutoresetMode.SAME_STEP,
            **kwargs,
        )

    @staticmethod
    def figures(rows: DataFrame) -> Figures:
        """Return a figure for each log."""
        return by_cell(rows, third_party_figure)
