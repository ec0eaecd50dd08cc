"""Time and memory of a call, in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

ResultT = TypeVar("ResultT")


class Measurement(NamedTuple):
    """One call.

    Attributes:
        seconds: by the clock.
        cpu_seconds: of processors.
        peak_mb: most resident memory above the most that the process held before, in units of 10^6 bytes.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float


def measured(call: Callable[[], ResultT]) -> tuple[ResultT, Measurement]:
    """Return what a call returns, and what it took."""
    before = peak_mb()
    start, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, Measurement(time.perf_counter() - start, time.process_time() - cpu, peak_mb() - before)


def in_a_process(function: Callable[..., ResultT], *arguments: Any) -> ResultT:
    """Call a function of a module in a new process, whose memory holds nothing of this one's."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def peak_mb() -> float:
    """Return the most resident memory that this process has held, libraries included, in units of 10^6 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kilobytes on Linux, bytes on macOS.
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
