"""Sessions as Parquet: one row a step, the catalogue and the provenance in the file's metadata."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from irecgan_gym.sessions import feature_columns, label_columns, propensity_columns
from irecgan_gym.sessions.checks import SessionsError
from irecgan_gym.storage.files import write_atomically

FORMAT_VERSION = 4
"""Version 2 may hold times, the names of users and propensities of slates; version 3 features; version 4 labels. What
has none of them is written as the version before."""
OWN_KEY = b"irecgan_gym"
"""In the metadata of every file that holds sessions."""
_ROWS = 65_536
_BUFFER = 1 << 20
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
    (list) and ``time``, and the columns of :mod:`irecgan_gym.sessions.propensity_columns`,
    :mod:`irecgan_gym.sessions.feature_columns` and :mod:`irecgan_gym.sessions.label_columns`. Names of items and users
    are in the metadata.

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
    labels = columns["labels"]
    if labels:
        table_columns |= label_columns.columns_of(labels, columns["slate_lengths"])
    is_new = columns["times"] is not None or columns["user_names"] is not None or of_slates is not None
    header: dict[str, Any] = {
        "format_version": FORMAT_VERSION if labels else 3 if features else 2 if is_new else 1,
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

    Arrays are read-only and nobody else's: ``from_columns`` takes them as they are.

    Raises:
        FileNotFoundError: there is no such file.
        SessionsError: not a Parquet file, not one of ours, of a later format, or with other columns.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    with _told(path), _opened(path) as parquet:
        schema = parquet.schema_arrow
        header = _header(path, schema.metadata or {})
        names = _checked_names(schema)
        # One column after the other: what Arrow needs to read it is gone before the next.
        session, starts = _session_starts(parquet)
        rows = len(session)
        columns: dict[str, Any] = {
            "truncated": _of_sessions(parquet, "truncated", session, starts),
            "users": _of_sessions(parquet, "user", session, starts) if "user" in names else None,
        }
        del session
        slate_lengths, slates = _ragged(parquet, "slate")
        event_lengths, event_items = _ragged(parquet, "events") if "events" in names else (None, None)
        return columns | {
            "num_items": header["num_items"],
            "lengths": np.diff(starts, append=rows),
            "slates": slates,
            "slate_lengths": slate_lengths,
            "clicks": _numbers(parquet, "click"),
            "rewards": _numbers(parquet, "reward"),
            "propensities": _numbers(parquet, "propensity") if "propensity" in names else None,
            "states": _numbers(parquet, "state") if "state" in names else None,
            "event_lengths": event_lengths,
            "event_items": event_items,
            "item_names": header["item_names"],
            "provenance": header["provenance"],
            "user_names": header.get("user_names"),
            "times": _numbers(parquet, "time") if "time" in names else None,
            "slate_propensities": propensity_columns.propensities_in(
                parquet.read(columns=[name for name in names if name in propensity_columns.COLUMNS]),
                header,
                slate_lengths,
            ),
            "features": feature_columns.features_in(
                parquet.read(columns=[name for name in names if feature_columns.is_feature_column(name)]),
                header,
                starts,
                {"entries": slate_lengths, "events": event_lengths},
            ),
            "labels": label_columns.labels_in(
                parquet.read(columns=[name for name in names if label_columns.is_label_column(name)]), slate_lengths
            ),
        }


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Name the file in what goes wrong while it is read."""
    try:
        yield
    except MemoryError as error:
        # Arrow's own is one of its exceptions too, and says nothing of the file.
        raise MemoryError(f"not enough memory to read {path}: {error}") from error
    except SessionsError as error:
        message = str(error)
        raise SessionsError(message if message.startswith(str(path)) else f"{path}: {message}") from error
    # Arrow's errors quote what they find, and fail at that where it is no text.
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SessionsError(f"{path} is not a readable Parquet file: {error}") from error


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, opened once: one that is replaced meanwhile is read as it was."""
    with path.open("rb") as file:
        # Catalogues of millions of names pass the reader's limit for texts in the metadata, which is 100 MB; none
        # can be larger than its file.
        limit = min(max(os.fstat(file.fileno()).st_size, 100_000_000), 2**31 - 1)
        with pq.ParquetFile(
            file, page_checksum_verification=True, thrift_string_size_limit=limit, buffer_size=_BUFFER
        ) as parquet:
            yield parquet


def _header(path: Path, metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
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


def _checked_names(schema: Any) -> list[str]:
    """The names of the columns; refuses missing, unknown and repeated ones."""
    try:
        names: list[str] = schema.names
    except UnicodeDecodeError as error:
        raise SessionsError(f"a column's name is not UTF-8: {error}") from error
    for name in _REQUIRED:
        if names.count(name) != 1:
            raise SessionsError(f"there must be one column {name!r}, among {names}")
    for name in names:
        known = name in _REQUIRED or name in _OPTIONAL
        known |= feature_columns.is_feature_column(name) or label_columns.is_label_column(name)
        if not known or names.count(name) > 1:
            raise SessionsError(f"sessions have no column {name!r}, or not twice")
    return names


def _pieces(parquet: Any, name: str) -> Iterator[Any]:
    """A column some rows at a time, as Arrow arrays without empty cells."""
    empty_cells = rows = 0
    for batch in parquet.iter_batches(batch_size=_ROWS, columns=[name]):
        if batch.num_columns != 1:
            raise SessionsError(f"there must be one column {name!r}, among {batch.schema.names}")
        column = batch.column(0)
        rows += len(column)
        empty_cells += column.null_count
        if not empty_cells:
            yield column
    if empty_cells:
        raise SessionsError(f"column {name!r} has {empty_cells} empty cells")
    if rows != parquet.metadata.num_rows:
        raise SessionsError(f"column {name!r} has {rows} rows, the file {parquet.metadata.num_rows}")


class _Column:
    """An array that grows: the system moves large ones without copying them, so that they take their space once.

    Args:
        kind: Arrow type of the values.
    """

    def __init__(self, kind: Any) -> None:
        empty: NDArray[Any] = pa.chunked_array([], type=kind).to_numpy()
        self._array, self._length = np.empty(0, dtype=empty.dtype), 0

    def append(self, piece: NDArray[Any]) -> None:
        """Put values behind those that are there."""
        end = self._length + len(piece)
        if end > len(self._array):
            self._array.resize(max(end, len(self._array) * 9 // 8), refcheck=False)
        self._array[self._length : end] = piece
        self._length = end

    def finished(self) -> NDArray[Any]:
        """All values, read-only."""
        self._array.resize(self._length, refcheck=False)
        self._array.setflags(write=False)
        return self._array


def _numbers(parquet: Any, name: str) -> NDArray[Any]:
    column = _Column(parquet.schema_arrow.field(name).type)
    for piece in _pieces(parquet, name):
        column.append(piece.to_numpy(zero_copy_only=False))
    return column.finished()


def _session_starts(parquet: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Session number of each row, and the first row of each session."""
    session = _numbers(parquet, "session")
    if len(session) and not np.issubdtype(session.dtype, np.integer):
        raise SessionsError(f"column 'session' must be integers, got {session.dtype}")
    steps = np.diff(session, prepend=-1)
    wrong = np.flatnonzero((steps < 0) | (steps > 1) | (session < 0))
    if len(wrong):
        raise SessionsError(
            f"column 'session' must number the sessions 0, 1, 2, ... in order, row {wrong[0]} has {session[wrong[0]]}"
        )
    return session, np.flatnonzero(steps)


def _of_sessions(parquet: Any, name: str, session: NDArray[Any], starts: NDArray[np.int64]) -> NDArray[Any]:
    """A column that is the same in all rows of a session, one value a session."""
    values = _numbers(parquet, name)
    wrong = np.flatnonzero(values != values[starts][session]) if len(values) else starts
    if len(wrong):
        raise SessionsError(f"column {name!r} must be the same in all rows of a session, row {wrong[0]} differs")
    return values[starts]


def _ragged(parquet: Any, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Lengths and values of a column of lists."""
    kind = parquet.schema_arrow.field(name).type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not pa.types.is_integer(kind.value_type):
        raise SessionsError(f"column {name!r} must hold lists of integers, got {kind}")
    lengths, values, empty_cells = _Column(pa.int64()), _Column(kind.value_type), 0
    for piece in _pieces(parquet, name):
        flat = piece.flatten()
        empty_cells += flat.null_count
        if not empty_cells:
            lengths.append(piece.value_lengths().to_numpy(zero_copy_only=False))
            values.append(flat.to_numpy(zero_copy_only=False))
    if empty_cells:
        raise SessionsError(f"column {name!r} has {empty_cells} empty cells")
    return lengths.finished(), values.finished()
