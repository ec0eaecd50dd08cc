"""Shared parts of experiments in simulated environments: the log of a seed, policies to compare with, deployment."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from irecgan_gym.agents import Agent, PGConfig, PresetName
from irecgan_gym.agents.references.belief import Belief
from irecgan_gym.agents.references.blind import Blind
from irecgan_gym.agents.references.mdp_policy import DeterministicMDPPolicy
from irecgan_gym.agents.references.pg_limit import PGLimit
from irecgan_gym.agents.references.simple import PopularityPolicy, RandomPolicy
from irecgan_gym.agents.references.state_policies import MaxReward, Optimal
from irecgan_gym.benchmarks.engine.command import check_positive
from irecgan_gym.benchmarks.engine.experiment import Experiment, check_device
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.engine.summaries import Measure
from irecgan_gym.benchmarks.joining import (
    agent_settings,
    agent_type,
    check_env,
    read_env_kwargs,
    read_metrics,
    world_kwargs,
)
from irecgan_gym.benchmarks.shared_training import learn_job, stage_of
from irecgan_gym.collection import SlatePredictor, collect
from irecgan_gym.evaluation.metrics import coverage_at_r, mean_interval
from irecgan_gym.evaluation.online import OnlineResult, evaluate_online
from irecgan_gym.mdp import RecommendationMDP
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions

DEPLOYMENTS = {"top-k": True, "sampled": False}
LOGGING_POLICY = "logging-policy"
"""Name, in results.csv, of the policy that made the log: rewards of the log itself."""
LoggingPolicy = Literal["random", "max", "mix"]
MEASURES = (
    Measure("reward/top-k", "reward of a session, top-k"),
    Measure("reward/sampled", "reward of a session, sampled"),
    Measure("normalized/top-k", "reward, random 0, belief 1"),
    Measure("of_optimum/top-k", "reward, random 0, optimal 1"),
    Measure("length/top-k", "steps of a session, top-k"),
    Measure("coverage@1/top-k", "coverage@1, top-k"),
    Measure("coverage@10/top-k", "coverage@10, top-k"),
)


SIMPLE: dict[str, Callable[[Sessions, int, int], Agent]] = {
    "random": lambda log, slate_size, seed: RandomPolicy(log.num_items, slate_size, seed=seed),
    "popularity": lambda log, slate_size, seed: PopularityPolicy(log.num_items, slate_size, seed=seed).learn(log),
}
"""Policies that need no tables, made from a log, the size of slates and a seed."""
KNOWING: dict[str, Callable[[RecommendationMDP, int], Agent]] = {
    "max-reward": MaxReward,
    "blind": Blind,
    "belief": Belief,
    "optimal": Optimal,
}
"""Policies that know the tables of the environment, made from them and the size of slates."""
LIMIT = "pg-limit"
"""Name of the policy that PG tends to with ever more sessions of the logging policy; it knows the tables too."""
REFERENCES = (*SIMPLE, *KNOWING, LIMIT)


@dataclass(frozen=True)
class Streams:
    """Seeds that one seed of the run stands for; no two uses of randomness share one.

    Attributes:
        log: seed of the logged sessions.
        agent: seed of the agent's parameters and training.
        evaluation: seed of the users and slates when the agent is deployed.
    """

    log: int
    agent: int
    evaluation: int

    @classmethod
    def of(cls, seed: int) -> Streams:
        """Return the streams of a seed."""
        return cls(*(int(word) for word in np.random.SeedSequence(seed).generate_state(3)))


@dataclass(frozen=True, kw_only=True)
class OnlineTest(Experiment):
    """Policies are deployed in a simulated environment; each seed is another one."""

    env: str = "RecSim-v0"
    """Environment: RecSim-v0, RecSim-Observable-v0, RecSim-Planning-v0, or any registered one (module:id)."""
    env_kwargs: str = "{}"
    """Arguments of the environment as JSON, or @FILE of JSON, e.g. '{"num_items": 100, "slate_size": 5}'."""
    preset: PresetName = "fast"
    """Settings of the agents: fast (1x64 LSTM), tuned (by benchmarks.tune), or paper (2x512 LSTM, for a GPU)."""
    eval_sessions: int = 10_000
    """Sessions that each policy is deployed for."""
    metrics: tuple[str, ...] = ()
    """Further metrics of the slates shown: ndcg@10, recall@5, catalogue_coverage@10, or module:function."""
    slate_propensities: bool = False
    """Logs hold the exact probabilities of their slates, by which policies can be judged; estimated otherwise."""
    device: str = "auto"
    """Device on which agents are trained: auto, cpu, cuda."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_positive(eval_sessions=self.eval_sessions)
        check_device(self.device)
        read_metrics(self.metrics)
        check_env(self.env, self._kwargs)

    def config(self) -> dict[str, Any]:
        """Return the settings of the environment; subclasses add their own."""
        given = json.loads(self.env_kwargs) if not self.env_kwargs.startswith("@") else {"file": self.env_kwargs}
        return {
            "experiment": self.name,
            "env": self.env,
            "eval_sessions": self.eval_sessions,
            **({"env_kwargs": given} if given else {}),
            **({"metrics": list(self.metrics)} if self.metrics else {}),
            **({"slate_propensities": True} if self.slate_propensities else {}),
        }

    @cached_property
    def _kwargs(self) -> dict[str, Any]:
        return read_env_kwargs(self.env_kwargs)

    def world(self, seed: int) -> dict[str, Any]:
        """Return the arguments of the environment of a seed."""
        return world_kwargs(self.env, self._kwargs, seed)

    def references(self) -> tuple[str, ...]:
        """Return the names of the reference policies: those that know the tables only where there are tables."""
        return REFERENCES if gym.make(self.env, **self.world(0)).has_wrapper_attr("mdp") else tuple(SIMPLE)

    def stage(self, job: Job) -> int:
        """Return the stage of a job: agents that others begin with come first."""
        return stage_of(job)

    def measure(self, job: Job, recorder: Recorder, folder: RunFolder) -> dict[str, float]:
        """Learn from the log of a job, and deploy; or measure the log or a reference policy.

        Returns:
            Measurements such as ``reward/top-k``, ``coverage@1/sampled`` and ``length/top-k``; of the logging policy
            ``reward/logged`` and the like; of a trained agent the treatment that it has had, ``treatment/...``.
        """
        log, mdp = self.log(job)
        if job.agent == LOGGING_POLICY:
            return _measure_log(log, mdp)
        seed = Streams.of(job.seed).agent
        if job.agent in SIMPLE:
            return self.deploy(SIMPLE[job.agent](log, log.slate_size, seed), job)
        if mdp is not None and job.agent in KNOWING:
            return self.deploy(KNOWING[job.agent](mdp, log.slate_size), job)
        if mdp is not None and job.agent == LIMIT:
            pg: PGConfig = agent_settings("pg", self.preset)
            limit = PGLimit(mdp, log.slate_size, job.logging_policy, gamma=pg.gamma, lambda_r=pg.lambda_r, seed=seed)
            return self.deploy(limit, job)
        agent = self.new_agent(job.agent, log, seed)
        treatment = learn_job(agent, job, folder, log, recorder=recorder)
        return self.deploy(agent, job) | treatment

    def deploy(self, policy: SlatePredictor, job: Job) -> dict[str, float]:
        """Return what a policy earns from the users of a job."""
        metrics: dict[str, float] = {}
        result: OnlineResult | None = None
        for deployment, deterministic in DEPLOYMENTS.items():
            # A policy that shows the same slates either way earns the same: the users are the same, too.
            if result is None or not isinstance(policy, DeterministicMDPPolicy):
                result = evaluate_online(
                    policy,
                    self.env,
                    self.eval_sessions,
                    deterministic=deterministic,
                    seed=Streams.of(job.seed).evaluation,
                    env_kwargs=self.world(job.seed),
                    metrics=read_metrics(self.metrics),
                )
            metrics |= result.as_metrics(deployment)
        return metrics

    def log(self, job: Job) -> tuple[Sessions, RecommendationMDP | None]:
        """Return the logged sessions that a job learns from, and the true tables of its environment, if it has any.

        Raises:
            ValueError: an environment that has no logging policies of its own, and another policy than ``random``.
        """
        seed, kwargs = Streams.of(job.seed).log, self.world(job.seed)
        env = gym.make(self.env, **kwargs)
        mdp = env.get_wrapper_attr("mdp") if env.has_wrapper_attr("mdp") else None
        if env.has_wrapper_attr("collect"):
            logging = gym.make(self.env, **{**kwargs, "logging_policy": job.logging_policy})
            options = {"slate_propensities": True} if self.slate_propensities else {}
            return logging.get_wrapper_attr("collect")(job.num_sessions, seed=seed, **options), mdp
        if job.logging_policy != "random":
            raise ValueError(f"{self.env} collects no logs itself: only random slates can be logged")
        slates = env.action_space.nvec  # type: ignore[attr-defined]
        policy = RandomPolicy(int(slates[0]), len(slates), seed=seed)
        return collect(policy, self.env, job.num_sessions, seed, env_kwargs=kwargs), mdp

    def new_agent(self, name: str, log: Sessions, seed: int) -> Agent:
        """Return an agent that has learned nothing yet."""
        config = agent_settings(name, self.preset)
        agent: Agent = agent_type(name)(log.num_items, log.slate_size, config, seed=seed, device=self.device)
        return agent


def _measure_log(log: Sessions, mdp: RecommendationMDP | None) -> dict[str, float]:
    """Return what the logging policy earned in the very sessions that were logged (cut at 40 steps)."""
    rewards: NDArray[Any] = np.add.reduceat(log.rewards.astype(np.float64), log.offsets[:-1])
    reward = mean_interval(rewards)
    metrics = {
        "reward/logged": reward.mean,
        "reward_low/logged": reward.low,
        "reward_high/logged": reward.high,
        "length/logged": float(log.lengths.mean()),
    }
    if mdp is not None and log.states is not None:
        coverage = coverage_at_r(log.slate_items.reshape(log.num_steps, -1), log.states, mdp.rewards)
        metrics |= {f"coverage@{r}/logged": float(share) for r, share in enumerate(coverage, start=1)}
    return metrics
