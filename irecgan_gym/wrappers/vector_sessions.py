"""Begin and end of sessions in Gymnasium's vector envs, for wrappers that keep something for each session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

StepResult = tuple[Any, NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


def autoreset_mode(env: VectorEnv[Any, Any, Any]) -> AutoresetMode:
    """Return the mode in which the env follows ended sessions by new ones."""
    return AutoresetMode(env.metadata["autoreset_mode"])


def rows_to_reset(options: dict[str, Any] | None, num_envs: int) -> NDArray[np.bool_]:
    """The envs that ``reset(options=options)`` is about, [B]: those of ``options["reset_mask"]``, or all.

    To be asked before the env is reset: Gymnasium's ``SyncVectorEnv`` takes the mask out of the options.
    """
    mask = None if options is None else options.get("reset_mask")
    return np.ones(num_envs, dtype=np.bool_) if mask is None else np.array(mask, dtype=np.bool_)


def with_final_observations(info: dict[str, Any], change: Callable[[int, Any], Any]) -> dict[str, Any]:
    """The info with its ``final_obs`` (of ``SAME_STEP`` mode, where sessions ended) changed.

    Args:
        info: of a step.
        change: takes a row's number and its last observation, gives what stands in its place.
    """
    if "final_obs" not in info:
        return info
    observations = info["final_obs"].copy()
    for row in np.flatnonzero(info["_final_obs"]).tolist():
        observations[row] = change(row, observations[row])
    return {**info, "final_obs": observations}
