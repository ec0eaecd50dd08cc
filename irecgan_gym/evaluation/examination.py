"""Re-ranking that knows where items were shown and what was touched last: with scores, in one choice model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from irecgan_gym.evaluation.rankings import last_touched
from irecgan_gym.evaluation.reranking import SlateScorer
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.checks import IntArray

_SMOOTHNESS = (0.1, 1.0, 10.0, 100.0)
"""Weights that are tried."""
_FOLDS = 5
_FEATURES = 2
_RIDGE = 1e-3


@dataclass(frozen=True)
class Examination:
    """How clicks depend on scores and on what users see.

    p(click on place j) is in proportion to exp(sharpness score_j + resumption 1{j was touched last} + places_j).

    Attributes:
        sharpness: factor of the scores.
        resumption: term of the item that the user has touched last, by a click or another event.
        places: term of each place of a list; lists that are longer share the last. [P].
    """

    sharpness: float
    resumption: float
    places: NDArray[np.float64]

    @classmethod
    def fit(cls, scores: NDArray[np.floating], sessions: Sessions, *, smoothness: float | None = None) -> Examination:
        """By maximum likelihood on held-out lists (a convex problem), neighboring places being alike.

        The lists must be others than those that the scorer has learnt from, on which its scores are too sharp.

        Args:
            scores: of the items of all lists, [L].
            sessions: the lists and the clicks.
            smoothness: weight of half the squared differences of neighboring places, without which a few hundred
                clicks decide too little about late places; chosen by cross-validation over sessions when None.

        Raises:
            ValueError: no list has a click.
        """
        if not (sessions.clicks < sessions.num_items).any():
            raise ValueError("an examination term needs lists with clicks")
        lists = _Lists.of(scores, sessions)
        if smoothness is None:
            folds = sessions.session_of_step % _FOLDS
            losses = [sum(lists.held_out_loss(folds, fold, weight) for fold in range(_FOLDS)) for weight in _SMOOTHNESS]
            smoothness = _SMOOTHNESS[int(np.argmin(losses))]
        parameters = lists.fit(lists.clicked, smoothness)
        return cls(float(parameters[0]), float(parameters[1]), parameters[_FEATURES:])

    def logits(self, scores: NDArray[np.floating], sessions: Sessions) -> NDArray[np.float32]:
        """Scores of the items of all lists with the terms of what users see; [L]."""
        places = np.minimum(_places(sessions), len(self.places) - 1)
        terms = self.resumption * _touched_last(sessions) + self.places[places]
        return (self.sharpness * scores + terms).astype(np.float32)


@dataclass(frozen=True)
class ExaminedScorer:
    """A scorer whose scores are completed by the places at which items were shown and by what was touched last.

    Attributes:
        scorer: scores items whatever their place.
        examination: fitted to its scores of held-out lists.
    """

    scorer: SlateScorer
    examination: Examination

    @classmethod
    def fit(cls, scorer: SlateScorer, held_out: Sessions) -> ExaminedScorer:
        """With an examination fitted to held-out sessions."""
        return cls(scorer, Examination.fit(scorer.slate_scores(held_out), held_out))

    def slate_scores(self, sessions: Sessions) -> NDArray[np.float32]:
        """See :meth:`irecgan_gym.evaluation.reranking.SlateScorer.slate_scores`."""
        return self.examination.logits(self.scorer.slate_scores(sessions), sessions)


@dataclass(frozen=True)
class _Lists:
    """Lists, their scores and clicks, as the likelihood needs them.

    Attributes:
        features: scores of the entries, and whether they were touched last; [L, 2].
        places: of the entries, [L].
        step: of the entries, [L].
        starts: first entry of each list, [T].
        of_click: whether an entry was clicked, [L].
        clicked: whether a list was, [T].
        num_places: P.
    """

    features: NDArray[np.float64]
    places: IntArray
    step: IntArray
    starts: IntArray
    of_click: NDArray[np.bool_]
    clicked: NDArray[np.bool_]
    num_places: int

    @classmethod
    def of(cls, scores: NDArray[np.floating], sessions: Sessions) -> _Lists:
        step = sessions.step_of_entry
        return cls(
            np.stack([scores.astype(np.float64), _touched_last(sessions)], axis=1),
            _places(sessions),
            step,
            sessions.slate_offsets[:-1],
            sessions.slate_items == sessions.clicks[step],
            sessions.clicks < sessions.num_items,
            sessions.slate_size,
        )

    def fit(self, chosen: NDArray[np.bool_], smoothness: float) -> NDArray[np.float64]:
        """Factors of the features and terms of the places by some of the lists with clicks, [2 + P]."""

        def penalised(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            loss, gradient = self.loss(parameters, chosen)
            terms = parameters[_FEATURES:]
            steps = np.diff(terms)
            # The level of the terms is free; a little ridge fixes it.
            loss += 0.5 * (smoothness * float(steps @ steps) + _RIDGE * float(terms @ terms))
            gradient[_FEATURES:] += _RIDGE * terms
            gradient[_FEATURES + 1 :] += smoothness * steps
            gradient[_FEATURES:-1] -= smoothness * steps
            return loss, gradient

        start = np.zeros(_FEATURES + self.num_places)
        start[0] = 1.0
        bounds = [(0.0, None), *[(None, None)] * (len(start) - 1)]
        found: NDArray[np.float64] = minimize(penalised, start, jac=True, method="L-BFGS-B", bounds=bounds).x
        return found

    def held_out_loss(self, folds: IntArray, fold: int, smoothness: float) -> float:
        """Loss on the lists of one fold after a fit to the others."""
        held_out = folds == fold
        return self.loss(self.fit(self.clicked & ~held_out, smoothness), self.clicked & held_out)[0]

    def loss(self, parameters: NDArray[np.float64], chosen: NDArray[np.bool_]) -> tuple[float, NDArray[np.float64]]:
        """Minus the log-likelihood of the clicks of some lists [T], and its gradient."""
        factors, terms = parameters[:_FEATURES], parameters[_FEATURES:]
        logits = self.features @ factors + terms[self.places]
        logits -= np.maximum.reduceat(logits, self.starts)[self.step]
        weights = np.exp(logits)
        totals = np.add.reduceat(weights, self.starts)
        entries = chosen[self.step]
        likelihood = logits[self.of_click & entries].sum() - np.log(totals[chosen]).sum()
        # Gradient of the log-likelihood in an entry's logit: whether it was clicked, less its probability.
        residual = np.where(entries, self.of_click - weights / totals[self.step], 0.0)
        gradient = np.empty_like(parameters)
        gradient[:_FEATURES] = residual @ self.features
        gradient[_FEATURES:] = np.bincount(self.places, residual, minlength=self.num_places)
        return -float(likelihood), -gradient


def _places(sessions: Sessions) -> NDArray[np.int64]:
    """Place of each entry in its list, from 0; [L]."""
    places: NDArray[np.int64] = np.arange(len(sessions.slate_items)) - sessions.slate_offsets[sessions.step_of_entry]
    return places


def _touched_last(sessions: Sessions) -> NDArray[np.float64]:
    """1 for the entries that the user had touched last, else 0; [L]."""
    touched: NDArray[np.bool_] = sessions.slate_items == last_touched(sessions)[sessions.step_of_entry]
    return touched.astype(np.float64)
