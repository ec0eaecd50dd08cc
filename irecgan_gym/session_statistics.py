"""Counts and means of logged sessions, in a form that prints well."""

from __future__ import annotations

from dataclasses import dataclass, fields


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
