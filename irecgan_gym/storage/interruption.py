"""Signals that ask a training to end: it is told at its next checkpoint."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingStopped(KeyboardInterrupt):
    """A training that was asked to end by a signal, and has kept a checkpoint.

    Args:
        number: of the signal.
        message: says where the checkpoint is.

    Attributes:
        signal: number of the signal.
    """

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.signal = number


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised like Ctrl-C so that what is open is closed on the way out.

    Attributes:
        signal: its number.
    """

    signal = int(signal.SIGTERM)


@contextmanager
def terminations_raised() -> Iterator[None]:
    """Raise :class:`Terminated` on SIGTERM, where a program would have ended on the spot; in the main thread alone."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated("stopped by SIGTERM")


class Interruption:
    """Context in which SIGINT and SIGTERM are taken note of; a second signal does what it would have done outside.

    Signals that are ignored stay so, and outside of the main thread, where Python allows no handlers, nothing changes.

    Attributes:
        requested: the signal that has come; None where there was none.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):
                    self._before[number] = before
                    signal.signal(number, self._take_note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._let_go()
        if self.requested is not None and kind is None:
            # It came when there was nothing left to stop: whoever was to have it has it now.
            signal.raise_signal(self.requested)

    def _take_note(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None:
            self._let_go()
            signal.raise_signal(number)
            return
        self.requested = number
        print(
            f"{signal.Signals(number).name}: stopping after this epoch or round, with a checkpoint; "
            "the same signal again stops at once",
            file=sys.stderr,
            flush=True,
        )

    def _let_go(self) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before = {}
