"""Simple rankings of logged lists, which every learnt one must be read against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from irecgan_gym.sessions import Catalogue, Sessions
from irecgan_gym.sessions.ragged import gather


class LoggedOrder:
    """Lists as they were shown: the first place first."""

    def slate_scores(self, sessions: Sessions) -> NDArray[np.float32]:
        """Minus the place of each entry, from 0; [L]."""
        places = np.arange(len(sessions.slate_items)) - sessions.slate_offsets[sessions.step_of_entry]
        return -places.astype(np.float32)


class LastInteraction:
    """The item that the user touched last (by another event or a click) first, then the logged order."""

    def slate_scores(self, sessions: Sessions) -> NDArray[np.float32]:
        """Scores of all entries, [L]."""
        scores = LoggedOrder().slate_scores(sessions)
        touched = last_touched(sessions)
        scores[sessions.slate_items == touched[sessions.step_of_entry]] = 1.0
        return scores


class CoClick:
    """Items that were clicked in the same sessions as those that the user has clicked.

    An entry scores the sum, over the clicks of its session so far, of the cosine of both items' sets of training
    sessions, plus a little for popularity, which orders items that have nothing in common with the history.

    Args:
        popularity_weight: of the logarithm of (1 + clicks).
    """

    def __init__(self, popularity_weight: float = 1e-3) -> None:
        self.popularity_weight = popularity_weight
        self._similarity: csr_array | None = None
        self._popularity: NDArray[np.float64] = np.zeros(0)
        self._catalogue = Catalogue(0)

    def learn(self, sessions: Sessions) -> CoClick:
        """Count which items are clicked in the same session."""
        clicked = sessions.clicks < sessions.num_items
        shape = (len(sessions), sessions.num_items)
        rows, columns = sessions.session_of_step[clicked], sessions.clicks[clicked]
        occurs = csr_array(coo_array((np.ones(len(rows)), (rows, columns)), shape=shape))
        occurs.data[:] = 1.0  # An item clicked twice in a session is in it once.
        counts = np.asarray(occurs.sum(axis=0)).ravel()
        scale = 1 / np.sqrt(np.maximum(counts, 1.0))
        together = (occurs.T @ occurs).tocoo()
        data = together.data * scale[together.row] * scale[together.col]
        self._similarity = csr_array(coo_array((data, (together.row, together.col)), shape=together.shape))
        self._catalogue = sessions.catalogue
        self._popularity = np.log1p(np.bincount(columns, minlength=sessions.num_items))
        return self

    def slate_scores(self, sessions: Sessions) -> NDArray[np.float32]:
        """Scores of all entries, [L].

        Raises:
            ValueError: nothing was learnt, or the sessions have another catalogue.
        """
        if self._similarity is None:
            raise ValueError("CoClick must learn first, from sessions over the same catalogue")
        self._catalogue.check_agrees(sessions.catalogue, "the ranking", "the sessions")
        scores = self.popularity_weight * self._popularity[sessions.slate_items]
        # Each pair of a step and an earlier click of its session, and then each entry of the step's slate.
        first = sessions.offsets[sessions.session_of_step]
        earlier = np.arange(sessions.num_steps) - first
        steps = np.repeat(np.arange(sessions.num_steps), earlier)
        before = np.arange(len(steps)) - np.repeat(np.cumsum(earlier) - earlier, earlier) + first[steps]
        entries, offsets = gather(sessions.slate_offsets, steps)
        clicks = np.repeat(sessions.clicks[before], np.diff(offsets))
        if len(entries):
            np.add.at(scores, entries, self._similarity[clicks, sessions.slate_items[entries]])
        return scores.astype(np.float32)


def last_touched(sessions: Sessions) -> NDArray[np.int64]:
    """The item that the user touched last before each step's click, ``num_items`` for none; [T]."""
    touched = sessions.previous_clicks.astype(np.int64)
    if sessions.event_offsets is not None and sessions.event_items is not None:
        some = np.diff(sessions.event_offsets) > 0
        touched[some] = sessions.event_items[sessions.event_offsets[1:][some] - 1]
    return touched
