"""Acting in the true environment and learning from it: sessions of a policy, and updates from fresh sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from agents.policy_gradient import ReturnsData, offline_rewards, policy_gradient_epoch
from irecgan_gym.models.fitting import FitConfig, Optimizer
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.sessions import Sessions
from irecgan_gym.slate_predictor import SlatePredictor


def collect_sessions(
    policy: SlatePredictor,
    env: str,
    num_sessions: int,
    *,
    seed: int,
    deterministic: bool = False,
    max_session_steps: int | None = 40,
    env_kwargs: Mapping[str, Any] | None = None,
) -> Sessions:
    """Deploy a policy in an env of the suite and keep what was shown and clicked.

    All users start at once, in a slot each, and each slot's first session is kept: so every session counts, however
    short or long it is.

    Args:
        policy: chooses the slates; seeded by ``set_random_seed`` first, where it has one.
        env: id of a registered env whose vector env tells ``slate`` and ``click``.
        num_sessions: S.
        seed: of the users and of the sampled slates.
        deterministic: True shows the top k items, False slates sampled from the policy.
        max_session_steps: length at which sessions are cut; None never cuts. The default is that of
            :meth:`irecgan_gym.envs.recsim.RecSimEnv.collect`, so that logs are of one kind.
        env_kwargs: arguments of the env.

    Returns:
        The sessions, in the order of the slots; with the true states where the env tells them.

    Raises:
        ValueError: ``num_sessions`` below 1.
    """
    if num_sessions < 1:
        raise ValueError(f"num_sessions must be at least 1, got {num_sessions}")
    users_seed, slates_seed = (int(word) for word in np.random.SeedSequence(seed).generate_state(2))
    if hasattr(policy, "set_random_seed"):
        policy.set_random_seed(slates_seed)
    users = gym.make_vec(env, num_envs=num_sessions, max_episode_steps=max_session_steps, **(env_kwargs or {}))
    num_items = int(users.single_action_space.nvec[0])  # type: ignore[attr-defined]
    observation, _ = users.reset(seed=users_seed)
    state, episode_start = None, np.ones(num_sessions, dtype=bool)
    playing = np.ones(num_sessions, dtype=bool)
    cut = np.zeros(num_sessions, dtype=bool)
    history: list[dict[str, NDArray[Any]]] = []
    while playing.any():
        slates, state = policy.predict(observation, state, episode_start, deterministic)
        observation, rewards, terminated, truncated, info = users.step(slates)
        # Slots whose session has ended play on, but nothing of theirs is kept.
        row = np.flatnonzero(playing)
        columns = {"slate": info["slate"], "click": info["click"], "reward": rewards}
        if "shown_in_state" in info:
            columns["state"] = info["shown_in_state"]
        history.append({"session": row, **{name: column[row] for name, column in columns.items()}})
        cut |= playing & truncated & ~terminated
        playing &= ~(terminated | truncated)
        episode_start = np.zeros(num_sessions, dtype=bool)
    users.close()

    steps = {name: np.concatenate([step[name] for step in history]) for name in history[0]}
    order = np.argsort(steps["session"], kind="stable")
    column = {name: values[order] for name, values in steps.items()}
    return Sessions.from_columns(
        num_items=num_items,
        lengths=np.bincount(column["session"], minlength=num_sessions),
        slates=column["slate"],
        clicks=column["click"],
        rewards=column["reward"],
        truncated=cut,
        states=column.get("state"),
        provenance={"source": env, "seed": seed, "max_session_steps": max_session_steps, **(env_kwargs or {})},
    )


class OnPolicyUpdates:
    """REINFORCE on sessions that the policy has just played (Eq 8; with the constant 1 of Eq 10 in the rewards).

    The optimizer lives as long as the policy acts: its moments are kept from update to update.

    Args:
        policy: trained in place.
        fit: learning rate and clipping.
        gamma: discount factor of the reward-to-go.
        lambda_r: weight of a step's reward against the constant 1 of Eq 10.
    """

    def __init__(self, policy: SlatePolicy, fit: FitConfig, *, gamma: float, lambda_r: float) -> None:
        self._policy = policy
        self._optimizer = Optimizer(policy, fit)
        self._fit = fit
        self._gamma = gamma
        self._lambda_r = lambda_r

    @torch.inference_mode(False)
    @torch.enable_grad()
    def update(self, sessions: Sessions) -> float:
        """One step of gradient over all the sessions, which must come from the policy as it is; the mean loss a step.

        A second step from the same sessions would no longer be on-policy, so there is none.
        """
        rewards = offline_rewards(sessions, self._lambda_r)
        data = ReturnsData(sessions, rewards, self._gamma, self._policy.device)
        # All in one batch, so that their order and the generator make no difference.
        return policy_gradient_epoch(
            self._policy,
            data,
            self._optimizer,
            len(sessions),
            np.random.default_rng(0),
            precision=self._fit.precision,
        )
