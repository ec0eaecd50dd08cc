"""Windows of item ids as one-hot vectors, for networks without embeddings."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from irecgan_gym.wrappers.order import UnfitSpaceError, check_env, in_order
from irecgan_gym.wrappers.vector_sessions import StepResult, with_final_observations

_LARGEST = 4096


class OneHotHistory(gym.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    """Encode a window of ids as one-hot vectors, float32 [H (n + 1)], the oldest click's first.

    For small catalogues only: a window of 10 clicks takes 510 numbers at 50 items and 100,010 at 10,000, and the first
    layer of a network grows with them. Windows of more than 4,096 numbers are refused: embed their ids instead.

    Args:
        env: an env under :class:`~irecgan_gym.wrappers.click_history.ClickHistory`.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        check_env(env)
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        with in_order(self, env):
            self.observation_space = _one_hot_space(env.observation_space)
        self._num_ids = _num_ids(env.observation_space)

    def observation(self, observation: NDArray[np.int64]) -> NDArray[np.float32]:
        """The one-hot vectors of a window, [H (n + 1)]."""
        return _one_hot(observation, self._num_ids)


class VectorOneHotHistory(VectorWrapper):
    """The vector twin of :class:`OneHotHistory`: float32 [B, H (n + 1)], in any autoreset mode.

    Args:
        env: a vector env under :class:`~irecgan_gym.wrappers.click_history.VectorClickHistory`.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        super().__init__(env)
        with in_order(self, env):
            self.single_observation_space = _one_hot_space(env.single_observation_space)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self._num_ids = _num_ids(env.single_observation_space)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the envs."""
        windows, info = self.env.reset(seed=seed, options=options)
        return _one_hot(windows, self._num_ids), info

    def step(self, actions: Any) -> StepResult:
        """Step the envs."""
        windows, rewards, terminated, truncated, info = self.env.step(actions)
        info = with_final_observations(info, lambda _, window: _one_hot(window, self._num_ids))
        return _one_hot(windows, self._num_ids), rewards, terminated, truncated, info


def _num_ids(space: gym.Space[Any]) -> int:
    """Number of ids, n + 1."""
    assert isinstance(space, Box)
    return int(space.high.max()) + 1


def _one_hot_space(space: gym.Space[Any]) -> Box:
    if not isinstance(space, Box) or space.dtype != np.int64 or len(space.shape) != 1:
        raise UnfitSpaceError(
            "observation_space",
            f"one-hot vectors are made of a window of ids: wrap the env in ClickHistory, it has {space}",
        )
    size = space.shape[0] * _num_ids(space)
    if size > _LARGEST:
        raise ValueError(
            f"a window of {space.shape[0]} clicks out of {_num_ids(space)} ids takes {size} numbers as one-hot "
            f"vectors, over {_LARGEST}: keep the ids of ClickHistory and embed them, as "
            "irecgan_gym.sb3.ItemHistoryExtractor does"
        )
    return Box(0.0, 1.0, (size,), np.float32)


def _one_hot(windows: NDArray[np.int64], num_ids: int) -> NDArray[np.float32]:
    """One-hot vectors of ids, [..., H] to [..., H * num_ids]."""
    vectors = np.zeros((*windows.shape, num_ids), dtype=np.float32)
    np.put_along_axis(vectors, windows[..., None], 1.0, axis=-1)
    return vectors.reshape(*windows.shape[:-1], -1)
