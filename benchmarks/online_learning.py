"""Online learning (§7.1, Figure 3): rounds in which agents first act and then learn from all that they have seen.

python -m benchmarks.online_learning --out runs/online-learning
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame
from rich.console import Console

from irecgan_gym.agents.online import (
    ONLINE_METHODS,
    PLANNING_METHODS,
    OnlineConfig,
    OnlineLearner,
    learn_in_rounds,
    make_learner,
    online_preset,
)
from irecgan_gym.agents.policy_agent import PolicyAgent
from irecgan_gym.agents.references.simple import RandomPolicy
from irecgan_gym.benchmarks.claims.judgement import judge_all
from irecgan_gym.benchmarks.claims.paper import CLAIMS
from irecgan_gym.benchmarks.claims.runs import Runs
from irecgan_gym.benchmarks.claims.tables import claims_tables
from irecgan_gym.benchmarks.engine.command import check_at_least, check_known, check_positive, command_line
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.engine.statistics import MIN_SEEDS
from irecgan_gym.benchmarks.engine.summaries import Measure
from irecgan_gym.benchmarks.figures.online_learning import rounds_figure
from irecgan_gym.benchmarks.figures.run import Figures, by_cell
from irecgan_gym.benchmarks.joining import read_metrics
from irecgan_gym.benchmarks.online_test import OnlineTest, Streams
from irecgan_gym.evaluation.metrics import coverage_at_r
from irecgan_gym.evaluation.online import evaluate_online
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions
from irecgan_gym.storage.checkpoints import stored_schedule
from irecgan_gym.storage.schedule import Schedule

LOGGING_POLICY = "online"
"""Name in place of a logging policy: the methods make their own logs."""
RANDOM = "random"
"""Name of the random policy, which stands beside the methods in results.csv."""
LAST_ROUNDS = 5
"""Number of rounds whose mean is ``.../last``."""


@dataclass(frozen=True, kw_only=True)
class OnlineLearning(OnlineTest):
    """Let methods learn from scratch in rounds, and compare what they earn on the way.

    In a round, a method first acts in the environment (and may learn on the way), then learns offline from all the
    sessions that it has played so far. Measured are the sessions of the first stage, whose slates are sampled from the
    method's policy. Each seed is another environment with other users; all methods share them. The same command on the
    same folder goes on where it stopped, and tries again what failed; with further methods or seeds the run grows.
    """

    name = "online_learning"
    axes = ("methods", "seeds")
    measures = (
        Measure("coverage@1/mean", "coverage@1, all rounds", digits=3),
        Measure("coverage@10/mean", "coverage@10, all rounds", digits=3),
        Measure("reward/mean", "reward, all rounds"),
        Measure("coverage@1/last", "coverage@1, last rounds", digits=3),
        Measure("coverage@10/last", "coverage@10, last rounds", digits=3),
        Measure("reward/last", "reward, last rounds"),
        Measure("reward/top-k", "reward after, top-k"),
    )

    methods: tuple[str, ...] = ONLINE_METHODS
    """Methods to train, posterior-sampling and latent-planner among those known; the random policy comes besides."""
    rounds: int = 20
    """Rounds of an online and an offline stage."""
    sessions: int = 200
    """Sessions of each online stage."""
    seeds: int = 5
    """Number of seeds; 0, 1, 2, ... are used."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_known((*ONLINE_METHODS, *PLANNING_METHODS), methods=self.methods)
        check_positive(rounds=self.rounds, seeds=self.seeds)
        check_at_least(2, "some are held out", sessions=self.sessions)
        super().check()

    def config(self) -> dict[str, Any]:
        """Return all settings that measurements depend on, those of the methods included."""
        return super().config() | {
            "rounds": self.rounds,
            "sessions": self.sessions,
            "seeds": self.seeds,
            "preset": self.preset,
            "methods": {name: asdict(online_preset(name, self.preset)) for name in self.methods},
        }

    def grid(self, results: DataFrame) -> list[Job]:
        """Return all jobs of the run, in the order of their rows."""
        return [
            Job(self.name, name, LOGGING_POLICY, self.sessions, seed)
            for seed in range(self.seeds)
            for name in (RANDOM, *self.methods)
        ]

    def measure(self, job: Job, recorder: Recorder, folder: RunFolder) -> dict[str, float]:
        """Let a method learn in rounds, then deploy its last policy.

        Returns:
            See :func:`round_metrics` and :func:`summaries`; and ``reward/top-k``, ``coverage@1/top-k`` and the like of
            the last policy, as :meth:`irecgan_gym.evaluation.online.OnlineResult.as_metrics` names them.
        """
        agent_seed, rounds_seed, evaluation_seed = vars(Streams.of(job.seed)).values()
        world = gym.make(self.env, **self.world(job.seed))
        mdp, slate_size = world.get_wrapper_attr("mdp"), world.get_wrapper_attr("slate_size")
        learner = self._learner(job.agent, mdp.num_items, slate_size, agent_seed)
        with self._schedule(job, learner, folder, recorder) as (schedule, recorder):
            played = learn_in_rounds(
                learner,
                self.env,
                rounds=self.rounds,
                sessions_per_round=job.num_sessions,
                seed=rounds_seed,
                env_kwargs=self.world(job.seed),
                recorder=recorder,
                schedule=schedule,
            )
            by_round = [round_metrics(one.sessions, mdp.rewards) for one in played]
        metrics = {
            f"{name}/round-{number:02}": value
            for number, measured in enumerate(by_round, start=1)
            for name, value in measured.items()
        }
        if isinstance(learner.agent, PolicyAgent):
            learner.agent.save(folder.checkpoint(job))
            shutil.rmtree(folder.training(job).folder, ignore_errors=True)
        deployed = evaluate_online(
            learner.agent,
            self.env,
            self.eval_sessions,
            deterministic=True,
            seed=evaluation_seed,
            env_kwargs=self.world(job.seed),
            metrics=read_metrics(self.metrics),
        )
        treatment = learner.agent.treatment if isinstance(learner.agent, PolicyAgent) else {}
        return metrics | summaries(by_round) | deployed.as_metrics("top-k") | treatment

    @contextmanager
    def _schedule(
        self, job: Job, learner: OnlineLearner, folder: RunFolder, recorder: Recorder
    ) -> Iterator[tuple[Schedule, Recorder]]:
        """Open the schedule of a job's rounds, which keeps checkpoints where there are networks, and its recorder."""
        if not isinstance(learner.agent, PolicyAgent):
            yield Schedule(), recorder
            return
        training = {
            "method": job.agent,
            "config": asdict(online_preset(job.agent, self.preset)),
            "env": self.env,
            "env_kwargs": self.world(job.seed),
            "rounds": self.rounds,
            "sessions": job.num_sessions,
            "seed": job.seed,
        }
        with stored_schedule(folder.training(job), training, recorder) as schedule:
            yield schedule, schedule.recorder

    def _learner(self, method: str, num_items: int, slate_size: int, seed: int) -> OnlineLearner:
        if method == RANDOM:
            # In batches of the same size as the methods, and so with the same users.
            return OnlineLearner(RandomPolicy(num_items, slate_size, seed=seed), OnlineConfig(None).sessions_per_update)
        return make_learner(
            method,
            num_items=num_items,
            slate_size=slate_size,
            config=online_preset(method, self.preset),
            seed=seed,
            device=self.device,
        )

    def conclude(self, folder: RunFolder, results: DataFrame, console: Console) -> None:
        """Print what the results say of the paper's claims about online learning."""
        if results["seed"].nunique() >= MIN_SEEDS:
            about = [claim for claim in CLAIMS if claim.experiment == self.name]
            for table in claims_tables(judge_all(Runs(results), about)):
                table.print(console)

    @staticmethod
    def figures(rows: DataFrame) -> Figures:
        """Return a figure for each number of sessions a round."""
        return by_cell(rows, rounds_figure)


