"""Counts and means of sessions, taken together part by part."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from irecgan_gym.sessions.logged_sessions import Sessions


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

    def __str__(self) -> str:
        lines = []
        for column in fields(self):
            value = getattr(self, column.name)
            if value is not None:
                shown = f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"
                lines.append(f"{column.name.replace('_', ' '):<22}{shown:>14}")
        return "\n".join(lines)


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
