"""Actions that score items, for agents with continuous actions; the items with the highest scores are shown."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorActionWrapper, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from irecgan_gym.settings import shown
from irecgan_gym.wrappers.order import check_env, in_order
from irecgan_gym.wrappers.slate_space import slate_shape

_LEAST, _MOST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


class SlateScores(gym.ActionWrapper[Any, Any, Any], RecordConstructorArgs):
    """Show the k items with the highest scores, best first.

    The action is one score an item, ``Box(-bound, bound, (n,))``; or, with ``item_embeddings``, a query vector
    ``Box(-bound, bound, (d,))`` whose inner products with the items' embeddings are the scores, so that the agent's
    network does not grow with the catalogue. For SAC, TD3, PPO and evolution strategies. Of equal scores, the item with
    the lower id comes first. Only the order of scores matters.

    The bound matters to agents that draw from a Gaussian and clip, such as Stable-Baselines3's PPO: every score beyond
    the bound becomes the same score. With the usual standard deviation of 1, a sixth of all items would share the top
    at a bound of 1; a bound of 10 lets scores differ. SAC and TD3 squash their actions into the bounds: for them, 1
    is right.

    The vector twin is :class:`VectorSlateScores`.

    Args:
        env: a slate env.
        item_embeddings: [n, d]; None for scores.
        bound: of an action's numbers.
    """

    def __init__(
        self, env: gym.Env[Any, Any], *, item_embeddings: NDArray[Any] | None = None, bound: float = 1.0
    ) -> None:
        check_env(env)
        RecordConstructorArgs.__init__(self, item_embeddings=item_embeddings, bound=bound)
        super().__init__(env)
        with in_order(self, env):
            self._ranking = Ranking(env.action_space, item_embeddings)
        self.action_space = self._ranking.action_space(bound)

    def action(self, action: NDArray[Any]) -> NDArray[np.int64]:
        """The slate of scores or of a query vector, int64 [k]."""
        slate: NDArray[np.int64] = self._ranking.slates(np.asarray(action)[None])[0]
        return slate


class VectorSlateScores(VectorActionWrapper):
    """The vector twin of :class:`SlateScores`: actions [B, n] or [B, d].

    Args:
        env: a vector env of slates.
        item_embeddings: [n, d]; None for scores.
        bound: of an action's numbers.
    """

    def __init__(
        self, env: VectorEnv[Any, Any, Any], *, item_embeddings: NDArray[Any] | None = None, bound: float = 1.0
    ) -> None:
        super().__init__(env)
        with in_order(self, env):
            self._ranking = Ranking(env.single_action_space, item_embeddings)
        self.single_action_space = self._ranking.action_space(bound)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def actions(self, actions: NDArray[Any]) -> NDArray[np.int64]:
        """The slates of all envs, int64 [B, k]."""
        return self._ranking.slates(np.asarray(actions))


class Ranking:
    """Turns scores or query vectors into slates.

    Args:
        slates: the action space of one env.
        item_embeddings: [n, d]; None where actions are scores.
    """

    def __init__(self, slates: gym.Space[Any], item_embeddings: NDArray[Any] | None) -> None:
        self._num_items, self._slate_size = slate_shape(slates)
        self._embeddings: NDArray[np.float32] | None = None
        if item_embeddings is not None:
            try:
                embeddings = np.asarray(item_embeddings, dtype=np.float32)
            except (TypeError, ValueError, OverflowError) as error:
                raise ValueError(
                    f"item_embeddings must be an array of numbers, got {shown(item_embeddings)}"
                ) from error
            if embeddings.ndim != 2 or len(embeddings) != self._num_items or embeddings.shape[1] == 0:
                raise ValueError(
                    f"item_embeddings must have one row for each of the {self._num_items} items, got shape "
                    f"{embeddings.shape}"
                )
            if not np.isfinite(embeddings).all():
                raise ValueError("item_embeddings must be finite")
            self._embeddings = embeddings

    def action_space(self, bound: float) -> Box:
        """Of one env.

        Args:
            bound: of an action's numbers.
        """
        # The numbers of actions have 32 bits.
        if not isinstance(bound, (int, float, np.integer, np.floating)) or not _LEAST <= bound <= _MOST:
            raise ValueError(f"bound must be positive and finite, got {shown(bound)}")
        size = self._num_items if self._embeddings is None else self._embeddings.shape[1]
        return Box(-float(bound), float(bound), (size,), np.float32)

    def slates(self, actions: NDArray[Any]) -> NDArray[np.int64]:
        """Slates [B, k] of actions, [B, n] or [B, d]."""
        size = self._num_items if self._embeddings is None else self._embeddings.shape[1]
        if actions.ndim != 2 or actions.shape[1] != size:
            raise ValueError(f"an action must hold {size} numbers, got shape {actions.shape[1:]}")
        if actions.dtype.kind not in "biuf":
            raise ValueError(f"an action must hold {size} numbers, got {actions.dtype}")
        if actions.dtype.kind != "f":
            actions = actions.astype(np.float64)  # Scores are negated to be sorted, which unsigned numbers cannot be.
        scores = actions if self._embeddings is None else actions.astype(np.float32) @ self._embeddings.T
        if np.isnan(scores).any():
            raise ValueError(f"scores must be numbers, got NaN in {np.isnan(scores).sum()} places")
        return top_items(scores, self._slate_size)


def top_items(scores: NDArray[Any], size: int) -> NDArray[np.int64]:
    """The items with the highest scores, best first; of equal scores, the lower id first.

    Args:
        scores: [B, n], no NaN.
        size: items to take of each row, k <= n.

    Returns:
        int64 [B, k].
    """
    number, num_items = scores.shape
    # The k-th highest score of each row; linear in n, as all that follows but for the sorting of k items.
    lowest = np.partition(scores, num_items - size, axis=1)[:, num_items - size, None]
    chosen = scores >= lowest
    if np.count_nonzero(chosen) > number * size:
        above = scores > lowest
        level = chosen & ~above
        places = size - np.count_nonzero(above, axis=1)[:, None]
        chosen = above | (level & (np.cumsum(level, axis=1) <= places))
    # By id in every row, so that a stable sort leaves equal scores in that order.
    items = np.nonzero(chosen)[1].reshape(number, size)
    order = np.argsort(-np.take_along_axis(scores, items, axis=1), axis=1, kind="stable")
    return np.take_along_axis(items, order, axis=1).astype(np.int64)
