"""``RecSim-v0`` as a native vector env: many users in one call."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from irecgan_gym.collection import SlatePredictor
from irecgan_gym.envs.recsim import RecSimEnv
from irecgan_gym.envs.recsim_dynamics import DRAWS_AFTER_CLICK, DRAWS_PER_STEP, RecSimResponse
from irecgan_gym.envs.session_vector_env import Columns, Rows, SessionVectorEnv
from irecgan_gym.envs.user_streams import UserStreams
from irecgan_gym.kernels import loading
from irecgan_gym.mdp import START_STATE, RecommendationMDP
from irecgan_gym.sessions import Sessions
from irecgan_gym.settings import check_seed
from irecgan_gym.slates import check_slates, count_repeats, distinct_slates, raise_repeated, replace_repeats


class RecSimVectorEnv(SessionVectorEnv):
    """B users of :class:`~irecgan_gym.envs.recsim.RecSimEnv`, which see there for spaces, rewards and infos.

    One generator serves all users. With ``num_envs=1``, the same seed gives the same sessions as the single env.
    Steps are taken by a kernel that numba compiles, or by NumPy where numba is missing, with the same results.

    ``reset(seed=..., options={"user_streams": True})`` gives every user a stream of randomness: what users would click
    of a slate, whether it succeeds and where they go next are then functions of the seed, the user and the step, and do
    not depend on the other users, on B, or on what was shown before, so that two policies meet the same users. Slot i
    plays the users i, i + B, i + 2 B and so on, whose number is ``info["user"]``. The law is the same. The next reset
    of all slots without the option goes back to one generator.

    Args:
        num_envs: number of users, B.
        max_episode_steps: see :class:`~irecgan_gym.envs.session_vector_env.SessionVectorEnv`.
        autoreset_mode: see there.
        render_mode: see there.
        **arguments: those of :class:`~irecgan_gym.envs.recsim.RecSimEnv`.
    """

    metadata: dict[str, Any] = {
        "render_modes": [],
        "autoreset_mode": AutoresetMode.NEXT_STEP,
        "user_streams": True,
    }

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
        self._streams: UserStreams | None = None
        self._users = np.arange(-num_envs, 0)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start new sessions in all envs, or in some.

        Args:
            seed: owns all randomness of all envs.
            options: ``reset_mask``, bool [B], of the envs to reset; ``user_streams``, whether every user has a stream
                of randomness (see the class), which a reset of all envs decides.

        Raises:
            ValueError: ``user_streams`` without a seed, or together with ``reset_mask``.
        """
        seed = check_seed(seed)
        chosen = options or {}
        if "reset_mask" not in chosen:
            self._streams = UserStreams.of(seed) if chosen.get("user_streams") else None
            self._users = np.arange(-self.num_envs, 0)
        elif "user_streams" in chosen:
            raise ValueError("user_streams is for all envs: leave out reset_mask, or keep the streams that there are")
        return super().reset(seed=seed, options=options)

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
        self._users[rows] += self.num_envs
        self._states[rows] = START_STATE
        self._clicks[rows] = self.num_items
        self._shown_in_states, self._slates = self._shown_in_states.copy(), self._slates.copy()
        self._shown_in_states[rows] = -1
        self._slates[rows] = -1

    def _advance(
        self, actions: NDArray[Any], waiting: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        kernels = loading.load_kernels()
        if kernels is None or self._streams is not None:
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
        if self._single.duplicates == "error":
            # Before anything is drawn.
            distinct_slates(actions, "error", self.num_items, self.np_random)
        states = self._states[rows]
        slates, response = (self._respond if self._streams is None else self._respond_by_item)(rows, states, actions)
        self._states[rows] = response.states
        self._shown_in_states, self._slates = self._shown_in_states.copy(), self._slates.copy()
        self._shown_in_states[rows] = states
        self._slates[rows] = slates
        self._clicks[rows] = response.clicks
        return response.successes.astype(np.float64), ~response.successes

    def _respond(
        self, rows: Rows, states: NDArray[np.int64], actions: NDArray[Any]
    ) -> tuple[NDArray[np.int64], RecSimResponse]:
        """Slates that users see, and their answers, from the one generator."""
        draws = self.np_random.random((len(rows), DRAWS_PER_STEP))
        slates = distinct_slates(actions, "replace", self.num_items, self.np_random)
        return slates, self.dynamics.respond(states, slates, draws)

    def _respond_by_item(
        self, rows: Rows, states: NDArray[np.int64], actions: NDArray[Any]
    ) -> tuple[NDArray[np.int64], RecSimResponse]:
        """Slates that users see, and their answers, from the streams of the users.

        At each step a stream has a number for each item, then those that are taken after the click, then one for each
        slot that repeats an item.
        """
        assert self._streams is not None
        users, steps = self._users[rows], self._elapsed[rows]
        slates = actions
        kernels = loading.load_kernels()
        repeats = (count_repeats if kernels is None else kernels.count_repeats)(actions, self.num_items)
        if repeats.any():
            places = self.num_items + DRAWS_AFTER_CLICK + np.arange(self.slate_size)
            repairs = self._streams.numbers(users, steps, places)[places - places[0] < repeats[:, None]]
            slates = replace_repeats(actions, repairs, self.num_items)
        return slates, self.dynamics.respond_by_item(states, slates, self._streams, users, steps)

    def _observations(self) -> NDArray[Any]:
        return (self._states if self._single.observation == "state" else self._clicks).copy()

    def _columns(self) -> Columns:
        return {
            **({} if self._streams is None else {"user": self._users.copy()}),
            "state": self._states.copy(),
            # These two are replaced and not changed, here and in all that follows.
            "shown_in_state": self._shown_in_states,
            "slate": self._slates,
            "click": self._clicks.copy(),
        }

    def _check_actions(self, actions: Any) -> NDArray[Any]:
        return check_slates(actions, (self.num_envs, self.slate_size), self.num_items)
