"""The simulated online test (§7.1, Figure 2): learn from logged sessions, deploy, count what is earned.

python -m benchmarks.simulated_online --agents irecgan pg --logging-policy max --sessions 1000 --seeds 2 --out runs/demo
python -m benchmarks.simulated_online --agents irecgan pg --logging-policy random max mix --sessions 200 1000 10000 \
    --seeds 10 --out runs/figure2
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from pandas import DataFrame
from rich.console import Console

from irecgan_gym.agents import AGENT_NAMES
from irecgan_gym.benchmarks.engine.command import check_distinct, check_positive, command_line
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.engine.statistics import MIN_SEEDS
from irecgan_gym.benchmarks.engine.summaries import paired_difference
from irecgan_gym.benchmarks.engine.tables import cells_of
from irecgan_gym.benchmarks.figures.online import online_figures
from irecgan_gym.benchmarks.joining import agent_settings, agent_type, as_json, check_agents
from irecgan_gym.benchmarks.online_test import DEPLOYMENTS, LOGGING_POLICY, MEASURES, LoggingPolicy, OnlineTest, Streams

_SHOWN_STEPS = 5


@dataclass(frozen=True, kw_only=True)
class SimulatedOnline(OnlineTest):
    """Train agents on logged sessions of a simulated environment, deploy them in it, and compare what they earn.

    Each seed is another environment (its tables are drawn from the seed), another log and other users; all agents share
    them. Every logging policy is combined with every number of sessions. The same command on the same folder goes on
    where it stopped, and tries again what failed; with further agents, logging policies, numbers of sessions or seeds,
    the run grows.
    """

    name = "simulated_online"
    axes = ("agents", "logging_policy", "sessions", "seeds")
    measures = MEASURES
    figures = staticmethod(online_figures)

    agents: tuple[str, ...] = AGENT_NAMES
    """Agents to train, by name or as module:Class."""
    logging_policy: tuple[LoggingPolicy, ...] = ("max",)
    """Policies that make the logs."""
    sessions: tuple[int, ...] = (1000,)
    """Numbers of logged sessions to learn from."""
    seeds: int = 2
    """Number of seeds; 0, 1, 2, ... are used."""
    show_slate: bool = False
    """Print, at the end, the slates that the first agent shows to one user."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_agents(self.agents)
        check_distinct(logging_policy=self.logging_policy, sessions=self.sessions)
        check_positive(sessions=min(self.sessions), seeds=self.seeds)
        super().check()

    def config(self) -> dict[str, Any]:
        """Return all settings that measurements depend on, those of the agents included."""
        return super().config() | {
            "logging_policy": list(self.logging_policy),
            "sessions": list(self.sessions),
            "seeds": self.seeds,
            "preset": self.preset,
            "agents": {name: as_json(agent_settings(name, self.preset)) for name in self.agents},
        }

    def grid(self, results: DataFrame) -> list[Job]:
        """Return all jobs of the run, cell by cell, in the order of their rows."""
        names = (LOGGING_POLICY, *self.references(), *self.agents)
        return [
            Job(self.name, name, logging_policy, num_sessions, seed)
            for logging_policy in self.logging_policy
            for num_sessions in self.sessions
            for seed in range(self.seeds)
            for name in names
        ]

    def conclude(self, folder: RunFolder, results: DataFrame, console: Console) -> None:
        """Print differences within environments between the first agent and each other one; then slates."""
        for (_, policy, size), rows in cells_of(results).items():
            logged = rows[(rows["agent"] == LOGGING_POLICY) & (rows["metric"] == "reward/logged")]["value"]
            if len(logged):
                sees = "" if policy == "random" else ", which sees the user's state,"
                console.print(f"{policy} ({size:,}): the logging policy{sees} earned {logged.mean():.2f} a session")
            for other in self.agents[1:]:
                for deployment in DEPLOYMENTS:
                    self._print_difference(rows, other, deployment, console)
        if self.show_slate:
            self._show_slates(folder, console)

    def _print_difference(self, rows: DataFrame, other: str, deployment: str, console: Console) -> None:
        first, metric = self.agents[0], f"reward/{deployment}"
        seeds = [set(rows[(rows["agent"] == name) & (rows["metric"] == metric)]["seed"]) for name in (first, other)]
        if len(seeds[0] & seeds[1]) >= MIN_SEEDS:
            mean, low, high = paired_difference(rows, first, other, metric)
            console.print(
                f"reward of {first} less that of {other}, {deployment}: {mean:+.2f} ({low:+.2f} to {high:+.2f}, paired)"
            )

    def _show_slates(self, folder: RunFolder, console: Console) -> None:
        name, seed = self.agents[0], 0
        checkpoint = folder.checkpoint(Job(self.name, name, self.logging_policy[0], self.sessions[0], seed))
        if not checkpoint.exists():  # Its job has failed.
            return
        agent = agent_type(name).load(checkpoint, device=self.device)
        console.print(f"\nOne user of {self.env}, served by {name} with its top items\n", style="bold")
        env = gym.make(self.env, render_mode="ansi", **self.world(seed))
        observation, _ = env.reset(seed=Streams.of(seed).evaluation)
        state, start = None, np.ones(1, dtype=bool)
        for _ in range(_SHOWN_STEPS):
            slates, state = agent.predict(np.array([observation]), state, start, True)
            observation, _, ended, _, _ = env.step(slates[0])
            console.print(env.render(), markup=False, highlight=False)
            start = np.zeros(1, dtype=bool)
            if ended:
                break
        env.close()


if __name__ == "__main__":
    sys.exit(command_line(SimulatedOnline))
