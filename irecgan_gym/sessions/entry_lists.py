"""Columns of a file of sessions that hold a number for each entry of the slates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from irecgan_gym.sessions.checks import SessionsError


def numbers_of_entries(table: Any, name: str, lengths: NDArray[Any]) -> NDArray[np.float64]:
    """Return the numbers of all entries, one list behind the other; [L].

    Args:
        table: Arrow table of one row a step.
        name: of the column.
        lengths: number of entries of each step, [T].

    Raises:
        SessionsError: a column of something else, with empty cells, or with lists of other lengths.
    """
    column = table.column(name)
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not pa.types.is_floating(kind.value_type):
        raise SessionsError(f"column {name!r} must hold lists of numbers, got {kind}")
    if column.null_count or any(chunk.flatten().null_count for chunk in column.chunks):
        raise SessionsError(f"column {name!r} has empty cells")
    found = [chunk.value_lengths().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    wrong = np.flatnonzero(np.concatenate([*found, np.zeros(0, dtype=np.int64)]) != lengths)
    if len(wrong):
        raise SessionsError(f"column {name!r} must have a number for each item of the slate, row {wrong[0]} has not")
    values = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate([*values, np.zeros(0)]).astype(np.float64)
