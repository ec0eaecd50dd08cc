"""What clicks of logged sessions are worth to an agent that learns from them as they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.mdp import RecommendationMDP

FloatArray = NDArray[np.float64]


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
