"""Experiments over a grid of simulated logs: environments, logging policies, numbers of sessions and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import gymnasium as gym

from irecgan_gym.benchmarks.engine.command import check_distinct, check_known, check_positive
from irecgan_gym.benchmarks.engine.experiment import Experiment
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.online_test import LoggingPolicy, Streams
from irecgan_gym.sessions import Sessions

ENVS = ("RecSim-v0", "RecSim-Observable-v0", "RecSim-Planning-v0")
"""Environments with states."""


@dataclass(frozen=True, kw_only=True)
class LogGrid(Experiment):
    """Experiment whose jobs begin with a log of a simulated environment; the seed sets tables, log and users."""

    axes: ClassVar[Sequence[str]] = ("env", "logging_policy", "sessions", "seeds")

    env: tuple[str, ...] = ENVS
    """Environments."""
    logging_policy: tuple[LoggingPolicy, ...] = ("random", "max", "mix")
    """Policies that make the logs."""
    sessions: tuple[int, ...] = (200, 1000, 10000)
    """Numbers of logged sessions to learn from."""
    seeds: int = 5
    """Number of seeds; 0, 1, 2, ... are used."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_known(ENVS, env=self.env)
        check_distinct(sessions=self.sessions, logging_policy=self.logging_policy)
        check_positive(sessions=min(self.sessions), seeds=self.seeds)

    def config(self) -> dict[str, Any]:
        """Return the settings of the grid; subclasses add theirs."""
        return {
            "experiment": self.name,
            "env": list(self.env),
            "logging_policy": list(self.logging_policy),
            "sessions": list(self.sessions),
            "seeds": self.seeds,
        }

    def jobs_of(self, names: Sequence[str]) -> list[Job]:
        """Return the jobs of the grid, cell by cell; the logging policy of a job is named after its environment too.

        Args:
            names: of what is measured on each log.
        """
        return [
            Job(self.name, name, f"{env}/{policy}", number, seed)
            for env, policy, number, seed in product(self.env, self.logging_policy, self.sessions, range(self.seeds))
            for name in names
        ]


def env_of(job: Job) -> str:
    """Return the environment of a job of a grid."""
    return job.logging_policy.partition("/")[0]


def logged_env(job: Job) -> Any:
    """Return the environment of a job of a grid, which makes its logs."""
    env, policy = job.logging_policy.split("/")
    return gym.make(env, logging_policy=policy, mdp_seed=job.seed)


def log_of(job: Job) -> Sessions:
    """Return the log of a job of a grid: the same for all that is measured on it."""
    log: Sessions = logged_env(job).get_wrapper_attr("collect")(job.num_sessions, seed=Streams.of(job.seed).log)
    return log
