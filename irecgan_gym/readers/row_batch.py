"""Rows on their way from any container to a reader: Arrow record batches that know where each row stood."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.readers.report import Place


class MalformedRow(NamedTuple):
    """A row that could not be taken apart into cells.

    Attributes:
        place: where it stands.
        reason: short, the same for all rows of its kind.
        detail: the value found, and what was expected.
    """

    place: Place
    reason: str
    detail: str


class RowBatch(NamedTuple):
    """Some rows of one file, in its order.

    Attributes:
        cells: Arrow record batch of the wanted columns, under their own names.
        file: name of the file.
        numbers: line or row of each, from 1; int64 [R].
        unit: what is counted: ``"line"`` or ``"row"``.
        last: the last line of each row, 0 for those of a single line; int64 [R], or None where all are.
        malformed: rows before, between and behind these that hold no cells, in the order of the file.
    """

    cells: Any
    file: str
    numbers: NDArray[np.int64]
    unit: str = "row"
    last: NDArray[np.int64] | None = None
    malformed: tuple[MalformedRow, ...] = ()

    def __len__(self) -> int:
        return len(self.numbers)

    def place(self, row: int) -> Place:
        """Place of a row of the batch."""
        return Place(self.file, int(self.numbers[row]), self.unit, 0 if self.last is None else int(self.last[row]))

    def stretches(self) -> Iterator[tuple[slice, MalformedRow | None]]:
        """Yield the rows between two malformed ones, and the malformed one behind them (None at the end)."""
        start = 0
        for wrong in self.malformed:
            end = int(np.searchsorted(self.numbers, wrong.place.number))
            yield slice(start, end), wrong
            start = end
        yield slice(start, len(self)), None
