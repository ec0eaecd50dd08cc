"""Ragged arrays: flat values, and the offset at which each row of them starts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.sessions.checks import IntArray

_VALUES_AT_ONCE = 1 << 18
"""Values looked at at a time where that takes several times their space."""


def gather(offsets: IntArray, rows: IntArray) -> tuple[IntArray, IntArray]:
    """Return the places of the values of some rows, one row behind the other, and the offsets of those rows.

    Args:
        offsets: first value of each row, and the number of values at the end, int64 [R + 1].
        rows: numbers of the rows wanted, in any order, repeats allowed, [r].

    Returns:
        Numbers of the values, int64, and their new offsets, int64 [r + 1].
    """
    starts, lengths = offsets[rows], offsets[rows + 1] - offsets[rows]
    new_offsets = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(lengths, out=new_offsets[1:])
    entries = np.arange(new_offsets[-1]) + np.repeat(starts - new_offsets[:-1], lengths)
    return entries, new_offsets


def rows_with_repeats(offsets: IntArray, values: IntArray) -> IntArray:
    """Return the numbers of the rows that hold a value twice, in order.

    Args:
        offsets: first value of each row, and the number of values at the end, int64 [R + 1].
        values: of all rows, one behind the other.
    """
    lengths = np.diff(offsets)
    repeated = np.zeros(len(lengths), dtype=bool)
    for length in (np.flatnonzero(np.bincount(lengths)[2:]) + 2).tolist():
        # Rows of one length are a table: its rows are sorted many times faster than all values as one.
        all_rows = np.flatnonzero(lengths == length)
        at_once = max(1, _VALUES_AT_ONCE // length)
        for start in range(0, len(all_rows), at_once):
            rows = all_rows[start : start + at_once]
            if rows[-1] - rows[0] == len(rows) - 1:
                table = values[offsets[rows[0]] : offsets[rows[-1] + 1]].reshape(-1, length)
            else:
                table = values[offsets[rows][:, None] + np.arange(length)]
            table = np.sort(table, axis=1)
            equal = table[:, 1:] == table[:, :-1]
            if equal.any():  # Few tables have any, and rows are slower to look at than the whole.
                repeated[rows] = equal.any(axis=1)
    return np.flatnonzero(repeated)


def padded(lengths: IntArray, values: IntArray, width: int, fill: int) -> NDArray[np.int64]:
    """Ragged rows as one table, int64 [R, width].

    Args:
        lengths: of the rows, none above ``width``; [R].
        values: of all rows, one behind the other.
        width: of the table.
        fill: what stands behind a row's last value.
    """
    table = np.full((len(lengths), width), fill, dtype=np.int64)
    table[np.arange(width) < lengths[:, None]] = values
    return table


def unpadded(table: NDArray[Any], lengths: IntArray) -> NDArray[Any]:
    """Rows of a table without what fills them up, one behind the other.

    Args:
        table: [R, width, ...].
        lengths: of the rows, none above the width; [R].
    """
    kept: NDArray[Any] = table[np.arange(table.shape[1]) < lengths[:, None]]
    return kept
