"""Planners and their controls beside the paper's methods, on the same logs, over worlds, logging policies and sizes.

python -m benchmarks.planners --sessions 200 1000 --seeds 3 --out runs/planners
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import gymnasium as gym
from pandas import DataFrame
from rich.console import Console

from irecgan_gym.agents import AGENT_NAMES, Agent, Belief, MaxLogBelief, PresetName
from irecgan_gym.agents.auto_planner import AutoPlanner, AutoPlannerConfig
from irecgan_gym.agents.cautious_planner import CautiousPlanner, CautiousPlannerConfig
from irecgan_gym.agents.choice_planner import ChoicePlanner, ChoicePlannerConfig
from irecgan_gym.agents.latent_planner import LatentPlanner, LatentPlannerConfig
from irecgan_gym.agents.recurrent_planner import RecurrentPlanner, RecurrentPlannerConfig
from irecgan_gym.agents.references.simple import RandomPolicy
from irecgan_gym.agents.tabular_pg import TabularPG, TabularPGConfig
from irecgan_gym.benchmarks.engine.command import check_known, check_positive, command_line
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.engine.summaries import Measure
from irecgan_gym.benchmarks.figures.planners import planner_figures
from irecgan_gym.benchmarks.joining import agent_settings, agent_type
from irecgan_gym.benchmarks.log_grid import LogGrid, env_of, log_of
from irecgan_gym.benchmarks.online_test import DEPLOYMENTS, Streams
from irecgan_gym.benchmarks.planner_tables import planner_tables
from irecgan_gym.benchmarks.shared_training import learn_job, stage_of
from irecgan_gym.evaluation.online import OnlineResult, evaluate_online
from irecgan_gym.models.appeal import AppealConfig
from irecgan_gym.models.choice_model import ChoiceModelConfig
from irecgan_gym.recorder import Recorder

_CHOICE, _LATENT, _RECURRENT = ChoicePlannerConfig(), LatentPlannerConfig(), RecurrentPlannerConfig()
_UNTIED = AppealConfig(link="untied")
SETTINGS: dict[str, tuple[type[Any], Any]] = {
    "auto": (AutoPlanner, AutoPlannerConfig()),
    "auto-points": (AutoPlanner, AutoPlannerConfig(num_points=100)),
    "auto-myopic": (AutoPlanner, AutoPlannerConfig(foresight=0)),
    "auto-top": (AutoPlanner, AutoPlannerConfig(slates="top")),
    "auto-lower": (CautiousPlanner, CautiousPlannerConfig()),
    "auto-no-exposure": (AutoPlanner, AutoPlannerConfig(least=None)),
    "choice": (ChoicePlanner, _CHOICE),
    "choice-last-click": (ChoicePlanner, replace(_CHOICE, model=ChoiceModelConfig("last-click"))),
    "choice-no-history": (ChoicePlanner, replace(_CHOICE, model=ChoiceModelConfig("none"))),
    "choice-untied": (ChoicePlanner, replace(_CHOICE, model=ChoiceModelConfig("place", _UNTIED))),
    # The d = 0 of an item that is never shown, to whatever keeps weights positive.
    "choice-never-clicked": (ChoicePlanner, replace(_CHOICE, least=1e-6)),
    "latent": (LatentPlanner, _LATENT),
    "latent-untied": (LatentPlanner, replace(_LATENT, model=replace(_LATENT.model, appeal=_UNTIED))),
    "recurrent": (RecurrentPlanner, _RECURRENT),
    "recurrent-myopic": (RecurrentPlanner, replace(_RECURRENT, foresight=0)),
    "recurrent-tied": (RecurrentPlanner, replace(_RECURRENT, link="tied")),
    "recurrent-tied-myopic": (RecurrentPlanner, replace(_RECURRENT, link="tied", foresight=0)),
    "tabular-pg": (TabularPG, TabularPGConfig()),
    "tabular-pg-last-click": (TabularPG, TabularPGConfig(context="last-click")),
}
REFERENCES: dict[str, type[Belief | MaxLogBelief]] = {"belief": Belief, "max-log-belief": MaxLogBelief}
RANDOM = "random"


@dataclass(frozen=True, kw_only=True)
class Planners(LogGrid):
    """Train planners, their controls and the paper's methods on the same logs, deploy them, and compare what they earn.

    Each seed is another environment, another log and other users, those of simulated_online with the same seed; all
    agents share them. The same command on the same folder goes on where it stopped; with further agents, worlds,
    logging policies, sizes or seeds, the run grows.
    """

    name = "planners"
    axes = ("agents", *LogGrid.axes)
    measures = (
        Measure("reward/top-k", "reward of a session, top-k"),
        Measure("reward/sampled", "reward of a session, sampled"),
        Measure("normalized/top-k", "reward, random 0, belief 1"),
        Measure("seconds/learning", "seconds of learning", digits=1),
    )
    figures = staticmethod(planner_figures)

    agents: tuple[str, ...] = ("auto", "tabular-pg", "tabular-pg-last-click", "pg", "irecgan")
    """Agents: the first is compared with the others."""
    seeds: int = 10
    """Number of seeds; 0, 1, 2, ... are used."""
    eval_sessions: int = 10_000
    """Sessions that each agent is deployed for."""
    preset: PresetName = "fast"
    """Settings of the paper's methods."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        super().check()
        check_known((*SETTINGS, *AGENT_NAMES), agents=self.agents)
        check_positive(eval_sessions=self.eval_sessions)

    def config(self) -> dict[str, Any]:
        """Return all settings that measurements depend on, those of the agents included."""
        return super().config() | {
            "eval_sessions": self.eval_sessions,
            "preset": self.preset,
            "agents": {name: asdict(self._settings(name)[1]) for name in self.agents},
        }

    def grid(self, results: DataFrame) -> list[Job]:
        """Return all jobs of the run."""
        return self.jobs_of((RANDOM, *REFERENCES, *self.agents))

    def stage(self, job: Job) -> int:
        """Return the stage of a job: agents that others begin with come first."""
        return stage_of(job)

    def measure(self, job: Job, recorder: Recorder, folder: RunFolder) -> dict[str, float]:
        """Learn from the log of a job, and deploy; or deploy a reference policy.

        Returns:
            ``reward/top-k``, ``reward/sampled``, ``length/top-k`` and the like, and of agents that learn
            ``seconds/learning``, of the processor.
        """
        env = env_of(job)
        if job.agent == RANDOM or job.agent in REFERENCES:
            return dict(_reference(job.agent, env, job.seed, self.eval_sessions))
        log = log_of(job)
        kind, config = self._settings(job.agent)
        agent = kind(log.num_items, log.slate_size, config, seed=Streams.of(job.seed).agent, device="cpu")
        began = time.process_time()
        learn_job(agent, job, folder, log, recorder=recorder)
        seconds = time.process_time() - began
        return _deployed(agent, env, job.seed, self.eval_sessions) | {"seconds/learning": seconds}

    def conclude(self, folder: RunFolder, results: DataFrame, console: Console) -> None:
        """Print how far the first agent leads, cell by cell, and in how many cells."""
        for table in planner_tables(results, self.agents):
            table.print(console)

    def _settings(self, name: str) -> tuple[type[Any], Any]:
        return SETTINGS[name] if name in SETTINGS else (agent_type(name), agent_settings(name, self.preset))


