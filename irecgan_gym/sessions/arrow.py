"""Sessions as an Arrow table, for other tools: one row a step, items and users by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from irecgan_gym.sessions.features import FeatureColumn, Scope, SessionFeatures


def table_of_columns(columns: Mapping[str, Any]) -> Any:
    """Return the columns of sessions as an Arrow table, which the table reader takes back.

    Args:
        columns: arguments of ``Sessions.from_columns``, as ``Sessions.to_columns`` gives them.
    """
    lengths = columns["lengths"]
    session = np.repeat(np.arange(len(lengths)), lengths)
    items, clicks = columns["item_names"], columns["clicks"]
    table = {
        "session": pa.array(session),
        "slate": _lists(columns["slate_lengths"], _named(columns["slates"], items)),
        "click": _named(clicks, items, clicks == columns["num_items"]),
        "reward": pa.array(columns["rewards"]),
        "truncated": pa.array(columns["truncated"][session]),
    }
    if columns["propensities"] is not None:
        table["propensity"] = pa.array(columns["propensities"], from_pandas=True)
    if columns["states"] is not None:
        table["state"] = pa.array(columns["states"])
    if columns["users"] is not None:
        users, names = columns["users"][session], columns["user_names"]
        table["user"] = _named(users, names, None if names is None else users < 0)
    if columns["event_lengths"] is not None:
        table["events"] = _lists(columns["event_lengths"], _named(columns["event_items"], items))
    if columns.get("times") is not None:
        table["time"] = pa.array(columns["times"])
    table |= _features(columns["features"], columns, session, set(table))
    for name, values in (columns.get("labels") or {}).items():
        label = f"{name} (label)" if name in table else name
        table[label] = _lists(columns["slate_lengths"], pa.array(values, from_pandas=True))
    return pa.table(table)


def _features(features: SessionFeatures, columns: Mapping[str, Any], session: NDArray[Any], taken: set[str]) -> Any:
    """Features of entries, steps, events and users by their names, behind which stands what they are of if it must."""
    found: dict[str, Any] = {}
    lengths: dict[Scope, Any] = {"entries": columns["slate_lengths"], "events": columns["event_lengths"]}
    order: tuple[Scope, ...] = ("steps", "entries", "users", "events")
    for scope in order:
        for name, column in features.of(scope).items():
            of_rows = column.take(session) if scope == "users" else column
            values = _values(of_rows)
            counts = lengths.get(scope)
            label = f"{name} ({scope})" if name in taken or name in found else name
            found[label] = values if counts is None else _lists(counts, values)
    return found


def _values(column: FeatureColumn) -> Any:
    """Values of a feature, null where unknown."""
    known = column.known
    if column.categories is not None:
        codes = pa.array(column.values, mask=~known)
        return pa.DictionaryArray.from_arrays(codes, pa.array(column.categories, pa.string()))
    if column.values.ndim == 1:
        return pa.array(column.values, mask=~known)
    return _lists(np.full(len(column), column.values.shape[1]), pa.array(column.values.reshape(-1)))


def _named(ids: NDArray[Any], names: Sequence[str] | None, missing: NDArray[np.bool_] | None = None) -> Any:
    """Names of ids, or the ids where there are no names; null where they are missing."""
    if names is None:
        return pa.array(ids, mask=missing)
    codes = pa.array(ids.astype(np.int32), mask=missing)
    return pa.DictionaryArray.from_arrays(codes, pa.array(names, pa.string()))


def _lists(lengths: NDArray[Any], values: Any) -> Any:
    offsets = np.append(0, np.cumsum(lengths))
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values)
