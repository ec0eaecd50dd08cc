"""Expected reward of a session under a policy of which the click probabilities in each state are known.

No discount and no time limit: sessions end by failures alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.mdp import RecommendationMDP

FloatArray = NDArray[np.float64]
Slates = NDArray[np.int64]


class UnboundedValueError(ValueError):
    """Sessions that need not end, so that their expected reward is infinite."""


def click_probabilities(rewards: FloatArray, slates: Slates) -> FloatArray:
    """Probability that the user clicks each item, given the slate of each state.

    Args:
        rewards: r(s, a), [m, n].
        slates: different items for each state, [m, k].

    Returns:
        [m, n]; 0 for items that are not shown.
    """
    shown = np.take_along_axis(rewards, slates, axis=1)
    probabilities = np.zeros_like(rewards)
    np.put_along_axis(probabilities, slates, shown / shown.sum(axis=1, keepdims=True), axis=1)
    return probabilities


def item_values(mdp: RecommendationMDP, values: FloatArray) -> FloatArray:
    """Return the value of every click: q(s, a) = r(s, a) (1 + sum over s' of P(s' | s, a) V(s')), [m, n].

    Args:
        mdp: the tables.
        values: V, expected reward from each state on, [m].
    """
    q: FloatArray = mdp.rewards * (1 + mdp.transitions @ values)
    return q


def policy_values(mdp: RecommendationMDP, probabilities: FloatArray) -> FloatArray:
    """Expected reward from each state on, [m]: the solution of V(s) = sum over a of p(a | s) q(s, a).

    Args:
        mdp: the tables.
        probabilities: p(a | s), the probability that item a is clicked in state s; [m, n], rows add up to 1.

    Raises:
        UnboundedValueError: some sessions never end.
    """
    endless = _endless_states(mdp, lambda certain: ((probabilities == 0) | certain).all(axis=1))
    if endless.any():
        raise UnboundedValueError(f"under this policy sessions never end from state {np.flatnonzero(endless)[0]}")
    successes = probabilities * mdp.rewards
    # The probability to be in s' after a success in s; what is missing to 1 is the probability that the session ends.
    moves = np.einsum("sa,sat->st", successes, mdp.transitions)
    values: FloatArray = np.linalg.solve(np.eye(mdp.num_states) - moves, successes.sum(axis=1))
    return values


def slate_values(mdp: RecommendationMDP, slates: Slates) -> FloatArray:
    """Expected reward from each state on, [m], where each state has a slate of its own.

    Args:
        mdp: the tables.
        slates: different items for each state, [m, k].

    Raises:
        UnboundedValueError: some sessions never end.
    """
    return policy_values(mdp, click_probabilities(mdp.rewards, slates))


def refuse_endless_sessions(mdp: RecommendationMDP, slate_size: int) -> None:
    """Check that sessions end under every policy.

    Raises:
        UnboundedValueError: slates of items that always succeed keep users in states that have such slates.
    """
    endless = _endless_states(mdp, lambda certain: certain.sum(axis=1) >= slate_size)
    if endless.any():
        raise UnboundedValueError(
            f"the expected reward has no bound: from state {np.flatnonzero(endless)[0]} on, slates of {slate_size} "
            "items of reward 1 can be shown for ever"
        )


def _endless_states(
    mdp: RecommendationMDP, can_go_on: Callable[[NDArray[np.bool_]], NDArray[np.bool_]]
) -> NDArray[np.bool_]:
    """The largest set of states that users never leave, bool [m].

    Args:
        mdp: the tables.
        can_go_on: which states [m] belong to the set, given the clicks [m, n] that always succeed and lead into it.
    """
    endless = np.ones(mdp.num_states, dtype=bool)
    always = mdp.rewards == 1
    while True:
        certain = always & (mdp.transitions[:, :, ~endless] == 0).all(axis=2)
        smaller = endless & can_go_on(certain)
        if (smaller == endless).all():
            return endless
        endless = smaller


def logged_returns(mdp: RecommendationMDP, clicks: FloatArray, *, gamma: float, lambda_r: float) -> FloatArray:
    """Expected return to go of a logged click on each item in each state, with the rewards of Eq 10 (q_D = 1).

    G(s, a) = 1 + lambda_r r(s, a) + gamma r(s, a) sum over s' of P(s' | s, a) W(s'), where W(s) is the sum over a of
    p(a | s) G(s, a): the logging policy goes on until the session ends by a failure (no cut).

    Args:
        mdp: the tables.
        clicks: p(a | s), the probability that the user clicks item a in state s of the log; [m, n].
        gamma: discount factor, below 1 or with sessions that end.
        lambda_r: weight of a reward against the constant 1.

    Returns:
        [m, n].
    """
    earned = 1 + lambda_r * mdp.rewards
    moves = gamma * np.einsum("sa,sat->st", clicks * mdp.rewards, mdp.transitions)
    values = np.linalg.solve(np.eye(mdp.num_states) - moves, (clicks * earned).sum(axis=1))
    returns: FloatArray = earned + gamma * mdp.rewards * (mdp.transitions @ values)
    return returns
