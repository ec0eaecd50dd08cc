"""Reading what a server has logged: sessions, and the probabilities with which their slates were shown."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from irecgan_gym.serving.catalogue_file import read_catalogue
from irecgan_gym.serving.event_log import read_log_events
from irecgan_gym.serving.events import Header, LogError, Shown
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.slate_propensities import SlatePropensities
from irecgan_gym.storage.files import write_atomically

Unanswered = Literal["drop", "leave"]
"""What the last slate of a session becomes on which nothing was heard: nothing, or a step without a click."""


@dataclass(frozen=True)
class ServedLog:
    """Sessions that were served.

    Attributes:
        sessions: the sessions, in the order in which they began.
        propensities: probabilities of their slates under the policy that showed them; None where it could not say how
            probable each of them was.
        excluded: items that could not be shown at each step, T tuples of ids.
        names: what the server called each session.
        users: name of each session's user, or None.
        left_out: sessions without a single step that tells of a click.
    """

    sessions: Sessions
    propensities: SlatePropensities | None
    excluded: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]
    users: tuple[str | None, ...]
    left_out: int


@dataclass
class _Served:
    """A session so far."""

    user: str | None
    shown: list[Shown] = field(default_factory=list)
    clicks: list[int | None] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    ended: str | None = None


def read_served_log(folder: str | Path, *, unanswered: Unanswered = "leave") -> ServedLog:
    """Read the log of a server, which may go on writing meanwhile.

    A session that expired had a slate to which nobody answered: with ``"leave"`` its user left without a click, as
    far as the log can tell. A session that is still open, or was cut at the longest length, counts as truncated.

    Args:
        folder: of the log.
        unanswered: the last step of sessions that expired.

    Raises:
        FileNotFoundError: there is no such log.
        LogError: a damaged log, or one without a single step.
    """
    if unanswered not in ("drop", "leave"):
        raise ValueError(f"unanswered must be 'drop' or 'leave', got {unanswered!r}")
    folder = Path(folder)
    served, header = _gathered(folder)
    num_items, sampled = header.num_items, header.sampled
    kept = {name: session for name, session in served.items() if _answer_last(session, unanswered)}
    if not kept:
        raise LogError(f"{folder}: no session has a step that tells of a click")
    steps = [session.shown[step] for session in kept.values() for step in range(len(session.clicks))]
    clicks = np.array(
        [num_items if click is None else click for session in kept.values() for click in session.clicks], dtype=np.int64
    )
    numbers: dict[str, int] = {}
    users = [
        numbers.setdefault(f"session {name}" if session.user is None else f"user {session.user}", len(numbers))
        for name, session in kept.items()
    ]
    sessions = Sessions.from_columns(
        num_items=num_items,
        lengths=[len(session.clicks) for session in kept.values()],
        slates=np.concatenate([shown.items for shown in steps]),
        slate_lengths=[len(shown.items) for shown in steps],
        clicks=clicks,
        rewards=np.array([reward for session in kept.values() for reward in session.rewards], dtype=np.float64),
        truncated=np.array([session.ended in (None, "limit") for session in kept.values()]),
        propensities=None if sampled else np.where(clicks == num_items, np.nan, 1.0),
        users=users if any(session.user is not None for session in kept.values()) else None,
        item_names=read_catalogue(folder),
        provenance={"source": "serving", "folder": folder.name, "policy": header.policy, "sampled": sampled},
    )
    known = [shown.log_probabilities for shown in steps if shown.log_probabilities is not None]
    propensities = None
    if len(known) == len(steps):
        propensities = SlatePropensities.from_columns(sessions, np.concatenate(known))
    return ServedLog(
        sessions,
        propensities,
        tuple(shown.excluded for shown in steps),
        tuple(kept),
        tuple(session.user for session in kept.values()),
        len(served) - len(kept),
    )


def write_table(log: ServedLog, path: str | Path) -> None:
    """Write a log as the table that the reader ``table`` takes: CSV, one row a step, atomically.

    Columns are ``session``, ``user``, ``slate`` (items joined by ``|``), ``click``, ``reward`` and, beside those that
    the reader knows, ``slate_log_probability``, that of the whole slate in its order; empty where not known.

    Raises:
        LogError: an item's name holds the separator.
    """
    sessions = log.sessions
    names = sessions.item_names or tuple(map(str, range(sessions.num_items)))
    if wrong := [name for name in names if "|" in name]:
        raise LogError(f"item {wrong[0]!r} has the separator '|' in its name, which a slate in CSV cannot hold")
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["session", "user", "slate", "click", "reward", "slate_log_probability"])
    whole = None if log.propensities is None else log.propensities.slates
    for step, session in enumerate(sessions.session_of_step):
        low, high = sessions.slate_offsets[step : step + 2]
        click = int(sessions.clicks[step])
        rows.writerow(
            [
                log.names[session],
                log.users[session] or "",
                "|".join(names[item] for item in sessions.slate_items[low:high]),
                "" if click == sessions.num_items else names[click],
                repr(float(sessions.rewards[step])),
                "" if whole is None else repr(float(whole[step])),
            ]
        )
    write_atomically(Path(path), text.getvalue().encode())


def _gathered(folder: Path) -> tuple[dict[str, _Served], Header]:
    """Sessions by name, and the first header."""
    served: dict[str, _Served] = {}
    header: Header | None = None
    for place, record in enumerate(read_log_events(folder)):
        if isinstance(record, Header):
            header = header or record
            if (record.num_items, record.catalogue) != (header.num_items, header.catalogue):
                raise LogError(f"{folder}: record {place} is of another catalogue than those before")
            if record.sampled != header.sampled:
                header = Header(**{**vars(header), "sampled": True})
            continue
        if record.step == -1:
            if record.session in served:
                raise LogError(f"{folder}: record {place}: session {record.session} starts twice")
            served[record.session] = _Served(record.user)
        session = served.get(record.session)
        if session is None or session.ended is not None:
            raise LogError(f"{folder}: record {place}: session {record.session} is not open")
        if record.step >= 0 and record.ended != "expired":
            if record.step != len(session.clicks):
                raise LogError(f"{folder}: record {place}: session {record.session} has no step {record.step} now")
            session.clicks.append(record.click)
            session.rewards.append(record.reward)
            session.times.append(record.time)
        if record.shown is not None:
            session.shown.append(record.shown)
        session.ended = record.ended
    if header is None:
        raise LogError(f"{folder}: the log has no header")
    return served, header


def _answer_last(session: _Served, unanswered: Unanswered) -> bool:
    """Put an end to a session that expired, and tell whether it has steps."""
    if session.ended == "expired" and unanswered == "leave":
        session.clicks.append(None)
        session.rewards.append(0.0)
    return bool(session.clicks)
