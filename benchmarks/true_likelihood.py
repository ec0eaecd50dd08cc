"""Probabilities of sessions under the true tables: how far learned users and logs are from a policy's own sessions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.mdp import RecommendationMDP
from irecgan_gym.planning.logged_steps import LoggedSteps
from irecgan_gym.planning.pool_mixture import PoolMixture

FloatArray = NDArray[np.float64]


def true_log_likelihood(mdp: RecommendationMDP, steps: LoggedSteps, logger: PoolMixture | None = None) -> FloatArray:
    """Exact log-probability of each step's click and reward, given its slate and all before, [T].

    The state is not seen: it is filtered from the start s_0 on.

    Args:
        mdp: the true tables.
        steps: sessions of one size of slates.
        logger: with it, the log-probability that it shows the slate in the hidden state is added.
    """
    weights = np.asarray(steps.shown @ mdp.rewards.T)
    chance = mdp.rewards.T[steps.clicks]
    evidence = chance / weights * np.where(steps.successes[:, None] > 0, chance, 1 - chance)
    if logger is not None:
        slates = steps.slate_items.reshape(steps.num_steps, -1)
        for state in range(mdp.num_states):
            shown = logger.prefix_log_probabilities(np.full(steps.num_steps, state), slates)[:, -1]
            evidence[:, state] *= np.exp(shown)
    transitions = np.ascontiguousarray(np.swapaxes(mdp.transitions, 0, 1))
    found = np.empty(steps.num_steps)
    belief = np.zeros((steps.num_sessions, mdp.num_states))
    belief[:, 0] = 1
    for place, rows in enumerate(steps.rounds):
        if place:
            before = steps.rounds[place - 1][: len(rows)]
            belief = np.einsum("bs,bst->bt", belief[: len(rows)], transitions[steps.clicks[before]])
        joint = belief * evidence[rows]
        total = joint.sum(axis=1)
        with np.errstate(divide="ignore"):
            found[rows] = np.log(total)
        # After what cannot have been, all that follows is as unlikely whatever is believed.
        belief = np.where(total[:, None] > 0, joint / np.where(total > 0, total, 1)[:, None], belief)
    return found


def overlap_loss(own: FloatArray, other: FloatArray) -> float:
    """E|1 - P(tau) / P'(tau)| over sessions drawn from P', which is twice the total variation of P and P'.

    Since the ratio has mean 1, it is twice the mean of its positive part, which lies between 0 and 1 and so has an
    estimate of small variance.

    Args:
        own: log P of the sessions drawn, [S].
        other: log P' of them, [S].
    """
    with np.errstate(over="ignore"):
        return float(2 * np.maximum(0, 1 - np.exp(own - other)).mean())
