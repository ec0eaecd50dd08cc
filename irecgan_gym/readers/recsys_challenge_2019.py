"""Hotel click-outs of the RecSys Challenge 2019."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.readers.assembly import Numbering, StepColumns, assemble, keep_lengths
from irecgan_gym.readers.lines import TextRow, read_table, whole_number
from irecgan_gym.readers.report import OnError, Place, ReadReport, ReadResult
from irecgan_gym.sessions.checks import check_offsets
from irecgan_gym.sessions.ragged import gather

_COLUMNS = ("user_id", "session_id", "timestamp", "step", "action_type", "reference", "impressions")
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
    on_error: OnError = "raise",
) -> ReadResult:
    """Read the challenge's ``train.csv`` (or ``.csv.gz``).

    A session is a ``session_id``; its steps are its click-outs with the lists of hotels shown (``impressions``). The
    user's other interactions with hotels become events of the next click-out; those after the last click-out, and
    actions that concern no hotel (filters, sorting, destinations), are counted and left out. The catalogue holds the
    hotels of lists and events, in the order in which the file first names them; ``item_names`` are their ids.

    The data hold no purchases: the reward stands for the end of the search.

    A click-out that is skipped as malformed does not take its session with it. Where it was the last of its session,
    the click-out before it did not end the search: the session counts as truncated, and none of its steps as the last.

    Args:
        path: the file.
        min_length: sessions with fewer click-outs are left out (§7.2 of the paper leaves out those of 1).
        max_length: sessions with more click-outs are left out.
        reward: ``"last"``: 1 for the click-out that ends the session's search, else 0; ``"every"``: 1 for each.
        on_error: ``"raise"`` or ``"skip"``. The challenge's own file has click-outs on hotels that were not shown, so
            it takes ``"skip"`` to read it.

    Raises:
        FileNotFoundError: there is no such file.
        ReaderError: the file cannot be read, or a row is malformed and ``on_error="raise"``.
        SessionsError: no session is left.
    """
    if reward not in ("last", "every"):
        raise ValueError(f"reward must be 'last' or 'every', got {reward!r}")
    report = ReadReport(on_error)
    log = _ClickOutLog(Path(path).name, report)
    for row in read_table(Path(path), ",", _COLUMNS, report):
        log.add(row)
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
        users=log.users,
        with_events=True,
        provenance={"source": "RecSys Challenge 2019", "file": Path(path).name, "reward": reward},
        truncated=log.end_skipped,
    )
    rewards = np.full(result.num_steps, 1.0 if reward == "every" else 0.0, dtype=np.float32)
    rewards[result.offsets[1:][~result.truncated] - 1] = 1.0
    return ReadResult(result.with_rewards(rewards), report)


class _ClickOutLog:
    """The rows so far."""

    def __init__(self, file: str, report: ReadReport) -> None:
        self._file, self._report = file, report
        self.steps = StepColumns()
        self.items, self.sessions = Numbering(), Numbering()
        self.users: list[int] = []
        self.end_skipped: set[int] = set()
        self._event_lines = array("q")
        self._open_events: dict[int, list[tuple[int, int]]] = {}
        self._last: list[_Last] = []
        self._user_numbers = Numbering()

    def add(self, row: TextRow) -> None:
        """Take in one row."""
        user, session_id, timestamp, step, action, reference, impressions = row.cells
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
            self._click(row, session, reference, impressions)
        elif action not in _INTERACTIONS:
            self._report.left_out(f"action {action!r}", 1, [row.place])
        elif whole_number(reference) is None:
            self._report.left_out("interactions whose reference is no item", 1, [row.place])
        else:
            self._open_events.setdefault(session, []).append((self.items(reference), row.place.number))

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
        session = self.sessions(session_id)
        user_number = self._user_numbers(user)
        if session == known:
            self.users.append(user_number)
            self._last.append(now)
            return session
        last = self._last[session]
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
            self._last[session] = now
            return session
        return None

    def _click(self, row: TextRow, session: int, reference: str, impressions: str) -> None:
        shown = impressions.split("|")
        # Until another click-out follows, this is the session's last.
        self.end_skipped.add(session)
        if not impressions:
            self._report.malformed(row.place, "no impressions", "a click-out must have the list that was shown")
        elif "" in shown or not (impressions.isascii() and impressions.replace("|", "").isdigit()):
            self._report.malformed(
                row.place, "wrong type", f"impressions must be hotel ids joined by '|': {impressions}"
            )
        elif len(set(shown)) < len(shown):
            self._report.malformed(row.place, "repeated impression", f"a hotel is in the list twice: {impressions}")
        elif reference not in shown:
            self._report.malformed(row.place, "click not in slate", f"hotel {reference!r} is not in {impressions}")
        else:
            slate = [self.items(item) for item in shown]
            events = self._open_events.pop(session, [])
            self.steps.add(row.place, session, slate, self.items(reference), events=[item for item, _ in events])
            self._event_lines.extend(line for _, line in events)
            self.end_skipped.discard(session)

    def report_events(self, rows: NDArray[np.int64]) -> None:
        """Count the rows used, and the interactions that are not among them.

        Args:
            rows: numbers of the steps that are kept.
        """
        late = np.array(sorted(line for events in self._open_events.values() for _, line in events), dtype=np.int64)
        self._report.left_out("interactions after the last click-out of a session", len(late), self._places(late))
        offsets = check_offsets("event_length", self.steps.event_length, minimum=0)
        kept = np.zeros(len(self.steps), dtype=bool)
        kept[rows] = True
        unused = np.sort(np.asarray(self._event_lines)[gather(offsets, np.flatnonzero(~kept))[0]])
        self._report.left_out("interactions in sessions that are left out", len(unused), self._places(unused))
        self._report.rows_used = len(rows) + int(offsets[-1]) - len(unused)

    def _places(self, lines: NDArray[np.int64]) -> Iterator[Place]:
        return (Place(self._file, int(line)) for line in lines)
