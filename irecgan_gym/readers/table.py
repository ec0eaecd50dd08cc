"""Any table of one row a step, with columns named by the user: a practitioner's own logs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.readers.assembly import Numbering, StepColumns, assemble, keep_lengths
from irecgan_gym.readers.report import OnError, Place, ReadReport, ReadResult
from irecgan_gym.readers.table_cells import Cells, Step, csv_rows, parquet_rows, parse_step


@dataclass(frozen=True)
class TableColumns:
    """Names of the columns that make sessions.

    Attributes:
        session: which session the step belongs to.
        slate: the items shown: texts joined by a separator, or lists in a Parquet file.
        click: the item clicked, one of the slate; empty where the user left without a click (a session's last step).
        reward: a number, empty only where the user left (0); 0 for all steps when None.
        propensity: probability in (0, 1] that the clicked item was shown; empty or NaN where unknown.
        user: who; a session whose cell is empty is a user of its own. When None, nothing is known of users.
        time: what the steps of a session must be ordered by: a number, or a date and time as in ISO 8601 (UTC unless
            it says otherwise) or in Parquet's own type; the order of rows when None.
    """

    session: str = "session"
    slate: str = "slate"
    click: str = "click"
    reward: str | None = None
    propensity: str | None = None
    user: str | None = None
    time: str | None = None

    def used(self) -> dict[str, str]:
        """Names of the columns that are there, by what they mean."""
        return {meaning: name for meaning, name in asdict(self).items() if name is not None}


def read_table_log(
    path: str | Path,
    *,
    columns: TableColumns | None = None,
    separator: str = "|",
    delimiter: str = ",",
    sort: bool = False,
    min_length: int = 1,
    max_length: int = 2**31 - 1,
    on_error: OnError = "raise",
) -> ReadResult:
    """Read a table of logged steps: CSV (``.gz`` too) or Parquet (``.parquet``).

    Rows of different sessions may be mixed. The catalogue is the items shown, in the order in which the file first
    names them; ``item_names`` are their names.

    Args:
        path: the file.
        columns: names of the columns; those of :class:`TableColumns` when None.
        separator: between the items of a slate, in CSV.
        delimiter: between the cells of a row, in CSV.
        sort: whether to put the steps of a session in the order of time (those of one time as in the file); if not, a
            step before its predecessor is malformed.
        min_length: sessions of fewer steps are left out and counted.
        max_length: sessions of more steps are left out and counted.
        on_error: ``"raise"`` or ``"skip"``.

    Raises:
        ValueError: options that make no sense.
        FileNotFoundError: there is no such file.
        ReaderError: the file cannot be read, or a row is malformed and ``on_error="raise"``.
        SessionsError: no session is left.
    """
    path, columns = Path(path), columns or TableColumns()
    if not separator or len(delimiter) != 1:
        raise ValueError(f"separator must not be empty and delimiter one character, got {separator!r}, {delimiter!r}")
    if sort and columns.time is None:
        raise ValueError("sort=True needs a time column to sort by")
    report = ReadReport(on_error)
    names = columns.used()
    if path.suffix == ".parquet":
        log = _TableLog(StepColumns(path.name, "row"), sort, report)
        rows = parquet_rows(path, names, report)
    else:
        log = _TableLog(StepColumns(path.name), sort, report)
        rows = csv_rows(path, names, separator, delimiter, report)
    for place, cells in rows:
        log.add(place, cells)
    order = keep_lengths(log.steps, log.sound_steps(), min_length, max_length, "steps", report)
    report.rows_used = len(order)
    report.check()
    if report.columns_not_used:
        report.notes.append(f"columns not used: {', '.join(report.columns_not_used)}")
    if columns.reward is None:
        report.notes.append("no reward column was named: all rewards are 0")
    if columns.user is None:
        report.notes.append("no user column was named: nothing is known of users")
    sessions = assemble(
        log.steps,
        order,
        report,
        item_names=log.items.names,
        users=log.users if columns.user is not None else None,
        with_propensities=columns.propensity is not None,
        provenance={"source": "table", "file": path.name, "columns": names},
    )
    return ReadResult(sessions, report)


class _TableLog:
    """The steps so far."""

    def __init__(self, steps: StepColumns, sort: bool, report: ReadReport) -> None:
        self._report, self._sort = report, sort
        self.steps = steps
        self.items, self.sessions = Numbering(), Numbering()
        self.users: list[int] = []
        self._user_numbers = Numbering()
        self._last_time: list[float] = []

    def add(self, place: Place, cells: Cells) -> None:
        """Take in one row."""
        step = parse_step(place, cells, self._report)
        session = None if step is None else self._session(place, step)
        if step is None or session is None:
            return
        self.steps.add(
            place,
            session,
            [self.items(item) for item in step.slate],
            -1 if step.click is None else self.items(step.click),
            reward=step.reward,
            propensity=step.propensity,
            time=step.time,
        )

    def _session(self, place: Place, step: Step) -> int | None:
        """Number of the row's session, or None where the row does not fit into it."""
        known = len(self.sessions)
        session = self.sessions(step.session)
        # The prefixes keep users apart from sessions that stand for one.
        user = self._user_numbers(f"session {step.session}" if step.user is None else f"user {step.user}")
        if session == known:
            self.users.append(user)
            self._last_time.append(step.time)
            return session
        if self.users[session] != user:
            detail = f"session {step.session} has another user {step.user!r}"
            self._report.malformed(place, "session of two users", detail)
        elif step.time < self._last_time[session] and not self._sort:
            detail = f"session {step.session} is at {self._last_time[session]:.15g}, this step at {step.time:.15g}"
            self._report.malformed(place, "unordered time", detail)
        else:
            self._last_time[session] = step.time
            return session
        return None

    def sound_steps(self) -> NDArray[np.int64]:
        """Numbers of the steps in order, without those that come after their user has left."""
        order = self.steps.in_order(by_time=self._sort)
        session = np.asarray(self.steps.session)[order]
        left = np.asarray(self.steps.click)[order] == -1
        left_before = np.cumsum(left) - left
        after = left_before > left_before[np.searchsorted(session, session)] if len(order) else left
        names = self.sessions.names
        for step, place in sorted(zip(order[after], self.steps.places(order[after]), strict=True)):
            detail = f"session {names[self.steps.session[step]]} has ended with a step without a click"
            self._report.malformed(place, "step after leaving", detail)
        sound: NDArray[np.int64] = order[~after]
        return sound
