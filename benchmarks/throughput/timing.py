"""Wall-clock time of repeated calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.profiler import record_function

MEASURED = "measured"
"""Name, in profiles, of the stretches in which calls are timed."""


@dataclass(frozen=True)
class Timing:
    """Calls of a function.

    Attributes:
        calls: how many.
        seconds: that they took together.
        best: seconds of the fastest; other work on the machine disturbs it least.
        processor_seconds: that all threads of this process computed meanwhile.
    """

    calls: int
    seconds: float
    best: float
    processor_seconds: float

    @property
    def seconds_per_call(self) -> float:
        """Mean time of a call."""
        return self.seconds / self.calls


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def time_calls(function: Callable[[], object], at_least: float, device: torch.device) -> Timing:
    """Call a function again and again until some time has passed.

    Args:
        function: called at least once.
        at_least: seconds.
        device: where the function computes.
    """
    synchronize(device)
    calls, seconds, computed, best = 0, 0.0, 0.0, float("inf")
    with record_function(MEASURED):
        while calls == 0 or seconds < at_least:
            start, computed_before = time.perf_counter(), time.process_time()
            function()
            synchronize(device)
            call = time.perf_counter() - start
            computed += time.process_time() - computed_before
            calls, seconds, best = calls + 1, seconds + call, min(best, call)
    return Timing(calls, seconds, best, computed)
