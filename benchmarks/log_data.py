"""Logs for the commands: sessions, and a report of what was read and what was not."""

from __future__ import annotations

from pathlib import Path

from irecgan_gym import readers
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.dataset import SessionDataset, SessionLog

# Sessions that the suite has saved itself; so come tables that need options (`python -m irecgan_gym.readers table`).
SAVED = "sessions"
FORMATS = (*readers.FORMATS, SAVED)


def open_log(path: Path, format_name: str, on_error: readers.OnError) -> tuple[SessionLog, str]:
    """Return the logs of :func:`read_log`, or a data set on disk (a folder of the format ``SAVED``) as it is."""
    if format_name == SAVED and path.is_dir():
        dataset = SessionDataset.open(path)
        return dataset, f"sessions on disk: {path.name}\n\n{dataset.statistics()}"
    return read_log(path, format_name, on_error)


def read_log(path: Path, format_name: str, on_error: readers.OnError) -> tuple[Sessions, str]:
    """Read logs into memory.

    Args:
        path: a file, or a folder for formats of several files and for sessions on disk.
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
        sessions = SessionDataset.open(path).load() if path.is_dir() else Sessions.load(path)
        account = f"saved sessions: {path.name}"
    else:
        sessions, report = readers.read(path, format_name, on_error=on_error)
        account = str(report)
    return sessions, f"{account}\n\n{sessions.statistics()}"
