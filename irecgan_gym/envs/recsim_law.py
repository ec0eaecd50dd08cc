"""The law of RecSim (§7.1), written once, for batches: what users click, whether it succeeds, where they go."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.mdp import RecommendationMDP

DRAWS_PER_STEP = 3
"""Uniform numbers that a user takes at each step: for the click, for its success, for the next state."""


class Response(NamedTuple):
    """What B users did with their slates.

    Attributes:
        clicks: the item clicked, int64 [B].
        successes: outcome of the Bernoulli experiment; False ends the session; bool [B].
        states: the state afterwards, the same as before where the session ended; int64 [B].
    """

    clicks: NDArray[np.int64]
    successes: NDArray[np.bool_]
    states: NDArray[np.int64]


class UserLaw:
    """How users answer slates in an MDP.

    A click falls on an item of the slate in proportion to r(s, .), succeeds with probability r(s, a), and a success
    moves the user by P(. | s, a).

    Args:
        mdp: the tables.
    """

    def __init__(self, mdp: RecommendationMDP) -> None:
        self._num_items = mdp.num_items
        self._rewards = mdp.rewards.reshape(-1)
        cumulative = np.cumsum(mdp.transitions, axis=2).reshape(-1, mdp.num_states)
        # The division makes the last possible state's entry exactly 1, above every draw, whatever rounding did.
        self._cumulative_transitions = cumulative / cumulative[:, -1:]

    def respond(self, states: NDArray[np.int64], slates: NDArray[np.int64], draws: NDArray[np.float64]) -> Response:
        """Answers of B users, by inversion of the cumulative probabilities.

        Args:
            states: true states, [B].
            slates: different items, [B, k].
            draws: independent numbers from U[0, 1), [B, 3].
        """
        first_entry = states * self._num_items
        rewards = self._rewards.take(first_entry[:, None] + slates)
        cumulative = rewards.cumsum(axis=1)
        slots = _first_above(cumulative, draws[:, 0] * cumulative[:, -1])
        slots += np.arange(0, slates.size, slates.shape[1])
        clicks = slates.take(slots)
        successes = draws[:, 1] < rewards.take(slots)
        reached = _first_above(self._cumulative_transitions.take(first_entry + clicks, axis=0), draws[:, 2])
        return Response(clicks, successes, np.where(successes, reached, states))


def _first_above(rows: NDArray[np.float64], thresholds: NDArray[Any]) -> NDArray[np.int64]:
    """First place in each row with a value above the row's threshold."""
    places: NDArray[np.int64] = (rows > thresholds[:, None]).argmax(axis=1)
    return places
