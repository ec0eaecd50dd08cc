"""Separated text in batches: what is plain by Arrow's parser, the rest line by line, with the same result."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
from numpy.typing import NDArray

from irecgan_gym.readers.byte_source import ByteSource
from irecgan_gym.readers.lines import Lines
from irecgan_gym.readers.report import Place, ReaderError
from irecgan_gym.readers.row_batch import MalformedRow, RowBatch

_LARGE_BLOCK = 1 << 23
_SMALL_BLOCK = 1 << 14
_NEWLINE, _RETURN, _QUOTE = 10, 13, 34


class DelimitedTable:
    """CSV and its relatives, of any delimiter, encoding and compression.

    Args:
        path: the file.
        delimiter: between cells, one character.
        encoding: of the text.
        header: names of the columns where the file does not begin with them.
        quotes: whether cells may be quoted, as in RFC 4180.
        name: under which places are told; that of the file when empty.

    Attributes:
        name: of the file.
        names: of its columns.
        header_place: where they stand.

    Raises:
        FileNotFoundError: there is no such file.
        ReaderError: nothing in it, or a header that cannot be read.
    """

    unit = "line"

    def __init__(
        self,
        path: Path,
        delimiter: str = ",",
        encoding: str = "utf-8",
        header: Sequence[str] | None = None,
        quotes: bool = True,
        name: str = "",
    ) -> None:
        self.name, self._delimiter, self._quotes = name or path.name, delimiter, quotes
        self._malformed: list[MalformedRow] = []
        self.rows_read = 0
        self._source = ByteSource(path, encoding)
        self._lines = Lines(self.name, self._source, self, header=header is None)
        try:
            if header is None:
                first = next(self._lines.rows(delimiter, quotes), None)
                if first is None:
                    raise ReaderError(f"{self.name} is empty")
                self.names = [name.strip() for name in first.cells]
                self.header_place = str(first.place)
            else:
                self.names, self.header_place = list(header), self.name
        except BaseException:
            self._source.close()
            raise

    def malformed(self, place: Place, reason: str, detail: str) -> None:
        """Keep a line that cannot be read for the batch in which it stands."""
        self._malformed.append(MalformedRow(place, reason, detail))

    def batches(self, columns: Sequence[str]) -> Iterator[RowBatch]:
        """Yield all rows behind the header, once.

        Args:
            columns: names of those wanted; text, null where a cell is empty.

        Raises:
            ReaderError: the file is damaged.
        """
        places = [self.names.index(name) for name in columns]
        size = _LARGE_BLOCK
        try:
            while block := self._block(size):
                batch = self._parsed(block, columns, places)
                if batch is None and len(block) > _SMALL_BLOCK:
                    # Most of what follows may be plain: smaller pieces find out where it is not.
                    self._source.put_back(len(block))
                    size = max(_SMALL_BLOCK, len(block) // 8)
                    continue
                if batch is None:
                    self._source.put_back(len(block))
                    batch = self._line_by_line(len(block), columns, places)
                yield batch
                size = min(2 * size, _LARGE_BLOCK)
            # The end, or what stands in place of it.
            yield self._line_by_line(1, columns, places)
        finally:
            self._source.close()

    def _block(self, size: int) -> bytes:
        try:
            return self._source.block(size)
        except (EOFError, ReaderError):
            return b""  # It happens again, and is told, when the lines are read one by one.

    def _parsed(self, block: bytes, columns: Sequence[str], places: Sequence[int]) -> RowBatch | None:
        """The rows of a block, or None where they are not plain enough to be sure of them."""
        if not self._delimiter.isascii() or b"\0" in block:
            return None
        if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
            return None
        if self._lines.count == 0 and block.startswith(codecs.BOM_UTF8):
            return None
        data = np.frombuffer(block, dtype=np.uint8)
        ends = np.flatnonzero(data == _NEWLINE)
        if data[-1] != _NEWLINE:
            ends = np.append(ends, len(data))
        starts = np.append(0, ends[:-1] + 1)
        lengths = ends - starts
        if lengths.max() > csv.field_size_limit():
            return None
        blank = (lengths == 0) | ((lengths == 1) & (data[starts.clip(max=len(data) - 1)] == _RETURN))
        if not block.isascii():
            try:
                block.decode()
            except UnicodeDecodeError:
                return None
        quoted = self._quotes and b'"' in block
        if quoted and not self._quotes_are_plain(data):
            return None
        lines = self._lines.count + 1 + np.flatnonzero(~blank)
        wrong: list[Any] = []
        table = self._parse(block, quoted, wrong, places) if len(lines) else None
        if len(lines) and (table is None or table.num_rows + len(wrong) != len(lines)):
            return None
        self._lines.count += len(starts)
        malformed = [self._wrong_number(lines[row.number - 1], row.actual_columns) for row in wrong]
        numbers = np.delete(lines, [row.number - 1 for row in wrong])
        arrays = [pa.array([], pa.string()) if table is None else _one(table.column(str(place))) for place in places]
        batch = pa.RecordBatch.from_arrays(arrays, names=list(columns))
        return RowBatch(batch, self.name, numbers, "line", malformed=tuple(malformed))

    def _parse(self, block: bytes, quoted: bool, wrong: list[Any], places: Sequence[int]) -> Any:
        """An Arrow table, or None; rows of a wrong number of cells go into ``wrong``."""

        def skip(row: Any) -> str:
            wrong.append(row)
            return "skip"

        names = [str(number) for number in range(len(self.names))]
        text = pa.string()
        try:
            return pcsv.read_csv(
                pa.BufferReader(block),
                pcsv.ReadOptions(column_names=names, use_threads=False, block_size=len(block) + 1),
                pcsv.ParseOptions(
                    delimiter=self._delimiter, quote_char='"' if quoted else False, invalid_row_handler=skip
                ),
                pcsv.ConvertOptions(
                    check_utf8=False,
                    column_types=dict.fromkeys(names, text),
                    include_columns=[str(place) for place in dict.fromkeys(places)],
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            )
        except pa.ArrowException:
            return None

    def _quotes_are_plain(self, data: NDArray[np.uint8]) -> bool:
        """Tell whether every quote opens or closes a whole cell, or is one of a pair within a quoted cell."""
        quotes = np.flatnonzero(data == _QUOTE)
        if len(quotes) % 2:
            return False
        opening, closing = quotes[::2], quotes[1::2]
        before = data[opening - 1]
        after = data[np.minimum(closing + 1, len(data) - 1)]
        delimiter = ord(self._delimiter)
        opens = (opening == 0) | (before == delimiter) | (before == _NEWLINE) | (before == _QUOTE)
        ends = (after == delimiter) | (after == _NEWLINE) | (after == _RETURN) | (after == _QUOTE)
        return bool(opens.all() and (ends | (closing == len(data) - 1)).all())

    def _line_by_line(self, size: int, columns: Sequence[str], places: Sequence[int]) -> RowBatch:
        """The rows of the next ``size`` bytes, and of what a quote takes along behind them."""
        target = self._source.consumed + size
        found = []
        for row in self._lines.rows(self._delimiter, self._quotes):
            if len(row.cells) != len(self.names):
                self._malformed.append(self._wrong_number(row.place, len(row.cells)))
            else:
                found.append(row)
            if self._source.consumed >= target and self._lines.between_rows:
                break
        cells = [pa.array([row.cells[place] or None for row in found], pa.string()) for place in places]
        malformed, self._malformed = tuple(self._malformed), []
        return RowBatch(
            pa.RecordBatch.from_arrays(cells, names=list(columns)),
            self.name,
            np.array([row.place.number for row in found], dtype=np.int64),
            "line",
            np.array([row.place.last for row in found], dtype=np.int64),
            malformed,
        )

    def _wrong_number(self, place: Place | int, cells: int) -> MalformedRow:
        where = place if isinstance(place, Place) else Place(self.name, int(place), last=int(place))
        return MalformedRow(where, "wrong number of cells", f"got {cells}, the header has {len(self.names)}")


def _one(column: Any) -> Any:
    """A chunked array as one."""
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
