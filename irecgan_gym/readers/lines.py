"""Rows of text files with their line numbers, through gzip where the name says so."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from irecgan_gym.readers.report import Place, ReaderError, ReadReport


class Row(NamedTuple):
    """One row of a separated file.

    Attributes:
        place: where it stands; the last line of a row that spans several.
        cells: its texts.
    """

    place: Place
    cells: list[str]


def read_rows(path: Path, delimiter: str) -> Iterator[Row]:
    """All rows of a CSV file, blank lines left out (quotes as in RFC 4180).

    Args:
        path: the file; decompressed if its name ends in ``.gz``.
        delimiter: between cells.

    Raises:
        FileNotFoundError: there is no such file.
        ReaderError: nothing in it, a truncated or broken gzip file, bytes that are not UTF-8, or an oversized cell.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    empty = True
    with _open(path) as file:
        reader = csv.reader(_decoded(path, file), delimiter=delimiter)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                raise ReaderError(
                    f"{Place(path.name, reader.line_num)}: not a row of separated cells: {error}"
                ) from error
            if cells:
                empty = False
                yield Row(Place(path.name, reader.line_num), cells)
    if empty:
        raise ReaderError(f"{path.name} is empty")


def read_table(path: Path, delimiter: str, columns: tuple[str, ...], report: ReadReport) -> Iterator[Row]:
    """Rows of a CSV file with a header, cut down to some columns.

    Rows with another number of cells than the header are malformed.

    Args:
        path: the file.
        delimiter: between cells.
        columns: names, in the order in which the cells of each row are given.
        report: counts every row.

    Raises:
        ReaderError: as :func:`read_rows`, or a column is missing.
    """
    rows = read_rows(path, delimiter)
    header = next(rows)
    names = [name.strip().removeprefix("\ufeff") for name in header.cells]
    missing = [name for name in columns if name not in names]
    if missing:
        raise ReaderError(f"{header.place}: column {missing[0]!r} is missing, the header has {names}")
    places = [names.index(name) for name in columns]
    for row in rows:
        report.rows_read += 1
        if len(row.cells) != len(names):
            report.malformed(row.place, "wrong number of cells", f"got {len(row.cells)}, the header has {len(names)}")
            continue
        yield Row(row.place, [row.cells[place] for place in places])


def _open(path: Path) -> gzip.GzipFile | IO[bytes]:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _decoded(path: Path, file: gzip.GzipFile | IO[bytes]) -> Iterator[str]:
    """Lines as text; each line is decoded alone, so that an error can name it."""
    number = 0
    while True:
        try:
            line = file.readline()
        except EOFError as error:
            raise ReaderError(f"{Place(path.name, number + 1)}: the gzip file ends in the middle") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise ReaderError(f"{Place(path.name, number + 1)}: not a sound gzip file: {error}") from error
        if not line:
            return
        number += 1
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            byte = line[error.start]
            raise ReaderError(
                f"{Place(path.name, number)}: byte 0x{byte:02x} at {error.start} is not UTF-8, which was expected"
            ) from error
