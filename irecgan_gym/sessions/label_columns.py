"""Labels in the Parquet file of sessions: a column of lists for each, a number an entry."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from irecgan_gym.sessions.entry_lists import numbers_of_entries
from irecgan_gym.sessions.labels import Labels

_PREFIX = "label."
"""Names of the file's columns begin with it."""


def is_label_column(name: str) -> bool:
    """Tell whether a column of a file holds a label."""
    return name.startswith(_PREFIX)


def columns_of(labels: Labels, slate_lengths: NDArray[Any]) -> dict[str, Any]:
    """Return the columns of a table with one row a step.

    Args:
        labels: of the sessions.
        slate_lengths: entries of each step, [T].
    """
    offsets = pa.array(np.append(0, np.cumsum(slate_lengths)))
    return {
        f"{_PREFIX}{name}": pa.LargeListArray.from_arrays(offsets, pa.array(values)) for name, values in labels.items()
    }


def labels_in(table: Any, slate_lengths: NDArray[Any]) -> dict[str, NDArray[np.float64]] | None:
    """Read what :func:`columns_of` made, which is checked with the other columns; None where there is nothing of it.

    Args:
        table: Arrow table of a file of sessions.
        slate_lengths: entries of each step, [T].

    Raises:
        SessionsError: a column of something else than a number for each entry.
    """
    names = [name for name in table.column_names if is_label_column(name)]
    return {name.removeprefix(_PREFIX): numbers_of_entries(table, name, slate_lengths) for name in names} or None