def round_metrics(sessions: Sessions, rewards: NDArray[np.float64]) -> dict[str, float]:
    """Return what the policy earned in a round's own sessions, those that it learned from.

    Args:
        sessions: sessions with true states and slates of one size k.
        rewards: true rewards of the MDP, [m, n].

    Returns:
        ``coverage@1`` and ``coverage@k`` over all steps, and ``reward``, the mean of the sessions' rewards.
    """
    if sessions.states is None:
        raise ValueError("coverage needs sessions with their true states")
    coverage = coverage_at_r(sessions.slate_items.reshape(sessions.num_steps, -1), sessions.states, rewards)
    return {
        "coverage@1": float(coverage[0]),
        f"coverage@{len(coverage)}": float(coverage[-1]),
        "reward": float(sessions.rewards.sum(dtype=np.float64)) / len(sessions),
    }


def summaries(by_round: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return means over the last five rounds, ``.../last``, and over all rounds, ``.../mean``."""
    found = {}
    for name in by_round[0]:
        values = [measured[name] for measured in by_round]
        found[f"{name}/last"] = float(np.mean(values[-LAST_ROUNDS:]))
        found[f"{name}/mean"] = float(np.mean(values))
    return found


if __name__ == "__main__":
    sys.exit(command_line(OnlineLearning))
