"""Blind: a policy that knows the tables and does not look at clicks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.agents.base import Array, State
from irecgan_gym.agents.references.mdp_policy import DeterministicMDPPolicy
from irecgan_gym.mdp import RecommendationMDP
from irecgan_gym.planning.blind_slates import blind_slates
from irecgan_gym.sessions import Sessions


class Blind(DeterministicMDPPolicy):
    """Policy that knows the tables but ignores clicks: one slate at the start, then one fixed slate.

    The two slates are found together by a search with exact values
    (:func:`irecgan_gym.planning.blind_slates.blind_slates`): the first is the best one for the later one, and no
    exchange of one item improves the later one. That no other pair earns more is not proven, and a policy that shows
    yet another slate at each step, which needs no clicks either, could earn more. So it says what can be had without
    history, at least.

    Args:
        mdp: the true tables, e.g. ``env.unwrapped.mdp``.
        slate_size: items to show at a time, k.

    Attributes:
        value: exact expected reward of a session under these slates.

    Raises:
        UnboundedValueError: the expected reward has no bound.
    """

    kind = "blind"

    def __init__(self, mdp: RecommendationMDP, slate_size: int) -> None:
        super().__init__(mdp, slate_size)
        self._first, self._later, self.value = blind_slates(mdp, slate_size)

    def _choose(
        self, observed: Array, state: State | None, starts: NDArray[np.bool_], deterministic: bool
    ) -> tuple[NDArray[np.int64], State | None]:
        # Sessions begin where the observation is "no click yet".
        return np.where((observed == self.num_items)[:, None], self._first, self._later), None

    def _slates_in(self, sessions: Sessions) -> NDArray[np.int64]:
        slates = np.tile(self._later, (sessions.num_steps, 1))
        slates[sessions.offsets[:-1]] = self._first
        return slates
