"""Rows on disk in buckets, all those of a session in one: logs larger than memory are read bucket by bucket."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
from numpy.typing import NDArray

from irecgan_gym.readers.arrow_cells import names_of, without_views
from irecgan_gym.readers.row_batch import RowBatch

_ROWS = 65_536
_FILE, _NUMBER, _LAST = "\0file", "\0number", "\0last"
"""Columns that tell where a row stood; names that no log has."""


@dataclass(frozen=True)
class Bucket:
    """The rows of some sessions, in the order in which they came: a container to read.

    Attributes:
        name: of the log.
        unit: that the places of rows are counted in.
        names: of the columns.
        pieces: of the rows, in their order, each as the Arrow stream whose next batch it is: rows of different types
            are in different ones.
        files: names of the files in which the rows stood.
    """

    name: str
    unit: str
    names: list[str]
    pieces: list[Path]
    files: list[str]

    @property
    def header_place(self) -> str:
        """Place of the names of the columns."""
        return self.name

    def batches(self, columns: Sequence[str]) -> Iterator[RowBatch]:
        """Yield all rows, cut down to some columns."""
        with ExitStack() as stack:
            files = {path: stack.enter_context(pa.memory_map(str(path))) for path in dict.fromkeys(self.pieces)}
            streams = {path: ipc.open_stream(file) for path, file in files.items()}
            for path, pieces in groupby(self.pieces):
                waiting: list[Any] = []
                for _ in pieces:
                    waiting.append(streams[path].read_next_batch())
                    if sum(map(len, waiting)) >= _ROWS:
                        yield from self._as_one(waiting, columns)
                        waiting = []
                yield from self._as_one(waiting, columns)

    def _as_one(self, batches: list[Any], columns: Sequence[str]) -> Iterator[RowBatch]:
        """Batches of one stream, put together: many small ones take long to read."""
        for batch in pa.Table.from_batches(batches).combine_chunks().to_batches() if batches else ():
            yield from self._of_each_file(batch, columns)

    def _of_each_file(self, batch: Any, columns: Sequence[str]) -> Iterator[RowBatch]:
        file, number, last = (batch.column(name).to_numpy() for name in (_FILE, _NUMBER, _LAST))
        cells = batch.select(list(columns))
        borders = np.flatnonzero(np.diff(file)) + 1
        for start, end in zip([0, *borders.tolist()], [*borders.tolist(), len(file)], strict=True):
            rows = slice(start, end)
            lasts = last[rows] if last[rows].any() else None
            yield RowBatch(
                cells.slice(start, end - start), self.files[int(file[start])], number[rows], self.unit, lasts
            )


class SessionBuckets:
    """Files by session, for rows that come in any order; a context that closes them.

    A session's bucket follows from its name, so that all its rows are in one whatever part of a log they stand in.
    Rows without a session are in any.

    Args:
        folder: for the files.
        number: of buckets.
        name: of the log.
    """

    def __init__(self, folder: Path, number: int, name: str) -> None:
        self._folder, self._number, self._name = folder, number, name
        self._files: dict[str, int] = {}
        self._names: list[str] = []
        self._unit = "row"
        self._streams: dict[tuple[int, str], tuple[Path, Any]] = {}
        self._pieces: dict[int, list[Path]] = {}

    def __enter__(self) -> SessionBuckets:
        """Return the buckets, to be filled."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the files, after which they can be read."""
        for _, stream in self._streams.values():
            stream.close()

    def add(self, batch: RowBatch, session: str, null_values: Sequence[str]) -> None:
        """Add the rows of a batch.

        Args:
            batch: the rows.
            session: name of the column of sessions.
            null_values: texts that say that there is none.
        """
        self._unit, self._names = batch.unit, list(batch.cells.schema.names)
        if not len(batch):
            return
        bucket = self._buckets_of(names_of(batch.cells.column(session), tuple(null_values)))
        file = self._files.setdefault(batch.file, len(self._files))
        last = np.zeros(len(batch), dtype=np.int64) if batch.last is None else batch.last
        told = {_FILE: np.full(len(batch), file), _NUMBER: batch.numbers, _LAST: last}
        columns = dict(zip(self._names, map(without_views, batch.cells.columns), strict=True))
        columns |= {name: pa.array(values, pa.int64()) for name, values in told.items()}
        order = np.argsort(bucket, kind="stable")
        sorted_rows = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns)).take(pa.array(order))
        starts = np.searchsorted(bucket[order], np.arange(self._number + 1))
        for number in np.flatnonzero(np.diff(starts)).tolist():
            path, stream = self._stream(number, sorted_rows.schema)
            stream.write_batch(sorted_rows.slice(starts[number], starts[number + 1] - starts[number]))
            self._pieces.setdefault(number, []).append(path)

    def _buckets_of(self, sessions: Any) -> NDArray[np.int64]:
        """The bucket of each row."""
        hashes = [zlib.crc32(name.encode()) for name in sessions.names.to_pylist()]
        buckets: NDArray[np.int64] = np.array([*hashes, 0], dtype=np.int64)[sessions.codes] % self._number
        return buckets

    def _stream(self, bucket: int, schema: Any) -> tuple[Path, Any]:
        key = bucket, str(schema)
        if key not in self._streams:
            path = self._folder / f"{len(self._streams)}.arrows"
            options = ipc.IpcWriteOptions(compression="lz4" if pa.Codec.is_available("lz4") else None)
            self._streams[key] = path, ipc.new_stream(str(path), schema, options=options)
        return self._streams[key]

    def __iter__(self) -> Iterator[Bucket]:
        """Return those that hold rows, one after the other."""
        files = list(self._files)
        for number in sorted(self._pieces):
            yield Bucket(self._name, self._unit, self._names, self._pieces[number], files)
