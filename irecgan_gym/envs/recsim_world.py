"""What RecSim's single and vector env have in common: the tables, the law, the spaces, and logging."""

from __future__ import annotations

from typing import Any

from gymnasium.spaces import Discrete, MultiDiscrete

from irecgan_gym.envs.recsim_law import RecSimLaw
from irecgan_gym.envs.recsim_logging import collect_sessions
from irecgan_gym.logging_policies import make_logging_policy
from irecgan_gym.mdp import RecommendationMDP, TransitionKind, draw_mdp
from irecgan_gym.sessions import Sessions


class RecSimWorld:
    """A recommendation MDP with its catalogue, its slates and its logging policy.

    Arguments are those of :class:`~irecgan_gym.envs.recsim.RecSimEnv`.

    Raises:
        ValueError: an argument out of its range, named with what was expected.
    """

    def __init__(
        self,
        *,
        num_states: int,
        num_items: int,
        slate_size: int,
        logging_policy: str,
        mdp_seed: int,
        transitions: TransitionKind,
        concentration: float,
        epsilon: float,
        reward_scale: float,
        observation: str,
        duplicates: str,
        mdp: RecommendationMDP | None,
    ) -> None:
        self.mdp = mdp or draw_mdp(
            num_states=num_states,
            num_items=num_items,
            mdp_seed=mdp_seed,
            transitions=transitions,
            concentration=concentration,
            epsilon=epsilon,
            reward_scale=reward_scale,
        )
        if not 1 <= slate_size <= self.mdp.num_items:
            raise ValueError(f"slate_size must be from 1 to num_items={self.mdp.num_items}, got {slate_size}")
        if observation not in ("click", "state"):
            raise ValueError(f"observation must be 'click' or 'state', got {observation!r}")
        if duplicates not in ("replace", "error"):
            raise ValueError(f"duplicates must be 'replace' or 'error', got {duplicates!r}")
        self.num_items = self.mdp.num_items
        self.slate_size = slate_size
        self.observation = observation
        self.duplicates = duplicates
        self.law = RecSimLaw(self.mdp)
        self.logging_policy = make_logging_policy(logging_policy, self.mdp, slate_size)
        num_observations = self.num_items + 1 if observation == "click" else self.mdp.num_states
        self.observation_space = Discrete(num_observations)
        self.action_space = MultiDiscrete([self.num_items] * slate_size)
        self._provenance: dict[str, Any] = {
            "source": "RecSim-v0",
            "logging_policy": logging_policy,
            "slate_size": slate_size,
        }
        if mdp is None:
            self._provenance |= {
                "num_states": num_states,
                "num_items": num_items,
                "mdp_seed": mdp_seed,
                "transitions": transitions,
                "concentration": concentration,
                "epsilon": epsilon,
                "reward_scale": reward_scale,
            }

    def collect(self, num_sessions: int, *, seed: int, max_session_steps: int | None) -> Sessions:
        """See :meth:`~irecgan_gym.envs.recsim.RecSimEnv.collect`."""
        return collect_sessions(
            self.law,
            self.logging_policy,
            num_sessions,
            num_items=self.num_items,
            seed=seed,
            max_session_steps=max_session_steps,
            provenance=self._provenance,
        )
