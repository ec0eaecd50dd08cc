"""The users of ``UserModel-v0`` on the device of their model, for policies that choose slates there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode
from torch import Tensor

from irecgan_gym.models.user_model import UserModel


class UsersOnDevice:
    """Users whose slates and answers stay tensors: what :func:`irecgan_gym.collection.play` asks of a vector env.

    They answer as :class:`~irecgan_gym.envs.user_model_vector.UserModelVectorEnv` does with the same seed, to the bit,
    but take slates as they are: different items, as policies of the suite draw them. A step needs no transfer between
    the processor and a GPU.

    Args:
        num_envs: number of users, B.
        user_model: a fitted model.
        max_episode_steps: length at which a session is cut.

    Raises:
        ValueError: no users, or no steps.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, num_envs: int, user_model: UserModel, max_episode_steps: int) -> None:
        for name, value in (("num_sessions", num_envs), ("max_session_steps", max_episode_steps)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.num_envs = num_envs
        self.num_items = user_model.config.num_items
        self.user_model = user_model
        self._steps_left = max_episode_steps
        self._generator = torch.Generator(user_model.device)

    @torch.no_grad()
    def reset(self, *, seed: int | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Begin a session for every user; the observations are "no click", int64 [B]."""
        self._rng, _ = np_random(seed)
        self._reseed()
        self._states = self.user_model.encoder.start(self.num_envs)
        clicks = torch.full((self.num_envs,), self.num_items, dtype=torch.int64, device=self.user_model.device)
        return clicks, {}

    @torch.no_grad()
    def step(self, slates: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """Show every user a slate of different items, int64 [B, k]; returns what Gymnasium's ``step`` does."""
        response = self.user_model.respond(self._states, slates, self._generator)
        self._states = self.user_model.advance(self._states, slates, response.clicks)
        self._steps_left -= 1
        cut = torch.full_like(response.ended, self._steps_left == 0)
        info = {"slate": slates, "click": response.clicks}
        return response.clicks, response.rewards, response.ended, cut, info

    def branch(self, rows: Tensor) -> UsersOnDevice:
        """Return some of the users, who go on without the others; int64 [B'] of different numbers."""
        twin = UsersOnDevice(len(rows), self.user_model, max(1, self._steps_left))
        twin._rng = np.random.Generator(np.random.PCG64(self._rng.integers(2**63)))
        twin._reseed()
        twin._states = self._states[rows]
        return twin

    def _reseed(self) -> None:
        self._generator.manual_seed(int(self._rng.integers(2**62)))
