"""``RecSim-v0`` as a native vector env: many users in one call."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from irecgan_gym.collection import SlatePredictor
from irecgan_gym.envs.recsim import RecSimEnv
from irecgan_gym.envs.recsim_dynamics import DRAWS_PER_STEP
from irecgan_gym.envs.session_vector_env import Columns, Rows, SessionVectorEnv
from irecgan_gym.kernels import loading
from irecgan_gym.mdp import START_STATE, RecommendationMDP
from irecgan_gym.sessions import Sessions
from irecgan_gym.slates import check_slates, distinct_slates, raise_repeated


class RecSimVectorEnv(SessionVectorEnv):
    """B users of :class:`~irecgan_gym.envs.recsim.RecSimEnv`, which see there for spaces, rewards and infos.

    One generator serves all users. With ``num_envs=1``, the same seed gives the same sessions as the single env.
    Steps are taken by a kernel that numba compiles, or by NumPy where numba is missing, with the same results.

    Args:
        num_envs: number of users, B.
        max_episode_steps: see :class:`~irecgan_gym.envs.session_vector_env.SessionVectorEnv`.
        autoreset_mode: see there.
        render_mode: see there.
        **arguments: those of :class:`~irecgan_gym.envs.recsim.RecSimEnv`.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        num_envs: int = 1,
        *,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(num_envs, max_episode_steps, autoreset_mode, render_mode)
        # What the world is, and what its arguments mean, is said once: in the single env.
        self._single = RecSimEnv(**arguments)
        self.mdp: RecommendationMDP = self._single.mdp
        self.dynamics = self._single.dynamics
        self.num_items = self._single.num_items
        self.slate_size = self._single.slate_size
        self.logging_policy = self._single.logging_policy
        self.single_observation_space = self._single.observation_space
        self.single_action_space = self._single.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._states = np.full(num_envs, START_STATE, dtype=np.int64)
        self._shown_in_states = np.full(num_envs, -1, dtype=np.int64)
        self._slates = np.full((num_envs, self.slate_size), -1, dtype=np.int64)
        self._clicks = np.full(num_envs, self.num_items, dtype=np.int64)
        self._draws = np.empty(num_envs * DRAWS_PER_STEP)
        self._put_off = np.empty(2 * num_envs, dtype=np.int64)

    def collect(
        self,
        num_sessions: int,
        seed: int,
        *,
        max_session_steps: int | None = 40,
        policy: SlatePredictor | None = None,
        deterministic: bool = False,
    ) -> Sessions:
        """The same as :meth:`irecgan_gym.envs.recsim.RecSimEnv.collect`: equal seeds, equal sessions."""
        return self._single.collect_as(self.spec, num_sessions, seed, max_session_steps, policy, deterministic)

    def _begin(self, rows: Rows) -> None:
        self._states[rows] = START_STATE
        self._clicks[rows] = self.num_items
        self._shown_in_states, self._slates = self._shown_in_states.copy(), self._slates.copy()
        self._shown_in_states[rows] = -1
        self._slates[rows] = -1

    def _advance(
        self, actions: NDArray[Any], waiting: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        kernels = loading.load_kernels()
        if kernels is None:
            return super()._advance(actions, waiting)
        if self._single.duplicates == "error":
            row = kernels.first_repeating_row(actions, waiting, self.num_items)
            if row >= 0:
                raise_repeated(actions[row].tolist())
        draws = self._draws[: (self.num_envs - np.count_nonzero(waiting)) * DRAWS_PER_STEP]
        self.np_random.random(out=draws)
        rewards, terminated = np.empty(self.num_envs), np.empty(self.num_envs, dtype=np.bool_)
        self._shown_in_states, self._slates = np.empty(self.num_envs, dtype=np.int64), np.empty_like(actions)
        tables = (self.dynamics.rewards, self.dynamics.cumulative_transitions)
        rows, repeats = kernels.play(
            actions,
            waiting,
            draws,
            *tables,
            START_STATE,
            self._elapsed,
            self._states,
            self._shown_in_states,
            self._slates,
            self._clicks,
            rewards,
            terminated,
            self._put_off,
        )
        if rows:
            repairs = self.np_random.random(repeats)
            put_off = self._put_off[: 2 * rows]
            kernels.play_repaired(
                put_off, draws, repairs, *tables, self._states, self._slates, self._clicks, rewards, terminated
            )
        return rewards, terminated

    def _play(self, rows: Rows, actions: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        slates = actions
        if self._single.duplicates == "error":
            # Before anything is drawn.
            distinct_slates(actions, "error", self.num_items, self.np_random)
        draws = self.np_random.random((len(rows), DRAWS_PER_STEP))
        if self._single.duplicates == "replace":
            slates = distinct_slates(actions, "replace", self.num_items, self.np_random)
        states = self._states[rows]
        response = self.dynamics.respond(states, slates, draws)
        self._states[rows] = response.states
        self._shown_in_states, self._slates = self._shown_in_states.copy(), self._slates.copy()
        self._shown_in_states[rows] = states
        self._slates[rows] = slates
        self._clicks[rows] = response.clicks
        return response.successes.astype(np.float64), ~response.successes

    def _observations(self) -> NDArray[Any]:
        return (self._states if self._single.observation == "state" else self._clicks).copy()

    def _columns(self) -> Columns:
        return {
            "state": self._states.copy(),
            # These two are replaced and not changed, here and in all that follows.
            "shown_in_state": self._shown_in_states,
            "slate": self._slates,
            "click": self._clicks.copy(),
        }

    def _check_actions(self, actions: Any) -> NDArray[Any]:
        return check_slates(actions, (self.num_envs, self.slate_size), self.num_items)
