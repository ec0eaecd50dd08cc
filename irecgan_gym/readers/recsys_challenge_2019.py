"""Hotel click-outs of the RecSys Challenge 2019."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from irecgan_gym.readers.assembly import Numbering, StepColumns, assemble, keep_lengths
from irecgan_gym.readers.lines import Row, read_table
from irecgan_gym.readers.report import OnError, ReadReport, ReadResult

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
    """Where a session has got to."""

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
    actions that concern no hotel (filters, sorting, destinations), are counted and left out. A click-out that is
    skipped as malformed does not take its session with it.

    The data hold no purchases: the reward stands for the end of the search.

    Args:
        path: the file.
        min_length: sessions with fewer click-outs are left out (§7.2 of the paper leaves out those of 1).
        max_length: sessions with more click-outs are left out.
        reward: ``"last"``: 1 for the click-out that ends the session's search, else 0; ``"every"``: 1 for each.
        on_error: ``"raise"`` or ``"skip"``. The challenge's own file has click-outs on hotels that were not shown.

    Raises:
        FileNotFoundError: there is no such file.
        ReaderError: the file cannot be read, or a row is malformed and ``on_error="raise"``.
        SessionsError: no session is left.
    """
    if reward not in ("last", "every"):
        raise ValueError(f"reward must be 'last' or 'every', got {reward!r}")
    report = ReadReport(on_error)
    log = _Log(report)
    for row in read_table(Path(path), ",", _COLUMNS, report):
        log.add(row)
    sessions = len(log.sessions)
    report.left_out("interactions after the last click-out of a session", sum(len(items) for items in log.open_events))
    kept = keep_lengths(log.steps, sessions, min_length, max_length, "click-outs", report)
    owners = np.asarray(log.steps.session, dtype=np.int64)
    used = kept[owners]
    num_events = np.asarray(log.steps.event_length)
    report.left_out("interactions in sessions that are left out", int(num_events[~used].sum()))
    report.rows_used = int(used.sum() + num_events[used].sum())
    report.session_left_out("sessions without click-outs", sessions - len(np.unique(owners)))
    report.check()
    result = assemble(
        log.steps,
        kept,
        item_names=log.items.names,
        users=log.users,
        with_events=True,
        provenance={"source": "RecSys Challenge 2019", "file": Path(path).name, "reward": reward},
    )
    rewards = np.full(result.num_steps, 1.0 if reward == "every" else 0.0, dtype=np.float32)
    rewards[result.offsets[1:] - 1] = 1.0
    return ReadResult(result.with_rewards(rewards), report)


class _Log:
    """The rows so far."""

    def __init__(self, report: ReadReport) -> None:
        self._report = report
        self.steps = StepColumns()
        self.items, self.sessions = Numbering(), Numbering()
        self.users: list[int] = []
        self.open_events: list[list[int]] = []
        self._last: list[_Last] = []
        self._user_numbers = Numbering()

    def add(self, row: Row) -> None:
        """Take in one row."""
        user, session_id, timestamp, step, action, reference, impressions = row.cells
        numbers = self._numbers(row, timestamp, step)
        if numbers is None:
            return
        if not session_id or not user:
            self._report.malformed(row.place, "no session or user", f"session_id is {session_id!r}, user_id {user!r}")
            return
        session = self._session(row, session_id, user, numbers)
        if session is None:
            return
        if action == _CLICK:
            self._click(row, session, reference, impressions)
        elif action not in _INTERACTIONS:
            self._report.left_out(f"action {action!r}")
        elif not reference.isdigit():
            self._report.left_out("interactions whose reference is no item")
        else:
            self.open_events[session].append(self.items(reference))

    def _numbers(self, row: Row, timestamp: str, step: str) -> _Last | None:
        try:
            return _Last(int(timestamp), int(step))
        except ValueError:
            self._report.malformed(
                row.place, "wrong type", f"timestamp {timestamp!r} and step {step!r} must be whole numbers"
            )
            return None

    def _session(self, row: Row, session_id: str, user: str, now: _Last) -> int | None:
        """Number of the row's session, or None where the row does not fit into it."""
        known = len(self.sessions)
        session = self.sessions(session_id)
        user_number = self._user_numbers(user)
        if session == known:
            self.users.append(user_number)
            self.open_events.append([])
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

    def _click(self, row: Row, session: int, reference: str, impressions: str) -> None:
        shown = impressions.split("|") if impressions else []
        if not shown:
            self._report.malformed(row.place, "no impressions", "a click-out must have the list that was shown")
        elif len(set(shown)) < len(shown):
            self._report.malformed(row.place, "repeated impression", f"a hotel is in the list twice: {impressions}")
        elif reference not in shown:
            self._report.malformed(row.place, "click not in slate", f"hotel {reference!r} is not in {impressions}")
        else:
            slate = [self.items(item) for item in shown]
            self.steps.add(session, slate, self.items(reference), events=self.open_events[session])
            self.open_events[session] = []
