"""Features in the Parquet file of sessions: columns of their own; those of items, and names, in the metadata."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from irecgan_gym.sessions.checks import SessionsError
from irecgan_gym.sessions.features import FeatureColumn, Scope, SessionFeatures

KEY = "features"
"""In the metadata: what the features are, and the values of those of items."""
PREFIXES: dict[Scope, str] = {"entries": "entry.", "steps": "step.", "events": "event.", "users": "user."}
"""Names of the file's columns begin with these."""


def is_feature_column(name: str) -> bool:
    """Tell whether a column of a file holds a feature."""
    return name.startswith(tuple(PREFIXES.values()))


def columns_of(
    features: SessionFeatures, lengths: NDArray[Any], slate_lengths: NDArray[Any], event_lengths: NDArray[Any] | None
) -> dict[str, Any]:
    """Return the columns of a table with one row a step.

    Args:
        features: of the sessions.
        lengths: steps of each session, [S].
        slate_lengths: entries of each step, [T].
        event_lengths: events of each step, [T]; None without events.
    """
    columns: dict[str, Any] = {}
    session_of_step = np.repeat(np.arange(len(lengths)), lengths)
    for scope, prefix in PREFIXES.items():
        for name, column in features.of(scope).items():
            values = column.values[session_of_step] if scope == "users" else column.values
            counts = {"entries": slate_lengths, "events": event_lengths}.get(scope)
            if counts is None and column.kind == "vector":
                counts = np.ones(len(values), dtype=np.int64)
            columns[f"{prefix}{name}"] = values if counts is None else _lists(counts, values)
    return columns


def header_of(features: SessionFeatures) -> dict[str, Any]:
    """Return what the metadata tell of them, as JSON holds it."""
    described: dict[str, Any] = {
        scope: {name: _described(column) for name, column in features.of(scope).items()} for scope in PREFIXES
    }
    items = {name: {**_described(column), **_stored(column.values)} for name, column in features.items.items()}
    return {"items": items, **described}


def features_in(
    table: Any, header: Mapping[str, Any], starts: NDArray[np.int64], counts: Mapping[Scope, NDArray[Any] | None]
) -> SessionFeatures | None:
    """Read what :func:`columns_of` and :func:`header_of` made; None where there is nothing of it.

    Lengths and codes are checked with the columns of the sessions.

    Args:
        table: Arrow table of a file of sessions.
        header: its metadata.
        starts: first row of each session, [S].
        counts: things of each step, [T], for entries and events.

    Raises:
        SessionsError: columns that the metadata do not describe, or the other way round.
    """
    about = header.get(KEY)
    found = {name for name in table.column_names if is_feature_column(name)}
    if about is None and not found:
        return None
    try:
        told = {f"{prefix}{name}" for scope, prefix in PREFIXES.items() for name in about[scope]}  # type: ignore[index]
        if told != found:
            raise SessionsError(f"features {sorted(told ^ found)} are in the metadata or in the columns alone")
        columns: dict[str, dict[str, FeatureColumn]] = {}
        for scope, prefix in PREFIXES.items():
            rows, things = (starts if scope == "users" else None), counts.get(scope)
            columns[scope] = {
                name: _read(table.column(f"{prefix}{name}"), told_of, rows, things)
                for name, told_of in about[scope].items()  # type: ignore[index]
            }
        columns["items"] = {name: _restored(told_of) for name, told_of in about["items"].items()}  # type: ignore[index]
    except (KeyError, TypeError, AttributeError) as error:
        raise SessionsError(f"the metadata do not describe the features: {error!r}") from error
    except ValueError as error:
        raise SessionsError(f"features: {error}") from error
    return SessionFeatures(**columns)


def features_told(about: Mapping[str, Any]) -> SessionFeatures:
    """Return the features that :func:`header_of` tells of: those of items, and of all else kinds and categories alone.

    Raises:
        SessionsError: no such description.
    """
    try:
        told = {scope: {name: _empty(one) for name, one in about[scope].items()} for scope in PREFIXES}
        return SessionFeatures(items={name: _restored(one) for name, one in about["items"].items()}, **told)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SessionsError(f"the header does not describe the features: {error!r}") from error


def _described(column: FeatureColumn) -> dict[str, Any]:
    width = column.values.shape[1] if column.values.ndim == 2 else None
    return {"categories": None if column.categories is None else list(column.categories), "width": width}


def _lists(counts: NDArray[Any], values: NDArray[Any]) -> Any:
    width = values.shape[1] if values.ndim == 2 else 1
    offsets = np.concatenate([[0], np.cumsum(counts)]) * width
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values.reshape(-1)))


def _read(
    column: Any, about: Mapping[str, Any], starts: NDArray[np.int64] | None, counts: NDArray[Any] | None
) -> FeatureColumn:
    width, categories = about["width"], about["categories"]
    is_list = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    kind = column.type.value_type if is_list else column.type
    expected = pa.types.is_floating if categories is None else pa.types.is_integer
    if column.null_count or not expected(kind) or is_list != (width is not None or counts is not None):
        raise SessionsError(f"a feature has cells of another kind, {column.type}, or empty ones")
    if is_list:
        lengths = np.concatenate(
            [np.zeros(0, np.int64), *(c.value_lengths().to_numpy(zero_copy_only=False) for c in column.chunks)]
        )
        told = np.ones(len(lengths), dtype=np.int64) if counts is None else counts
        if (lengths != told * (width or 1)).any():
            raise SessionsError("a feature has lists of other lengths than the slates or events")
        parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
        values = np.concatenate([np.zeros(0, np.float32 if categories is None else np.int32), *parts])
    else:
        values = column.to_numpy()
    if width is not None:
        values = values.reshape(-1, width)
    if starts is not None:
        values = values[starts]
    return FeatureColumn(np.ascontiguousarray(values), None if categories is None else tuple(categories))


def _stored(values: NDArray[Any]) -> dict[str, Any]:
    """Values as text: their bytes, the lowest first, in base 64."""
    return {"values": base64.b64encode(values.astype(values.dtype.newbyteorder("<")).tobytes()).decode()}


def _empty(about: Mapping[str, Any]) -> FeatureColumn:
    """A feature of nothing."""
    categories, width = about["categories"], about["width"]
    if categories is not None:
        return FeatureColumn(np.zeros(0, dtype=np.int32), tuple(categories))
    return FeatureColumn(np.zeros((0,) if width is None else (0, width), dtype=np.float32))


def _restored(about: Mapping[str, Any]) -> FeatureColumn:
    categories, width = about["categories"], about["width"]
    kind = np.dtype(np.float32 if categories is None else np.int32)
    values = np.frombuffer(base64.b64decode(about["values"], validate=True), kind.newbyteorder("<")).astype(kind)
    values = values if width is None else values.reshape(-1, width)
    return FeatureColumn(values, None if categories is None else tuple(categories))
