"""An append-only log on the disk: what it has acknowledged is read again after a crash.

Each file begins with the sessions that are open, so that a start reads the last file, however long the log is.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from irecgan_gym.serving.events import (
    AllCarried,
    Carried,
    Event,
    Header,
    LogError,
    encode,
    read_records,
    read_records_with_ends,
)

Durability = Literal["fsync", "write"]
"""When an event counts as kept: ``"fsync"``, when the disk has it: it survives the machine's failure; ``"write"``, when
the operating system has it: it survives the server's own failure, whatever kills it, and not the machine's."""

_PATTERN = "events-*.log"
_PIECE = 2**20
_SHARE = 10
"""Events of a file take so many times the room of the sessions that it begins with: writing these keeps all waiting."""


class EventLog:
    """A folder of files of events, of which one process at a time writes the last.

    Opening it cuts off what a crash has left unfinished at the end of the last file, which was never acknowledged. A
    new file is begun by the first events, and when the present one is full. A write that fails is undone; where that
    fails too, nothing is accepted any more.

    Args:
        folder: made where it is missing.
        header: first record of the new files.
        durability: see :data:`Durability`.
        file_bytes: size of the events of a file from which on a new one is begun.

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
            self._file: int | None = None
            self._size = self._first_event = 0
        except BaseException:
            os.close(self._lock)
            raise

    def append(self, events: Sequence[Event], carried: Callable[[], Iterable[Carried]] = tuple) -> None:
        """Write events; when this returns they are kept.

        Args:
            events: in their order.
            carried: gives the sessions as they are before the events, for a file that begins with them.

        Raises:
            OSError: they could not be written, and none of them is in the log.
            LogError: an earlier failure could not be undone.
        """
        if self.failure is not None:
            raise LogError(f"{self.folder}: the log takes nothing since a write has failed: {self.failure}")
        if not events:
            return
        if self._file is None or self._size - self._first_event >= max(self._file_bytes, _SHARE * self._first_event):
            self._begin_file(carried())
        self._write(map(encode, events))

    def close(self) -> None:
        """Close the files and let another process write."""
        if self._file is not None:
            os.close(self._file)
        os.close(self._lock)

    def _begin_file(self, carried: Iterable[Carried]) -> None:
        """Begin a file; where that fails, the one before goes on."""
        self._number += 1
        path = self.folder / f"events-{self._number:08d}.log"
        before = self._file, self._size, self._first_event
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
        self._size = 0
        try:
            self._write(self._beginning(carried))
            self._first_event = self._size
            if self._durability == "fsync":
                _sync_folder(self.folder)
        except BaseException:
            os.close(self._file)
            self._file, self._size, self._first_event = before
            path.unlink()
            raise
        if before[0] is not None:
            os.close(before[0])

    def _beginning(self, carried: Iterable[Carried]) -> Iterator[bytes]:
        yield encode(self._header)
        number = 0
        for record in carried:
            yield encode(record)
            number += 1
        yield encode(AllCarried(number))

    def _write(self, lines: Iterable[bytes]) -> None:
        """Write lines as one piece: all of them are there, or none."""
        assert self._file is not None
        written = 0
        try:
            for data in _joined(lines):
                view = memoryview(data)
                while view:
                    view = view[os.write(self._file, view) :]
                written += len(data)
            if self._durability == "fsync":
                self._sync()
        except BaseException as error:  # Of whatever kind: what was written is no whole piece.
            self._undo(error)
            raise
        self._size += written

    def _sync(self) -> None:
        assert self._file is not None
        try:
            os.fdatasync(self._file)
        except OSError as error:
            # After such a failure the system may have dropped what it could not write, and will not say so again.
            self.failure = str(error)
            raise

    def _undo(self, error: BaseException) -> None:
        assert self._file is not None
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self.failure = str(error)


def _joined(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines in pieces of some size."""
    piece = bytearray()
    for line in lines:
        piece += line
        if len(piece) >= _PIECE:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def log_files(folder: Path) -> list[Path]:
    """Files of a log in their order."""
    return sorted(folder.glob(_PATTERN))


def read_log_events(folder: str | Path) -> Iterator[Header | Event]:
    """Headers and events of a whole log, in their order; it may be written to meanwhile.

    Raises:
        FileNotFoundError: there is no such log.
        LogError: a damaged file.
    """
    files = log_files(Path(folder))
    if not files:
        raise FileNotFoundError(f"no log of a server in {folder}")
    for path in files:
        for record in read_records(path):
            if isinstance(record, (Header, Event)):
                yield record


def read_open_sessions(folder: str | Path) -> Iterator[Header | Event | Carried]:
    """All that is needed of a log to go on with it: the sessions that a file begins with, and all events from there on.

    The file is the last one that carries sessions over. A log of before there were such files is read as a whole.

    Raises:
        LogError: a damaged file among those that are read.
    """
    files = log_files(Path(folder))
    first = next((number for number in reversed(range(len(files))) if _carries_all(files[number])), 0)
    for number, path in enumerate(files[first:], first):
        for record in read_records(path):
            # A file that was not begun to its end carries some: they are told by the files before.
            if not isinstance(record, (Carried, AllCarried)) or (isinstance(record, Carried) and number == first):
                yield record


def _carries_all(path: Path) -> bool:
    """Tell whether a file begins with all sessions that were open."""
    number = 0
    for record in read_records(path):
        if isinstance(record, AllCarried):
            return record.number == number
        if isinstance(record, Carried):
            number += 1
        elif isinstance(record, Event):
            return False
    return False


def _cut_unfinished(path: Path) -> None:
    """Cut off what follows the last whole line."""
    end = max((end for _, end in read_records_with_ends(path)), default=0)
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
