"""Hotel click-outs of the RecSys Challenge 2019."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from irecgan_gym.readers.assembly import KnownItems, Numbering, StepColumns, assemble, keep_lengths
from irecgan_gym.readers.batch_numbers import ArrowNames, BatchNumbers
from irecgan_gym.readers.challenge_details import CONTEXT, ClickOutDetails, Touch
from irecgan_gym.readers.click_out_batches import (
    CLICK,
    NO_ITEM,
    OTHER,
    TOUCH,
    PlainClickOuts,
    by_session,
    next_click,
    plain_click_outs,
)
from irecgan_gym.readers.containers import check_columns
from irecgan_gym.readers.lines import TextRow, whole_number
from irecgan_gym.readers.report import MAX_MALFORMED, OnError, Place, ReadReport, ReadResult, check_lengths
from irecgan_gym.readers.row_batch import RowBatch
from irecgan_gym.readers.text_table import DelimitedTable
from irecgan_gym.sessions import Catalogue
from irecgan_gym.sessions.checks import check_offsets
from irecgan_gym.sessions.ragged import gather
from irecgan_gym.settings import checked_value

_COLUMNS = ("user_id", "session_id", "timestamp", "step", "action_type", "reference", "impressions")
_OPTIONAL = ("prices", *CONTEXT)
_CLICK = "clickout item"
_INTERACTIONS = frozenset(
    {
        "interaction item image",
        "interaction item info",
        "interaction item rating",
        "interaction item deals",
        "search for item",
    }
)


class _Last(NamedTuple):
    """Progress of a session."""

    timestamp: int
    step: int


def read_recsys_challenge_2019(
    path: str | Path,
    *,
    min_length: int = 2,
    max_length: int = 40,
    reward: Literal["last", "every"] = "last",
    catalogue: Catalogue | None = None,
    extend: bool = False,
    max_malformed: float = MAX_MALFORMED,
    on_error: OnError = "repair",
) -> ReadResult:
    """Read the challenge's ``train.csv`` (or ``.csv.gz``).

    A session is a ``session_id``; its steps are its click-outs with the lists of hotels shown (``impressions``). The
    user's other interactions with hotels become events of the next click-out; those after the last click-out, and
    actions that concern no hotel (filters, sorting, destinations), are counted and left out. The catalogue holds the
    hotels of lists and events, in the order in which the file first names them; ``item_names`` are their ids.

    The prices shown are a feature of the entries (``price``), platform and device are features of the steps; the kind
    of an interaction, and how many seconds it came before the click-out, are features of the events (``action`` and
    ``seconds``).

    The data hold no purchases: the reward stands for the end of the search.

    Where quirks are repaired, a session whose steps or times go back becomes two, and so does one of two users.

    A click-out that is left out does not take its session with it. Where it was the last of its session,
    the click-out before it did not end the search: the session counts as truncated, and none of its steps as the last.

    Args:
        path: the file.
        min_length: sessions with fewer click-outs are left out (§7.2 of the paper leaves out those of 1).
        max_length: sessions with more click-outs are left out.
        reward: ``"last"``: 1 for the click-out that ends the session's search, else 0; ``"every"``: 1 for each.
        catalogue: hotels keep the numbers that they have in it; rows with others are left out and counted.
        extend: whether hotels that the catalogue does not have get numbers behind its own instead.
        max_malformed: share of the rows that may be malformed.
        on_error: ``"repair"``, ``"skip"`` or ``"raise"``. The challenge's own file has click-outs on hotels that were
            not shown, and a session whose steps begin again.

    Raises:
        FileNotFoundError: there is no such file.
        ReaderError: the file cannot be read, too many rows are malformed, or one and ``on_error="raise"``.
        SessionsError: no session is left.
    """
    checked_value("reward", reward, Literal["last", "every"])
    check_lengths(min_length, max_length)
    report = ReadReport(on_error, max_malformed)
    log = _ClickOutLog(Path(path).name, report, KnownItems(catalogue, extend))
    table = DelimitedTable(Path(path))
    check_columns(table, _COLUMNS)
    columns = [*_COLUMNS, *(name for name in _OPTIONAL if table.names.count(name) == 1)]
    report.columns_not_used = tuple(name for name in table.names if name not in columns)
    for batch in table.batches(columns):
        log.add_batch(_with_all_columns(batch))
    order = log.steps.in_order()
    rows = keep_lengths(log.steps, order, min_length, max_length, "click-outs", report)
    log.report_events(rows)
    report.session_left_out("sessions without click-outs", len(log.sessions) - len(np.unique(log.steps.session)))
    report.check()
    result = assemble(
        log.steps,
        rows,
        report,
        item_names=log.items.names,
        catalogue=log.known.numbers(log.steps, rows, len(log.items)),
        users=log.users,
        user_names=log.user_names,
        with_events=True,
        with_times=True,
        provenance={"source": "RecSys Challenge 2019", "file": Path(path).name, "reward": reward},
        truncated=log.end_skipped,
    )
    rewards = np.full(result.num_steps, 1.0 if reward == "every" else 0.0, dtype=np.float32)
    rewards[result.offsets[1:][~result.truncated] - 1] = 1.0
    report.note("", log.details.without_prices, " lists do not have one price for each hotel: none is known")
    return ReadResult(log.details.put_into(result.with_rewards(rewards), log.steps, rows), report)


def _with_all_columns(batch: RowBatch) -> RowBatch:
    """The batch with empty cells in the columns that the file does not have."""
    there = batch.cells.schema.names
    empty = pa.nulls(len(batch), pa.string())
    columns = [batch.cells.column(name) if name in there else empty for name in (*_COLUMNS, *_OPTIONAL)]
    return replace(batch, cells=pa.RecordBatch.from_arrays(columns, names=[*_COLUMNS, *_OPTIONAL]))


class _Parked(NamedTuple):
    """Interactions of one batch, see :class:`~irecgan_gym.readers.challenge_details.Touch`; -1 are sessions gone on."""

    session: NDArray[np.int32]
    item: NDArray[np.int32]
    line: NDArray[np.int64]
    timestamp: NDArray[np.int64]
    action: NDArray[np.int16]


class _Waiting:
    """Items touched after the last click-out of sessions so far, in compact columns; most sessions do not go on."""

    def __init__(self) -> None:
        self._batches: list[_Parked] = []
        self._actions = Numbering()

    def park(
        self,
        session: NDArray[np.int64],
        item: NDArray[np.int64],
        line: NDArray[np.int64],
        timestamp: NDArray[np.int64],
        action: NDArray[np.int64],
        action_names: Any,
    ) -> None:
        """Keep the items that sessions have touched, when and how, and the lines that say so."""
        if len(session):
            actions = BatchNumbers(ArrowNames(self._actions), action_names)(action).astype(np.int16)
            self._batches.append(_Parked(session.astype(np.int32), item.astype(np.int32), line, timestamp, actions))

    def of(self, session: int) -> list[Touch]:
        """Hand out the interactions of one session, which are kept no longer."""
        found: list[Touch] = []
        names = self._actions.names
        for parked in self._batches:
            here = np.flatnonzero(parked.session == session)
            columns = (column[here].tolist() for column in parked[1:])
            found += (
                Touch(item, line, timestamp, names[action])
                for item, line, timestamp, action in zip(*columns, strict=True)
            )
            parked.session[here] = -1
        return found

    def lines(self) -> list[NDArray[np.int64]]:
        """The lines of all that is kept."""
        return [parked.line[parked.session >= 0] for parked in self._batches]


class _ClickOutLog:
    """The rows so far."""

    def __init__(self, file: str, report: ReadReport, known: KnownItems) -> None:
        self._file, self._report, self.known = file, report, known
        self.steps = StepColumns()
        self.items, self.sessions = known.numbering(), Numbering()
        self._begun: dict[str, int] = {}
        self._first_user: dict[str, int] = {}
        self.users = array("q")
        self.end_skipped: set[int] = set()
        self._event_lines = array("q")
        self._open_events: dict[int, list[Touch]] = {}
        self._waiting = _Waiting()
        self.details = ClickOutDetails()
        self._last_times, self._last_steps = array("q"), array("q")
        self._user_numbers = Numbering()
        self._item_names, self._known_users = ArrowNames(self.items), ArrowNames(self._user_numbers)

    def add_batch(self, batch: RowBatch) -> None:
        """Take in the rows of a batch, in their order: those of sound sessions at once, the others one by one."""
        rows = plain_click_outs(batch.cells, _CLICK, _INTERACTIONS, CONTEXT)
        names = rows.session_names.to_pylist()
        known = self._first_user if self._report.repairs else self.sessions
        rows = rows.without(np.array([self.known.closed or name in known for name in names], dtype=bool))
        taken = np.zeros(len(names), dtype=bool)
        for part, wrong in batch.stretches():
            for first, last in rows.stretches(part):
                if rows.plain[first] and not taken[rows.session[first:last]].any():
                    self._add_plain(batch, rows, first, last)
                    taken[rows.session[first:last]] = True
                else:
                    self._add_rows(batch, first, last)
            if wrong is not None:
                self._report.rows_read += 1
                self._report.malformed(*wrong)

    def _add_rows(self, batch: RowBatch, first: int, last: int) -> None:
        """Take in rows one by one."""
        cells = [column.to_pylist() for column in batch.cells.slice(first, last - first).columns]
        for row, texts in enumerate(zip(*cells, strict=True), start=first):
            self._report.rows_read += 1
            self.add(TextRow(batch.place(row), [text or "" for text in texts]))

    def _add_plain(self, batch: RowBatch, rows: PlainClickOuts, first: int, last: int) -> None:
        """Take in sound rows of sessions that are new, all at once."""
        self._report.rows_read += last - first
        within = slice(first, last)
        session = self._new_sessions(rows, first, last)
        kind, lines = rows.kind[within], batch.numbers[within]
        items = BatchNumbers(self._item_names, rows.item_names)
        number = items(rows.items[rows.offsets[first] : rows.offsets[last]])
        offsets = rows.offsets[first : last + 1] - rows.offsets[first]
        clicks, touches = np.flatnonzero(kind == CLICK), np.flatnonzero(kind == TOUCH)
        click = next_click(rows, first, last)[touches]
        late, before = touches[click < 0], touches[click >= 0]
        # In the order of the click-outs, those of one click-out as they came.
        in_order = np.argsort(click[click >= 0], kind="stable")
        before, click = before[in_order], click[click >= 0][in_order]
        shown = gather(offsets, clicks)[0]
        time, action = rows.time[within], rows.action[within]
        self.steps.extend(
            batch.file,
            batch.unit,
            lines[clicks],
            session=session[clicks],
            slate=number[shown],
            slate_length=np.diff(offsets)[clicks],
            click=items(rows.clicked[within][clicks]),
            reward=np.zeros(len(clicks)),
            propensity=np.full(len(clicks), np.nan),
            time=time[clicks].astype(np.float64),
            event=number[offsets[before]],
            event_length=np.bincount(click, minlength=last - first)[clicks],
        )
        self._event_lines.frombytes(lines[before].astype(np.int64).tobytes())
        self.details.extend(
            rows.prices[rows.offsets[first] : rows.offsets[last]][shown],
            int((~rows.priced[within][clicks]).sum()),
            {name: (codes[within][clicks], texts) for name, (codes, texts) in rows.context.items()},
            action[before],
            rows.action_names,
            time[click] - time[before],
        )
        self._waiting.park(
            session[late], number[offsets[late]], lines[late], time[late], action[late], rows.action_names
        )
        self._leave_out(batch, rows, first, last)

    def _new_sessions(self, rows: PlainClickOuts, first: int, last: int) -> NDArray[np.int64]:
        """Number the sessions of sound rows, all of them new; of each row."""
        codes = rows.session[first:last]
        user = BatchNumbers(self._known_users, rows.user_names)(rows.user[first:last])
        order = by_session(codes)
        starts = np.flatnonzero(np.append(True, np.diff(codes[order]) != 0))
        begins, ends = order[starts], order[np.append(starts[1:], len(order)) - 1]
        in_order = np.argsort(begins)
        begins, ends = begins[in_order], ends[in_order]
        users = user[begins].tolist()
        names = rows.session_names.take(pa.array(codes[begins])).to_pylist()
        if self._report.repairs:
            self._first_user.update(zip(names, users, strict=True))
            names = [f"{name}\0{number}\0{0}" for name, number in zip(names, users, strict=True)]
        numbers = self.sessions.of(names)
        self.users.extend(users)
        time, step = rows.time[first:last][ends].tolist(), rows.step[first:last][ends].tolist()
        self._last_times.extend(time)
        self._last_steps.extend(step)
        number_of_code = np.zeros(int(codes.max()) + 1, dtype=np.int64)
        number_of_code[codes[begins]] = numbers
        return number_of_code[codes]

    def _leave_out(self, batch: RowBatch, rows: PlainClickOuts, first: int, last: int) -> None:
        """Count the sound rows that concern no hotel, by reason, in the order in which they come."""
        kind, action = rows.kind[first:last], rows.action[first:last]
        found = []
        nothing = np.flatnonzero(kind == NO_ITEM)
        if len(nothing):
            found.append((nothing, "interactions whose reference is no item"))
        others = np.flatnonzero(kind == OTHER)
        for code in np.unique(action[others]).tolist():
            found.append((others[action[others] == code], f"action {rows.action_names[code].as_py()!r}"))
        for places, reason in sorted(found, key=lambda pair: int(pair[0][0])):
            self._report.left_out(reason, len(places), (batch.place(first + int(row)) for row in places))

    def add(self, row: TextRow) -> None:
        """Take in one row."""
        user, session_id, timestamp, step, action, reference, impressions, *details = row.cells
        now = self._now(row, timestamp, step)
        if now is None:
            return
        if not session_id or not user:
            self._report.malformed(row.place, "no session or user", f"session_id is {session_id!r}, user_id {user!r}")
            return
        session = self._session(row, session_id, user, now)
        if session is None:
            return
        if action == _CLICK:
            self._click(row, session, reference, impressions, now.timestamp, details)
        elif action not in _INTERACTIONS:
            self._report.left_out(f"action {action!r}", 1, [row.place])
        elif whole_number(reference) is None:
            self._report.left_out("interactions whose reference is no item", 1, [row.place])
        elif self.known.closed and reference not in self.items:
            self._report.left_out("interactions with items that the catalogue does not have", 1, [row.place])
        else:
            touch = Touch(self.items(reference), row.place.number, now.timestamp, action)
            self._open(session).append(touch)

    def _open(self, session: int) -> list[Touch]:
        """The items touched since the last click-out of a session."""
        if session not in self._open_events:
            self._open_events[session] = self._waiting.of(session)
        return self._open_events[session]

    def _now(self, row: TextRow, timestamp: str, step: str) -> _Last | None:
        numbers = whole_number(timestamp), whole_number(step)
        if numbers[0] is None or numbers[1] is None:
            self._report.malformed(
                row.place, "wrong type", f"timestamp {timestamp!r} and step {step!r} must be whole numbers"
            )
            return None
        return _Last(numbers[0], numbers[1])

    def _session(self, row: TextRow, session_id: str, user: str, now: _Last) -> int | None:
        """Number of the row's session, or None where the row does not fit into it."""
        known = len(self.sessions)
        name = session_id
        user_number = self._user_numbers(user)
        if self._report.repairs:
            name = self._repaired_name(row, session_id, user_number, now)
        session = self.sessions(name)
        if session == known:
            self.users.append(user_number)
            self._last_times.append(now.timestamp)
            self._last_steps.append(now.step)
            return session
        last = self._last_of(session)
        if self.users[session] != user_number:
            self._report.malformed(row.place, "session of two users", f"session {session_id} has another user {user!r}")
        elif now.step == last.step:
            self._report.malformed(row.place, "duplicate key", f"session {session_id} has step {now.step} already")
        elif now.step < last.step or now.timestamp < last.timestamp:
            self._report.malformed(
                row.place,
                "unordered time",
                f"session {session_id}: step {now.step} at {now.timestamp} after step {last.step} at {last.timestamp}",
            )
        else:
            self._last_times[session], self._last_steps[session] = now
            return session
        return None

    def _last_of(self, session: int) -> _Last:
        return _Last(self._last_times[session], self._last_steps[session])

    def _repaired_name(self, row: TextRow, session_id: str, user: int, now: _Last) -> str:
        """The name of the row's session: another one than before where it has another user or begins again."""
        own = f"{session_id}\0{user}"
        begun = self._begun.get(own, 0)
        name = f"{own}\0{begun}"
        session = self.sessions.get(name)
        if session < 0:
            first_user = self._first_user.setdefault(session_id, user)
            if first_user != user and begun == 0:
                self._report.repaired("sessions of several users: each has one", 1, [row.place])
            return name
        last = self._last_of(session)
        if now.timestamp < last.timestamp or now.step < last.step or (now.step == last.step and now != last):
            self._report.repaired("sessions whose steps or times go back: cut in two there", 1, [row.place])
            self._begun[own] = begun + 1
            return f"{own}\0{begun + 1}"
        return name

    @property
    def user_names(self) -> list[str]:
        """Names of the users, by number."""
        return self._user_numbers.names

    def _click(
        self, row: TextRow, session: int, reference: str, impressions: str, timestamp: int, details: list[str]
    ) -> None:
        shown = impressions.split("|")
        # Until another click-out follows, this is the session's last.
        self.end_skipped.add(session)
        if not impressions:
            self._report.malformed(row.place, "no impressions", "a click-out must have the list that was shown")
        elif "" in shown or not (impressions.isascii() and impressions.replace("|", "").isdigit()):
            self._report.malformed(
                row.place, "wrong type", f"impressions must be hotel ids joined by '|': {impressions}"
            )
        elif len(set(shown)) < len(shown) and not self._report.repairs:
            self._report.malformed(row.place, "repeated impression", f"a hotel is in the list twice: {impressions}")
        elif self.known.closed and any(item not in self.items for item in shown):
            self._report.left_out("click-outs with items that the catalogue does not have", 1, [row.place])
        elif reference not in shown:
            self._report.malformed(row.place, "click not in slate", f"hotel {reference!r} is not in {impressions}")
        else:
            if len(different := list(dict.fromkeys(shown))) < len(shown):
                self._report.repaired("lists that show a hotel twice: it counts at its first place", 1, [row.place])
            slate = [self.items(item) for item in different]
            events = self._open(session)
            del self._open_events[session]
            touched = [event.item for event in events]
            self.steps.add(row.place, session, slate, self.items(reference), events=touched, time=float(timestamp))
            self._event_lines.extend(event.line for event in events)
            self.details.add(shown, details[0], details[1:], events, timestamp)
            self.end_skipped.discard(session)

    def report_events(self, rows: NDArray[np.int64]) -> None:
        """Count the rows used, and the interactions that are not among them.

        Args:
            rows: numbers of the steps that are kept.
        """
        single = [touch.line for touches in self._open_events.values() for touch in touches]
        late = np.sort(np.concatenate([np.array(single, dtype=np.int64), *self._waiting.lines()]))
        self._report.left_out("interactions after the last click-out of a session", len(late), self._places(late))
        offsets = check_offsets("event_length", self.steps.event_length, minimum=0)
        kept = np.zeros(len(self.steps), dtype=bool)
        kept[rows] = True
        unused = np.sort(np.asarray(self._event_lines)[gather(offsets, np.flatnonzero(~kept))[0]])
        self._report.left_out("interactions in sessions that are left out", len(unused), self._places(unused))
        self._report.rows_used = len(rows) + int(offsets[-1]) - len(unused)

    def _places(self, lines: NDArray[np.int64]) -> Iterator[Place]:
        return (Place(self._file, int(line)) for line in lines)
