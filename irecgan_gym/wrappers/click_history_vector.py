"""The vector twin of :class:`~irecgan_gym.wrappers.click_history.ClickHistory`."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from irecgan_gym.wrappers.click_history import history_space
from irecgan_gym.wrappers.vector_sessions import StepResult, autoreset_mode, rows_to_reset, with_final_observations


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
        self.single_observation_space = history_space(env.single_observation_space, length)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self._autoreset_mode = autoreset_mode(env)
        self._windows: NDArray[np.int64] = np.zeros((self.num_envs, length), dtype=np.int64)
        self._done = np.zeros(self.num_envs, dtype=np.bool_)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the envs (those of ``options["reset_mask"]``); their windows start afresh."""
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
