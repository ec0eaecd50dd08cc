"""Sessions as Parquet: one row a step, the catalogue and the provenance in the file's metadata."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from irecgan_gym.sessions import feature_columns, propensity_columns
from irecgan_gym.sessions.checks import SessionsError
from irecgan_gym.storage.files import write_atomically

FORMAT_VERSION = 3
"""Version 2 may hold times, the names of users and propensities of slates; version 3 features. What has none of them is
written as the version before."""
OWN_KEY = b"irecgan_gym"
"""In the metadata of every file that holds sessions."""
_REQUIRED = ("session", "slate", "click", "reward", "truncated")
_OPTIONAL = ("propensity", "state", "user", "events", "time", *propensity_columns.COLUMNS)
_HEADER: dict[str, type | tuple[type, ...]] = {
    "num_items": int,
    "item_names": (list, type(None)),
    "user_names": (list, type(None)),
    "provenance": dict,
}


def write_columns(path: Path, columns: Mapping[str, Any]) -> None:
    """Write the columns of sessions to a Parquet file, whole or not at all.

    The file has one row a step, with ``session`` (numbered from 0), ``slate`` (list), ``click``, ``reward``,
    ``truncated`` (of the session), and where known ``propensity``, ``state``, ``user`` (of the session), ``events``
    (list) and ``time``, and the columns of :mod:`irecgan_gym.sessions.propensity_columns` and
    :mod:`irecgan_gym.sessions.feature_columns`. Names of items and users are
    in the metadata.

    Args:
        path: file to write.
        columns: arguments of ``Sessions.from_columns``, as ``Sessions.to_columns`` gives them.

    Raises:
        SessionsError: the provenance holds values that JSON does not.
    """
    lengths = columns["lengths"]
    per_step = np.repeat(np.arange(len(lengths)), lengths)
    table_columns: dict[str, Any] = {
        "session": per_step,
        "slate": _lists(columns["slate_lengths"], columns["slates"]),
        "click": columns["clicks"],
        "reward": columns["rewards"],
        "truncated": columns["truncated"][per_step],
    }
    if columns["propensities"] is not None:
        table_columns["propensity"] = columns["propensities"]
    if columns["states"] is not None:
        table_columns["state"] = columns["states"]
    if columns["users"] is not None:
        table_columns["user"] = columns["users"][per_step]
    if columns["event_lengths"] is not None:
        table_columns["events"] = _lists(columns["event_lengths"], columns["event_items"])
    if columns["times"] is not None:
        table_columns["time"] = columns["times"]
    of_slates = columns["slate_propensities"]
    if of_slates is not None:
        table_columns |= propensity_columns.columns_of(of_slates)
    features = columns["features"]
    if features:
        table_columns |= feature_columns.columns_of(
            features, lengths, columns["slate_lengths"], columns["event_lengths"]
        )
    is_new = columns["times"] is not None or columns["user_names"] is not None or of_slates is not None
    header: dict[str, Any] = {
        "format_version": FORMAT_VERSION if features else 2 if is_new else 1,
        "num_items": columns["num_items"],
        "item_names": columns["item_names"],
        "provenance": checked_provenance(columns["provenance"]),
    }
    if columns["user_names"] is not None:
        header["user_names"] = columns["user_names"]
    if of_slates is not None:
        header[propensity_columns.KEY] = propensity_columns.header_of(of_slates)
    if features:
        header[feature_columns.KEY] = feature_columns.header_of(features)
    # Pages have check sums in the Parquet format, its metadata have none.
    header["checksum"] = _checksum(header)
    table = pa.table(table_columns).replace_schema_metadata({OWN_KEY: json.dumps(header)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_page_checksum=True)
    write_atomically(path, memoryview(sink.getvalue()))


def read_columns(path: Path) -> dict[str, Any]:
    """Read a file of :func:`write_columns` as arguments of ``Sessions.from_columns``, which checks them.

    Raises:
        FileNotFoundError: there is no such file.
        SessionsError: not a Parquet file, not one of ours, of a later format, or with other columns.
    """
    table = _read_table(path)
    header = _header(path, table)
    try:
        _check_names(table)
        session, starts = _session_starts(table)
        slate_lengths, slates = _ragged(table, "slate")
        table = table.drop_columns(["slate"])  # The largest of all: it is not kept twice for longer than must be.
        event_lengths, event_items = _ragged(table, "events") if "events" in table.column_names else (None, None)
        return {
            "num_items": header["num_items"],
            "lengths": np.diff(starts, append=len(session)),
            "slates": slates,
            "slate_lengths": slate_lengths,
            "clicks": _numbers(table, "click"),
            "rewards": _numbers(table, "reward"),
            "truncated": _of_sessions(table, "truncated", session, starts),
            "propensities": _optional(table, "propensity"),
            "states": _optional(table, "state"),
            "users": _of_sessions(table, "user", session, starts),
            "event_lengths": event_lengths,
            "event_items": event_items,
            "item_names": header["item_names"],
            "provenance": header["provenance"],
            "user_names": header.get("user_names"),
            "times": _optional(table, "time"),
            "slate_propensities": propensity_columns.propensities_in(table, header, slate_lengths),
            "features": feature_columns.features_in(
                table, header, starts, {"entries": slate_lengths, "events": event_lengths}
            ),
        }
    except SessionsError as error:
        raise SessionsError(f"{path}: {error}") from error


def _read_table(path: Path) -> Any:
    """The whole file, opened once: one that is replaced meanwhile is read as it was."""
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        with path.open("rb") as file:
            # Catalogues of millions of names pass the reader's limit for texts in the metadata, which is 100 MB; none
            # can be larger than its file.
            limit = min(max(os.fstat(file.fileno()).st_size, 100_000_000), 2**31 - 1)
            with pq.ParquetFile(file, page_checksum_verification=True, thrift_string_size_limit=limit) as parquet:
                return parquet.read()
    except MemoryError as error:
        # Arrow's own is one of its exceptions too, and says nothing of the file.
        raise MemoryError(f"not enough memory to read {path}: {error}") from error
    except (pa.ArrowException, OSError) as error:
        raise SessionsError(f"{path} is not a readable Parquet file: {error}") from error


def _header(path: Path, table: Any) -> dict[str, Any]:
    metadata = table.schema.metadata or {}
    if OWN_KEY not in metadata:
        raise SessionsError(
            f"{path} was not written by Sessions.save: read other tables with irecgan_gym.readers, format 'table'"
        )
    try:
        header = json.loads(metadata[OWN_KEY])
    except ValueError as error:
        raise SessionsError(f"{path} has metadata that are not JSON: {error}") from error
    version = header.get("format_version") if isinstance(header, dict) else None
    if not isinstance(header, dict) or version not in range(1, FORMAT_VERSION + 1):
        is_later = isinstance(version, int) and version > FORMAT_VERSION
        later = ": a later version of irecgan-gym wrote it" if is_later else ""
        raise SessionsError(f"{path} has format version {version!r}, expected 1 to {FORMAT_VERSION}{later}")
    for name, kind in _HEADER.items():
        missing = None if name == "user_names" else ...
        if not isinstance(header.get(name, missing), kind):
            raise SessionsError(f"{path} has metadata with a wrong or missing {name!r}")
    checksum = header.pop("checksum", None)
    if checksum is not None and checksum != _checksum(header):
        raise SessionsError(f"{path} has metadata that were damaged: their check sum is wrong")
    return header


def _checksum(header: dict[str, Any]) -> int:
    """CRC-32 of the metadata as JSON."""
    return zlib.crc32(json.dumps(header).encode())


def checked_provenance(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance, if it can be read back as it is.

    Raises:
        SessionsError: it holds values that JSON does not.
    """
    values = dict(provenance)
    try:
        if json.loads(json.dumps(values)) == values:
            return values
    except (TypeError, ValueError) as error:
        raise SessionsError(f"the provenance cannot be saved as JSON: {error}: {values}") from error
    raise SessionsError(f"the provenance would not be the same after saving it as JSON: {values}")


