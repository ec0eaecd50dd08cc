"""Gymnasium's vector envs as Stable-Baselines3's: many users in one call, under agents of that library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from irecgan_gym.wrappers.vector_sessions import autoreset_mode

_FINAL = frozenset({"final_obs", "_final_obs", "final_info", "_final_info"})


class NativeVecEnv(VecEnv):
    """A vector env of Gymnasium, wrapped or not, as the ``VecEnv`` that Stable-Baselines3 trains on.

    Sessions that end are followed by new ones in the same step, as that library has it: ``infos`` hold their last
    observation as ``terminal_observation``, and ``TimeLimit.truncated`` where they were only cut. Every other key of an
    info belongs to the step that was taken. The first infos of new sessions are in ``reset_infos``.

    ```python
    envs = gym.make_vec("RecSim-v0", num_envs=64, autoreset_mode=AutoresetMode.SAME_STEP)
    agent = PPO("MlpPolicy", NativeVecEnv(VectorSlateScores(VectorClickHistory(envs, 5))))
    ```

    ``env_method`` calls a method of the vector env (or of a wrapper of it) once, which must return one row an env:
    ``action_masks``, for MaskablePPO, is one. ``get_attr`` gives the vector env's attribute for every env.

    Args:
        env: in autoreset mode ``SAME_STEP``.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        if autoreset_mode(env) != AutoresetMode.SAME_STEP:
            raise ValueError(
                f"Stable-Baselines3 resets in the same step, the env is in autoreset mode {autoreset_mode(env).name}: "
                "make it with autoreset_mode=AutoresetMode.SAME_STEP"
            )
        self.env = env
        self._actions: Any = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> VecEnvObs:
        """Begin new sessions in all envs, with the seed and options set before.

        One generator serves all envs, so that the first of the seeds that :meth:`seed` made is the one that counts.
        """
        observations, info = self.env.reset(seed=self._seeds[0], options=self._options[0] or None)
        self.reset_infos = _rows(info, self.num_envs)
        self._reset_seeds()
        self._reset_options()
        return observations  # type: ignore[no-any-return]

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take note of the next step's actions."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Take the step."""
        observations, rewards, terminated, truncated, info = self.env.step(self._actions)
        dones = terminated | truncated
        infos = _rows({key: column for key, column in info.items() if key not in _FINAL}, self.num_envs)
        ended = np.flatnonzero(dones).tolist()
        if ended:
            final = _rows(info["final_info"], self.num_envs)
            for row in ended:
                self.reset_infos[row] = infos[row]
                last = {"terminal_observation": info["final_obs"][row]}
                # Wrappers may say something of the step taken beside ``final_info``.
                infos[row] = {**infos[row], **final[row], **last}
        for row_info, cut in zip(infos, (truncated & ~terminated).tolist(), strict=True):
            row_info["TimeLimit.truncated"] = cut
        return observations, rewards.astype(np.float32), dones, infos

    def close(self) -> None:
        """Close the envs."""
        self.env.close()

    def get_images(self) -> tuple[Any, ...]:
        """One picture an env, from an env made with ``render_mode="rgb_array"``."""
        frames = self.env.render()
        return (None,) * self.num_envs if frames is None else tuple(frames)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The attribute of the outermost wrapper that has it, or of the env; the same for all envs."""
        value = getattr(self._owner(attr_name), attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of the vector env where :meth:`get_attr` finds it: of all envs, or of none."""
        if len(set(self._get_indices(indices))) < self.num_envs:
            raise ValueError(f"{attr_name} belongs to all {self.num_envs} envs: it cannot be set for some of them")
        setattr(self._owner(attr_name), attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of the vector env that returns one row an env."""
        rows = getattr(self._owner(method_name), method_name)(*method_args, **method_kwargs)
        if not isinstance(rows, np.ndarray | list | tuple) or len(rows) != self.num_envs:
            raise TypeError(f"{method_name} must return one row for each of {self.num_envs} envs, got {rows!r}")
        return [rows[index] for index in self._get_indices(indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Tell whether a wrapper of the vector env is of that class."""
        wrapped = any(isinstance(layer, wrapper_class) for layer in self._layers())
        return [wrapped for _ in self._get_indices(indices)]

    def _layers(self) -> Iterator[VectorEnv[Any, Any, Any]]:
        """The vector env's wrappers from the outside, and the env itself."""
        layer = self.env
        while isinstance(layer, VectorWrapper):
            yield layer
            layer = layer.env
        yield layer

    def _owner(self, name: str) -> VectorEnv[Any, Any, Any]:
        for layer in self._layers():
            if hasattr(layer, name):
                return layer
        raise AttributeError(f"neither {self.env} nor what it wraps has an attribute {name!r}")


def _rows(info: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The infos of single envs out of a vector env's: B rows a key, with a mask ``_key`` where some rows lack it."""
    infos: list[dict[str, Any]] = [{} for _ in range(count)]
    for key, column in info.items():
        if key.startswith("_"):
            continue
        rows = _rows(column, count) if isinstance(column, dict) else column
        mask = info.get(f"_{key}")
        if mask is None or mask.all():
            for row_info, value in zip(infos, rows, strict=True):
                row_info[key] = value
        else:
            for row in np.flatnonzero(mask).tolist():
                infos[row][key] = rows[row]
    return infos
