"""Slates that are built item by item, for agents with ``Discrete`` actions and masks."""

from __future__ import annotations

import copy
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from irecgan_gym.wrappers.order import check_env, in_order
from irecgan_gym.wrappers.slate_space import check_items, slate_shape
from irecgan_gym.wrappers.vector_sessions import StepResult, autoreset_mode, rows_to_reset, with_final_observations


class SequentialSlate(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Pick the slate item by item: an action is one item, ``Discrete(n)``, and k of them make one step of the env.

    *Observations* are ``{"observation": the env's own, "slate": the items picked so far}``. The slate is int64 [k],
    ``Box(0, n, (k,))``; n fills the places that are still free. Put :class:`ClickHistory` inside for a history.

    *Masks.* Items in the slate cannot be picked again. ``action_masks()`` is what sb3-contrib's MaskablePPO asks for,
    bool [n]; ``info["action_mask"]`` is Gymnasium's convention, int8 [n], for ``action_space.sample(mask)``. An agent
    that takes no notice of masks may repeat an item; the env then does what it does with any slate that repeats one.

    *Rewards* are 0 until the k-th pick, which shows the slate to the user and earns the env's reward. An agent's
    discount applies to every pick: gamma ** (1 / k) a pick discounts the env's steps by gamma. A limit on steps inside
    this wrapper, as ``gymnasium.make`` sets it, counts slates.

    *Infos* are the env's own after ``reset`` and the k-th pick, and the mask. Between, they have the same keys: what
    tells of a step (``slate``, ``click``, ``shown_in_state``, a wrapper's rewards and scores) is as after ``reset``,
    when nothing has been shown; anything else is as the env last had it.

    The vector twin is :class:`~irecgan_gym.wrappers.sequential_slate.VectorSequentialSlate`.

    Args:
        env: a slate env.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        check_env(env)
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        with in_order(self, env):
            self._num_items, self._slate_size = slate_shape(env.action_space)
        self.action_space = Discrete(self._num_items)
        self.observation_space = partial_slate_space(env.observation_space, self._num_items, self._slate_size)
        self._picks: list[int] = []
        self._observation: Any = None
        self._between: dict[str, Any] = {}
        self._nothing: dict[str, Any] = {}

    def action_masks(self) -> NDArray[np.bool_]:
        """The items that may be picked next, bool [n]."""
        mask = np.ones(self._num_items, dtype=np.bool_)
        mask[self._picks] = False
        return mask

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the env; the slate is empty."""
        self._observation, info = self.env.reset(seed=seed, options=options)
        self._picks = []
        self._nothing = _of_steps(info)
        self._between = info
        return self._observe(), self._with_mask(info)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Pick an item; the k-th shows the slate to the user."""
        if self._observation is None:
            raise ResetNeeded("no session is going on: call reset before the first step and after the end of a session")
        self._picks.append(int(check_items(np.asarray(action)[None], 1, self._num_items)[0]))
        if len(self._picks) < self._slate_size:
            return self._observe(), 0.0, False, False, self._with_mask(copy.deepcopy(self._between))
        slate = np.array(self._picks, dtype=np.int64)
        self._picks = []
        self._observation, reward, terminated, truncated, info = self.env.step(slate)
        self._between = {**info, **self._nothing}
        observation = self._observe()
        if terminated or truncated:
            self._observation = None
        return observation, reward, terminated, truncated, self._with_mask(info)

    def _observe(self) -> dict[str, Any]:
        slate = np.full(self._slate_size, self._num_items, dtype=np.int64)
        slate[: len(self._picks)] = self._picks
        return {"observation": copy.deepcopy(self._observation), "slate": slate}

    def _with_mask(self, info: dict[str, Any]) -> dict[str, Any]:
        return {**info, "action_mask": self.action_masks().astype(np.int8)}


_OF_STEPS = ("slate", "click", "shown_in_state", "raw_reward", "adversarial_score")
"""Entries of infos that tell of one step; in the middle of a slate there is none to tell of."""


def _of_steps(info: dict[str, Any]) -> dict[str, Any]:
    """Return what an info of ``reset`` says of a step that there has not been, with the masks of a vector env."""
    names = [name for name in _OF_STEPS if name in info]
    return {key: copy.deepcopy(info[key]) for name in names for key in (name, f"_{name}") if key in info}


def _with_rows(column: Any, other: Any, rows: NDArray[np.bool_]) -> NDArray[Any]:
    """A column of a vector env's info, with the values of another one in some rows."""
    mixed: NDArray[Any] = np.where(rows.reshape(-1, *(1,) * (np.ndim(column) - 1)), other, column)
    return mixed


def partial_slate_space(observation_space: gym.Space[Any], num_items: int, slate_size: int) -> Dict:
    """Space of what an agent sees while it builds a slate."""
    return Dict({"observation": observation_space, "slate": Box(0, num_items, (slate_size,), np.int64)})


_FINAL = ("final_obs", "_final_obs", "final_info", "_final_info")


class VectorSequentialSlate(VectorWrapper):
    """Pick the slates of all envs item by item, one pick an env a step: actions [B].

    See :class:`~irecgan_gym.wrappers.sequential_slate.SequentialSlate` for observations, masks, rewards and infos. All
    envs are at the same place of their slates, so that the slates are complete, and shown, together. That leaves two
    autoreset modes: ``SAME_STEP``, and ``DISABLED`` where sessions that ended are reset before the next pick. In
    ``NEXT_STEP`` mode a session that ended would spend a pick on its reset and fall behind the others.

    Args:
        env: a vector env of slates, in one of these two modes.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        super().__init__(env)
        if autoreset_mode(env) == AutoresetMode.NEXT_STEP:
            raise ValueError(
                "slates are built item by item in autoreset modes SAME_STEP and DISABLED only, the env has NEXT_STEP: "
                "make it with autoreset_mode=AutoresetMode.SAME_STEP"
            )
        self._autoreset_mode = autoreset_mode(env)
        with in_order(self, env):
            self._num_items, self._slate_size = slate_shape(env.single_action_space)
        self.single_action_space = Discrete(self._num_items)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.single_observation_space = partial_slate_space(
            env.single_observation_space, self._num_items, self._slate_size
        )
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self._rows = np.arange(self.num_envs)
        self._slates = np.full((self.num_envs, self._slate_size), self._num_items, dtype=np.int64)
        self._free = np.ones((self.num_envs, self._num_items), dtype=np.bool_)
        self._picked = 0
        self._observations: Any = None
        self._done = np.zeros(self.num_envs, dtype=np.bool_)
        self._between: dict[str, Any] = {}
        self._nothing: dict[str, Any] = {}

    def action_masks(self) -> NDArray[np.bool_]:
        """The items that may be picked next, bool [B, n]."""
        return self._free.copy()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the envs (those of ``options["reset_mask"]``, if no slate has been begun); slates are empty."""
        rows = rows_to_reset(options, self.num_envs)
        if self._picked and not rows.all():
            raise ValueError(
                f"some envs cannot be reset while slates are being built ({self._picked} of {self._slate_size} picked)"
            )
        self._observations, info = self.env.reset(seed=seed, options=options)
        self._empty_slates()
        self._done[rows] = False
        if rows.all():
            self._nothing = _of_steps(info)
            self._between = info
        else:
            self._between = {key: _with_rows(column, info[key], rows) for key, column in self._between.items()}
        return self._observe(), self._with_masks(info, rows)

    def step(self, actions: Any) -> StepResult:
        """Pick an item in every env; the k-th shows the slates to the users."""
        if self._observations is None:
            raise ResetNeeded("call reset before step")
        if self._autoreset_mode == AutoresetMode.DISABLED and self._done.any():
            raise ResetNeeded(
                f"sessions {np.flatnonzero(self._done).tolist()} have ended: reset them before the next step"
            )
        picks = check_items(np.asarray(actions), self.num_envs, self._num_items)
        everyone = np.ones(self.num_envs, dtype=np.bool_)
        self._slates[:, self._picked] = picks
        self._free[self._rows, picks] = False
        self._picked += 1
        if self._picked < self._slate_size:
            nothing = np.zeros(self.num_envs, dtype=np.bool_)
            return (
                self._observe(),
                np.zeros(self.num_envs),
                nothing,
                nothing.copy(),
                self._with_masks(copy.deepcopy(self._between), everyone),
            )
        slates = self._slates.copy()
        self._empty_slates()
        self._observations, rewards, terminated, truncated, info = self.env.step(slates)
        self._done = terminated | truncated
        going_on = {key: value for key, value in info.items() if key not in _FINAL}
        self._between = {**going_on, **self._nothing}
        empty = np.full(self._slate_size, self._num_items, dtype=np.int64)
        info = with_final_observations(info, lambda _, last: {"observation": last, "slate": empty.copy()})
        if "final_info" in info:
            info = {**info, "final_info": self._with_masks(info["final_info"], self._done)}
        return self._observe(), rewards, terminated, truncated, self._with_masks(info, everyone)

    def _empty_slates(self) -> None:
        self._slates[:] = self._num_items
        self._free[:] = True
        self._picked = 0

    def _observe(self) -> dict[str, Any]:
        return {"observation": copy.deepcopy(self._observations), "slate": self._slates.copy()}

    def _with_masks(self, info: dict[str, Any], rows: NDArray[np.bool_]) -> dict[str, Any]:
        """The info with masks for the given envs, zeros for the others, in the form of Gymnasium's vector envs."""
        masks = (self._free & rows[:, None]).astype(np.int8)
        return {**info, "action_mask": masks, "_action_mask": rows.copy()}
