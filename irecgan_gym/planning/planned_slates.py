"""Slates for beliefs over many states and items: a search that is quick, and may value clicks by belief."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Relative: smaller improvements are rounding, and would make the search go in circles.
_TOLERANCE = 1e-9
_MAX_STEPS = 20
# Exchanges tried: the items of the slate of the least gain for those outside it of the most.
_GIVEN = 4
_TAKEN = 8


class PlannedSlates:
    """Chooses slates S that maximise sum_s b(s) sum_S w_sj q_sj / sum_S w_sj, as a local search finds them.

    The objective is that of :class:`irecgan_gym.planning.belief_slates.BeliefSlates`, which tries every exchange and so
    takes ten times as long; here the search goes by the gradient: steps of Dinkelbach's kind, then exchanges of the
    worst few items of the slate for the best few outside.

    Args:
        weights: w, positive, [m, n].
        values: q, what a click is worth, [m, n], or by belief, [B, m, n]: row by row for the beliefs that are asked
            about.
        slate_size: k.
        leaving: weight of leaving, which is worth nothing, beside those of a slate, [m]; None for no such thing.
    """

    def __init__(
        self, weights: FloatArray, values: FloatArray, slate_size: int, leaving: FloatArray | None = None
    ) -> None:
        self.slate_size = slate_size
        self._leaving = leaving
        self._weights = weights
        self._values = values
        self._worth = weights * values
        self._by_item = np.ascontiguousarray(weights.T)
        self._worth_by_item = np.ascontiguousarray(np.swapaxes(self._worth, -1, -2))

    def choose(self, beliefs: FloatArray) -> IntArray:
        """Slates for beliefs [B, m]: different items in ascending order, [B, k]."""
        if self._worth.ndim == 2:
            # Users of whom the same is known see the same slate.
            different, places = np.unique(beliefs, axis=0, return_inverse=True)
            return self._search(different)[places.ravel()]
        return self._search(beliefs)

    def among(self, items: IntArray, slate_size: int, rows: IntArray) -> PlannedSlates:
        """Return what chooses slates of another size, or of some of the items only.

        Args:
            items: ascending ids; what is returned numbers them from 0.
            slate_size: k, at most the number of the items.
            rows: of the beliefs that it will be asked about, among those that these values are for.
        """
        values = self._values[..., items]
        values = values if values.ndim == 2 else values[rows]
        return type(self)(self._weights[:, items], values, slate_size, self._leaving)

    def scores(self, beliefs: FloatArray, slates: IntArray) -> FloatArray:
        """The objective, [B], of slates [B, k] under beliefs [B, m]."""
        totals, worth = self._sums(slates)
        objective: FloatArray = (beliefs * worth / totals).sum(axis=1)
        return objective

    def gains(self, beliefs: FloatArray, slates: IntArray) -> FloatArray:
        """Gradient of the objective in the presence of each item, [B, n], at slates [B, k] under beliefs [B, m]."""
        totals, worth = self._sums(slates)
        shares = beliefs / totals
        earned = shares @ self._worth if self._worth.ndim == 2 else np.matmul(shares[:, None, :], self._worth)[:, 0]
        gradient: FloatArray = earned - (shares * worth / totals) @ self._weights
        return gradient

    def _sums(self, slates: IntArray) -> tuple[FloatArray, FloatArray]:
        """Sums of w, that of leaving included, and of w q over slates in each state, [B, m] each."""
        totals = self._by_item[slates].sum(axis=1)
        return totals if self._leaving is None else totals + self._leaving, self._worth_of(slates).sum(axis=1)

    def _worth_of(self, items: IntArray) -> FloatArray:
        """Of items [B, c]: w q, [B, c, m]."""
        if self._worth.ndim == 2:
            return self._worth_by_item[items]
        return self._worth_by_item[np.arange(len(items))[:, None], items]

    def _search(self, beliefs: FloatArray) -> IntArray:
        slates = self._largest(beliefs @ self._weights)
        scores = self.scores(beliefs, slates)
        for _ in range(_MAX_STEPS):
            candidates = self._largest(self.gains(beliefs, slates))
            reached = self.scores(beliefs, candidates)
            better = _is_better(reached, scores)
            if not better.any():
                break
            slates[better], scores[better] = candidates[better], reached[better]
        for _ in range(_MAX_STEPS):
            candidates, reached = self._best_exchange(beliefs, slates)
            better = _is_better(reached, scores)
            if not better.any():
                break
            slates[better], scores[better] = candidates[better], reached[better]
        return np.sort(slates, axis=1)

    def _best_exchange(self, beliefs: FloatArray, slates: IntArray) -> tuple[IntArray, FloatArray]:
        gains = self.gains(beliefs, slates)
        rows = np.arange(len(slates))[:, None]
        given_places = np.argsort(gains[rows, slates], axis=1)[:, :_GIVEN]
        gains[rows, slates] = -np.inf
        number = min(_TAKEN, gains.shape[1] - self.slate_size)
        if number == 0:
            return slates, self.scores(beliefs, slates)
        taken = np.argpartition(-gains, number - 1, axis=1)[:, :number]
        given = np.take_along_axis(slates, given_places, axis=1)
        totals, worth = self._sums(slates)
        kept = totals[:, None] - self._by_item[given]
        kept_worth = worth[:, None] - self._worth_of(given)
        divisor = kept[:, :, None] + self._by_item[taken][:, None]
        earned = kept_worth[:, :, None] + self._worth_of(taken)[:, None]
        objective = np.einsum("bs,bgts->bgt", beliefs, earned / divisor).reshape(len(slates), -1)
        place, item = np.divmod(objective.argmax(axis=1), number)
        exchanged = slates.copy()
        exchanged[rows[:, 0], given_places[rows[:, 0], place]] = taken[rows[:, 0], item]
        return exchanged, self.scores(beliefs, exchanged)

    def _largest(self, scores: FloatArray) -> IntArray:
        return np.argpartition(-scores, self.slate_size - 1, axis=1)[:, : self.slate_size]


class TopSlates(PlannedSlates):
    """Chooses the items that are worth most if clicked, whatever else is shown; the control of the search."""

    def _search(self, beliefs: FloatArray) -> IntArray:
        return np.sort(self._largest(beliefs @ self._values), axis=1)


def _is_better(scores: FloatArray, than: FloatArray) -> NDArray[np.bool_]:
    better: NDArray[np.bool_] = scores > than + _TOLERANCE * np.abs(than)
    return better
