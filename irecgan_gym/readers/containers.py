"""Anything that holds rows, as row batches: files of many kinds, folders of them, data frames, Arrow, query results.

A container has the names of its columns, the way its rows are cited, and batches; a new kind is one class here, or a
line that says how it hands its rows out as Arrow.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from irecgan_gym.readers.report import ReaderError
from irecgan_gym.readers.row_batch import RowBatch
from irecgan_gym.readers.text_table import DelimitedTable
from irecgan_gym.sessions.parquet import OWN_KEY
from irecgan_gym.settings import checked_value, shown

_ROWS = 65_536
_PARQUET = (".parquet", ".pq", ".parq")
_IPC = (".arrow", ".feather", ".ipc")
_LONGEST = 1000
"""Characters of a list of names in a message."""
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class TextOptions:
    """The way text files are written.

    Attributes:
        delimiter: between cells, one character.
        encoding: of the text, as Python names it.
        header: names of the columns, where files do not begin with them.
        quotes: whether cells may be quoted.
    """

    delimiter: str = ","
    encoding: str = "utf-8"
    header: tuple[str, ...] | None = None
    quotes: bool = True

    def __post_init__(self) -> None:
        checked_value("delimiter", self.delimiter, str)
        if len(self.delimiter) != 1 or self.delimiter in '\r\n"':
            raise ValueError(f"delimiter must be one character between cells, got {shown(self.delimiter)}")


@runtime_checkable
class Container(Protocol):
    """Rows under named columns."""

    @property
    def names(self) -> list[str]:
        """Names of the columns."""

    @property
    def unit(self) -> str:
        """Unit that the places of rows are counted in."""

    @property
    def header_place(self) -> str:
        """Place of the names of the columns."""

    def batches(self, columns: Sequence[str]) -> Iterator[RowBatch]:
        """Yield all rows, cut down to some columns, once."""


def open_containers(source: Any, text: TextOptions) -> Iterator[Container]:
    """Yield what holds the rows of a source, part by part, each to be read before the next one is opened.

    Args:
        source: a file (separated text, Parquet or Arrow's own format), a folder of files, a pattern such as
            ``"logs/*.csv"``, several of these; a pandas or Polars data frame or anything else that hands its rows out
            as Arrow; an Arrow table, batch, reader or dataset; the cursor of a database in which a query has run; or
            a container itself.
        text: the way text files are written.

    Raises:
        FileNotFoundError: there is no such file, or no file in the folder or of the pattern.
        ReaderError: a file that cannot be read.
        TypeError: a source of none of these kinds.
    """
    if isinstance(source, (str, Path)):
        yield from _of_path(source, text)
    elif isinstance(source, (list, tuple)) and source and all(isinstance(part, (str, Path)) for part in source):
        for part in source:
            yield from _of_path(part, text)
    elif isinstance(source, Container):
        yield source
    else:
        yield from _of_object(source)


def source_name(source: Any) -> str:
    """Return what a source is called: the last part of a path, or the type of an object."""
    if isinstance(source, (str, Path)):
        return Path(source).name
    if isinstance(source, (list, tuple)):
        return ", ".join(source_name(part) for part in source)
    return type(source).__name__


def check_columns(container: Container, columns: Sequence[str]) -> None:
    """Check that each wanted column is there once.

    Raises:
        ReaderError: one is missing, or there more than once.
    """
    for name in columns:
        if container.names.count(name) != 1:
            state = "missing" if name not in container.names else "there more than once"
            there = repr(container.names)
            there = there if len(there) <= _LONGEST else f"{there[: _LONGEST - 3]}..."
            holder = "header" if container.unit == "line" else "file"
            raise ReaderError(f"{container.header_place}: column {name!r} is {state}, the {holder} has {there}")


def _of_path(source: str | Path, text: TextOptions) -> Iterator[Container]:
    path = Path(source)
    found: Iterable[Path]
    if path.is_file():
        yield _of_file(path, text, path.name)
        return
    if path.is_dir():
        root, found = path, path.rglob("*")
    elif glob.has_magic(str(source)):
        fixed = [*takewhile(lambda part: not glob.has_magic(part), path.parts)]
        root, found = Path(*fixed), map(Path, glob.glob(str(source), recursive=True))
    else:
        raise FileNotFoundError(f"no such file: {path}")
    files = sorted(file for file in found if file.is_file() and not _hidden(file.relative_to(root)))
    if not files:
        raise FileNotFoundError(f"no files to read in {source}")
    for file in files:
        if file.stat().st_size:  # Empty parts are common in folders that clusters write.
            place = file.relative_to(root)
            partition = dict(part.split("=", 1) for part in place.parts[:-1] if "=" in part)
            container = _of_file(file, text, place.as_posix())
            yield _Partitioned(container, partition) if partition else container


def _hidden(path: Path) -> bool:
    """Tell whether a file is none of the data: ``_SUCCESS``, ``.part-0.crc``, ``_delta_log``."""
    return any(part[0] in "._" and "=" not in part for part in path.parts)


def _of_file(path: Path, text: TextOptions, name: str) -> Container:
    with path.open("rb") as file:
        magic = file.read(6)
    if path.suffix in _PARQUET or magic[:4] == b"PAR1":
        return _ParquetFile(path, name)
    if path.suffix in _IPC or magic == b"ARROW1":
        return _of_ipc(path, name)
    return DelimitedTable(path, text.delimiter, text.encoding, text.header, text.quotes, name)


class _ParquetFile:
    """A Parquet file, row group by row group."""

    unit = "row"

    def __init__(self, path: Path, name: str) -> None:
        self.name = self.header_place = name
        try:
            self._file = pq.ParquetFile(path, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise ReaderError(f"{name} is not a readable Parquet file: {error}") from error
        self.names = list(self._file.schema_arrow.names)
        if OWN_KEY in (self._file.schema_arrow.metadata or {}):
            self._file.close()
            raise ReaderError(f"{name} holds sessions that Sessions.save wrote: load it with Sessions.load")

    def batches(self, columns: Sequence[str]) -> Iterator[RowBatch]:
        row = 1
        with self._file as file:
            try:
                for batch in file.iter_batches(batch_size=_ROWS, columns=list(dict.fromkeys(columns))):
                    yield _numbered(batch, columns, self.name, row)
                    row += batch.num_rows
            except (pa.ArrowException, OSError) as error:
                raise ReaderError(f"{self.name} is not a readable Parquet file: {error}") from error


@dataclass
class _Batches:
    """A stream of Arrow record batches."""

    name: str
    schema: Any
    stream: Iterator[Any]
    unit: str = "row"

    @property
    def names(self) -> list[str]:
        return list(self.schema.names)

    @property
    def header_place(self) -> str:
        return self.name

    def batches(self, columns: Sequence[str]) -> Iterator[RowBatch]:
        row = 1
        try:
            for batch in self.stream:
                for start in range(0, batch.num_rows, _ROWS):
                    piece = batch.slice(start, _ROWS)
                    yield _numbered(piece, columns, self.name, row)
                    row += piece.num_rows
        except (pa.ArrowException, OSError) as error:
            raise ReaderError(f"{self.name}: rows from {row} on cannot be read: {error}") from error


@dataclass
class _Partitioned:
    """A file whose folders name further columns, as Hive's and Spark's do: ``day=2026-01-31/part-0.parquet``."""

    inner: Container
    partition: Mapping[str, str]

    @property
    def unit(self) -> str:
        return self.inner.unit

    @property
    def header_place(self) -> str:
        return self.inner.header_place

    @property
    def names(self) -> list[str]:
        return [*self.inner.names, *(name for name in self.partition if name not in self.inner.names)]

    def batches(self, columns: Sequence[str]) -> Iterator[RowBatch]:
        inside = [name for name in columns if name in self.inner.names]
        for batch in self.inner.batches(inside):
            arrays = []
            for name in columns:
                if name in inside:
                    arrays.append(batch.cells.column(name))
                else:
                    value = self.partition[name]
                    value_or_null = pa.scalar(None if value == _HIVE_NULL else value, pa.string())
                    arrays.append(pa.repeat(value_or_null, len(batch)))
            yield replace(batch, cells=pa.RecordBatch.from_arrays(arrays, names=list(columns)))


def _numbered(batch: Any, columns: Sequence[str], name: str, first: int) -> RowBatch:
    cells = pa.RecordBatch.from_arrays([batch.column(column) for column in columns], names=list(columns))
    return RowBatch(cells, name, np.arange(first, first + batch.num_rows))


def _of_ipc(path: Path, name: str) -> Container:
    """A file of Arrow's own format, which is also called Feather."""
    try:
        reader = ipc.open_file(pa.memory_map(str(path)))
    except (pa.ArrowException, OSError) as error:
        raise ReaderError(f"{name} is not a readable Arrow file: {error}") from error
    return _Batches(name, reader.schema, (reader.get_batch(number) for number in range(reader.num_record_batches)))


def _of_object(source: Any) -> Iterator[Container]:
    pandas, dataset = sys.modules.get("pandas"), sys.modules.get("pyarrow.dataset")
    name = type(source).__name__
    if pandas is not None and isinstance(source, pandas.DataFrame):
        yield _of_pandas(source)
    elif dataset is not None and isinstance(source, dataset.Dataset):
        yield _Dataset(source)
    elif isinstance(source, pa.RecordBatch):
        yield _Batches(name, source.schema, iter([source]))
    elif isinstance(source, pa.Table):
        yield _Batches(name, source.schema, iter(source.to_batches(max_chunksize=_ROWS)))
    elif hasattr(source, "__arrow_c_stream__"):
        reader = pa.RecordBatchReader.from_stream(source)
        yield _Batches(name, reader.schema, iter(reader))
    elif hasattr(source, "fetch_record_batch"):
        reader = source.fetch_record_batch()
        yield _Batches(name, reader.schema, iter(reader))
    elif getattr(source, "description", None) and hasattr(source, "fetchmany"):
        yield _of_cursor(source)
    else:
        raise TypeError(
            "expected a path, a data frame, an Arrow table, reader or dataset, or a database cursor in which a query "
            f"has run, got {name}"
        )


def _of_pandas(frame: Any) -> Container:
    """A pandas data frame, converted piece by piece."""
    name = type(frame).__name__
    names = [str(column) for column in frame.columns]

    def pieces() -> Iterator[Any]:
        for start in range(0, len(frame), _ROWS):
            piece = frame.iloc[start : start + _ROWS]
            yield pa.RecordBatch.from_arrays(
                [_of_series(piece.iloc[:, number]) for number in range(len(names))], names=names
            )

    return _Batches(name, pa.schema([(column, pa.null()) for column in names]), pieces())


def _of_series(series: Any) -> Any:
    """One column; as text where it holds values of several types."""
    try:
        array = pa.Array.from_pandas(series)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        array = pa.array([None if value != value or value is None else str(value) for value in series], pa.string())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


class _Dataset:
    """An Arrow dataset, file by file; of one with a filter, the rows that pass it are counted."""

    unit = "row"

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self.header_place = type(dataset).__name__
        self.names = list(dataset.schema.names)

    def batches(self, columns: Sequence[str]) -> Iterator[RowBatch]:
        rows: dict[str, int] = {}
        wanted = list(dict.fromkeys(columns))
        scanner = self._dataset.scanner(
            columns=wanted, batch_size=_ROWS, batch_readahead=2, fragment_readahead=1, use_threads=False
        )
        try:
            for tagged in scanner.scan_batches():
                file = getattr(tagged.fragment, "path", self.header_place)
                first = rows.get(file, 1)
                rows[file] = first + tagged.record_batch.num_rows
                yield _numbered(tagged.record_batch, columns, self._place(file), first)
        except (pa.ArrowException, OSError) as error:
            raise ReaderError(f"{self.header_place} cannot be read: {error}") from error

    def _place(self, file: str) -> str:
        """A file's name, with the folders that tell it from others."""
        files = getattr(self._dataset, "files", [file])
        return os.path.relpath(file, os.path.commonpath([os.path.dirname(name) for name in files]))


def _of_cursor(cursor: Any) -> Container:
    """The rows of a query, from a cursor as in PEP 249."""
    names = [column[0] for column in cursor.description]

    def pieces() -> Iterator[Any]:
        while rows := cursor.fetchmany(_ROWS):
            yield pa.RecordBatch.from_arrays([_of_values(column) for column in zip(*rows, strict=True)], names=names)

    return _Batches(type(cursor).__name__, pa.schema([(name, pa.null()) for name in names]), pieces())


def _of_values(values: Sequence[Any]) -> Any:
    """One column of Python's values; as text where they are of several types."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())
