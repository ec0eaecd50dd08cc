"""Slates and items as actions."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.spaces import MultiDiscrete
from numpy.typing import NDArray

from irecgan_gym.settings import shown
from irecgan_gym.wrappers.order import UnfitSpaceError


class SlateShape(NamedTuple):
    """Sizes of a slate env.

    Attributes:
        num_items: size of the catalogue, n.
        slate_size: items shown at a time, k.
    """

    num_items: int
    slate_size: int


def slate_shape(space: gym.Space[Any]) -> SlateShape:
    """The sizes that the action space of one env stands for.

    Raises:
        UnfitSpaceError: the actions are not slates, ``MultiDiscrete([n] * k)``.
    """
    if not isinstance(space, MultiDiscrete) or space.nvec.ndim != 1 or (space.nvec != space.nvec[0]).any():
        raise UnfitSpaceError(
            "action_space", f"the env must take slates, MultiDiscrete([num_items] * slate_size), but takes {space}"
        )
    return SlateShape(int(space.nvec[0]), len(space.nvec))


def check_items(actions: NDArray[Any], count: int, num_items: int) -> NDArray[np.int64]:
    """Actions that are items, one an env, [B].

    Args:
        actions: what the agents chose.
        count: number of envs, B.
        num_items: ids run from 0 to this number less one.

    Raises:
        ValueError: a wrong shape or type, or an id out of range.
    """
    if actions.shape != (count,) or actions.dtype.kind not in "iu":
        raise ValueError(
            f"an action must be one item id for each of {count} envs, got {actions.dtype} of shape {actions.shape}: "
            f"{shown(actions)}"
        )
    if len(actions) and not 0 <= actions.min() <= actions.max() < num_items:
        wrong = actions[(actions < 0) | (actions >= num_items)][0]
        raise ValueError(f"item ids run from 0 to {num_items - 1}, got {wrong}")
    return actions.astype(np.int64)
