"""Rows of text files with their line numbers, through gzip where the file is compressed."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from irecgan_gym.readers.report import Place, ReaderError, ReadReport

_GZIP_MAGIC = b"\x1f\x8b"


class TextRow(NamedTuple):
    """One row of a separated file.

    Attributes:
        place: where it stands.
        cells: its texts.
    """

    place: Place
    cells: list[str]


def whole_number(text: str) -> int | None:
    """The number that a cell of plain digits holds (of 18 digits at most, so that it fits 64 bits), else None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def read_rows(
    path: Path, delimiter: str, report: ReadReport, *, header: bool = False, quotes: bool = True
) -> Iterator[TextRow]:
    """All rows of a separated file, blank lines left out.

    Lines that are not UTF-8, rows whose quotes do not close, and the unfinished end of a truncated gzip file are
    malformed rows. After a row that cannot be parsed, reading goes on with the very next line, so that one stray quote
    does not take the lines behind it along.

    Args:
        path: the file; decompressed if its name ends in ``.gz`` or its first bytes are those of gzip.
        delimiter: between cells, one character.
        report: counts every row but the header.
        header: whether the first row is a header; nothing can be read without it, so it is never skipped.
        quotes: whether cells may be quoted, as in RFC 4180.

    Raises:
        FileNotFoundError: there is no such file.
        ReaderError: nothing in it, a broken gzip file, or a row that is malformed and may not be skipped.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    empty, rows_before = True, report.rows_read
    with _open(path) as file:
        lines = _Lines(path, file, report, header)
        reader = csv.reader(
            lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE, strict=True
        )
        while True:
            lines.start_row()
            try:
                cells = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                lines.bad_row("not a row of separated cells", str(error))
                continue
            if not cells:
                continue
            report.rows_read += not lines.in_header
            lines.in_header = empty = False
            yield TextRow(lines.place, cells)
    if empty and report.rows_read == rows_before:
        raise ReaderError(f"{path.name} is empty")


def read_table(path: Path, delimiter: str, columns: tuple[str, ...], report: ReadReport) -> Iterator[TextRow]:
    """Rows of a CSV file with a header, cut down to some columns.

    Rows with another number of cells than the header are malformed.

    Args:
        path: the file.
        delimiter: between cells.
        columns: names, in the order in which the cells of each row are given.
        report: counts every row, and takes note of the columns that are not wanted.

    Raises:
        ReaderError: as :func:`read_rows`, or a column is missing or there twice.
    """
    rows = read_rows(path, delimiter, report, header=True)
    header = next(rows)
    names = [name.strip() for name in header.cells]
    for name in columns:
        if names.count(name) != 1:
            state = "missing" if name not in names else "there more than once"
            raise ReaderError(f"{header.place}: column {name!r} is {state}, the header has {names}")
    report.columns_not_used = tuple(name for name in names if name not in columns)
    places = [names.index(name) for name in columns]
    for row in rows:
        if len(row.cells) != len(names):
            report.malformed(row.place, "wrong number of cells", f"got {len(row.cells)}, the header has {len(names)}")
            continue
        yield TextRow(row.place, [row.cells[place] for place in places])


def _open(path: Path) -> gzip.GzipFile | IO[bytes]:
    file = path.open("rb")
    if path.suffix == ".gz" or file.peek(2)[:2] == _GZIP_MAGIC:
        file.close()
        return gzip.open(path)
    return file


class _Lines:
    """Lines as text, decoded one by one so that an error can name its line; those of the current row are kept.

    Attributes:
        in_header: whether the row being read is the header.
    """

    def __init__(self, path: Path, file: gzip.GzipFile | IO[bytes], report: ReadReport, header: bool) -> None:
        self._name, self._readline, self._report = path.name, file.readline, report
        self._row: list[tuple[int, str]] = []
        self._again: deque[tuple[int, str]] = deque()
        self._lines_read = 0
        self._ended = False
        self.in_header = header

    def start_row(self) -> None:
        """The next line starts a row."""
        self._row.clear()

    @property
    def place(self) -> Place:
        """Lines of the current row."""
        return Place(self._name, self._row[0][0], last=self._row[-1][0])

    @property
    def _next_place(self) -> Place:
        return Place(self._name, self._lines_read + 1)

    def bad_row(self, reason: str, detail: str) -> None:
        """The current row cannot be parsed: its first line is lost, the others are read again as rows of their own."""
        first, *others = self._row
        self._again.extendleft(reversed(others))
        self._malformed(Place(self._name, first[0]), reason, detail)

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._read()
        self._row.append(line)
        return line[1]

    def _read(self) -> tuple[int, str]:
        """The next line that can be decoded."""
        while not self._ended:
            try:
                line = self._readline()
            except EOFError:
                self._ended = True
                self._malformed(
                    self._next_place, "truncated file", "the gzip file ends in the middle, the rest is missing"
                )
                break
            except (gzip.BadGzipFile, zlib.error) as error:
                # The check sum covers the whole file: no row of it can be trusted, so this is never skipped.
                raise ReaderError(f"{self._next_place}: not a sound gzip file: {error}") from error
            if not line:
                break
            self._lines_read += 1
            try:
                # Only the first line may start with a byte order mark.
                return self._lines_read, line.decode("utf-8-sig" if self._lines_read == 1 else "utf-8")
            except UnicodeDecodeError as error:
                byte = error.object[error.start]
                detail = f"byte 0x{byte:02x} at {error.start} is not UTF-8, which was expected"
                self._malformed(Place(self._name, self._lines_read), "bad encoding", detail)
        raise StopIteration

    def _malformed(self, place: Place, reason: str, detail: str) -> None:
        if self.in_header:
            raise ReaderError(f"{place}: {reason}: {detail} (no header, nothing can be read without it)")
        self._report.rows_read += 1
        self._report.malformed(place, reason, detail)
