"""Counts and means of sessions."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from irecgan_gym.sessions.columns import Sessions


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


def statistics_of(sessions: Sessions) -> SessionStatistics:
    """Counts and means of some sessions."""
    lengths = sessions.lengths
    per_session = np.add.reduceat(sessions.rewards, sessions.offsets[:-1]) if len(sessions) else np.zeros(0)
    clicked = sessions.clicks[sessions.clicks < sessions.num_items]
    return SessionStatistics(
        num_sessions=len(sessions),
        num_steps=sessions.num_steps,
        num_items=sessions.num_items,
        num_items_shown=len(np.unique(sessions.slate_items)),
        num_items_clicked=len(np.unique(clicked)),
        num_users=None if sessions.users is None else len(np.unique(sessions.user_groups)),
        mean_length=float(lengths.mean()) if len(sessions) else 0.0,
        max_length=int(lengths.max()) if len(sessions) else 0,
        mean_slate_size=float(sessions.slate_lengths.mean()) if sessions.num_steps else 0.0,
        mean_session_reward=float(per_session.mean()) if len(sessions) else 0.0,
        truncated_share=float(sessions.truncated.mean()) if len(sessions) else 0.0,
    )


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
