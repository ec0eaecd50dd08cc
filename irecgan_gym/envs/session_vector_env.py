"""Base class of the suite's native vector envs: time limits, autoreset modes and the form of their infos."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from irecgan_gym.settings import check_count, check_seed

Rows = NDArray[np.integer[Any]]
Columns = dict[str, NDArray[Any]]

MOST_ENVS = 2**24
"""Far beyond what anyone runs side by side: a mistaken number is refused before its arrays fill all memory."""


class SessionVectorEnv(VectorEnv[NDArray[Any], NDArray[Any], NDArray[Any]]):
    """B users side by side; a subclass says how sessions begin and what one step does to them.

    Infos have one array of B rows a key, and a mask under ``_key``, as Gymnasium's own vector envs make them. In
    ``SAME_STEP`` mode, ``final_obs`` and ``final_info`` hold the last observation and info of the sessions that ended.

    Args:
        num_envs: B.
        max_episode_steps: steps after which a session is truncated; None never truncates.
        autoreset_mode: when ended sessions are followed by new ones: on the next step (Gymnasium's default), within
            the same step, or only by ``reset(options={"reset_mask": ...})``.
        render_mode: None: only single envs render.
    """

    def __init__(
        self,
        num_envs: int,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
    ) -> None:
        check_count("num_envs", num_envs, MOST_ENVS)
        if max_episode_steps is not None:
            check_count("max_episode_steps", max_episode_steps)
        if render_mode is not None:
            raise ValueError(
                f"render_mode must be None, got {render_mode!r}: native vector envs do not render; single envs do, and "
                'those of make_vec(..., vectorization_mode="sync")'
            )
        self.render_mode = None
        self.num_envs = num_envs
        self.max_episode_steps = max_episode_steps
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self._done = np.zeros(num_envs, dtype=bool)
        self._everyone = np.ones(num_envs, dtype=bool)
        self._was_reset = False

    @abstractmethod
    def _begin(self, rows: Rows) -> None:
        """Start new sessions in the given rows."""

    @abstractmethod
    def _play(self, rows: Rows, actions: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Take one step in the given rows; ``actions`` are theirs. Rewards and whether the session ended."""

    def _advance(
        self, actions: NDArray[Any], waiting: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Take one step in all rows but those that wait, which begin a new session, and count elapsed steps.

        Args:
            actions: of all rows, [B, ...].
            waiting: [B].

        Returns:
            Rewards, and whether the session ended by itself; [B] each, new arrays.
        """
        if not np.count_nonzero(waiting):
            rewards, terminated = self._play(np.arange(self.num_envs), actions)
            self._elapsed += 1
            return rewards, terminated
        rewards, terminated = np.zeros(self.num_envs), np.zeros(self.num_envs, dtype=bool)
        rows = np.flatnonzero(~waiting)
        if len(rows):
            rewards[rows], terminated[rows] = self._play(rows, actions[rows])
            self._elapsed[rows] += 1
        self._restart(np.flatnonzero(waiting))
        return rewards, terminated

    @abstractmethod
    def _observations(self) -> NDArray[Any]:
        """Current observation of every row, as a new array."""

    @abstractmethod
    def _columns(self) -> Columns:
        """Current info of every row, as arrays that are given away: the env neither reads nor writes them again."""

    @abstractmethod
    def _check_actions(self, actions: Any) -> NDArray[Any]:
        """The actions of all rows as an array, or a ValueError that names what is wrong."""

    def _reseed(self) -> None:
        """Seed generators other than ``np_random``, which has just been seeded."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start new sessions in all envs, or in those of ``options["reset_mask"]`` (bool [B]).

        A seed owns all randomness of all envs.
        """
        seed = check_seed(seed)
        super().reset(seed=seed)
        if seed is not None:
            self._reseed()
        mask = np.ones(self.num_envs, dtype=bool)
        if options is not None and "reset_mask" in options:
            mask = np.asarray(options["reset_mask"])
            if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
                raise ValueError(
                    f"reset_mask must be a boolean array of shape ({self.num_envs},) with at least one True, "
                    f"got {mask!r}"
                )
            if not self._was_reset and not mask.all():
                raise ResetNeeded("the first reset must be of all envs")
        self._restart(np.flatnonzero(mask))
        self._was_reset = True
        return self._observations(), _with_masks(self._columns(), mask)

    def step(
        self, actions: Any
    ) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Take one step in every env (see the class for what happens where a session has ended)."""
        if not self._was_reset:
            raise ResetNeeded("call reset before step")
        checked = self._check_actions(actions)
        waiting = self._done
        if self.autoreset_mode == AutoresetMode.DISABLED and waiting.any():
            raise ResetNeeded(
                f"sessions {np.flatnonzero(waiting).tolist()} have ended: reset them with "
                "reset(options={'reset_mask': ...}) before the next step"
            )
        rewards, terminated = self._advance(checked, waiting)
        if self.max_episode_steps is None:
            truncated, ended = np.zeros(self.num_envs, dtype=bool), terminated
        else:
            # Both flags are set where a session ends by itself at the limit, as Gymnasium's TimeLimit does.
            truncated = self._elapsed >= self.max_episode_steps
            ended = terminated | truncated
        self._done = ended.copy()
        final: dict[str, Any] = {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP and ended.any():
            final = self._final(ended)
            self._restart(np.flatnonzero(ended))
        info = _with_masks(self._columns(), self._everyone)
        return self._observations(), rewards, terminated, truncated, {**info, **final}

    def _restart(self, rows: Rows) -> None:
        self._begin(rows)
        self._elapsed[rows] = 0
        self._done[rows] = False

    def _final(self, ended: NDArray[np.bool_]) -> dict[str, Any]:
        """Last observations and infos of the ended sessions, in the form of Gymnasium's vector envs."""
        last = self._observations()
        observations = np.full(self.num_envs, None, dtype=object)
        for row, observation in zip(np.flatnonzero(ended).tolist(), last[ended], strict=True):
            observations[row] = observation
        columns = {name: _where(ended, column) for name, column in self._columns().items()}
        return {
            "final_obs": observations,
            "_final_obs": ended.copy(),
            "final_info": _with_masks(columns, ended),
            "_final_info": ended.copy(),
        }


def _where(mask: NDArray[np.bool_], column: NDArray[Any]) -> NDArray[Any]:
    """A copy of the column, with zeros where the mask is False."""
    return np.where(mask.reshape(-1, *(1,) * (column.ndim - 1)), column, np.zeros((), column.dtype))


def _with_masks(columns: Columns, mask: NDArray[np.bool_]) -> dict[str, Any]:
    info: dict[str, Any] = {}
    for name, column in columns.items():
        info[name] = column
        info[f"_{name}"] = mask.copy()
    return info
