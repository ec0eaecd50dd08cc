"""Sessions as Parquet: one row a step, the catalogue and the provenance in the file's metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from irecgan_gym.atomic_file import write_atomically
from irecgan_gym.column_checks import SessionsError

if TYPE_CHECKING:
    from irecgan_gym.sessions import Sessions

FORMAT_VERSION = 1
_KEY = b"irecgan_gym"
_REQUIRED = ("session", "slate", "click", "reward", "truncated")


def write_sessions(sessions: Sessions, path: Path) -> None:
    """Write sessions to a Parquet file, whole or not at all.

    Columns: ``session`` (numbered from 0), ``slate`` (list), ``click``, ``reward``, ``truncated`` (of the session), and
    where known ``propensity``, ``state``, ``user`` (of the session) and ``events`` (list).
    """
    per_step = sessions.session_of_step
    columns: dict[str, Any] = {
        "session": per_step,
        "slate": _lists(sessions.slate_offsets, sessions.slate_items),
        "click": sessions.clicks,
        "reward": sessions.rewards,
        "truncated": sessions.truncated[per_step],
    }
    if sessions.propensities is not None:
        columns["propensity"] = sessions.propensities
    if sessions.states is not None:
        columns["state"] = sessions.states
    if sessions.users is not None:
        columns["user"] = sessions.users[per_step]
    if sessions.event_offsets is not None:
        columns["events"] = _lists(sessions.event_offsets, sessions.event_items)
    header = {
        "format_version": FORMAT_VERSION,
        "num_items": sessions.num_items,
        "item_names": sessions.item_names,
        "provenance": dict(sessions.provenance),
    }
    table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(header)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    write_atomically(path, memoryview(sink.getvalue()))


def read_sessions(path: Path) -> Sessions:
    """Read a file of :func:`write_sessions`; everything in it is checked as any other input.

    Raises:
        FileNotFoundError: there is no such file.
        SessionsError: not a Parquet file, not one of ours, of a later format, or with columns that are no sessions.
    """
    from irecgan_gym.sessions import Sessions

    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise SessionsError(f"{path} is not a readable Parquet file: {error}") from error
    header = _header(path, table)
    missing = [name for name in _REQUIRED if name not in table.column_names]
    if missing:
        raise SessionsError(f"{path} has no column {missing[0]!r}; it has {table.column_names}")
    try:
        session = _numbers(table, "session")
        starts = np.flatnonzero(np.diff(session, prepend=-1))
        if len(session) and not np.array_equal(session[starts], np.arange(len(starts))):
            raise SessionsError("column 'session' must number the sessions 0, 1, 2, ... in order")
        slate_lengths, slates = _ragged(table, "slate")
        event_lengths, event_items = _ragged(table, "events") if "events" in table.column_names else (None, None)
        return Sessions.from_columns(
            num_items=header["num_items"],
            lengths=np.diff(starts, append=len(session)),
            slates=slates,
            slate_lengths=slate_lengths,
            clicks=_numbers(table, "click"),
            rewards=_numbers(table, "reward"),
            truncated=_numbers(table, "truncated")[starts],
            propensities=_optional(table, "propensity"),
            states=_optional(table, "state"),
            users=None if "user" not in table.column_names else _numbers(table, "user")[starts],
            event_lengths=event_lengths,
            event_items=event_items,
            item_names=header["item_names"],
            provenance=header["provenance"],
        )
    except SessionsError as error:
        raise SessionsError(f"{path}: {error}") from error


def _header(path: Path, table: Any) -> dict[str, Any]:
    metadata = table.schema.metadata or {}
    if _KEY not in metadata:
        raise SessionsError(
            f"{path} was not written by Sessions.save: read other tables with irecgan_gym.readers, format 'table'"
        )
    header: dict[str, Any] = json.loads(metadata[_KEY])
    if header.get("format_version") != FORMAT_VERSION:
        raise SessionsError(f"{path} has format version {header.get('format_version')!r}, expected {FORMAT_VERSION}")
    return header


def _lists(offsets: NDArray[Any], values: NDArray[Any] | None) -> Any:
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values))


def _numbers(table: Any, name: str) -> NDArray[Any]:
    column = table.column(name)
    if column.null_count:
        raise SessionsError(f"column {name!r} has {column.null_count} empty cells")
    array: NDArray[Any] = column.to_numpy()
    return array


def _optional(table: Any, name: str) -> NDArray[Any] | None:
    return _numbers(table, name) if name in table.column_names else None


def _ragged(table: Any, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Lengths and values of a column of lists."""
    column = table.column(name)
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not pa.types.is_integer(kind.value_type):
        raise SessionsError(f"column {name!r} must hold lists of integers, got {kind}")
    if column.null_count:
        raise SessionsError(f"column {name!r} has {column.null_count} empty cells")
    arrays = column.chunks
    lengths = [chunk.value_lengths().to_numpy(zero_copy_only=False) for chunk in arrays]
    values = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in arrays]
    empty = np.zeros(0, dtype=np.int64)
    return (
        np.concatenate(lengths).astype(np.int64) if lengths else empty,
        np.concatenate(values) if values else empty,
    )
