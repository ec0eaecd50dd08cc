"""The best slate for a user of whose state only a distribution is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.planning.ratio_slates import best_ratio_slates

FloatArray = NDArray[np.float64]
Slates = NDArray[np.int64]

# Relative: smaller improvements are rounding, and would make the search go in circles.
_TOLERANCE = 1e-12
# Exchanges looked at together: few enough to stay in a processor's cache, a few times 512 KiB.
_MAX_EXCHANGES = 2**16


class BeliefSlates:
    """Chooses slates S that maximise sum_s b(s) Q(s, S), where Q(s, S) = sum_S r_sj q_sj / sum_S r_sj.

    In one state this is a fractional programme with an exact method (:mod:`irecgan_gym.planning.ratio_slates`); for a
    sum of ratios there is no quick one, so slates are searched for:

    1. Start from the best of three slates: that of the likeliest state, and those of a user whose weights are the
       expected r and whose clicks are worth the expected r q over it, or the expected q.
    2. Steps of Dinkelbach's kind, each to the k items of the largest sum_s b(s) r_sj (q_sj - Q(s, S)) / sum_S r_s,
       which is the gradient of the objective, as long as they improve the slate.
    3. Exchanges of one item for another, the best of all k (n - k) at a time, until none improves the slate.

    The result cannot be improved by any exchange of one item, and is optimal where the belief is certain. Elsewhere it
    nearly always is: in tiny worlds, all but about one of 1,000 slates are the best of all slates.

    Args:
        weights: r(s, a) > 0, [m, n].
        values: q(s, a) >= 0, what a click is worth, [m, n].
        slate_size: k.
    """

    def __init__(self, weights: FloatArray, values: FloatArray, slate_size: int) -> None:
        self.slate_size = slate_size
        self._weights = weights
        self._values = values
        self._worth = weights * values
        self._slates_of_states = best_ratio_slates(weights, values, slate_size)

    def choose(self, beliefs: FloatArray) -> Slates:
        """Slates for B users.

        Args:
            beliefs: probability of each state, [B, m].

        Returns:
            Different items in ascending order, [B, k].
        """
        slates, scores = self._start(beliefs)
        slates, scores = self._climb(beliefs, slates, scores)
        exchanges = self.slate_size * self._weights.shape[1]
        at_once = max(1, _MAX_EXCHANGES // exchanges)
        for first in range(0, len(beliefs), at_once):
            chunk = slice(first, first + at_once)
            slates[chunk] = self._exchange(beliefs[chunk], slates[chunk], scores[chunk])
        return slates

    def scores(self, beliefs: FloatArray, slates: Slates) -> FloatArray:
        """The objective, [B], of slates [B, k] under beliefs [B, m]."""
        totals, worth = self._sums(slates)
        objective: FloatArray = (beliefs.T * worth / totals).sum(axis=0)
        return objective

    def _sums(self, slates: Slates) -> tuple[FloatArray, FloatArray]:
        """Sums of r and of r q over the slates in each state, [m, B] each."""
        return self._weights[:, slates].sum(axis=2), self._worth[:, slates].sum(axis=2)

    def _start(self, beliefs: FloatArray) -> tuple[Slates, FloatArray]:
        weights = beliefs @ self._weights
        candidates = (
            self._slates_of_states[beliefs.argmax(axis=1)],
            best_ratio_slates(weights, (beliefs @ self._worth) / weights, self.slate_size),
            best_ratio_slates(weights, beliefs @ self._values, self.slate_size),
        )
        scores = np.stack([self.scores(beliefs, slates) for slates in candidates])
        best = scores.argmax(axis=0)
        return np.stack(candidates)[best, np.arange(len(beliefs))], scores.max(axis=0)

    def _climb(self, beliefs: FloatArray, slates: Slates, scores: FloatArray) -> tuple[Slates, FloatArray]:
        slates, scores = slates.copy(), scores.copy()
        rows = np.arange(len(beliefs))
        while len(rows):
            totals, worth = self._sums(slates[rows])
            shares = beliefs[rows].T / totals
            gradient = shares.T @ self._worth - (shares * worth / totals).T @ self._weights
            candidates = np.argpartition(-gradient, self.slate_size - 1, axis=1)[:, : self.slate_size]
            candidates.sort(axis=1)
            reached = self.scores(beliefs[rows], candidates)
            better = _is_better(reached, scores[rows])
            rows = rows[better]
            slates[rows], scores[rows] = candidates[better], reached[better]
        return slates, scores

    def _exchange(self, beliefs: FloatArray, slates: Slates, scores: FloatArray) -> Slates:
        slates, scores = slates.copy(), scores.copy()
        rows = np.arange(len(beliefs))
        while len(rows):
            candidates = self._best_exchange(beliefs[rows], slates[rows])
            reached = self.scores(beliefs[rows], candidates)
            better = _is_better(reached, scores[rows])
            rows = rows[better]
            slates[rows], scores[rows] = candidates[better], reached[better]
        return slates

    def _best_exchange(self, beliefs: FloatArray, slates: Slates) -> Slates:
        """The slates with one item exchanged for another, so that the objective is as large as it can be."""
        number, num_items = len(slates), self._weights.shape[1]
        totals, worth = self._sums(slates)
        objective = np.zeros((number, self.slate_size, num_items))
        ratio, divisor = np.empty_like(objective), np.empty_like(objective)
        for state in np.flatnonzero(beliefs.any(axis=0)):
            kept = totals[state][:, None] - self._weights[state, slates]
            kept_worth = worth[state][:, None] - self._worth[state, slates]
            np.add(kept[:, :, None], self._weights[state], out=divisor)
            np.add(kept_worth[:, :, None], self._worth[state], out=ratio)
            ratio /= divisor
            ratio *= beliefs[:, state, None, None]
            objective += ratio
        # Items of the slate cannot come in once more.
        objective[np.arange(number)[:, None], :, slates] = -np.inf
        slot, item = np.divmod(objective.reshape(number, -1).argmax(axis=1), num_items)
        exchanged = slates.copy()
        exchanged[np.arange(number), slot] = item
        exchanged.sort(axis=1)
        return exchanged


def _is_better(scores: FloatArray, than: FloatArray) -> NDArray[np.bool_]:
    better: NDArray[np.bool_] = scores > than + _TOLERANCE * np.abs(than)
    return better
