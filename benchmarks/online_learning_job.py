"""One job of online learning: a method learns in rounds in the environment; what each round earned is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
from irecgan_gym.agents.online import OnlineConfig, OnlineLearner, learn_in_rounds, make_learner, online_preset
from irecgan_gym.agents.policy_agent import PolicyAgent
from irecgan_gym.agents.references.simple import RandomPolicy
from irecgan_gym.benchmarks.measurements import Job
from irecgan_gym.benchmarks.run_folder import RunFolder
from numpy.typing import NDArray

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.evaluation.metrics import coverage_at_r
from irecgan_gym.evaluation.online import evaluate_online
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions

RANDOM = "random"
"""Beside the methods in results.csv: random slates."""
LAST_ROUNDS = 5
"""Rounds whose mean is ``.../last``."""


@dataclass(frozen=True)
class OnlineLearningWork:
    """Does jobs of online learning; all that is random in a job comes from the job's seed.

    Attributes:
        env: id of the environment; the seed of a job is its ``mdp_seed``.
        rounds: how many.
        preset: settings of the methods.
        eval_sessions: sessions that the last policy is deployed for.
        device: where agents are trained.
        folder: takes their checkpoints.
    """

    env: str
    rounds: int
    preset: str
    eval_sessions: int
    device: str
    folder: RunFolder

    def __call__(self, job: Job, recorder: Recorder) -> dict[str, float]:
        """Do a job.

        Returns:
            See :func:`round_metrics` and :func:`summaries`; and ``reward/top-k``, ``coverage@1/top-k`` and the like of
            the last policy, as :meth:`irecgan_gym.evaluation.online.OnlineResult.as_metrics` names them.
        """
        agent_seed, rounds_seed, evaluation_seed = (
            int(word) for word in np.random.SeedSequence(job.seed).generate_state(3)
        )
        world = gym.make(self.env, mdp_seed=job.seed)
        mdp, slate_size = world.get_wrapper_attr("mdp"), world.get_wrapper_attr("slate_size")
        learner = self._learner(job.agent, mdp.num_items, slate_size, agent_seed)
        played = learn_in_rounds(
            learner,
            self.env,
            rounds=self.rounds,
            sessions_per_round=job.num_sessions,
            seed=rounds_seed,
            env_kwargs={"mdp_seed": job.seed},
            recorder=recorder,
        )
        by_round = [round_metrics(one.sessions, mdp.rewards) for one in played]
        metrics = {
            f"{name}/round-{number:02}": value
            for number, measured in enumerate(by_round, start=1)
            for name, value in measured.items()
        }
        if isinstance(learner.agent, PolicyAgent):
            learner.agent.save(self.folder.checkpoint(job))
        deployed = evaluate_online(
            learner.agent,
            self.env,
            self.eval_sessions,
            deterministic=True,
            seed=evaluation_seed,
            env_kwargs={"mdp_seed": job.seed},
        )
        return metrics | summaries(by_round) | deployed.as_metrics("top-k")

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


def round_metrics(sessions: Sessions, rewards: NDArray[np.float64]) -> dict[str, float]:
    """What the policy earned in a round's own sessions, those that it learnt from.

    Args:
        sessions: with true states and slates of one size k.
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


def summaries(by_round: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means over the last five rounds, ``.../last``, and over all rounds, ``.../mean``."""
    found = {}
    for name in by_round[0]:
        values = [measured[name] for measured in by_round]
        found[f"{name}/last"] = float(np.mean(values[-LAST_ROUNDS:]))
        found[f"{name}/mean"] = float(np.mean(values))
    return found
