"""One job of the simulated online test: log sessions of an environment, learn from them, deploy in the environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from irecgan_gym.agents import Agent, make_agent, preset
from irecgan_gym.agents.policy_agent import PolicyAgent
from irecgan_gym.agents.policy_gradient import PGConfig
from irecgan_gym.agents.references.belief import Belief
from irecgan_gym.agents.references.pg_limit import PGLimit
from irecgan_gym.agents.references.simple import PopularityPolicy, RandomPolicy
from irecgan_gym.agents.references.state_policies import MaxReward, Optimal
from irecgan_gym.benchmarks.measurements import Job
from irecgan_gym.benchmarks.run_folder import RunFolder
from irecgan_gym.benchmarks.shared_training import learn_job
from numpy.typing import NDArray

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.collection import SlatePredictor
from irecgan_gym.evaluation.metrics import coverage_at_r, mean_interval
from irecgan_gym.evaluation.online import evaluate_online
from irecgan_gym.mdp import RecommendationMDP
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions

DEPLOYMENTS = {"top-k": True, "sampled": False}
# Beside the agents in results.csv: what the log itself earned, and what reference policies earn.
LOGGING_POLICY = "logging-policy"


@dataclass(frozen=True)
class ReferenceInputs:
    """What reference policies are made from.

    Attributes:
        log: the logged sessions.
        mdp: the true tables.
        logging_policy: who made the log.
        seed: of what is random in a policy.
        pg: settings of PG, whose limit one of them is.
    """

    log: Sessions
    mdp: RecommendationMDP
    logging_policy: str
    seed: int
    pg: PGConfig


def _random(given: ReferenceInputs) -> Agent:
    return RandomPolicy(given.log.num_items, given.log.slate_size, seed=given.seed)


def _popularity(given: ReferenceInputs) -> Agent:
    return PopularityPolicy(given.log.num_items, given.log.slate_size, seed=given.seed).learn(given.log)


def _pg_limit(given: ReferenceInputs) -> Agent:
    pg = given.pg
    size = given.log.slate_size
    return PGLimit(given.mdp, size, given.logging_policy, gamma=pg.gamma, lambda_r=pg.lambda_r, seed=given.seed)


REFERENCES: dict[str, Callable[[ReferenceInputs], Agent]] = {
    "random": _random,
    "popularity": _popularity,
    "max-reward": lambda given: MaxReward(given.mdp, given.log.slate_size),
    "belief": lambda given: Belief(given.mdp, given.log.slate_size),
    "optimal": lambda given: Optimal(given.mdp, given.log.slate_size),
    "pg-limit": _pg_limit,
}
"""Policies that are not learnt by gradient."""


@dataclass(frozen=True)
class Streams:
    """Seeds that one seed of the run stands for; no two uses of randomness share one.

    Attributes:
        log: of the logged sessions.
        agent: of the agent's parameters and training.
        evaluation: of the users and slates when it is deployed.
    """

    log: int
    agent: int
    evaluation: int

    @classmethod
    def of(cls, seed: int) -> Streams:
        """The streams of a seed."""
        return cls(*(int(word) for word in np.random.SeedSequence(seed).generate_state(3)))


@dataclass(frozen=True)
class OnlineWork:
    """Does jobs of the simulated online test; all that is random in a job comes from the job's seed.

    Attributes:
        env: id of the environment.
        preset: settings of the agents.
        eval_sessions: sessions that each trained agent is deployed for.
        device: where agents are trained.
        folder: takes their checkpoints.
    """

    env: str
    preset: str
    eval_sessions: int
    device: str
    folder: RunFolder

    def __call__(self, job: Job, recorder: Recorder) -> dict[str, float]:
        """Do a job.

        Returns:
            Measurements such as ``reward/top-k``, ``coverage@1/sampled`` and ``length/top-k``; of the logging policy
            ``reward/logged`` and the like.
        """
        log, mdp = self.log(job)
        if job.agent == LOGGING_POLICY:
            return _measure_log(log, mdp.rewards)
        streams = Streams.of(job.seed)
        policy: Agent
        if job.agent in REFERENCES:
            pg: PGConfig = preset("pg", self.preset)
            policy = REFERENCES[job.agent](ReferenceInputs(log, mdp, job.logging_policy, streams.agent, pg))
        else:
            policy = agent = self.new_agent(job.agent, log, streams.agent)
            learn_job(agent, job, self.folder, log, recorder=recorder)
        return self.deploy(policy, job)

    def deploy(self, policy: SlatePredictor, job: Job) -> dict[str, float]:
        """What a policy earns from the users of a job."""
        metrics: dict[str, float] = {}
        for deployment, deterministic in DEPLOYMENTS.items():
            result = evaluate_online(
                policy,
                self.env,
                self.eval_sessions,
                deterministic=deterministic,
                seed=Streams.of(job.seed).evaluation,
                env_kwargs={"mdp_seed": job.seed},
            )
            metrics |= result.as_metrics(deployment)
        return metrics

    def log(self, job: Job) -> tuple[Sessions, RecommendationMDP]:
        """The logged sessions that a job learns from, and the true tables of its environment."""
        env = gym.make(self.env, logging_policy=job.logging_policy, mdp_seed=job.seed)
        collect, mdp = env.get_wrapper_attr("collect"), env.get_wrapper_attr("mdp")
        return collect(job.num_sessions, seed=Streams.of(job.seed).log), mdp

    def new_agent(self, name: str, log: Sessions, seed: int) -> PolicyAgent[Any]:
        """An agent that has learnt nothing yet."""
        return make_agent(
            name,
            num_items=log.num_items,
            slate_size=log.slate_size,
            config=preset(name, self.preset),
            seed=seed,
            device=self.device,
        )


def _measure_log(log: Sessions, rewards: NDArray[Any]) -> dict[str, float]:
    """What the logging policy earned in the very sessions that were logged (cut at 40 steps)."""
    reward = mean_interval(np.add.reduceat(log.rewards.astype(np.float64), log.offsets[:-1]))
    assert log.states is not None
    slates = log.slate_items.reshape(log.num_steps, -1)
    coverage = coverage_at_r(slates, log.states, rewards)
    return {
        "reward/logged": reward.mean,
        "reward_low/logged": reward.low,
        "reward_high/logged": reward.high,
        "length/logged": float(log.lengths.mean()),
        **{f"coverage@{r}/logged": float(share) for r, share in enumerate(coverage, start=1)},
    }
