"""The best policies of one who sees the user's state."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.mdp import RecommendationMDP
from irecgan_gym.planning.ratio_slates import best_ratio_slates, slate_ratios
from irecgan_gym.planning.values import item_values, refuse_endless_sessions, slate_values

# Relative: a smaller improvement of a state's slate is rounding, and would make policy iteration go in circles.
_TOLERANCE = 1e-12


class StateSlates(NamedTuple):
    """A slate for each state, and what it earns.

    Attributes:
        slates: different items, in ascending order, int64 [m, k].
        values: expected reward of a session from each state on, [m].
    """

    slates: NDArray[np.int64]
    values: NDArray[np.float64]


def top_slates(mdp: RecommendationMDP, slate_size: int) -> StateSlates:
    """The k items of highest reward in each state: the policy ``max`` of §7.1.

    Raises:
        UnboundedValueError: its sessions need not end.
    """
    slates = np.sort(mdp.ranked_items()[:, :slate_size], axis=1)
    return StateSlates(slates, slate_values(mdp, slates))


def myopic_slates(mdp: RecommendationMDP, slate_size: int) -> StateSlates:
    """The slate of each state that is most likely to succeed, whatever comes after.

    Raises:
        UnboundedValueError: its sessions need not end.
    """
    slates = best_ratio_slates(mdp.rewards, mdp.rewards, slate_size)
    return StateSlates(slates, slate_values(mdp, slates))


def optimal_slates(mdp: RecommendationMDP, slate_size: int) -> StateSlates:
    """The best slate of each state, and V*: policy iteration from the myopic slates.

    The slate that improves a state most maximises sum_S r q / sum_S r with the present q(s, a), which Dinkelbach's
    method solves exactly.

    Raises:
        UnboundedValueError: some policy earns without end.
    """
    refuse_endless_sessions(mdp, slate_size)
    slates, values = myopic_slates(mdp, slate_size)
    while True:
        worth = item_values(mdp, values)
        candidates = best_ratio_slates(mdp.rewards, worth, slate_size)
        gain = slate_ratios(mdp.rewards, worth, candidates) - values
        better = gain > _TOLERANCE * (1 + np.abs(values))
        if not better.any():
            return StateSlates(slates, values)
        slates = np.where(better[:, None], candidates, slates)
        values = slate_values(mdp, slates)
