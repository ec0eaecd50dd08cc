"""Planners and their controls beside PG: ``python -m benchmarks.planners --out FILE`` writes a row for each run."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from rich.console import Console
from scipy import stats

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.agents import AGENT_NAMES, Agent, Belief, MaxLogBelief, make_agent, preset
from irecgan_gym.agents.auto_planner import AutoPlanner, AutoPlannerConfig
from irecgan_gym.agents.choice_planner import ChoicePlanner, ChoicePlannerConfig
from irecgan_gym.agents.latent_planner import LatentPlanner, LatentPlannerConfig
from irecgan_gym.agents.tabular_pg import TabularPG, TabularPGConfig
from irecgan_gym.benchmarks.engine.command import check_distinct, check_known, check_positive, command_line
from irecgan_gym.benchmarks.online_test import Streams
from irecgan_gym.evaluation.online import evaluate_online
from irecgan_gym.models.appeal import AppealConfig
from irecgan_gym.models.choice_model import ChoiceModelConfig
from irecgan_gym.sessions import Sessions

ENVS = ("RecSim-v0", "RecSim-Observable-v0", "RecSim-Planning-v0")
_CHOICE, _LATENT = ChoicePlannerConfig(), LatentPlannerConfig()
_UNTIED = AppealConfig(link="untied")
SETTINGS: dict[str, tuple[type[Any], Any]] = {
    "auto": (AutoPlanner, AutoPlannerConfig()),
    "auto-points": (AutoPlanner, AutoPlannerConfig(num_points=100)),
    "auto-myopic": (AutoPlanner, AutoPlannerConfig(foresight=0)),
    "auto-top": (AutoPlanner, AutoPlannerConfig(slates="top")),
    "auto-no-exposure": (AutoPlanner, AutoPlannerConfig(least=None)),
    "choice": (ChoicePlanner, _CHOICE),
    "choice-last-click": (ChoicePlanner, replace(_CHOICE, model=ChoiceModelConfig("last-click"))),
    "choice-no-history": (ChoicePlanner, replace(_CHOICE, model=ChoiceModelConfig("none"))),
    "choice-untied": (ChoicePlanner, replace(_CHOICE, model=ChoiceModelConfig("place", _UNTIED))),
    # The d = 0 of an item that is never shown, to whatever keeps weights positive.
    "choice-never-clicked": (ChoicePlanner, replace(_CHOICE, least=1e-6)),
    "latent": (LatentPlanner, _LATENT),
    "latent-untied": (LatentPlanner, replace(_LATENT, model=replace(_LATENT.model, appeal=_UNTIED))),
    "tabular-pg": (TabularPG, TabularPGConfig()),
    "tabular-pg-last-click": (TabularPG, TabularPGConfig(context="last-click")),
}
REFERENCES: dict[str, Callable[..., Agent]] = {"belief": Belief, "max-log-belief": MaxLogBelief}


@dataclass(frozen=True, kw_only=True)
class Planners:
    """Train planners, their controls and PG on the same logs, deploy them, and write a row for each run."""

    out: Path
    """File for the rows, in CSV."""
    env: tuple[str, ...] = ENVS
    """Environments."""
    logging_policy: tuple[str, ...] = ("random", "max", "mix")
    """Policies that make the logs."""
    sessions: tuple[int, ...] = (200, 1000, 10000)
    """Numbers of logged sessions."""
    agents: tuple[str, ...] = ("auto", "tabular-pg", "tabular-pg-last-click", "pg")
    """Agents: the first is compared with the others."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds; logs and users are those of simulated_online with the same seed."""
    eval_sessions: int = 10_000
    """Sessions that each agent is deployed for."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_known(ENVS, env=self.env)
        check_known(("random", "max", "mix"), logging_policy=self.logging_policy)
        check_known((*SETTINGS, *REFERENCES, *AGENT_NAMES), agents=self.agents)
        check_distinct(sessions=self.sessions, seeds=self.seeds)
        check_positive(sessions=min(self.sessions), eval_sessions=self.eval_sessions)

    def execute(self, console: Console) -> None:
        """Train and deploy; rows are written as they come, a table at the end.

        Raises:
            SettingsError: settings that make no sense.
        """
        self.check()
        self.out.parent.mkdir(parents=True, exist_ok=True)
        rewards: dict[tuple[str, ...], dict[int, float]] = {}
        with self.out.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["env", "logging_policy", "sessions", "seed", "agent", "top-k", "sampled", "seconds"])
            for number, env, policy, seed in product(self.sessions, self.env, self.logging_policy, self.seeds):
                made = gym.make(env, logging_policy=policy, mdp_seed=seed)
                log = made.get_wrapper_attr("collect")(number, seed=Streams.of(seed).log)
                for name in self.agents:
                    began = time.process_time()
                    agent = _learned(name, log, seed, made.get_wrapper_attr("mdp"))
                    seconds = time.process_time() - began
                    found = [_reward(agent, env, seed, self.eval_sessions, top) for top in (True, False)]
                    rewards.setdefault((env, policy, str(number), name), {})[seed] = found[0]
                    numbers = [f"{value:.4f}" for value in found]
                    writer.writerow([env, policy, number, seed, name, *numbers, f"{seconds:.1f}"])
                    file.flush()
                console.print(f"{env}, {policy}({number}), seed {seed}: done", highlight=False)
        console.print(table(rewards, self.agents), markup=False, highlight=False, soft_wrap=True)


def table(rewards: dict[tuple[str, ...], dict[int, float]], agents: Sequence[str]) -> str:
    """Mean top-k rewards by cell with halves of t intervals, and the first agent's lead on each of the others."""
    lines = ["| cell | " + " | ".join(agents) + " |", "| --- " * (len(agents) + 1) + "|"]
    for cell in dict.fromkeys(key[:3] for key in rewards):
        first = rewards[(*cell, agents[0])]
        columns = []
        for name in agents:
            of_seeds = rewards[(*cell, name)]
            lead = np.array([first[seed] - of_seeds[seed] for seed in of_seeds])
            columns.append(f"{np.mean(list(of_seeds.values())):.2f}" + ("" if of_seeds is first else f" ({_t(lead)})"))
        lines.append(f"| {cell[0]}, {cell[1]}({cell[2]}) | " + " | ".join(columns) + " |")
    return "\n".join(lines)


def _t(values: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    if len(values) < 2:
        return f"{values.mean():+.2f}"
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():+.2f} ± {half:.2f}"


def _learned(name: str, log: Sessions, seed: int, mdp: Any) -> Agent:
    size, agent_seed = log.slate_size, Streams.of(seed).agent
    if name in REFERENCES:
        return REFERENCES[name](mdp, size)
    agent: Agent
    if name in SETTINGS:
        kind, config = SETTINGS[name]
        agent = kind(log.num_items, size, config, seed=agent_seed)
    else:
        config = preset(name, "fast")
        agent = make_agent(name, num_items=log.num_items, slate_size=size, config=config, seed=agent_seed)
    return agent.learn(log)


def _reward(agent: Agent, env: str, seed: int, number: int, deterministic: bool) -> float:
    evaluation = Streams.of(seed).evaluation
    result = evaluate_online(
        agent,
        env,
        number,
        deterministic=deterministic,
        seed=evaluation,
        num_envs=min(1000, number),
        env_kwargs={"mdp_seed": seed},
    )
    return result.reward.mean


if __name__ == "__main__":
    sys.exit(command_line(Planners))
