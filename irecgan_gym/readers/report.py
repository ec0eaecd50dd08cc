"""Report of what a reader read, what it did not, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.checks import SessionsError
from irecgan_gym.settings import checked_value

OnError = Literal["repair", "skip", "raise"]
MAX_MALFORMED = 0.1
_PLACES_SHOWN = 3
_FEW_ROWS = 100
"""Of fewer rows, as many may be malformed as of these: a share of them says little."""


class ReaderError(ValueError):
    """A row that cannot be read, or a file that cannot; the message names file, line, value and what was expected."""


class Place(NamedTuple):
    """Place of a row.

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
        on_error: what happens where the log is not as it should be. ``"repair"``: quirks that can be put right are,
            and are counted; rows that are malformed are left out, and are counted too. ``"skip"``: rows with such
            quirks are malformed as well. ``"raise"``: the first malformed row ends the reading.
        max_malformed: share of the rows that may be malformed.
    """

    def __init__(self, on_error: OnError = "raise", max_malformed: float = MAX_MALFORMED) -> None:
        checked_value("on_error", on_error, OnError)
        if not 0 <= max_malformed <= 1:
            raise ValueError(f"max_malformed must be a share from 0 to 1, got {max_malformed}")
        self._on_error = on_error
        self._max_malformed = max_malformed
        self.rows_read = 0
        self.rows_used = 0
        self._malformed: dict[str, _Count] = {}
        self._left_out: dict[str, _Count] = {}
        self._repaired: dict[str, _Count] = {}
        self.sessions_left_out: dict[str, int] = {}
        self.columns_not_used: tuple[str, ...] = ()
        self._notes: dict[tuple[str, str], int | None] = {}

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
            raise ReaderError(f"{place}: {reason}: {detail} (on_error='repair' leaves such rows out and counts them)")
        self._malformed.setdefault(reason, _Count()).add(1, [f"{place}: {detail}"])

    @property
    def repairs(self) -> bool:
        """True where quirks are put right."""
        return self._on_error == "repair"

    def repaired(self, reason: str, number: int = 1, places: Iterable[Place | str] = ()) -> None:
        """Quirks of the log that were put right; their rows are part of the sessions.

        Args:
            reason: what was wrong and what was done, the same for all of a kind.
            number: how many.
            places: of them, in order; only the first few are kept.
        """
        if number:
            self._repaired.setdefault(reason, _Count()).add(number, map(str, places))

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

    def note(self, text: str, number: int | None = None, after: str = "") -> None:
        """Say something else of the log.

        Args:
            text: the whole of it, or what stands before a number.
            number: of what is meant; the same text with another number adds to it, and 0 of them are not worth a note.
            after: what stands behind the number.
        """
        if number is None:
            self._notes[text, after] = None
        elif number:
            self._notes[text, after] = (self._notes.get((text, after)) or 0) + number

    def forget(self, text: str) -> None:
        """Take back a note that :meth:`note` made of this text alone, if it did."""
        self._notes.pop((text, ""), None)

    @property
    def notes(self) -> list[str]:
        """Other things worth saying, in the order in which they were found."""
        return [text if number is None else f"{text}{number:,}{after}" for (text, after), number in self._notes.items()]

    def add(self, other: ReadReport) -> None:
        """Add the account of other rows of the same log."""
        self.rows_read += other.rows_read
        self.rows_used += other.rows_used
        for mine, others in (
            (self._malformed, other._malformed),
            (self._left_out, other._left_out),
            (self._repaired, other._repaired),
        ):
            for reason, count in others.items():
                mine.setdefault(reason, _Count()).add(count.rows, count.examples)
        for reason, sessions in other.sessions_left_out.items():
            self.session_left_out(reason, sessions)
        self.columns_not_used = other.columns_not_used or self.columns_not_used
        for (text, after), number in other._notes.items():
            self.note(text, number, after)

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
        """The first few places of each reason, of malformed rows, of rows left out and of repairs."""
        counts = {**self._left_out, **self._malformed, **self._repaired}
        return {reason: tuple(count.examples) for reason, count in counts.items()}

    @property
    def repairs_made(self) -> dict[str, int]:
        """Quirks that were put right, by what was done."""
        return {reason: count.rows for reason, count in self._repaired.items()}

    def too_many(self, number: int) -> bool:
        """Tell whether so many rows are more than the share that may be wrong."""
        return number > self._max_malformed * max(self.rows_read, _FEW_ROWS)

    def check(self) -> None:
        """Every row is accounted for, and not too many are malformed.

        Raises:
            ReaderError: more rows are malformed than may be: the log is not what it was taken for.
            AssertionError: a row is lost: the reader itself is wrong.
        """
        malformed = sum(self.malformed_rows.values())
        if self.too_many(malformed):
            reasons = "; ".join(
                f"{reason}: {count.rows:,} (first: {count.examples[0]})" for reason, count in self._malformed.items()
            )
            raise ReaderError(
                f"{malformed:,} of {self.rows_read:,} rows are malformed, more than max_malformed={self._max_malformed}"
                f" allows: {reasons}"
            )
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
        for reason, count in self._repaired.items():
            lines.append(f"{count.rows:>12,}  repaired: {reason}")
            if count.examples:
                lines.append(f"{'':>14}first: {'; '.join(count.examples)}")
        lines += [f"{number:>12,}  sessions left out: {reason}" for reason, number in self.sessions_left_out.items()]
        return "\n".join([*lines, *self.notes])


class NoSessionsError(SessionsError):
    """A log of which no session is left; :attr:`report` has the account of its rows."""

    def __init__(self, report: ReadReport) -> None:
        super().__init__(f"no session is left to read: {report.summary()}")
        self.report = report


class ReadResult(NamedTuple):
    """Sessions, and the account of the rows that they were made of.

    Attributes:
        sessions: what was read.
        report: what was read and what was not, and why.
    """

    sessions: Sessions
    report: ReadReport


def check_lengths(min_length: Any, max_length: Any) -> None:
    """Refuse bounds on the steps of a session that are no whole numbers, before anything is read.

    Raises:
        ValueError: with the argument and what was given.
    """
    checked_value("min_length", min_length, int)
    checked_value("max_length", max_length, int)


def length_reason(length: int, minimum: int, maximum: int, unit: str) -> str | None:
    """Why a session of this length is left out, or None if it is not."""
    if length < minimum:
        return f"sessions of fewer than {minimum} {unit}"
    if length > maximum:
        return f"sessions of more than {maximum} {unit}"
    return None
