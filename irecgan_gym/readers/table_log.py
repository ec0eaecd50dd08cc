"""The steps of a table so far, as rows come in batches."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from irecgan_gym.readers.assembly import KnownItems, Numbering, StepColumns, assemble
from irecgan_gym.readers.batch_numbers import ArrowNames, BatchNumbers
from irecgan_gym.readers.plain_steps import PlainSteps, plain_steps, row_cells, session_keys, user_keys, without_nulls
from irecgan_gym.readers.report import Place, ReaderError, ReadReport, ReadResult
from irecgan_gym.readers.row_batch import RowBatch
from irecgan_gym.readers.slate_chances import SlateChances
from irecgan_gym.readers.table_cells import CellRules, Cells, Step, parse_step

_FEW = 16
"""So few rows are looked at one by one."""
_TAKEN_APART = ("session", "slate", "click", "reward", "propensity", "user", "time")
"""Meanings of columns in which :func:`~irecgan_gym.readers.plain_steps.plain_steps` finds what is empty."""
_DAY = 86_400.0
_CUT, _GOES_BACK = "sessions in which {}: cut in two there", "time goes back"
NO_REWARDS = "no reward column was named: all rewards are 0"
"""Note on sessions that earn nothing."""


class _Numbers(NamedTuple):
    """Numbers of the names of a batch, and its cells without those that say that they are empty."""

    sessions: BatchNumbers
    users: BatchNumbers
    items: BatchNumbers
    session_codes: NDArray[np.int64]
    user_codes: NDArray[np.int64]
    cells: Any
    rules: CellRules


class TableLog:
    """The steps of a table so far.

    Rows whose cells are plain, of sessions in which nothing contradicts itself, are taken in many at a time; each of
    the others is looked at alone (:meth:`add`), which says what is wrong with it. Both ways give the same.

    Args:
        names: of the columns, by what they mean.
        rules: what cells may say.
        sort: whether steps may come in any order of time.
        report: counts every row.
        known: items that have numbers already.

    Attributes:
        steps: those taken in.
        items: numbers of the items.
        sessions: numbers of the sessions; where quirks are repaired, each user has sessions of their own.
        users: number of the user of each session.
        cut: numbers of the sessions whose last row was left out.
        known: as given.
    """

    def __init__(
        self, names: Mapping[str, str], rules: CellRules, sort: bool, report: ReadReport, known: KnownItems
    ) -> None:
        self._names, self._rules, self._sort, self._report = names, rules, sort, report
        self._has_users = "user" in names
        self._by_user = self._has_users and report.repairs
        self._any_order = sort or report.repairs
        self._chances = SlateChances(names, rules.separator) if "slate_propensity" in names else None
        self.steps = StepColumns()
        self.known = known
        self.items, self.sessions = known.numbering(), Numbering()
        self.users = array("q")
        self.cut: set[int] = set()
        self._user_numbers = Numbering()
        self._item_names, self._session_names = ArrowNames(self.items), ArrowNames(self.sessions)
        self._user_names = ArrowNames(self._user_numbers)
        self._last_time = array("d")

    def add_batch(self, batch: RowBatch) -> None:
        """Take in the rows of a batch, in their order."""
        rules = self._rules
        if "time" in self._names and pa.types.is_temporal(batch.cells.column(self._names["time"]).type):
            rules = replace(rules, time_scale=1.0)  # Dates become seconds by themselves.
        cells = without_nulls(batch.cells, self._names, rules, _TAKEN_APART)
        steps = plain_steps(cells, self._names, rules)
        if self._chances is not None:
            keys = self.steps.keys(batch.file, batch.unit, batch.numbers)
            steps.plain[~self._chances.add(keys, cells, steps.slate.lengths)] = False
        sessions = session_keys(steps) if self._by_user else steps.session
        users = user_keys(steps)
        numbers = _Numbers(
            BatchNumbers(self._session_names, sessions.names),
            BatchNumbers(self._user_names, users.names),
            BatchNumbers(self._item_names, steps.slate.items.names),
            sessions.codes,
            users.codes,
            cells,
            rules,
        )
        if self.known.closed:
            names = steps.slate.items.names.to_pylist()
            unknown = np.array([name not in self.items for name in names], dtype=bool)
            nothing = np.zeros(0, dtype=np.int64)
            entries = np.flatnonzero(unknown[steps.slate.items.codes]) if unknown.any() else nothing
            steps.plain[np.searchsorted(steps.offsets, entries, side="right") - 1] = False
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
            cells = row_cells(numbers.cells, self._names, steps, row, numbers.rules.null_values)
            self.add(batch.place(row), cells, numbers.rules)

    def _add_plain(self, batch: RowBatch, steps: PlainSteps, numbers: _Numbers, rows: slice) -> bool:
        """Take in plain rows all at once, or nothing if a session among them contradicts itself."""
        codes, time = numbers.session_codes[rows], steps.time[rows]
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
        if not self._any_order and "time" in self._names:
            in_order = time[order]
            before = np.append(-np.inf, in_order[:-1])
            before[starts] = -np.inf
            before[starts[is_known]] = np.asarray(self._last_time, dtype=np.float64)[known[first][is_known]]
            if (in_order < before).any():
                return False
        session = numbers.sessions(codes)
        new = np.sort(first[~is_known])  # In the order in which they come, as their numbers are.
        user_number = numbers.users(numbers.user_codes[rows]) if self._has_users else session
        self.users.frombytes(user_number[new].astype(np.int64).data.cast("B"))
        self._last_time.frombytes(time[new].data.cast("B"))
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
        if self.cut:
            self.cut.difference_update(session[first].tolist())
        return True

    def add(self, place: Place, cells: Cells, rules: CellRules) -> None:
        """Take in one row."""
        step = parse_step(place, cells, self._report, rules)
        if step is not None and self.known.closed and any(item not in self.items for item in step.slate):
            self._report.left_out("items that the catalogue does not have", 1, [place])
            step = None
        if step is not None and self._chances is not None:
            key = int(self.steps.keys(place.file, place.unit, np.array([place.number]))[0])
            if (problem := self._chances.problem(key, len(step.slate))) is not None:
                self._report.malformed(place, "wrong slate propensity", problem)
                step = None
        session = None if step is None else self._session(place, step)
        if step is None or session is None:
            self.lose(cells["session"], cells.get("user"))
            return
        self.cut.discard(session)
        slate = [self.items(item) for item in step.slate]
        several = len(step.clicks) > 1
        clicks: Sequence[str | None] = step.clicks or [None]
        for click, reward in zip(clicks, step.rewards, strict=True):
            self.steps.add(
                place,
                session,
                slate,
                -1 if click is None else self.items(click),
                reward=reward,
                propensity=math.nan if several else step.propensity,
                time=step.time,
            )

    def lose(self, session: Any, user: Any) -> None:
        """Take note that a row was left out: if no other row of the session follows, its end is not among the steps."""
        self.cut.add(self.sessions.get(self._session_name(session, user)))

    def _session_name(self, session: Any, user: Any) -> str:
        """Name under which a session is numbered; where it may be one of several users, their own."""
        return f"{session}\0{user or ''}" if self._by_user else str(session)

    def _session(self, place: Place, step: Step) -> int | None:
        """Number of the row's session, or None where the row does not fit into it."""
        known = len(self.sessions)
        session = self.sessions(self._session_name(step.session, step.user))
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
        elif step.time < self._last_time[session] and not self._any_order:
            detail = f"session {step.session} is at {self._last_time[session]:.15g}, this step at {step.time:.15g}"
            self._report.malformed(place, "unordered time", detail)
        else:
            self._last_time[session] = step.time
            return session
        return None

    def result(self, order: NDArray[np.int64], provenance: Mapping[str, Any]) -> ReadResult:
        """The sessions of some steps, with the account of the rows.

        Args:
            order: numbers of the steps, by session.
            provenance: of the sessions.

        Raises:
            ReaderError: too many rows are malformed.
            SessionsError: no session is left.
        """
        report = self._report
        report.check()
        if report.columns_not_used:
            report.note(f"columns not used: {', '.join(report.columns_not_used)}")
        if "reward" not in self._names:
            report.note(NO_REWARDS)
        if not self._has_users:
            report.note("no user column was named: nothing is known of users")
        users, user_names = self.named_users()
        sessions = assemble(
            self.steps,
            order,
            report,
            item_names=self.items.names,
            catalogue=self.known.numbers(self.steps, order, len(self.items)),
            users=users if self._has_users else None,
            user_names=user_names if self._has_users else None,
            with_propensities="propensity" in self._names,
            with_times="time" in self._names,
            truncated=self.cut,
            provenance=provenance,
        )
        if self._chances is not None:
            chances = self._chances.of(np.asarray(self.steps.line)[order], sessions)
            sessions = sessions.with_slate_propensities(chances)
        return ReadResult(sessions, report)

    def named_users(self) -> tuple[NDArray[np.int64], list[str]]:
        """The user of each session as the number of a name, -1 where nobody is named; and the names."""
        keys = pa.array(self._user_numbers.names, pa.string())
        has_name = pc.starts_with(keys, "user ")
        names: list[str] = pc.utf8_slice_codeunits(keys.filter(has_name), len("user ")).to_pylist()
        named = has_name.to_numpy(zero_copy_only=False).astype(bool)
        numbers = np.where(named, np.cumsum(named) - 1, -1)
        if not self._has_users:
            return np.full(len(self.users), -1, dtype=np.int64), names
        return numbers[np.asarray(self.users, dtype=np.int64)], names

    def steps_in_order(self, max_gap: float | None) -> NDArray[np.int64]:
        """Numbers of the steps by session, and in it by time or as they came; sessions that are several are cut.

        Args:
            max_gap: seconds after which the same id is another session.

        Raises:
            ReaderError: time goes back so often that the rows are in no order of time.
        """
        if self._by_user:
            self._report_sessions_of_several_users()
        order = self.steps.in_order(by_time=self._sort)
        session, time = np.asarray(self.steps.session)[order], np.asarray(self.steps.time)[order]
        goes_on = np.append(False, session[1:] == session[:-1])
        passed = np.diff(time, prepend=time[:1])
        back, gap = goes_on & (passed < 0), goes_on & (passed > (np.inf if max_gap is None else max_gap))
        _check_order(self._report, int(back.sum()), len(order))
        pauses = int((goes_on & (passed > _DAY)).sum())
        if max_gap is None:
            self._report.note(
                "",
                pauses,
                " steps come more than a day after the step before in their session; if ids of sessions are "
                "used again, max_gap (in seconds) cuts them there",
            )
        if back.any() or gap.any():
            for where, reason in ((back, _GOES_BACK), (gap, f"there is a gap of more than {max_gap} s")):
                places = self.steps.places(order[where])
                self._report.repaired(_CUT.format(reason), int(where.sum()), places)
            self._cut_sessions(order, session, ~goes_on | back | gap)
        return order

    def _cut_sessions(self, order: NDArray[np.int64], session: NDArray[np.int64], begins: NDArray[np.bool_]) -> None:
        """Number the sessions again, where they begin.

        Args:
            order: numbers of the steps, by session.
            session: of each of them.
            begins: whether one begins there.
        """
        starts = np.flatnonzero(begins)
        old = session[starts]
        np.frombuffer(self.steps.session, dtype=np.intc)[order] = np.cumsum(begins) - 1
        is_last = np.append(old[1:] != old[:-1], True)
        self.cut = {new for new in np.flatnonzero(is_last).tolist() if int(old[new]) in self.cut}
        self.users = array("q", np.asarray(self.users, dtype=np.int64)[old].tolist())

    def _report_sessions_of_several_users(self) -> None:
        """Tell of ids of sessions that several users have."""
        keys = pa.array(self.sessions.names, pa.string())
        ids = pc.list_element(pc.split_pattern(keys, "\0", max_splits=1), 0)
        if pc.count_distinct(ids).as_py() == len(ids):
            return
        shared = [name for name, number in Counter(ids.to_pylist()).items() if number > 1]
        self._report.repaired("sessions of several users: each has one", len(shared), [f"session {n}" for n in shared])


def check_times(report: ReadReport) -> None:
    """Check that the steps of a log that was read part by part are in some order of time.

    Args:
        report: of all parts.

    Raises:
        ReaderError: time goes back so often that they are in none.
    """
    _check_order(report, report.repairs_made.get(_CUT.format(_GOES_BACK), 0), report.rows_used)


def _check_order(report: ReadReport, back: int, steps: int) -> None:
    if report.too_many(back):
        raise ReaderError(f"time goes back at {back:,} of {steps:,} steps: sort=True puts them in the order of time")
