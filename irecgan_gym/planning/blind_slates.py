"""Slates of one who sees nothing: one for the start of sessions and one for all that follows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.mdp import START_STATE, RecommendationMDP
from irecgan_gym.planning.belief_slates import BeliefSlates
from irecgan_gym.planning.optimal_slates import optimal_slates
from irecgan_gym.planning.ratio_slates import best_ratio_slates
from irecgan_gym.planning.values import item_values

FloatArray = NDArray[np.float64]
Slate = NDArray[np.int64]

# Relative: smaller improvements are rounding, and would make the search go in circles.
_TOLERANCE = 1e-12
# Of the tables of transitions under the slates looked at together: bounds the memory taken, 32 MiB.
_MAX_ENTRIES = 2**22


class BlindSlates(NamedTuple):
    """Two slates, and what they earn.

    Attributes:
        first: shown in s_0 at the start of a session, different items in ascending order, int64 [k].
        later: shown at every later step, the same way, int64 [k].
        value: expected reward of a session.
    """

    first: Slate
    later: Slate
    value: float


def blind_slates(mdp: RecommendationMDP, slate_size: int) -> BlindSlates:
    """Search for the first and the later slate that earn most together.

    It starts from several later slates: the optimal one of each state, and the one that is best where the first slate
    leads if the state becomes known afterwards (QMDP). In turn, the first slate is chosen exactly
    (:mod:`irecgan_gym.planning.ratio_slates`) for what the later one earns, and the later one is improved by exchanges
    of one item for another, the best of all k (n - k) at a time, for the states to which the first one leads. The
    search ends where neither can be improved so. All values are exact; that nothing is better is not proven.

    Raises:
        UnboundedValueError: some policy earns without end.
    """
    slates, values = optimal_slates(mdp, slate_size)
    arrivals = _after(mdp, slates[START_STATE]).arrivals
    qmdp = BeliefSlates(mdp.rewards, item_values(mdp, values), slate_size)
    starts = np.unique(np.vstack([qmdp.choose(arrivals[None] / arrivals.sum()), slates]), axis=0)
    return max((_search(mdp, later) for later in starts), key=lambda found: found.value)


def _search(mdp: RecommendationMDP, later: Slate) -> BlindSlates:
    found = BlindSlates(later, later, -np.inf)
    while True:
        worth = item_values(mdp, fixed_slate_values(mdp, found.later[None])[0])[START_STATE]
        first = best_ratio_slates(mdp.rewards[START_STATE], worth, len(later))
        success, arrivals = _after(mdp, first)
        improved, gain = _exchange(mdp, found.later, arrivals)
        if success + gain <= found.value + _TOLERANCE * abs(found.value):
            return found
        found = BlindSlates(first, improved, success + gain)


def fixed_slate_values(mdp: RecommendationMDP, slates: NDArray[np.int64]) -> FloatArray:
    """Expected reward from each state on if one slate is shown for ever, exactly.

    Args:
        mdp: the tables.
        slates: C of them, [C, k].

    Returns:
        [C, m].
    """
    num_slates, size = slates.shape
    values = np.empty((num_slates, mdp.num_states))
    at_once = max(1, _MAX_ENTRIES // (size * mdp.num_states**2))
    for start in range(0, num_slates, at_once):
        shown = slates[start : start + at_once]
        rewards = mdp.rewards[:, shown]
        successes = rewards**2 / rewards.sum(axis=2, keepdims=True)
        moves = np.einsum("sck,sckt->cst", successes, mdp.transitions[:, shown])
        system = np.eye(mdp.num_states) - moves
        values[start : start + at_once] = np.linalg.solve(system, successes.sum(axis=2).T[:, :, None])[:, :, 0]
    return values


class _FirstStep(NamedTuple):
    """Return the consequences of the first slate: the probability of a success, and of each state after one, [m]."""

    success: float
    arrivals: FloatArray


def _after(mdp: RecommendationMDP, first: Slate) -> _FirstStep:
    rewards = mdp.rewards[START_STATE, first]
    successes = rewards**2 / rewards.sum()
    return _FirstStep(float(successes.sum()), successes @ mdp.transitions[START_STATE, first])


def _exchange(mdp: RecommendationMDP, slate: Slate, arrivals: FloatArray) -> tuple[Slate, float]:
    """Exchange items of the later slate as long as that improves it; the slate, and what it earns after arriving."""
    items, size = np.arange(mdp.num_items), len(slate)
    value = float(fixed_slate_values(mdp, slate[None])[0] @ arrivals)
    while True:
        others = np.setdiff1d(items, slate)
        candidates = np.tile(slate, (size, len(others), 1))
        candidates[np.arange(size), :, np.arange(size)] = others
        candidates = np.sort(candidates.reshape(-1, size), axis=1)
        if len(candidates) == 0:
            return slate, value
        reached = fixed_slate_values(mdp, candidates) @ arrivals
        best = int(reached.argmax())
        if reached[best] <= value + _TOLERANCE * abs(value):
            return slate, value
        slate, value = candidates[best], float(reached[best])
