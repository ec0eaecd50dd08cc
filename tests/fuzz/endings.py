"""How a case of bad input ended: in a right result, in an error that was raised on purpose, or badly."""

from __future__ import annotations

import linecache
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

ROOT = Path(__file__).parents[2]
OWN = tuple(str(ROOT / folder) for folder in ("irecgan_gym", "agents", "benchmarks"))
SCREEN = 1500
"""Characters of the longest message."""
SECONDS = 20.0
"""The longest that a case may take; the inputs are tiny."""


class Ending(Enum):
    """What became of a case."""

    RIGHT = "right result"
    REFUSED = "clear error"
    OBSCURE = "obscure error"
    LONG = "message over a screen"
    SLOW = "over the time limit"
    SILENT = "silently wrong"


BAD = (Ending.OBSCURE, Ending.LONG, Ending.SLOW, Ending.SILENT)


class SilentlyWrongError(Exception):
    """A case ended without an error in something else than it should have."""


class _TooSlowError(BaseException):
    """Not an Exception, which code under test may take for its own."""


@dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes:
        name: what it is, in a line.
        run: does what a user would do with it; raises :class:`SilentlyWrongError` where the result is wrong.
    """

    name: str
    run: Callable[[], object]


@dataclass(frozen=True)
class Outcome:
    """How one case ended.

    Attributes:
        case: what was tried.
        ending: what became of it.
        message: of the error, with its type.
        where: place of the code that raised it.
    """

    case: str
    ending: Ending
    message: str = ""
    where: str = ""


def outcome_of(case: Case) -> Outcome:
    """Run a case and judge how it ended."""
    try:
        with _limited(SECONDS):
            case.run()
    except SilentlyWrongError as error:
        return Outcome(case.name, Ending.SILENT, str(error))
    except _TooSlowError:
        return Outcome(case.name, Ending.SLOW)
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        ending = Ending.OBSCURE
        if raised_on_purpose(frame):
            ending = Ending.LONG if len(str(error)) > SCREEN else Ending.REFUSED
        message = f"{type(error).__name__}: {error}"
        return Outcome(case.name, ending, message[:300], f"{frame.filename.removeprefix(str(ROOT))}:{frame.lineno}")
    return Outcome(case.name, Ending.RIGHT)


def raised_on_purpose(frame: traceback.FrameSummary) -> bool:
    """Tell whether an error comes from a ``raise`` of the package, rather than from inside or from a library."""
    line = linecache.getline(frame.filename, frame.lineno or 0).strip()
    return frame.filename.startswith(OWN) and (line.startswith("raise") or " raise " in f" {line}")


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _TooSlowError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
