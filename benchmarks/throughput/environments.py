"""Environment steps a second with actions drawn beforehand."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete
from numpy.typing import NDArray

import irecgan_gym  # noqa: F401 (registers the envs)

RECSIM, CARTPOLE, SARDINE = "RecSim-v0", "CartPole-v1", "sardine/SlateTopK-Bored-v0"
_POOL = 8  # Different actions, used in turn.

Actions = Literal["distinct", "uniform"]


@dataclass(frozen=True)
class EnvTask:
    """One environment in one mode.

    Attributes:
        env_id: registered with Gymnasium.
        num_envs: of the env's own vector entry point; None for the single env.
        actions: ``"distinct"``, slates of different items as a policy draws them; ``"uniform"``, samples of the action
            space, in which items repeat (other actions than slates are always such samples).
        seconds: least time of the measurement.
    """

    env_id: str
    num_envs: int | None
    actions: Actions = "distinct"
    seconds: float = 0.4


def sardine_is_installed() -> bool:
    """Tell whether the package ``sardine-rec`` can be imported."""
    return importlib.util.find_spec("sardine") is not None


def measure_env(task: EnvTask) -> float:
    """Steps a second, resets included in the time but not in the count.

    A vector env's call counts as many steps as there were sessions to step; those that a call only resets (Gymnasium's
    NEXT_STEP mode) do not count.
    """
    if task.env_id == SARDINE:
        importlib.import_module("sardine")
    return _measure_single(task) if task.num_envs is None else _measure_vector(task, task.num_envs)


def _measure_single(task: EnvTask) -> float:
    env = gym.make(task.env_id)
    actions = _actions(task, env.action_space, 1)
    env.reset(seed=0)

    def play(action: Any) -> int:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
        return 1

    return _rate(play, [batch[0] for batch in actions], task.seconds)


def _measure_vector(task: EnvTask, num_envs: int) -> float:
    env = gym.make_vec(task.env_id, num_envs=num_envs, vectorization_mode="vector_entry_point")
    actions = _actions(task, env.single_action_space, num_envs)
    env.reset(seed=0)
    stepped = num_envs

    def play(action: Any) -> int:
        nonlocal stepped
        counted = stepped
        _, _, terminated, truncated, _ = env.step(action)
        stepped = num_envs - int(np.count_nonzero(terminated | truncated))
        return counted

    return _rate(play, actions, task.seconds)


def _rate(play: Callable[[Any], int], actions: list[NDArray[Any]], at_least: float) -> float:
    """Steps a second of a function that takes an action and counts steps; a tenth of the time warms up."""
    for budget in (0.1 * at_least, at_least):
        steps, start, seconds, turn = 0, time.perf_counter(), 0.0, cycle(actions)
        while seconds < budget:
            steps += play(next(turn))
            seconds = time.perf_counter() - start
    return steps / seconds


def _actions(task: EnvTask, space: gym.Space[Any], num_envs: int) -> list[NDArray[Any]]:
    """Batches of actions, [num_envs, ...] each."""
    rng = np.random.default_rng(0)
    if isinstance(space, Discrete):
        return [rng.integers(space.n, size=num_envs) for _ in range(_POOL)]
    assert isinstance(space, MultiDiscrete)
    if task.actions == "uniform":
        return [rng.integers(space.nvec, size=(num_envs, len(space.nvec))) for _ in range(_POOL)]
    size, num_items = len(space.nvec), int(space.nvec[0])
    return [_distinct_slates(num_items, size, num_envs, rng) for _ in range(_POOL)]


def _distinct_slates(num_items: int, size: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Slates of different items, each set equally likely; [count, size]."""
    order = rng.random((count, num_items), dtype=np.float32).argsort(axis=1)
    # A policy's slates are an array of their own, and not columns of a larger one, which the env would have to copy.
    return np.ascontiguousarray(order[:, :size])
