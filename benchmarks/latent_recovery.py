"""Recovery of known tables by the latent-state user model, up to the names of the states.

python -m benchmarks.latent_recovery --sessions 100000
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy.optimize import linear_sum_assignment

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.benchmarks.engine.command import check_known, check_positive, command_line
from irecgan_gym.benchmarks.engine.text_table import text_table
from irecgan_gym.benchmarks.online_test import Streams
from irecgan_gym.benchmarks.planners import ENVS
from irecgan_gym.benchmarks.true_likelihood import true_log_likelihood
from irecgan_gym.mdp import RecommendationMDP
from irecgan_gym.models.appeal import AppealConfig
from irecgan_gym.models.latent_fitting import climb, random_start
from irecgan_gym.models.latent_user_model import LatentUserConfig, LatentUserModel
from irecgan_gym.planning.logged_steps import LoggedSteps


@dataclass(frozen=True, kw_only=True)
class LatentRecovery:
    """Fit the latent-state user model to ever more sessions of random slates, and compare its tables with true ones.

    Of several starts the fit with the highest posterior is kept, as a practitioner would; states are named by the
    assignment that brings the chances of success closest to the true rewards.
    """

    env: str = "RecSim-Observable-v0"
    """Environment whose tables are to be found."""
    sessions: tuple[int, ...] = (1000, 10_000, 100_000)
    """Numbers of logged sessions."""
    starts: int = 3
    """Searches for the likeliest model."""
    seed: int = 0
    """Seed of the tables, the logs and the searches."""
    max_iterations: int = 300
    """Iterations of a search."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_known(ENVS, env=(self.env,))
        check_positive(sessions=min(self.sessions), starts=self.starts, max_iterations=self.max_iterations)

    def execute(self, console: Console) -> None:
        """Fit, and print a table.

        Raises:
            SettingsError: settings that make no sense.
        """
        self.check()
        made = gym.make(self.env, mdp_seed=self.seed)
        mdp: RecommendationMDP = made.get_wrapper_attr("mdp")
        rows = []
        for number in self.sessions:
            steps = LoggedSteps.of(made.get_wrapper_attr("collect")(number, seed=Streams.of(self.seed).log))
            config = LatentUserConfig(mdp.num_states, AppealConfig(group_spread=1.2), 1.5)
            began, best, reached = time.process_time(), None, -np.inf
            for start in range(self.starts):
                first = random_start(config, steps.num_items, np.random.default_rng([self.seed, start]))
                model = climb(config, steps, first, max_iterations=self.max_iterations, tolerance=1e-7)
                likelihood = float(model.log_likelihood(steps).sum())
                if likelihood > reached:
                    best, reached = model, likelihood
            assert best is not None
            seconds = time.process_time() - began
            gap = (reached - float(true_log_likelihood(mdp, steps).sum())) / steps.num_steps
            errors = table_errors(best, mdp)
            rows.append([f"{number:,}", *(f"{error:.3f}" for error in errors), f"{gap:+.4f}", f"{seconds:.0f}"])
        headings = ("sessions", "reward", "transition", "start", "log-likelihood a step less the true one", "seconds")
        note = "Mean absolute errors of the tables, up to the names of states; seconds of the processor, all starts."
        text_table(f"Recovery of the tables of {self.env}", headings, rows, note).print(console)


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