@lru_cache(maxsize=64)
def _reference(name: str, env: str, seed: int, number: int) -> tuple[tuple[str, float], ...]:
    """Measure what does not learn: the same for all logs of an environment."""
    made = gym.make(env, mdp_seed=seed)
    mdp, slate_size = made.get_wrapper_attr("mdp"), made.get_wrapper_attr("slate_size")
    if name == RANDOM:
        policy: Agent = RandomPolicy(mdp.num_items, slate_size, seed=Streams.of(seed).agent)
    else:
        policy = REFERENCES[name](mdp, slate_size)
    return tuple(_deployed(policy, env, seed, number).items())


def _deployed(agent: Agent, env: str, seed: int, number: int) -> dict[str, float]:
    metrics: dict[str, float] = {}
    found: OnlineResult | None = None
    for deployment, deterministic in DEPLOYMENTS.items():
        # What shows the same slates either way earns the same: the users are the same, too.
        if found is None or not isinstance(agent, tuple(REFERENCES.values())):
            found = evaluate_online(
                agent,
                env,
                number,
                deterministic=deterministic,
                seed=Streams.of(seed).evaluation,
                num_envs=min(1000, number),
                env_kwargs={"mdp_seed": seed},
            )
        metrics |= found.as_metrics(deployment)
    return metrics


if __name__ == "__main__":
    sys.exit(command_line(Planners))
