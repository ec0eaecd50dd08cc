"""Deployment of a policy in the true environment (§7.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from irecgan_gym.collection import SlatePredictor, play
from irecgan_gym.evaluation.metrics import (
    Interval,
    Metric,
    RankedLists,
    coverage_at_r,
    mean_interval,
    measure,
)

# More slots waste work on users who wait for the longest session, fewer make more and smaller steps.
_SESSIONS_A_SLOT = 20
_MIN_SLOTS, _MAX_SLOTS = 100, 1000


@dataclass(frozen=True, eq=False)
class OnlineResult:
    """Earnings of a policy in S sessions.

    Attributes:
        rewards: cumulative reward of each session, those of RecSim's users in the order of the users; float64 [S].
        lengths: steps of each session, the last one included; int64 [S].
        coverage: coverage@r for r = 1..k over all visited steps, [k]; None where the env has no true rewards.
        reward: mean of ``rewards`` with its 95% interval.
        length: mean of ``lengths`` with its 95% interval.
        metrics: further metrics that were asked for, by name.
    """

    rewards: NDArray[np.float64]
    lengths: NDArray[np.int64]
    coverage: NDArray[np.float64] | None
    reward: Interval
    length: Interval
    metrics: Mapping[str, Interval] = field(default_factory=dict)

    def as_metrics(self, deployment: str) -> dict[str, float]:
        """The numbers under names such as ``reward/top-k``, ``reward_low/top-k`` and ``coverage@1/top-k``."""
        metrics = {
            "reward": self.reward.mean,
            "reward_low": self.reward.low,
            "reward_high": self.reward.high,
            "length": self.length.mean,
        }
        if self.coverage is not None:
            metrics |= {f"coverage@{r}": float(share) for r, share in enumerate(self.coverage, start=1)}
        for name, interval in self.metrics.items():
            metrics |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
        return {f"{name}/{deployment}": value for name, value in metrics.items()}


def evaluate_online(
    policy: SlatePredictor,
    env: str | VectorEnv[Any, Any, Any],
    num_sessions: int = 1000,
    *,
    deterministic: bool,
    seed: int,
    num_envs: int | None = None,
    max_session_steps: int | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Metric] | None = None,
) -> OnlineResult:
    """Deploy a policy in the true environment.

    Every session counts, those without any reward too (the authors leave them out). Each of the B slots plays a
    number of sessions that is fixed beforehand, so that slots with short sessions do not fill up the sample. The
    policy's state is carried from step to step and starts over with each session.

    Users of RecSim's native vector env each have a stream of randomness
    (:class:`~irecgan_gym.envs.recsim_vector.RecSimVectorEnv`): with equal seeds all policies meet the same users, so
    that ``a.rewards - b.rewards`` are paired differences, and the first users of more sessions are those of fewer. A
    policy without randomness of its own earns the same whatever the number of slots. In other envs a seed gives the
    same users only as long as their sessions are of the same lengths.

    Args:
        policy: chooses the slates; an agent of ours, or of SB3, is seeded by ``set_random_seed`` first. One with an
            attribute ``observes = "state"`` is handed the true states of the users, from the env's ``info``, in place
            of the observations.
        env: id of a registered env, or a vector env in the ``NEXT_STEP`` autoreset mode, which is left open.
        num_sessions: S.
        deterministic: True deploys the top k items, False slates sampled from the policy.
        seed: of the users and of the sampled slates.
        num_envs: slots of an env made from its id; no more than there are sessions. None takes one for 20 sessions,
            from 100 to 1,000 of them.
        max_session_steps: length at which sessions of an env made from its id are cut; None never cuts.
        env_kwargs: arguments of an env made from its id.
        metrics: further metrics of the slates shown, by name, such as ``{"ndcg@10": ndcg(10)}``.

    Raises:
        ValueError: ``num_sessions`` below 1, another autoreset mode, an option of a made env with a given env, or a
            policy that observes states in an env whose users have none.
    """
    if num_sessions < 1:
        raise ValueError(f"num_sessions must be at least 1, got {num_sessions}")
    if isinstance(env, str):
        options: dict[str, Any] = {**(env_kwargs or {})}
        if max_session_steps is not None:
            options["max_episode_steps"] = max_session_steps
        slots = min(max(_MIN_SLOTS, num_sessions // _SESSIONS_A_SLOT), _MAX_SLOTS) if num_envs is None else num_envs
        made: VectorEnv[Any, Any, Any] = gym.make_vec(env, num_envs=min(slots, num_sessions), **options)
        try:
            return evaluate_online(policy, made, num_sessions, deterministic=deterministic, seed=seed, metrics=metrics)
        finally:
            made.close()
    if env_kwargs is not None or max_session_steps is not None:
        raise ValueError("env_kwargs and max_session_steps are for an env made from its id, not for a given one")
    played = play(policy, env, num_sessions, seed, deterministic=deterministic, user_streams=True)
    mdp = getattr(env.unwrapped, "mdp", None)
    coverage = None
    if mdp is not None and played.states is not None:
        coverage = coverage_at_r(played.infos["slate"], played.states, mdp.rewards)
    rewards = played.session_rewards
    return OnlineResult(
        rewards=rewards,
        lengths=played.lengths,
        coverage=coverage,
        reward=mean_interval(rewards),
        length=mean_interval(played.lengths),
        metrics=measure(metrics, RankedLists.as_shown(played.sessions({}))) if metrics else {},
    )
