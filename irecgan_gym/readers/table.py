"""Tables of logged steps, in any container."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.readers.assembly import BatchNumbers, Numbering, StepColumns, assemble, keep_lengths
from irecgan_gym.readers.containers import TextOptions, check_columns, open_containers, source_name
from irecgan_gym.readers.plain_steps import PlainSteps, plain_steps, row_cells, user_keys
from irecgan_gym.readers.report import OnError, Place, ReaderError, ReadReport, ReadResult
from irecgan_gym.readers.row_batch import RowBatch
from irecgan_gym.readers.table_cells import Cells, Step, parse_step

_FEW = 16
"""So few rows are looked at one by one."""


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
    source: Any,
    *,
    columns: TableColumns | None = None,
    separator: str = "|",
    delimiter: str = ",",
    encoding: str = "utf-8",
    sort: bool = False,
    min_length: int = 1,
    max_length: int = 2**31 - 1,
    on_error: OnError = "raise",
) -> ReadResult:
    """Read a table of logged steps, whatever holds it: CSV, Parquet, folders, data frames, Arrow, a query's result.

    Rows of different sessions may be mixed. The catalogue is the items shown, in the order in which the source first
    names them; ``item_names`` are their names. Names are texts without white space around them; whole numbers are
    written without a fraction.

    Args:
        source: a file of separated text (``.gz``, ``.bz2``, ``.zst`` or ``.xz`` too), of Parquet or of Arrow; a folder
            of such files (hidden ones left out; folders such as ``day=2026-01-31`` are columns), a pattern such as
            ``"logs/*.csv"``, or several of these; a pandas or Polars data frame, an Arrow table, reader or dataset, a
            relation of DuckDB, or anything else with ``__arrow_c_stream__``; or the cursor of a database (PEP 249) in
            which a query has run.
        columns: names of the columns; those of :class:`TableColumns` when None.
        separator: between the items of a slate that is text.
        delimiter: between the cells of a row, in separated text.
        encoding: of separated text, as Python names it.
        sort: whether to put the steps of a session in the order of time (those of one time as in the source); if not, a
            step before its predecessor is malformed.
        min_length: sessions of fewer steps are left out and counted.
        max_length: sessions of more steps are left out and counted.
        on_error: ``"raise"`` or ``"skip"``.

    Raises:
        ValueError: options that make no sense.
        TypeError: a source of another kind.
        FileNotFoundError: there is no such file.
        ReaderError: the source cannot be read, or a row is malformed and ``on_error="raise"``.
        SessionsError: no session is left.
    """
    columns = columns or TableColumns()
    if not separator or len(delimiter) != 1:
        raise ValueError(f"separator must not be empty and delimiter one character, got {separator!r}, {delimiter!r}")
    if sort and columns.time is None:
        raise ValueError("sort=True needs a time column to sort by")
    report = ReadReport(on_error)
    names, text = columns.used(), TextOptions(delimiter, encoding)
    log, unit = TableLog(names, separator, sort, report), ""
    for container in open_containers(source, text):
        unit = container.unit
        check_columns(container, tuple(names.values()))
        report.columns_not_used = tuple(name for name in container.names if name not in names.values())
        for batch in container.batches(tuple(dict.fromkeys(names.values()))):
            log.add_batch(batch)
    if report.rows_read == 0 and unit == "row":
        raise ReaderError(f"{source_name(source)} is empty")
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
        provenance={"source": "table", "file": source_name(source), "columns": names},
    )
    return ReadResult(sessions, report)


class _Numbers(NamedTuple):
    """Numbers of the names of a batch."""

    sessions: BatchNumbers
    users: BatchNumbers
    items: BatchNumbers
    user_codes: NDArray[np.int64]


class TableLog:
    """The steps of a table so far.

    Rows whose cells are plain, of sessions in which nothing contradicts itself, are taken in many at a time; each of
    the others is looked at alone (:meth:`add`), which says what is wrong with it. Both ways give the same.

    Args:
        names: of the columns, by what they mean.
        separator: between the items of a slate that is text.
        sort: whether steps may come in any order of time.
        report: counts every row.

    Attributes:
        steps: those taken in.
        items: numbers of the items.
        sessions: numbers of the sessions.
        users: number of the user of each session.
    """

    def __init__(self, names: Mapping[str, str], separator: str, sort: bool, report: ReadReport) -> None:
        self._names, self._separator, self._sort, self._report = names, separator, sort, report
        self._has_users = "user" in names
        self.steps = StepColumns()
        self.items, self.sessions = Numbering(), Numbering()
        self.users = array("q")
        self._user_numbers = Numbering()
        self._last_time = array("d")

    def add_batch(self, batch: RowBatch) -> None:
        """Take in the rows of a batch, in their order."""
        steps = plain_steps(batch.cells, self._names, self._separator)
        numbers = _Numbers(
            BatchNumbers(self.sessions, steps.session.names),
            BatchNumbers(self._user_numbers, (users := user_keys(steps)).names),
            BatchNumbers(self.items, steps.slate.items.names),
            users.codes,
        )
        for rows, wrong in batch.stretches():
            borders = np.flatnonzero(np.diff(steps.plain[rows])) + 1 + rows.start
            for start, end in pairwise([rows.start, *borders.tolist(), rows.stop]):
                if start < end:
                    self._add_rows(batch, steps, numbers, start, end)
            if wrong is not None:
                self._report.rows_read += 1
                self._report.malformed(*wrong)

    def _add_rows(self, batch: RowBatch, steps: PlainSteps, numbers: _Numbers, start: int, end: int) -> None:
        """Take in rows that are all plain, or all not."""
        if steps.plain[start] and end - start >= _FEW:
            if self._add_plain(batch, steps, numbers, slice(start, end)):
                return
            # Some session contradicts itself: the halves tell where.
            middle = (start + end) // 2
            self._add_rows(batch, steps, numbers, start, middle)
            self._add_rows(batch, steps, numbers, middle, end)
            return
        for row in range(start, end):
            self._report.rows_read += 1
            self.add(batch.place(row), row_cells(batch.cells, self._names, steps, row))

    def _add_plain(self, batch: RowBatch, steps: PlainSteps, numbers: _Numbers, rows: slice) -> bool:
        """Take in plain rows all at once, or nothing if a session among them contradicts itself."""
        codes, time = steps.session.codes[rows], steps.time[rows]
        known = numbers.sessions.known(codes)
        order = np.argsort(codes, kind="stable") if (np.diff(codes) < 0).any() else np.arange(len(codes))
        first_of_group = np.append(True, np.diff(codes[order]) != 0)
        starts = np.flatnonzero(first_of_group)
        lengths = np.diff(starts, append=len(codes))
        first = order[starts]
        is_known = known[first] >= 0
        if self._has_users:
            user = numbers.users.known(numbers.user_codes[rows])
            # Users that have no number yet are told apart by their places in the batch.
            user = np.where(user < 0, -1 - numbers.user_codes[rows], user)
            of_group = user[first]
            of_group[is_known] = np.asarray(self.users, dtype=np.int64)[known[first][is_known]]
            if (user[order] != np.repeat(of_group, lengths)).any():
                return False
        if not self._sort and "time" in self._names:
            in_order = time[order]
            before = np.append(-np.inf, in_order[:-1])
            before[starts] = -np.inf
            before[starts[is_known]] = np.asarray(self._last_time, dtype=np.float64)[known[first][is_known]]
            if (in_order < before).any():
                return False
        session = numbers.sessions(codes)
        new = np.sort(first[~is_known])  # In the order in which they come, as their numbers are.
        user_number = numbers.users(numbers.user_codes[rows]) if self._has_users else session
        self.users.extend(user_number[new].tolist())
        self._last_time.extend(time[new].tolist())
        np.frombuffer(self._last_time)[session[first]] = time[order[starts + lengths - 1]]
        entries = slice(steps.offsets[rows.start], steps.offsets[rows.stop])
        slate = numbers.items(steps.slate.items.codes[entries])
        click = steps.click[rows]
        is_click = click >= 0
        click_number = np.full(len(click), -1)
        click_number[is_click] = numbers.items(click[is_click])
        self.steps.extend(
            batch.file,
            batch.unit,
            batch.numbers[rows],
            session=session,
            slate=slate,
            slate_length=steps.slate.lengths[rows],
            click=click_number,
            reward=steps.reward[rows],
            propensity=steps.propensity[rows],
            time=time,
        )
        self._report.rows_read += len(codes)
        return True

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
        key = f"session {step.session}" if step.user is None else f"user {step.user}"
        user = self._user_numbers(key) if self._has_users else session
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