def _lists(lengths: NDArray[Any], values: NDArray[Any] | None) -> Any:
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values))


def _check_names(table: Any) -> None:
    """Refuse missing, unknown and repeated columns."""
    try:
        names = table.column_names
    except UnicodeDecodeError as error:
        raise SessionsError(f"a column's name is not UTF-8: {error}") from error
    for name in _REQUIRED:
        if names.count(name) != 1:
            raise SessionsError(f"there must be one column {name!r}, among {names}")
    for name in names:
        known = name in _REQUIRED or name in _OPTIONAL or feature_columns.is_feature_column(name)
        if not known or names.count(name) > 1:
            raise SessionsError(f"sessions have no column {name!r}, or not twice")


def _numbers(table: Any, name: str) -> NDArray[Any]:
    column = table.column(name)
    if column.null_count:
        raise SessionsError(f"column {name!r} has {column.null_count} empty cells")
    array: NDArray[Any] = column.to_numpy()
    return array


def _session_starts(table: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Session number of each row, and the first row of each session."""
    session = _numbers(table, "session")
    if len(session) and not np.issubdtype(session.dtype, np.integer):
        raise SessionsError(f"column 'session' must be integers, got {session.dtype}")
    steps = np.diff(session, prepend=-1)
    wrong = np.flatnonzero((steps < 0) | (steps > 1) | (session < 0))
    if len(wrong):
        raise SessionsError(
            f"column 'session' must number the sessions 0, 1, 2, ... in order, row {wrong[0]} has {session[wrong[0]]}"
        )
    return session, np.flatnonzero(steps)


def _of_sessions(table: Any, name: str, session: NDArray[Any], starts: NDArray[np.int64]) -> NDArray[Any] | None:
    """A column that is the same in all rows of a session, one value a session; None where there is no such column."""
    if name not in table.column_names:
        return None
    values = _numbers(table, name)
    wrong = np.flatnonzero(values != values[starts][session]) if len(values) else starts
    if len(wrong):
        raise SessionsError(f"column {name!r} must be the same in all rows of a session, row {wrong[0]} differs")
    return values[starts]


def _optional(table: Any, name: str) -> NDArray[Any] | None:
    return _numbers(table, name) if name in table.column_names else None


def _ragged(table: Any, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Lengths and values of a column of lists."""
    column = table.column(name)
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not pa.types.is_integer(kind.value_type):
        raise SessionsError(f"column {name!r} must hold lists of integers, got {kind}")
    arrays = column.chunks
    empty_cells = column.null_count + sum(chunk.values.null_count for chunk in arrays)
    if empty_cells:
        raise SessionsError(f"column {name!r} has {empty_cells} empty cells")
    lengths = [chunk.value_lengths().to_numpy(zero_copy_only=False) for chunk in arrays]
    values = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in arrays]
    empty = np.zeros(0, dtype=np.int64)
    return (
        np.concatenate(lengths).astype(np.int64) if lengths else empty,
        # A single part is taken as it is, without a copy.
        values[0] if len(values) == 1 else np.concatenate(values) if values else empty,
    )
