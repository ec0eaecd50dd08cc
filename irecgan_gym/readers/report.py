"""What a reader read, what it did not, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from irecgan_gym.sessions import Sessions

OnError = Literal["raise", "skip"]
_PLACES_SHOWN = 3


class ReaderError(ValueError):
    """A row that cannot be read, or a file that cannot; the message names file, line, value and what was expected."""


class Place(NamedTuple):
    """Where a row is.

    Attributes:
        file: name of the file.
        number: of the line or row, from 1.
        unit: what is counted.
        last: the last line of a row that spans several; 0 for one that does not.
    """

    file: str
    number: int
    unit: str = "line"
    last: int = 0

    def __str__(self) -> str:
        if self.last > self.number:
            return f"{self.file}, {self.unit}s {self.number} to {self.last}"
        return f"{self.file}, {self.unit} {self.number}"


@dataclass
class _Count:
    """Rows of one reason, and what is shown of the first few of them."""

    rows: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, rows: int, examples: Iterable[str]) -> None:
        self.rows += rows
        for example in examples:
            if len(self.examples) == _PLACES_SHOWN:
                break
            self.examples.append(example)


class ReadReport:
    """Accounts for every row of the input: it is in the sessions, or counted under the reason why not.

    Args:
        on_error: what a malformed row does: ``"raise"`` ends the reading, ``"skip"`` counts the row and goes on.
    """

    def __init__(self, on_error: OnError = "raise") -> None:
        if on_error not in ("raise", "skip"):
            raise ValueError(f"on_error must be 'raise' or 'skip', got {on_error!r}")
        self._on_error = on_error
        self.rows_read = 0
        self.rows_used = 0
        self._malformed: dict[str, _Count] = {}
        self._left_out: dict[str, _Count] = {}
        self.sessions_left_out: dict[str, int] = {}
        self.columns_not_used: tuple[str, ...] = ()
        self.notes: list[str] = []

    def malformed(self, place: Place, reason: str, detail: str) -> None:
        """A row that is not what the format promises.

        Args:
            place: of the row.
            reason: short, the same for all rows of its kind.
            detail: the value found, and what was expected.

        Raises:
            ReaderError: with ``on_error="raise"``.
        """
        if self._on_error == "raise":
            raise ReaderError(f"{place}: {reason}: {detail} (on_error='skip' leaves such rows out and counts them)")
        self._malformed.setdefault(reason, _Count()).add(1, [f"{place}: {detail}"])

    def left_out(self, reason: str, rows: int = 1, places: Iterable[Place] = ()) -> None:
        """Rows that are sound, but no part of the sessions asked for.

        Args:
            reason: short, the same for all rows of its kind.
            rows: how many.
            places: of the rows, in order; only the first few are kept.
        """
        if rows:
            self._left_out.setdefault(reason, _Count()).add(rows, map(str, places))

    def session_left_out(self, reason: str, sessions: int = 1) -> None:
        """Whole sessions that a filter left out (their rows are counted apart)."""
        if sessions:
            self.sessions_left_out[reason] = self.sessions_left_out.get(reason, 0) + sessions

    @property
    def malformed_rows(self) -> dict[str, int]:
        """Rows skipped, by reason."""
        return {reason: count.rows for reason, count in self._malformed.items()}

    @property
    def rows_left_out(self) -> dict[str, int]:
        """Sound rows left out, by reason."""
        return {reason: count.rows for reason, count in self._left_out.items()}

    @property
    def first_places(self) -> dict[str, tuple[str, ...]]:
        """The first few places of each reason, of malformed rows and of rows left out."""
        return {reason: tuple(count.examples) for reason, count in [*self._left_out.items(), *self._malformed.items()]}

    def check(self) -> None:
        """Every row is accounted for: a reader that loses one is wrong itself."""
        counted = self.rows_used + sum(self.malformed_rows.values()) + sum(self.rows_left_out.values())
        if counted != self.rows_read:
            raise AssertionError(f"{self.rows_read} rows were read, but {counted} are accounted for")

    def summary(self) -> str:
        """Everything that is not in the sessions, in one line."""
        parts = [f"{rows:,} left out: {reason}" for reason, rows in self.rows_left_out.items()]
        parts += [f"{rows:,} malformed: {reason}" for reason, rows in self.malformed_rows.items()]
        return f"{self.rows_read:,} rows read" + "".join(f"; {part}" for part in parts)

    def __str__(self) -> str:
        lines = [f"{self.rows_read:>12,}  rows read", f"{self.rows_used:>12,}  rows in the sessions"]
        for reason, count in self._left_out.items():
            lines.append(f"{count.rows:>12,}  rows left out: {reason}")
            if count.examples:
                lines.append(f"{'':>14}first: {'; '.join(count.examples)}")
        for reason, count in self._malformed.items():
            lines.append(f"{count.rows:>12,}  malformed rows skipped: {reason}")
            lines += [f"{'':>14}{example}" for example in count.examples]
            if count.rows > len(count.examples):
                lines.append(f"{'':>14}and {count.rows - len(count.examples):,} more")
        lines += [f"{number:>12,}  sessions left out: {reason}" for reason, number in self.sessions_left_out.items()]
        return "\n".join([*lines, *self.notes])


class ReadResult(NamedTuple):
    """Sessions, and the account of the rows that they were made of.

    Attributes:
        sessions: what was read.
        report: what was read and what was not, and why.
    """

    sessions: Sessions
    report: ReadReport


def length_reason(length: int, minimum: int, maximum: int, unit: str) -> str | None:
    """Why a session of this length is left out, or None if it is not."""
    if length < minimum:
        return f"sessions of fewer than {minimum} {unit}"
    if length > maximum:
        return f"sessions of more than {maximum} {unit}"
    return None
