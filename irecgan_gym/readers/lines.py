"""Rows of text files with their line numbers, one by one, as RFC 4180 has them."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, Protocol

from irecgan_gym.readers.byte_source import ByteSource, DamagedFileError
from irecgan_gym.readers.report import Place, ReaderError, ReadReport


class LineAccount(Protocol):
    """Takes note of rows: a :class:`~irecgan_gym.readers.report.ReadReport`, or something that keeps them for one."""

    rows_read: int

    def malformed(self, place: Place, reason: str, detail: str) -> None:
        """Take note of a row that is not what the format promises."""


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

    Lines that are not UTF-8, rows whose quotes do not close, and the unfinished end of a truncated file are
    malformed rows. After a row that cannot be parsed, reading goes on with the very next line, so that one stray quote
    does not take the lines behind it along.

    Args:
        path: the file; decompressed where it is (see :class:`~irecgan_gym.readers.byte_source.ByteSource`).
        delimiter: between cells, one character.
        report: counts every row but the header.
        header: whether the first row is a header; nothing can be read without it, so it is never skipped.
        quotes: whether cells may be quoted, as in RFC 4180.

    Raises:
        FileNotFoundError: there is no such file.
        ReaderError: nothing in it, a damaged file, or a row that is malformed and may not be skipped.
    """
    empty, rows_before = True, report.rows_read
    with closing(ByteSource(path)) as source:
        lines = Lines(path.name, source, report, header)
        for row in lines.rows(delimiter, quotes):
            report.rows_read += not (header and empty)
            empty = False
            yield row
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


class Lines:
    """Lines as text, decoded one by one so that an error can name its line; those of the current row are kept.

    Args:
        name: of the file.
        source: its bytes.
        account: counts the lines that cannot be read.
        header: whether the first row is a header.

    Attributes:
        in_header: whether the row being read is the header.
        count: lines read so far.
    """

    def __init__(self, name: str, source: ByteSource, account: LineAccount, header: bool) -> None:
        self._name, self._source, self._account = name, source, account
        self._row: list[tuple[int, str]] = []
        self._again: deque[tuple[int, str]] = deque()
        self._ended = False
        self.count = 0
        self.in_header = header

    def rows(self, delimiter: str, quotes: bool) -> Iterator[TextRow]:
        """Yield the rows of separated cells from the next line on, blank lines left out.

        Args:
            delimiter: between cells.
            quotes: whether cells may be quoted.
        """
        if quotes:
            reader = csv.reader(self, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL, strict=True)
        else:
            reader = csv.reader(self, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
        while True:
            self._row.clear()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                self._bad_row("not a row of separated cells", str(error))
                continue
            if cells:
                self.in_header = False
                first, last = self._row[0][0], self._row[-1][0]
                yield TextRow(Place(self._name, first, last=last), cells)

    @property
    def between_rows(self) -> bool:
        """Tell whether no line waits to be read again."""
        return not self._again

    @property
    def _next_place(self) -> Place:
        return Place(self._name, self.count + 1)

    def _bad_row(self, reason: str, detail: str) -> None:
        """The current row cannot be parsed: its first line is lost, the others are read again as rows of their own."""
        first, *others = self._row
        self._again.extendleft(reversed(others))
        self._malformed(Place(self._name, first[0]), reason, detail)

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._read()
        self._row.append(line)
        return line[1]

    def _read(self) -> tuple[int, str]:
        """The next line that can be decoded."""
        while not self._ended:
            try:
                line = self._source.readline()
            except EOFError:
                self._ended = True
                kind = self._source.compression
                self._malformed(
                    self._next_place, "truncated file", f"the {kind} file ends in the middle, the rest is missing"
                )
                break
            except DamagedFileError as error:
                # Check sums cover the whole file: no row of it can be trusted, so this is never skipped.
                raise ReaderError(f"{self._next_place}: {error}") from error
            if not line:
                break
            self.count += 1
            try:
                # Only the first line may start with a byte order mark.
                return self.count, line.decode("utf-8-sig" if self.count == 1 else "utf-8")
            except UnicodeDecodeError as error:
                byte = error.object[error.start]
                detail = f"byte 0x{byte:02x} at {error.start} is not {self._source.encoding}, which was expected"
                self._malformed(Place(self._name, self.count), "bad encoding", detail)
        raise StopIteration

    def _malformed(self, place: Place, reason: str, detail: str) -> None:
        if self.in_header:
            raise ReaderError(f"{place}: {reason}: {detail} (no header, nothing can be read without it)")
        self._account.rows_read += 1
        self._account.malformed(place, reason, detail)
