"""Observations that are a window of the last clicks."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers import FrameStackObservation
from numpy.typing import NDArray

from irecgan_gym.settings import MOST_WIDTH, check_count
from irecgan_gym.wrappers.order import UnfitSpaceError, check_env, in_order
from irecgan_gym.wrappers.vector_sessions import StepResult, autoreset_mode, rows_to_reset, with_final_observations


class ClickHistory(FrameStackObservation[Any, Any, Any], RecordConstructorArgs):
    """Observe the last H clicks as item ids, oldest first.

    The observations are those of Gymnasium's ``FrameStackObservation``, int64 [H]: at the start of a session the window
    holds "no click", n, throughout. What differs is the space: ``Box(0, n, (H,), int64)`` says that they are ids, to be
    looked up in a table of embeddings. (Agent libraries turn ``Discrete`` and ``MultiDiscrete`` observations into
    one-hot vectors before a network sees them, H x (n + 1) numbers a step.) A window of 1 is the last click alone.

    :class:`~irecgan_gym.sb3.ItemHistoryExtractor` embeds the ids for Stable-Baselines3. Networks that take plain
    numbers need :class:`~irecgan_gym.wrappers.one_hot_history.OneHotHistory` on top. The vector twin is
    :class:`~irecgan_gym.wrappers.click_history.VectorClickHistory`.

    Args:
        env: an env that observes ids from a ``Discrete`` space: the last click (or, for oracles, the state).
        length: of the window, H.
    """

    def __init__(self, env: gym.Env[Any, Any], length: int) -> None:
        check_env(env)
        RecordConstructorArgs.__init__(self, length=length)
        with in_order(self, env):
            self._ids = history_space(env.observation_space, length)
        super().__init__(env, stack_size=length, padding_type="reset")
        self.observation_space = self._ids


def history_space(space: gym.Space[Any], length: int) -> Box:
    """The space of a window of ids.

    Args:
        space: of the env's observations.
        length: of the window, H.

    Raises:
        UnfitSpaceError: no window can be made of such observations.
        ValueError: nor of such a length.
    """
    if not isinstance(space, Discrete) or space.start != 0:
        raise UnfitSpaceError(
            "observation_space",
            f"a history is made of ids, observations of a Discrete space from 0, but the env has {space}",
        )
    check_count("length", length, MOST_WIDTH)
    return Box(0, int(space.n) - 1, (length,), np.int64)


class VectorClickHistory(VectorWrapper):
    """Observe the last H clicks of every env as item ids, int64 [B, H], oldest first.

    All three autoreset modes are understood: the window of a new session holds "no click", n, throughout, and
    ``info["final_obs"]`` the windows of sessions that ended.

    Args:
        env: a vector env that observes ids, see :class:`~irecgan_gym.wrappers.click_history.ClickHistory`.
        length: of the window, H.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], length: int) -> None:
        super().__init__(env)
        with in_order(self, env):
            self.single_observation_space = history_space(env.single_observation_space, length)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self._autoreset_mode = autoreset_mode(env)
        self._windows: NDArray[np.int64] = np.zeros((self.num_envs, length), dtype=np.int64)
        self._done = np.zeros(self.num_envs, dtype=np.bool_)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the envs (those of ``options["reset_mask"]``); their windows start over."""
        rows = rows_to_reset(options, self.num_envs)
        clicks, info = self.env.reset(seed=seed, options=options)
        self._windows[rows] = clicks[rows, None]
        self._done[rows] = False
        return self._windows.copy(), info

    def step(self, actions: Any) -> StepResult:
        """Step the envs and move their windows on."""
        clicks, rewards, terminated, truncated, info = self.env.step(actions)
        ended = terminated | truncated
        windows = np.concatenate([self._windows[:, 1:], clicks[:, None]], axis=1)
        if self._autoreset_mode == AutoresetMode.NEXT_STEP:
            windows[self._done] = clicks[self._done, None]
        elif self._autoreset_mode == AutoresetMode.SAME_STEP:
            last_windows = windows.copy()

            def last_window(row: int, last: np.int64) -> Any:
                last_windows[row, -1] = last
                return last_windows[row]

            info = with_final_observations(info, last_window)
            windows[ended] = clicks[ended, None]
        self._windows, self._done = windows, ended
        return windows.copy(), rewards, terminated, truncated, info
