"""Probabilities of slates that a table holds: of whole ones, and of each item at its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.readers.arrow_cells import lists_of, numbers_of
from irecgan_gym.sessions import Sessions, SlatePropensities

SLATE, PLACES = "slate_propensity", "place_propensities"


class SlateChances:
    """Probabilities of the slates of a table's rows, kept beside the steps until these are sessions.

    A step finds its row again by its place in the source, so that rows may be left out, put in order or become several
    steps in the meantime.

    Args:
        names: of the table's columns, by what they mean; one for the probability of a slate among them.
        separator: between the numbers of a slate that are text.
    """

    def __init__(self, names: Mapping[str, str], separator: str) -> None:
        self._names = names
        self._separator = separator
        self._keys: list[NDArray[np.int64]] = []
        self._slates: list[NDArray[np.float64]] = []
        self._counts: list[NDArray[np.int64]] = []
        self._places: list[NDArray[np.float64]] = []
        self._valid = np.zeros(0, dtype=bool)

    def add(self, keys: NDArray[np.int64], cells: Any, slate_lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Take in the rows of a batch.

        Args:
            keys: a number for each row's place in the source, rising; [R].
            cells: Arrow record batch.
            slate_lengths: items shown in each row, [R].

        Returns:
            Whether each row holds probabilities, as many as items; bool [R].
        """
        numbers = numbers_of(cells.column(self._names[SLATE]))
        slates = np.where(numbers.plain & ~numbers.empty, numbers.values, np.nan)
        self._valid = (slates > 0) & (slates <= 1)
        agree = np.ones(len(keys), dtype=bool)
        if PLACES in self._names:
            lists = lists_of(cells.column(self._names[PLACES]), self._separator)
            found = np.append(numbers_of(lists.items.names).values, np.nan)[lists.items.codes]
            counts = lists.lengths.clip(min=0)
            wrong = np.repeat(np.arange(len(keys)), counts)[~((found > 0) & (found <= 1))]
            self._valid[wrong] = False
            agree = counts == slate_lengths
            self._counts.append(counts)
            self._places.append(found)
        self._keys.append(keys)
        self._slates.append(slates)
        return self._valid & agree

    def problem(self, key: int, slate_length: int) -> str | None:
        """Return what is wrong with the probabilities of a row of the batch that came last, or None.

        Args:
            key: of the row.
            slate_length: items that its slate has, once quirks are put right.
        """
        row = int(np.searchsorted(self._keys[-1], key))
        if not self._valid[row]:
            return f"propensities of a slate must be numbers in (0, 1], got {self._slates[-1][row]} for it as a whole"
        if PLACES in self._names and self._counts[-1][row] != slate_length:
            return f"there are {self._counts[-1][row]} propensities of places for {slate_length} items"
        return None

    def of(self, keys: NDArray[np.int64], sessions: Sessions) -> SlatePropensities:
        """Return the propensities of sessions.

        A row that has become several steps was shown once: what the log says of it stands in for the steps after the
        first, and all are marked as estimated.

        Args:
            keys: the row of each step, [T].
            sessions: with these steps.
        """
        known = np.concatenate(self._keys)
        order = np.argsort(known, kind="stable")
        rows = order[np.searchsorted(known, keys, sorter=order)]
        places = None
        if PLACES in self._names:
            counts = np.concatenate(self._counts)
            ends = np.cumsum(counts)[rows]
            within = np.arange(len(sessions.slate_items)) - np.repeat(sessions.slate_offsets[:-1], counts[rows])
            places = np.concatenate(self._places)[np.repeat(ends - counts[rows], counts[rows]) + within]
        estimated = len(np.unique(keys)) < len(keys)
        chances = np.concatenate(self._slates)[rows]
        return SlatePropensities.from_probabilities(sessions, chances, places=places, estimated=estimated)
