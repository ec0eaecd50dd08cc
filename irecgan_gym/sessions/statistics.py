"""Counts and means of sessions, taken together part by part."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.sessions.further_clicks import further_clicks

if TYPE_CHECKING:
    from irecgan_gym.sessions.logged_sessions import Sessions


class LabelStatistics(NamedTuple):
    """Summary of one label of the entries of lists; a list with several clicks counts once.

    Attributes:
        name: of the label.
        known: number of the entries of which it is known.
        given: number of those of which it is not 0.
        mean: over those of which it is known; NaN where there are none.
    """

    name: str
    known: int
    given: int
    mean: float


@dataclass(frozen=True)
class SessionStatistics:
    """Counts and means of some sessions; ``str()`` gives a table of one line each."""

    num_sessions: int
    num_steps: int
    num_items: int
    num_items_shown: int
    num_items_clicked: int
    num_users: int | None
    mean_length: float
    max_length: int
    mean_slate_size: float
    mean_session_reward: float
    truncated_share: float
    labels: tuple[LabelStatistics, ...] = ()

    def __str__(self) -> str:
        lines = []
        for column in fields(self):
            value = getattr(self, column.name)
            if value is not None and column.name != "labels":
                lines.append(_line(column.name.replace("_", " "), value))
        for label in self.labels:
            lines += [_line(f"{label.name}, not 0", label.given), _line(f"{label.name}, mean", label.mean)]
        return "\n".join(lines)


def _line(name: str, value: int | float) -> str:
    shown = f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"
    return f"{name:<22}{shown:>14}"


class Tally:
    """Counts over sessions of one catalogue, added part by part.

    Args:
        num_items: size of the catalogue, n.
    """

    def __init__(self, num_items: int) -> None:
        self._shown, self._clicked = np.zeros(num_items, dtype=bool), np.zeros(num_items, dtype=bool)
        self._users: NDArray[np.int64] | None = None
        self._sessions = self._steps = self._entries = self._longest = self._truncated = 0
        self._reward = 0.0
        self._labels: dict[str, NDArray[np.float64]] = {}

    def add(self, part: Sessions) -> None:
        """Count more sessions, whose users are numbered alike in all parts."""
        self._shown[part.slate_items] = True
        self._clicked[part.clicks[part.clicks < part.num_items]] = True
        if part.users is not None:
            before = np.zeros(0, dtype=np.int64) if self._users is None else self._users
            self._users = np.union1d(before, part.users).astype(np.int64)
        self._sessions += len(part)
        self._steps += part.num_steps
        self._entries += len(part.slate_items)
        self._longest = max(self._longest, int(part.lengths.max()) if len(part) else 0)
        self._truncated += int(part.truncated.sum())
        self._reward += float(part.rewards.sum(dtype=np.float64))
        if part.labels:
            first = ~further_clicks(part)[part.step_of_entry]
            for name, values in part.labels.items():
                known = values[first & ~np.isnan(values)].astype(np.float64)
                before = self._labels.get(name, np.zeros(3))
                self._labels[name] = before + np.array([len(known), np.count_nonzero(known), known.sum()])

    def statistics(self) -> SessionStatistics:
        """Counts and means of all that was added."""
        sessions, steps = max(self._sessions, 1), max(self._steps, 1)
        return SessionStatistics(
            num_sessions=self._sessions,
            num_steps=self._steps,
            num_items=len(self._shown),
            num_items_shown=int(self._shown.sum()),
            num_items_clicked=int(self._clicked.sum()),
            num_users=None if self._users is None else len(self._users),
            mean_length=self._steps / sessions,
            max_length=self._longest,
            mean_slate_size=self._entries / steps,
            mean_session_reward=self._reward / sessions,
            truncated_share=self._truncated / sessions,
            labels=tuple(
                LabelStatistics(name, int(known), int(given), total / known if known else math.nan)
                for name, (known, given, total) in ((name, sums.tolist()) for name, sums in self._labels.items())
            ),
        )


def statistics_of(sessions: Sessions) -> SessionStatistics:
    """Counts and means of some sessions."""
    tally = Tally(sessions.num_items)
    # Somebody without a name is nobody else, and has no number of their own in memory.
    users = None if sessions.users is None else sessions.user_groups
    tally.add(replace(sessions, users=users, user_names=None))
    return tally.statistics()


def statistics_by_day(sessions: Sessions) -> dict[date, SessionStatistics]:
    """Counts and means of the sessions that begin on each day (UTC), for times in seconds since 1970.

    Raises:
        ValueError: sessions without times.
    """
    if sessions.times is None:
        raise ValueError("these sessions have no times")
    days = np.floor(sessions.times[sessions.offsets[:-1]] / 86_400).astype(np.int64)
    return {
        date(1970, 1, 1) + timedelta(days=day): statistics_of(sessions.select(np.flatnonzero(days == day)))
        for day in np.unique(days).tolist()
    }
