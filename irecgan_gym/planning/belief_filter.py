"""Belief about the user's state from clicks: Bayes's rule, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.mdp import START_STATE, RecommendationMDP

FloatArray = NDArray[np.float64]
Ids = NDArray[np.integer[Any]]


class BeliefFilter:
    """Distributions over the states of users, given their slates and clicks.

    A user who goes on has clicked with success, so b'(s') is proportional to
    sum_s b(s) r(s, a) / (sum over the slate of r(s, .)) r(s, a) P(s' | s, a).

    Args:
        mdp: the tables.
    """

    def __init__(self, mdp: RecommendationMDP) -> None:
        self._rewards_of_items = np.ascontiguousarray(mdp.rewards.T)
        # r(s, a)^2 P(s' | s, a), [n, m, m]: all that does not depend on the slate.
        self._moves = np.ascontiguousarray((mdp.rewards[:, :, None] ** 2 * mdp.transitions).transpose(1, 0, 2))
        self._num_states = mdp.num_states

    def start(self, number: int) -> FloatArray:
        """Beliefs at the start of sessions, [number, m]: all are in s_0."""
        return _certain_start(number, self._num_states)

    def slate_totals(self, slates: Ids) -> FloatArray:
        """Sum of r(s, .) over each slate [B, k] in each state, [B, m]."""
        totals: FloatArray = self._rewards_of_items[slates].sum(axis=1)
        return totals

    def update(self, beliefs: FloatArray, totals: FloatArray, clicks: Ids) -> FloatArray:
        """Beliefs after a click that succeeded.

        Args:
            beliefs: before the click, [B, m].
            totals: of the slates shown, [B, m]; see :meth:`slate_totals`.
            clicks: an item of each slate, [B].

        Returns:
            [B, m]; rows add up to 1.
        """
        joint = np.matmul((beliefs / totals)[:, None, :], self._moves[clicks])[:, 0]
        posterior: FloatArray = joint / joint.sum(axis=1, keepdims=True)
        return posterior


class LoggedClickFilter:
    """Distributions over the states of users whose clicks are known, but not their slates.

    It is what a model can learn about states from a log at best, if clicks are all that it reads:
    b'(s') is proportional to sum_s b(s) p(a | s) r(s, a) P(s' | s, a), with p the clicks under the logging policy. A
    model does the same sum after its deployment, when others choose the slates.

    Args:
        mdp: the tables.
        clicks: p(a | s), [m, n]; see :meth:`irecgan_gym.logging_policies.LoggingPolicy.click_probabilities`.
    """

    def __init__(self, mdp: RecommendationMDP, clicks: FloatArray) -> None:
        self._moves = np.ascontiguousarray(((clicks * mdp.rewards)[:, :, None] * mdp.transitions).transpose(1, 0, 2))
        # After clicks that no logged session could have had, no state is excluded and the click alone counts.
        reached = np.einsum("sa,sat->at", mdp.rewards, mdp.transitions)
        self._reached: FloatArray = reached / reached.sum(axis=1, keepdims=True)
        self._num_states = mdp.num_states

    def start(self, number: int) -> FloatArray:
        """Beliefs at the start of sessions, [number, m]: all are in s_0."""
        return _certain_start(number, self._num_states)

    def update(self, beliefs: FloatArray, clicks: Ids) -> FloatArray:
        """Beliefs after a click that succeeded; [B, m] and items [B] to [B, m], rows add up to 1."""
        joint = np.matmul(beliefs[:, None, :], self._moves[clicks])[:, 0]
        total = joint.sum(axis=1, keepdims=True)
        posterior: FloatArray = np.where(total > 0, joint / np.where(total > 0, total, 1), self._reached[clicks])
        return posterior


def _certain_start(number: int, num_states: int) -> FloatArray:
    beliefs = np.zeros((number, num_states))
    beliefs[:, START_STATE] = 1
    return beliefs
