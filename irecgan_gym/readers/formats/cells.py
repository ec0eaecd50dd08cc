"""Small steps by which columns of public logs become those of a table of steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from irecgan_gym.readers.arrow_cells import names_of, numbers_of


def says(column: Any, value: str) -> NDArray[np.bool_]:
    """Tell which cells say something, whole numbers being written without a fraction; bool [R]."""
    texts = names_of(column)
    is_it = np.append(pc.equal(texts.names, value).to_numpy(zero_copy_only=False).astype(bool), False)
    flags: NDArray[np.bool_] = is_it[texts.codes]
    return flags


def texts(column: Any) -> Any:
    """Cells as Arrow strings, null where they are empty."""
    names = names_of(column)
    return names.names.take(pa.array(names.codes, mask=names.codes < 0))


def only_where(column: Any, flags: NDArray[np.bool_]) -> Any:
    """Cells where the flags are set, null elsewhere."""
    # Not if_else: see irecgan_gym.readers.arrow_cells.replaced.
    return column.take(pa.array(np.arange(len(column)), mask=~flags))


def joined(*columns: Any) -> Any:
    """Texts of several columns as one, null where one of them is."""
    return pc.binary_join_element_wise(*map(texts, columns), " ")


def singles(column: Any) -> Any:
    """Lists of one item each, null where a cell is empty."""
    items = texts(column)
    return pc.if_else(
        items.is_valid(), pa.ListArray.from_arrays(pa.array(np.arange(len(items) + 1), pa.int32()), items), None
    )


def entries_where(lists: Any, flags: NDArray[np.bool_]) -> Any:
    """Lists without the entries whose flag is not set.

    Args:
        lists: Arrow list array.
        flags: of all entries, one list behind the other.
    """
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    kept = np.bincount(np.repeat(np.arange(len(lengths)), lengths)[flags], minlength=len(lengths))
    offsets = pa.array(np.append(0, np.cumsum(kept)), pa.int32())
    return pa.ListArray.from_arrays(offsets, pc.list_flatten(lists).filter(pa.array(flags)))


def seconds(column: Any, scale: float) -> Any:
    """Numbers as seconds, null where a cell holds none.

    Args:
        column: numbers or texts.
        scale: units in a second.
    """
    numbers = numbers_of(column)
    return pa.array(numbers.values / scale, mask=np.isnan(numbers.values))
