"""An append-only log on the disk: what it has acknowledged is read again after a crash."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from irecgan_gym.serving.events import Event, Header, LogError, encode, read_events, read_events_with_ends

Durability = Literal["fsync", "write"]
"""When an event counts as kept: ``"fsync"``, when the disk has it: it survives the machine's failure; ``"write"``, when
the operating system has it: it survives the server's own failure, whatever kills it, and not the machine's."""

_PATTERN = "events-*.log"


class EventLog:
    """A folder of files of events, of which one process at a time writes the last.

    Opening it cuts off what a crash has left unfinished at the end of the last file, which was never acknowledged, and
    begins a new file. A write that fails is undone; where that fails too, nothing is accepted any more.

    Args:
        folder: made where it is missing.
        header: first record of the new file.
        durability: see :data:`Durability`.
        file_bytes: size from which on a new file is begun.

    Raises:
        LogError: another process writes to the folder, or a file of it is damaged.
    """

    def __init__(
        self, folder: str | Path, header: Header, *, durability: Durability = "fsync", file_bytes: int = 2**26
    ) -> None:
        if durability not in ("fsync", "write"):
            raise ValueError(f"durability must be 'fsync' or 'write', got {durability!r}")
        if file_bytes < 1:
            raise ValueError(f"file_bytes must be at least 1, got {file_bytes}")
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._header, self._durability, self._file_bytes = header, durability, file_bytes
        self.failure: str | None = None
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise LogError(f"{self.folder}: another server writes to this log") from error
        try:
            files = log_files(self.folder)
            if files:
                _cut_unfinished(files[-1])
            self._number = int(files[-1].stem.partition("-")[2]) if files else 0
            self._begin_file()
        except BaseException:
            os.close(self._lock)
            raise

    def append(self, events: Sequence[Event]) -> None:
        """Write events; when this returns they are kept.

        Raises:
            OSError: they could not be written, and none of them is in the log.
            LogError: an earlier failure could not be undone.
        """
        if self.failure is not None:
            raise LogError(f"{self.folder}: the log takes nothing since a write has failed: {self.failure}")
        if not events:
            return
        if self._size >= self._file_bytes:
            os.close(self._file)
            self._begin_file()
        self._write(b"".join(map(encode, events)))

    def close(self) -> None:
        """Close the files and let another process write."""
        os.close(self._file)
        os.close(self._lock)

    def _begin_file(self) -> None:
        self._number += 1
        path = self.folder / f"events-{self._number:08d}.log"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
        self._size = 0
        self._write(encode(self._header))
        if self._durability == "fsync":
            _sync_folder(self.folder)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
            if self._durability == "fsync":
                self._sync()
        except OSError as error:
            self._undo(error)
            raise
        self._size += len(data)

    def _sync(self) -> None:
        try:
            os.fdatasync(self._file)
        except OSError as error:
            # After such a failure the system may have dropped what it could not write, and will not say so again.
            self.failure = str(error)
            raise

    def _undo(self, error: OSError) -> None:
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self.failure = str(error)


def log_files(folder: Path) -> list[Path]:
    """Files of a log in their order."""
    return sorted(folder.glob(_PATTERN))


def read_log_events(folder: str | Path) -> Iterator[Header | Event]:
    """Records of a whole log, in their order; it may be written to meanwhile.

    Raises:
        FileNotFoundError: there is no such log.
        LogError: a damaged file.
    """
    files = log_files(Path(folder))
    if not files:
        raise FileNotFoundError(f"no log of a server in {folder}")
    for path in files:
        yield from read_events(path)


def _cut_unfinished(path: Path) -> None:
    """Cut off what follows the last whole line."""
    end = max((end for _, end in read_events_with_ends(path)), default=0)
    if end < path.stat().st_size:
        with path.open("r+b") as file:
            file.truncate(end)
            os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
