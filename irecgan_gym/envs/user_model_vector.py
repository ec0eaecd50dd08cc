"""``UserModel-v0`` as a native vector env: many simulated users in one batch of recurrent states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Discrete, MultiDiscrete
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from irecgan_gym.envs.session_vector_env import Columns, Rows, SessionVectorEnv
from irecgan_gym.models.user_model import UserModel
from irecgan_gym.slates import check_slates, distinct_slates


class UserModelVectorEnv(SessionVectorEnv):
    """The users of a learned user model, B at a time.

    See :class:`~irecgan_gym.envs.user_model.UserModelEnv` for spaces, rewards and infos. Recurrent states stay on the
    model's device between steps, and :meth:`branch` copies sessions with all they have been through.

    Args:
        num_envs: number of users, B.
        user_model: a fitted model, or the path of a saved one.
        slate_size: items to show at a time, k; the model's own when None.
        duplicates: ``"replace"`` or ``"error"``, see :class:`~irecgan_gym.envs.user_model.UserModelEnv`.
        max_episode_steps: see :class:`~irecgan_gym.envs.session_vector_env.SessionVectorEnv`.
        autoreset_mode: see there.
        device: where a model given by its path is put.
        render_mode: see :class:`~irecgan_gym.envs.session_vector_env.SessionVectorEnv`.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        num_envs: int,
        *,
        user_model: UserModel | str | Path,
        slate_size: int | None = None,
        duplicates: str = "replace",
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        device: str = "auto",
        render_mode: str | None = None,
    ) -> None:
        super().__init__(num_envs, max_episode_steps, autoreset_mode, render_mode)
        self.user_model = user_model if isinstance(user_model, UserModel) else UserModel.load(user_model, device=device)
        self.catalogue = self.user_model.catalogue
        self.num_items = self.user_model.config.num_items
        self.slate_size = self.user_model.config.slate_size if slate_size is None else slate_size
        if not 1 <= self.slate_size <= self.num_items:
            raise ValueError(f"slate_size must be from 1 to {self.num_items}, got {self.slate_size}")
        if duplicates not in ("replace", "error"):
            raise ValueError(f"duplicates must be 'replace' or 'error', got {duplicates!r}")
        self._duplicates = duplicates
        self.single_observation_space = Discrete(self.num_items + 1)
        self.single_action_space = MultiDiscrete([self.num_items] * self.slate_size)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._generator = torch.Generator(self.user_model.device)
        self._reseed()
        self._states = self.user_model.encoder.initial_state(num_envs)
        self._clicks = np.full(num_envs, self.num_items, dtype=np.int64)
        self._slates = np.full((num_envs, self.slate_size), -1, dtype=np.int64)

    def _reseed(self) -> None:
        self._generator.manual_seed(int(self.np_random.integers(2**62)))

    @torch.no_grad()
    def _begin(self, rows: Rows) -> None:
        self._states[self._index(rows)] = self.user_model.encoder.start(len(rows))
        self._clicks[rows] = self.num_items
        self._slates[rows] = -1

    @torch.no_grad()
    def _play(self, rows: Rows, actions: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        slates = distinct_slates(actions, self._duplicates, self.num_items, self.np_random)
        index = self._index(rows)
        states = self._states[index]
        shown = torch.from_numpy(slates).to(index.device)
        response = self.user_model.respond(states, shown, self._generator)
        self._states[index] = self.user_model.advance(states, shown, response.clicks)
        self._slates[rows] = slates
        self._clicks[rows] = response.clicks.cpu().numpy()
        return response.rewards.double().cpu().numpy(), response.ended.cpu().numpy()

    def _observations(self) -> NDArray[Any]:
        return self._clicks.copy()

    def _columns(self) -> Columns:
        return {"slate": self._slates.copy(), "click": self._clicks.copy()}

    def _check_actions(self, actions: Any) -> NDArray[Any]:
        return check_slates(actions, (self.num_envs, self.slate_size), self.num_items)

    def recurrent_states(self) -> torch.Tensor:
        """Return a copy of the model's recurrent state of each session, [B, S]."""
        return self._states.clone()

    def _index(self, rows: Rows) -> torch.Tensor:
        return torch.from_numpy(np.asarray(rows)).to(self.user_model.device)

    def branch(self, rows: Rows) -> UserModelVectorEnv:
        """Copies of some of the sessions, in the order given, as a vector env of their own.

        A row may be named more than once. The copies have the history, the recurrent state and the elapsed steps of
        their originals, and go on independently of them and of each other.

        Args:
            rows: numbers of sessions, [B'].
        """
        twin = UserModelVectorEnv(
            len(rows),
            user_model=self.user_model,
            slate_size=self.slate_size,
            duplicates=self._duplicates,
            max_episode_steps=self.max_episode_steps,
            autoreset_mode=self.autoreset_mode,
        )
        twin._np_random = np.random.Generator(np.random.PCG64(self.np_random.integers(2**63)))
        twin._reseed()
        twin._states = self._states[self._index(rows)]
        twin._clicks, twin._slates = self._clicks[rows], self._slates[rows]
        twin._elapsed, twin._done = self._elapsed[rows], self._done[rows]
        twin._was_reset = self._was_reset
        return twin
