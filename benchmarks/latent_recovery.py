"""Recovery of known tables by the latent-state user model, up to the names of the states.

python -m benchmarks.latent_recovery --out runs/latent-recovery
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame
from scipy.optimize import linear_sum_assignment

from irecgan_gym.benchmarks.engine.command import check_distinct, check_known, check_positive, command_line
from irecgan_gym.benchmarks.engine.experiment import Experiment
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.engine.summaries import Measure
from irecgan_gym.benchmarks.log_grid import ENVS, log_of, logged_env
from irecgan_gym.benchmarks.true_likelihood import true_log_likelihood
from irecgan_gym.mdp import RecommendationMDP
from irecgan_gym.models.appeal import AppealConfig
from irecgan_gym.models.latent_fitting import climb, random_start
from irecgan_gym.models.latent_user_model import LatentUserConfig, LatentUserModel
from irecgan_gym.planning.logged_steps import LoggedSteps
from irecgan_gym.recorder import Recorder


@dataclass(frozen=True, kw_only=True)
class LatentRecovery(Experiment):
    """Fit the latent-state user model to ever more sessions of random slates, and compare its tables with true ones.

    Of several starts the fit with the highest likelihood is kept, as a practitioner would; states are named by the
    assignment that brings the chances of success closest to the true rewards.
    """

    name = "latent_recovery"
    axes = ("env", "sessions", "seeds")
    measures = (
        Measure("error/reward", "mean absolute error of rewards", digits=3),
        Measure("error/transition", "of transitions", digits=3),
        Measure("error/start", "of the start", digits=3),
        Measure("likelihood/gap", "log-likelihood a step less the true one", digits=4),
        Measure("seconds/fitting", "seconds of the processor, all starts", digits=0),
    )

    env: tuple[str, ...] = ("RecSim-Observable-v0",)
    """Environments whose tables are to be found."""
    sessions: tuple[int, ...] = (1000, 10_000, 100_000)
    """Numbers of logged sessions."""
    seeds: int = 1
    """Number of seeds; 0, 1, 2, ... are used: of the tables, the logs and the searches."""
    starts: int = 3
    """Searches for the likeliest model."""
    max_iterations: int = 300
    """Iterations of a search."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_known(ENVS, env=self.env)
        check_distinct(sessions=self.sessions)
        check_positive(
            sessions=min(self.sessions), seeds=self.seeds, starts=self.starts, max_iterations=self.max_iterations
        )

    def config(self) -> dict[str, Any]:
        """Return all settings that measurements depend on."""
        return {
            "experiment": self.name,
            "env": list(self.env),
            "sessions": list(self.sessions),
            "seeds": self.seeds,
            "starts": self.starts,
            "max_iterations": self.max_iterations,
        }

    def grid(self, results: DataFrame) -> list[Job]:
        """Return all jobs of the run."""
        cells = product(self.env, self.sessions, range(self.seeds))
        return [Job(self.name, "latent", f"{env}/random", number, seed) for env, number, seed in cells]

    def measure(self, job: Job, recorder: Recorder, folder: RunFolder) -> Mapping[str, float]:
        """Fit to the log of a job, and compare."""
        mdp: RecommendationMDP = logged_env(job).get_wrapper_attr("mdp")
        steps = LoggedSteps.of(log_of(job))
        config = LatentUserConfig(mdp.num_states, AppealConfig(group_spread=1.2), 1.5)
        began, best, reached = time.process_time(), None, -np.inf
        for start in range(self.starts):
            first = random_start(config, steps.num_items, np.random.default_rng([job.seed, start]))
            model = climb(config, steps, first, max_iterations=self.max_iterations, tolerance=1e-7)
            likelihood = float(model.log_likelihood(steps).sum())
            if likelihood > reached:
                best, reached = model, likelihood
        assert best is not None
        seconds = time.process_time() - began
        reward, transition, first_state = table_errors(best, mdp)
        return {
            "error/reward": reward,
            "error/transition": transition,
            "error/start": first_state,
            "likelihood/gap": (reached - float(true_log_likelihood(mdp, steps).sum())) / steps.num_steps,
            "seconds/fitting": seconds,
        }


def table_errors(model: LatentUserModel, mdp: RecommendationMDP) -> tuple[float, float, float]:
    """Return the mean absolute errors of rewards, of transitions and of the start's probability, as matched.

    Args:
        model: of as many states as the true user has.
        mdp: the true tables; sessions start in the first state.
    """
    found: NDArray[np.float64] = model.tables.appeal.successes
    costs = np.abs(found[None] - mdp.rewards[:, None]).mean(axis=2)
    order = linear_sum_assignment(costs)[1]
    moves = model.tables.moves.table()[order][:, :, order]
    by_reward = np.abs(found[order] - mdp.rewards).mean()
    return float(by_reward), float(np.abs(moves - mdp.transitions).mean()), float(1 - model.tables.start[order[0]])


if __name__ == "__main__":
    sys.exit(command_line(LatentRecovery))
