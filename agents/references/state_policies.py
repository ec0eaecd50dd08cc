"""Policies that see the user's true state and show the slate of that state."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.agents.base import Array, State
from irecgan_gym.agents.references.mdp_policy import DeterministicMDPPolicy
from irecgan_gym.mdp import START_STATE, RecommendationMDP
from irecgan_gym.planning.max_log_slates import max_log_slates
from irecgan_gym.planning.optimal_slates import StateSlates, myopic_slates, optimal_slates, top_slates
from irecgan_gym.sessions import Sessions


class StatePolicy(DeterministicMDPPolicy):
    """A slate for each state, computed once.

    Its observations are states, those of an env made with ``observation="state"``.
    :func:`irecgan_gym.evaluation.online.evaluate_online` hands them over by itself, whatever the env's observation.

    Args:
        mdp: the true tables, e.g. ``env.unwrapped.mdp``.
        slate_size: items to show at a time, k.

    Attributes:
        slates: the slate of each state, the item of highest reward first, int64 [m, k].
        values: exact expected reward of a session from each state on, [m].

    Raises:
        UnboundedValueError: the expected reward has no bound.
    """

    observes = "state"

    def __init__(self, mdp: RecommendationMDP, slate_size: int) -> None:
        super().__init__(mdp, slate_size)
        slates, self.values = self._solve()
        order = np.argsort(-np.take_along_axis(mdp.rewards, slates, axis=1), axis=1, kind="stable")
        self.slates: NDArray[np.int64] = np.take_along_axis(slates, order, axis=1)

    @abstractmethod
    def _solve(self) -> StateSlates:
        """The slates and their values."""

    @property
    def value(self) -> float:
        """Exact expected reward of a session."""
        return float(self.values[START_STATE])

    def _choose(
        self, observed: Array, state: State | None, starts: NDArray[np.bool_], deterministic: bool
    ) -> tuple[NDArray[np.int64], State | None]:
        wrong = observed[(observed < 0) | (observed >= self.mdp.num_states)]
        if len(wrong):
            raise ValueError(
                f"{type(self).__name__} observes states from 0 to {self.mdp.num_states - 1}, got {wrong[0]}: "
                "make the env with observation='state'"
            )
        return self.slates[observed], None

    def _slates_in(self, sessions: Sessions) -> NDArray[np.int64]:
        if sessions.states is None:
            raise ValueError(f"{type(self).__name__} needs sessions with their true states")
        return self.predict(sessions.states)[0]


class MaxReward(StatePolicy):
    """The k items of highest reward in the true state: the logging policy ``max`` (§7.1)."""

    kind = "max"

    def _solve(self) -> StateSlates:
        return top_slates(self.mdp, self.slate_size)


class Myopic(StatePolicy):
    """The slate that is most likely to succeed in the true state, whatever comes after."""

    kind = "myopic"

    def _solve(self) -> StateSlates:
        return myopic_slates(self.mdp, self.slate_size)


class Optimal(StatePolicy):
    """The best slate of the true state by dynamic programming: it earns V*, more than which nobody can."""

    kind = "optimal"

    def _solve(self) -> StateSlates:
        return optimal_slates(self.mdp, self.slate_size)


class MaxLogOptimal(StatePolicy):
    """The best slate of the true state for one who knows of rewards what endless ``max`` logs show.

    Such logs show a state's k best items and never another, so where states are worth about the same there is next to
    nothing that this policy does better than :class:`MaxReward`; where they are not, it shows an unknown item in place
    of one that leads to a poor state (:func:`irecgan_gym.planning.max_log_slates.max_log_slates`).
    """

    kind = "max-log-optimal"

    def _solve(self) -> StateSlates:
        return max_log_slates(self.mdp, self.slate_size)
