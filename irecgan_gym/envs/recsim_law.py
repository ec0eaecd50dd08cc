"""What the users of RecSim do (§7.1), once, for one user and for many."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.mdp import RecommendationMDP


class Outcome(NamedTuple):
    """What came of showing a slate; all of the shape of the users.

    Attributes:
        clicks: the items clicked.
        successes: whether the click succeeded: reward 1, and the session goes on.
        states: the users' states afterwards; a failure leaves the state as it was.
    """

    clicks: NDArray[np.int64]
    successes: NDArray[np.bool_]
    states: NDArray[np.int64]


class RecSimLaw:
    """Clicks in proportion to r(s, .) over the slate, Bernoulli(r(s, a)), then P(. | s, a).

    Args:
        mdp: the tables.
    """

    # A step uses as many uniform numbers whatever happens, so that users do not shift each other's streams.
    UNIFORMS = 3

    def __init__(self, mdp: RecommendationMDP) -> None:
        self._rewards = mdp.rewards
        self._cumulative_transitions = mdp.transitions.cumsum(-1)

    def step(self, states: Any, slates: NDArray[np.int64], uniforms: NDArray[np.float64]) -> Outcome:
        """Show slates to users.

        Args:
            states: the users' states, int64 [...].
            slates: k different items for each, int64 [..., k].
            uniforms: numbers in [0, 1) for click, success and next state, float64 [..., 3].
        """
        weights = self._rewards[np.expand_dims(states, -1), slates].cumsum(-1)
        places = _inverse(weights, uniforms[..., 0])
        clicks = np.take_along_axis(slates, places[..., None], -1)[..., 0]
        successes = uniforms[..., 1] < self._rewards[states, clicks]
        following = _inverse(self._cumulative_transitions[states, clicks], uniforms[..., 2])
        return Outcome(clicks, successes, np.where(successes, following, states))


def _inverse(cumulative: NDArray[np.float64], uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
    """Categories by inversion: the first whose cumulative weight exceeds the uniform share of the total."""
    threshold = uniforms * cumulative[..., -1]
    # A share that rounds up to the whole belongs to the last category.
    places: NDArray[np.int64] = np.minimum((cumulative <= threshold[..., None]).sum(-1), cumulative.shape[-1] - 1)
    return places
