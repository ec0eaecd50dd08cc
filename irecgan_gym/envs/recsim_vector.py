"""``RecSim-v0`` as a native vector env: many users of the synthetic MDP in one call."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from irecgan_gym.envs.recsim_world import RecSimWorld
from irecgan_gym.envs.session_vector_env import Columns, Rows, SessionVectorEnv
from irecgan_gym.envs.slates import check_slates, distinct_slates
from irecgan_gym.mdp import RecommendationMDP, TransitionKind
from irecgan_gym.sessions import Sessions


class RecSimVectorEnv(SessionVectorEnv):
    """B users of the synthetic recommendation MDP, all on the same tables.

    Spaces, rewards, infos and arguments are those of :class:`~irecgan_gym.envs.recsim.RecSimEnv`; one user alone gets
    the very numbers that the single env draws from the same seed.

    Args:
        num_envs: number of users, B.
        max_episode_steps: see :class:`~irecgan_gym.envs.session_vector_env.SessionVectorEnv`.
        autoreset_mode: see there.
        num_states: as all that follow, see :class:`~irecgan_gym.envs.recsim.RecSimEnv`.
        num_items: number of items.
        slate_size: items of a slate.
        logging_policy: of :meth:`collect`.
        mdp_seed: of the tables.
        transitions: kind of transitions.
        concentration: of ``"dirichlet"``.
        epsilon: of ``"item"``.
        reward_scale: lowest scale of a state's rewards.
        observation: ``"click"`` or ``"state"``.
        duplicates: ``"replace"`` or ``"error"``.
        mdp: tables of one's own.
        render_mode: none is supported.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        num_envs: int,
        *,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        num_states: int = 10,
        num_items: int = 50,
        slate_size: int = 10,
        logging_policy: str = "random",
        mdp_seed: int = 0,
        transitions: TransitionKind = "softmax",
        concentration: float = 0.1,
        epsilon: float = 0.05,
        reward_scale: float = 1.0,
        observation: str = "click",
        duplicates: str = "replace",
        mdp: RecommendationMDP | None = None,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(num_envs, max_episode_steps, autoreset_mode)
        self._world = RecSimWorld(
            num_states=num_states,
            num_items=num_items,
            slate_size=slate_size,
            logging_policy=logging_policy,
            mdp_seed=mdp_seed,
            transitions=transitions,
            concentration=concentration,
            epsilon=epsilon,
            reward_scale=reward_scale,
            observation=observation,
            duplicates=duplicates,
            mdp=mdp,
        )
        self.mdp = self._world.mdp
        self.num_items = self._world.num_items
        self.slate_size = slate_size
        self.render_mode = render_mode
        self.single_observation_space = self._world.observation_space
        self.single_action_space = self._world.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._states = np.zeros(num_envs, dtype=np.int64)
        self._previous_states = np.zeros(num_envs, dtype=np.int64)
        self._clicks = np.full(num_envs, self.num_items)
        self._slates = np.full((num_envs, slate_size), -1)

    def _begin(self, rows: Rows) -> None:
        self._states[rows] = 0
        self._previous_states[rows] = 0
        self._clicks[rows] = self.num_items
        self._slates[rows] = -1

    def _play(self, rows: Rows, actions: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        slates = distinct_slates(actions, self._world.duplicates, self.num_items, self.np_random)
        states = self._states[rows]
        uniforms = self.np_random.random((len(rows), self._world.law.UNIFORMS))
        outcome = self._world.law.step(states, slates, uniforms)
        self._previous_states[rows] = states
        self._states[rows] = outcome.states
        self._clicks[rows] = outcome.clicks
        self._slates[rows] = slates
        return outcome.successes.astype(np.float64), ~outcome.successes

    def _observations(self) -> NDArray[Any]:
        return (self._clicks if self._world.observation == "click" else self._states).copy()

    def _columns(self) -> Columns:
        return {
            "state": self._states.copy(),
            "previous_state": self._previous_states.copy(),
            "slate": self._slates.copy(),
            "click": self._clicks.copy(),
        }

    def _check_actions(self, actions: Any) -> NDArray[Any]:
        return check_slates(actions, (self.num_envs, self.slate_size), self.num_items)

    def collect(self, num_sessions: int, *, seed: int, max_session_steps: int | None = 40) -> Sessions:
        """See :meth:`~irecgan_gym.envs.recsim.RecSimEnv.collect`."""
        return self._world.collect(num_sessions, seed=seed, max_session_steps=max_session_steps)
