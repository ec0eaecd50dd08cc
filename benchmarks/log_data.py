"""Logs for the commands: sessions, and a report of what was read and what was not."""

from __future__ import annotations

from pathlib import Path

from irecgan_gym import readers
from irecgan_gym.sessions import Sessions

# Sessions that the suite has saved itself; so come tables that need options (`python -m irecgan_gym.readers table`).
SAVED = "sessions"
FORMATS = (*readers.FORMATS, SAVED)


def read_log(path: Path, format_name: str, on_error: readers.OnError) -> tuple[Sessions, str]:
    """Read logs.

    Args:
        path: a file, or a folder for formats of several files.
        format_name: one of ``FORMATS``.
        on_error: see :func:`irecgan_gym.readers.read`; a damaged file of saved sessions is always refused.

    Returns:
        The sessions; and, as text, what was read and what was not, and what the sessions are like.

    Raises:
        FileNotFoundError: there is no such file.
        ReaderError: a file that cannot be read, or with ``on_error="raise"`` the first malformed row.
        SessionsError: nothing that makes sessions.
    """
    if format_name == SAVED:
        sessions, account = Sessions.load(path), f"saved sessions: {path.name}"
    else:
        sessions, report = readers.read(path, format_name, on_error=on_error)
        account = str(report)
    return sessions, f"{account}\n\n{sessions.statistics()}"
