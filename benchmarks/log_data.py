"""Real logs for the benchmarks: any format that the suite reads, as sessions and a report of what was read."""

from __future__ import annotations

from pathlib import Path

from irecgan_gym.sessions import Sessions

# Sessions saved by the suite itself (Parquet).
SESSIONS = "sessions"
FORMATS = (SESSIONS,)


def read_log(path: Path, format_name: str, on_error: str) -> tuple[Sessions, str]:
    """Read logs.

    Args:
        path: a file, or a folder for formats of several files.
        format_name: one of ``FORMATS``.
        on_error: ``"raise"`` or ``"skip"``: what a malformed row does.

    Returns:
        The sessions, and what was read and what was not, as text.

    Raises:
        FileNotFoundError: there is no such file.
        SessionsError: malformed rows, with file and line.
    """
    sessions = Sessions.load(path)
    return sessions, str(sessions.statistics())
