"""Actions that choose one item, for agents with ``Discrete`` actions such as DQN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorActionWrapper, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from irecgan_gym.wrappers.order import check_env, in_order
from irecgan_gym.wrappers.slate_space import check_items, slate_shape

ItemRanking = Sequence[int] | NDArray[np.integer[Any]]


class SingleItem(gym.ActionWrapper[Any, Any, Any], RecordConstructorArgs):
    """Choose one item, ``Discrete(n)``; a fixed ranking fills the rest of the slate.

    The item chosen comes first, then the first k - 1 other items of ``ranking``: those that would be shown anyway, by
    popularity in a log for example. The user always sees k different items, and may click one that the agent did not
    choose; the reward is the env's own in any case. So what an agent earns is to be compared with what the ranking
    earns by itself. In an env made with ``slate_size=1`` the agent decides alone, and there is no ranking.

    The vector twin is :class:`VectorSingleItem`.

    Args:
        env: a slate env.
        ranking: different item ids, k of them at least; may be None where k is 1.
    """

    def __init__(self, env: gym.Env[Any, Any], ranking: ItemRanking | None = None) -> None:
        check_env(env)
        RecordConstructorArgs.__init__(self, ranking=ranking)
        super().__init__(env)
        with in_order(self, env):
            self._completion = Completion(env.action_space, ranking)
        self.action_space = Discrete(self._completion.num_items)

    def action(self, action: Any) -> NDArray[np.int64]:
        """The slate of an item, int64 [k]."""
        slate: NDArray[np.int64] = self._completion.slates(np.asarray(action)[None], 1)[0]
        return slate


class VectorSingleItem(VectorActionWrapper):
    """The vector twin of :class:`SingleItem`: actions [B].

    Args:
        env: a vector env of slates.
        ranking: different item ids, k of them at least; may be None where k is 1.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], ranking: ItemRanking | None = None) -> None:
        super().__init__(env)
        with in_order(self, env):
            self._completion = Completion(env.single_action_space, ranking)
        self.single_action_space = Discrete(self._completion.num_items)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def actions(self, actions: Any) -> NDArray[np.int64]:
        """The slates of all envs, int64 [B, k]."""
        return self._completion.slates(np.asarray(actions), self.num_envs)


class Completion:
    """Fills slates that begin with one item.

    Args:
        slates: the action space of one env.
        ranking: see :class:`SingleItem`.
    """

    def __init__(self, slates: gym.Space[Any], ranking: ItemRanking | None) -> None:
        self.num_items, size = slate_shape(slates)
        if ranking is None and size > 1:
            raise ValueError(
                f"one item does not fill a slate of {size}: give a ranking of items that fill the rest, or make the "
                "env with slate_size=1"
            )
        self._first = np.zeros(1, dtype=np.int64) if ranking is None else self._checked(ranking, size)
        # Where a chosen item stands among the first k of the ranking; it leaves that place, or else the last one falls.
        self._places = np.full(self.num_items, size - 1, dtype=np.int64)
        self._places[self._first] = np.arange(size)

    def _checked(self, ranking: ItemRanking, size: int) -> NDArray[np.int64]:
        items = np.asarray(ranking)
        if items.ndim != 1 or items.dtype.kind not in "iu" or len(items) < size:
            raise ValueError(f"ranking must hold at least {size} item ids, got {ranking!r}")
        if items.min() < 0 or items.max() >= self.num_items or len(np.unique(items)) < len(items):
            raise ValueError(f"ranking must hold different item ids from 0 to {self.num_items - 1}, got {ranking!r}")
        return items[:size].astype(np.int64)

    def slates(self, actions: NDArray[Any], count: int) -> NDArray[np.int64]:
        """Slates [B, k] that begin with the given items, [B]."""
        items = check_items(actions, count, self.num_items)
        columns = np.arange(len(self._first) - 1)
        rest = self._first[columns + (columns >= self._places[items, None])]
        return np.concatenate([items[:, None], rest], axis=1)
