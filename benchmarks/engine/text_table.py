"""Tables of text for people: on the console, in Markdown, and in pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pandas import DataFrame
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class TextTable:
    """A table of text.

    Attributes:
        caption: sentence that says what the table shows.
        frame: cells, all of them text; the first column names the rows.
        note: further sentences that a reader must know.
    """

    caption: str
    frame: DataFrame
    note: str = ""

    @property
    def headings(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(map(str, self.frame.columns))

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """Cells, row by row."""
        return list(self.frame.itertuples(index=False, name=None))

    def markdown(self) -> str:
        """Return the cells in Markdown."""
        lines = [self.headings, ["---"] * len(self.headings), *self.rows]
        return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n" for cells in lines)

    def section(self) -> str:
        """Return caption, cells and note in Markdown."""
        parts = [f"**{self.caption}**", self.markdown().rstrip("\n"), self.note]
        return "\n\n".join(part for part in parts if part)

    def print(self, console: Console) -> None:
        """Print the table, in as many parts below each other as the width of the console asks for."""
        console.print()
        console.print(self.caption, style="italic", markup=False, highlight=False)
        widths = self._widths()
        for columns in self._parts(widths, console.width):
            table = Table(pad_edge=False)
            for place, column in enumerate(columns):
                words = column == 0 or not any(row[column][-1:].isdigit() for row in self.rows)
                # Only text is broken over lines, never a number.
                table.add_column(
                    self.headings[column],
                    justify="left" if words else "right",
                    no_wrap=place == 0,
                    min_width=min(widths[column] - 3, console.width // 3),
                )
            for row in self.rows:
                table.add_row(*(row[column] for column in columns))
            console.print(table, markup=False, highlight=False)
        if self.note:
            console.print(self.note, style="italic", markup=False, highlight=False)

    def _widths(self) -> list[int]:
        """Return the width that each column needs with its borders, when only headings are broken over lines."""
        return [
            max(
                *(len(word) for word in heading.split() or [""]),
                *(len(row[column]) for row in self.rows),
                1,
            )
            + 3
            for column, heading in enumerate(self.headings)
        ]

    @staticmethod
    def _parts(widths: Sequence[int], width: int) -> list[list[int]]:
        """Return the columns of each part; the first column, which names the rows, stands in all of them."""
        parts: list[list[int]] = []
        for column in range(1, len(widths)):
            if not parts or sum(widths[shown] for shown in parts[-1]) + widths[column] > width:
                parts.append([0])
            parts[-1].append(column)
        return parts or [[0]]


def text_table(caption: str, headings: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> TextTable:
    """Return a table made of rows of text."""
    return TextTable(caption, DataFrame([list(row) for row in rows], columns=list(headings), dtype=object), note)
