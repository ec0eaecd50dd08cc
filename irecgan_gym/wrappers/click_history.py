"""Observations that are a window of the last clicks."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.utils import RecordConstructorArgs
from gymnasium.wrappers import FrameStackObservation


class ClickHistory(FrameStackObservation[Any, Any, Any], RecordConstructorArgs):
    """Observe the last H clicks as item ids, oldest first.

    The observations are those of Gymnasium's ``FrameStackObservation``, int64 [H]: at the start of a session the window
    holds "no click", n, throughout. What differs is the space: ``Box(0, n, (H,), int64)`` says that they are ids, to be
    looked up in a table of embeddings. (Agent libraries turn ``Discrete`` and ``MultiDiscrete`` observations into
    one-hot vectors before a network sees them, H x (n + 1) numbers a step.) A window of 1 is the last click alone.

    :class:`~irecgan_gym.sb3.ItemHistoryExtractor` embeds the ids for Stable-Baselines3. Networks that take plain
    numbers need :class:`~irecgan_gym.wrappers.one_hot_history.OneHotHistory` on top. The vector twin is
    :class:`~irecgan_gym.wrappers.click_history_vector.VectorClickHistory`.

    Args:
        env: an env that observes ids from a ``Discrete`` space: the last click (or, for oracles, the state).
        length: of the window, H.
    """

    def __init__(self, env: gym.Env[Any, Any], length: int) -> None:
        RecordConstructorArgs.__init__(self, length=length)
        self._ids = history_space(env.observation_space, length)
        super().__init__(env, stack_size=length, padding_type="reset")
        self.observation_space = self._ids


def history_space(space: gym.Space[Any], length: int) -> Box:
    """The space of a window of ids.

    Args:
        space: of the env's observations.
        length: of the window, H.

    Raises:
        ValueError: no window can be made of such observations, or of such a length.
    """
    if not isinstance(space, Discrete) or space.start != 0:
        raise ValueError(f"a history is made of ids, observations of a Discrete space from 0, but the env has {space}")
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    return Box(0, int(space.n) - 1, (length,), np.int64)
