"""Propensities of slates in the Parquet file of sessions: columns of their own, and what they are in the metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from irecgan_gym.sessions.checks import SessionsError
from irecgan_gym.sessions.entry_lists import numbers_of_entries
from irecgan_gym.sessions.slate_propensities import SlatePropensities

KEY = "slate_propensities"
"""In the metadata: what the propensities are conditional on, and whether they are estimated."""
PREFIXES = "prefix_log_propensity"
_OF_ENTRIES = {PREFIXES: "prefixes", "place_propensity": "places", "inclusion_propensity": "inclusions"}
_OF_SLATES = {"set_log_propensity": "sets"}
COLUMNS = (*_OF_ENTRIES, *_OF_SLATES)


def columns_of(propensities: SlatePropensities) -> dict[str, Any]:
    """Return the columns of a table with one row a step: lists with a number an entry, and numbers a slate."""
    columns: dict[str, Any] = {}
    for name, attribute in _OF_ENTRIES.items():
        values = getattr(propensities, attribute)
        if values is not None:
            columns[name] = pa.LargeListArray.from_arrays(pa.array(propensities.slate_offsets), pa.array(values))
    for name, attribute in _OF_SLATES.items():
        if (values := getattr(propensities, attribute)) is not None:
            columns[name] = values
    return columns


def header_of(propensities: SlatePropensities) -> dict[str, Any]:
    """Return what the metadata tell of them."""
    return {"given": propensities.given, "estimated": propensities.estimated}


def propensities_in(table: Any, header: Mapping[str, Any], slate_lengths: NDArray[Any]) -> SlatePropensities | None:
    """Read and check what :func:`columns_of` and :func:`header_of` made; None where there is nothing of it.

    Args:
        table: Arrow table of a file of sessions.
        header: its metadata.
        slate_lengths: number of entries of each slate, [T].

    Raises:
        SessionsError: columns without metadata or the other way round, or with wrong numbers.
    """
    found = [name for name in table.column_names if name in COLUMNS]
    about = header.get(KEY)
    if not found and about is None:
        return None
    if PREFIXES not in found or not isinstance(about, dict) or not isinstance(about.get("estimated"), bool):
        raise SessionsError(f"propensities of slates need a column {PREFIXES!r} and metadata {KEY!r}, found {found}")
    slates = _Slates(np.concatenate([[0], np.cumsum(slate_lengths)]).astype(np.int64))
    columns = {
        **{
            attribute: numbers_of_entries(table, name, slate_lengths)
            for name, attribute in _OF_ENTRIES.items()
            if name in found
        },
        **{attribute: _numbers(table, name) for name, attribute in _OF_SLATES.items() if name in found},
    }
    try:
        given: Any = about.get("given")  # Checked with the columns.
        return SlatePropensities.from_columns(
            slates, columns.pop("prefixes"), **columns, given=given, estimated=about["estimated"]
        )
    except ValueError as error:
        raise SessionsError(f"propensities of slates: {error}") from error


class _Slates:
    """Slates of which nothing but the sizes is known."""

    def __init__(self, slate_offsets: NDArray[np.int64]) -> None:
        self.slate_offsets = slate_offsets
        self.num_steps = len(slate_offsets) - 1


def _numbers(table: Any, name: str) -> NDArray[np.float64]:
    column = table.column(name)
    if column.null_count or not pa.types.is_floating(column.type):
        raise SessionsError(f"column {name!r} must hold numbers without empty cells, got {column.type}")
    values: NDArray[np.float64] = column.to_numpy().astype(np.float64)
    return values
