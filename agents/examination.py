"""Re-ranking that knows where items were shown: scores and a term for each place of a list, in one choice model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from agents.evaluation import SlateScorer
from irecgan_gym.sessions import Sessions


@dataclass(frozen=True)
class Examination:
    """How clicks depend on scores and places: p(click on place j) in proportion to exp(sharpness score_j + places_j).

    Attributes:
        sharpness: factor of the scores.
        places: term of each place of a list; lists that are longer share the last. [P].
    """

    sharpness: float
    places: NDArray[np.float64]

    @classmethod
    def fit(cls, scores: NDArray[np.floating], sessions: Sessions, *, ridge: float = 1.0) -> Examination:
        """By maximum likelihood on held-out lists (a convex problem), with a ridge on the terms of the places.

        The lists must be others than those that the scorer has learnt from, on which its scores are too sharp.

        Args:
            scores: of the items of all lists, [L].
            sessions: the lists and the clicks.
            ridge: weight of half the squared terms, which decides between few clicks and no preference.

        Raises:
            ValueError: no list has a click.
        """
        clicked = sessions.clicks < sessions.num_items
        if not clicked.any():
            raise ValueError("an examination term needs lists with clicks")
        num_places = sessions.slate_size
        places, step = _places(sessions), sessions.step_of_entry
        of_click = sessions.slate_items == sessions.clicks[step]
        values = scores.astype(np.float64)
        starts = sessions.slate_offsets[:-1]

        def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            sharpness, terms = parameters[0], parameters[1:]
            logits = sharpness * values + terms[places]
            logits -= np.maximum.reduceat(logits, starts)[step]
            weights = np.exp(logits)
            totals = np.add.reduceat(weights, starts)
            entries = clicked[step]
            likelihood = logits[of_click].sum() - np.log(totals[clicked]).sum()
            # Gradient of the log-likelihood in an entry's logit: whether it was clicked, less its probability.
            residual = np.where(entries, of_click - weights / totals[step], 0.0)
            gradient = np.empty_like(parameters)
            gradient[0] = residual @ values
            gradient[1:] = np.bincount(places, residual, minlength=num_places) - ridge * terms
            return 0.5 * ridge * float(terms @ terms) - likelihood, -gradient

        start = np.zeros(1 + num_places)
        start[0] = 1.0
        bounds = [(0.0, None), *[(None, None)] * num_places]
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
        return cls(float(found.x[0]), found.x[1:])

    def logits(self, scores: NDArray[np.floating], sessions: Sessions) -> NDArray[np.float32]:
        """Scores of the items of all lists with the terms of their places; [L]."""
        places = np.minimum(_places(sessions), len(self.places) - 1)
        return (self.sharpness * scores + self.places[places]).astype(np.float32)


@dataclass(frozen=True)
class ExaminedScorer:
    """A scorer whose scores are completed by the places at which items were shown.

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
        """See :meth:`agents.base.Agent.slate_scores`."""
        return self.examination.logits(self.scorer.slate_scores(sessions), sessions)


def _places(sessions: Sessions) -> NDArray[np.int64]:
    """Place of each entry in its list, from 0; [L]."""
    places: NDArray[np.int64] = np.arange(len(sessions.slate_items)) - sessions.slate_offsets[sessions.step_of_entry]
    return places
