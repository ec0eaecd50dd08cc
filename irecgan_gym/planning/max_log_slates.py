"""The best slates for one who has learned all that endless logs of the policy ``max`` can tell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.mdp import RecommendationMDP
from irecgan_gym.planning.optimal_slates import StateSlates
from irecgan_gym.planning.ratio_slates import best_ratio_slates, slate_ratios
from irecgan_gym.planning.values import refuse_endless_sessions, slate_values

FloatArray = NDArray[np.float64]

# Relative: value iteration stops where a step changes less.
_TOLERANCE = 1e-10


class MaxLogKnowledge(NamedTuple):
    """Knowledge from such logs, as expectations of an observer who knows how tables are drawn.

    Attributes:
        weights: of r(s, a), [m, n].
        values: of r(s, a) q(s, a) over that of r(s, a), with q what a click is worth under the best slates; [m, n].
    """

    weights: FloatArray
    values: FloatArray


def max_log_knowledge(mdp: RecommendationMDP, slate_size: int) -> MaxLogKnowledge:
    """Return the knowledge that endless logs of the policy ``max`` give of an MDP.

    In each state the logs show the k items of highest reward, always the same. Of every other item they tell that its
    reward is below the least one shown, r_k, and nothing else: tables are drawn from U(0, 1], so it is from U(0, r_k),
    with mean r_k / 2 and mean square r_k^2 / 3. Transitions are taken as known, of items that are not shown too: more
    than such logs tell, unless the item alone decides where users go.

    The worth of later steps is that of slates which maximise the ratio of the expectations of sum_S r q and sum_S r
    (:mod:`irecgan_gym.planning.ratio_slates`), found by value iteration.

    Args:
        mdp: the true tables.
        slate_size: k.

    Raises:
        UnboundedValueError: the worth of later steps has no bound.
    """
    refuse_endless_sessions(mdp, slate_size)
    shown = mdp.ranked_items()[:, :slate_size]
    is_shown: NDArray[np.bool_] = np.zeros(mdp.rewards.shape, dtype=bool)
    np.put_along_axis(is_shown, shown, True, axis=1)
    least = np.take_along_axis(mdp.rewards, shown[:, -1:], axis=1)
    weights = np.where(is_shown, mdp.rewards, least / 2)
    squares = np.where(is_shown, mdp.rewards**2, least**2 / 3)
    of_states = np.zeros(mdp.num_states)
    while True:
        values = squares / weights * (1 + mdp.transitions @ of_states)
        better = slate_ratios(weights, values, best_ratio_slates(weights, values, slate_size))
        if np.abs(better - of_states).max() <= _TOLERANCE * better.max():
            return MaxLogKnowledge(weights, values)
        of_states = better


def max_log_slates(mdp: RecommendationMDP, slate_size: int) -> StateSlates:
    """Slates that are best by what such logs tell, for one who sees the state, and what they truly earn.

    Args:
        mdp: the true tables.
        slate_size: k.

    Raises:
        UnboundedValueError: the worth of later steps has no bound.
    """
    slates = best_ratio_slates(*max_log_knowledge(mdp, slate_size), slate_size)
    return StateSlates(slates, slate_values(mdp, slates))
