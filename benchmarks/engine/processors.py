"""Number of processes of a run: jobs times threads never exceed the processors that this process may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# What the numerical libraries read once, when they are loaded. Arrow takes its number of threads from OpenMP's.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


class ProcessorsError(ValueError):
    """More threads than there are processors; the message says how many there are."""


@dataclass(frozen=True)
class Processes:
    """Spread of jobs over processors.

    Attributes:
        jobs: jobs at a time. One is done in the command's own process, several in a worker process each.
        threads: CPU threads of each job.
    """

    jobs: int = 1
    threads: int = 1


def available_processors(quota: Path = _QUOTA) -> int:
    """Return the number of processors that this process may use: bound to it and within its quota.

    Args:
        quota: the quota's file (Linux, cgroup version 2): microseconds of processor time, or ``max``, in a period of
            microseconds; not there on other systems.
    """
    # macOS binds no process to processors.
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        allowed, period = quota.read_text().split()
        return max(1, min(processors, math.ceil(int(allowed) / int(period))))
    except (OSError, ValueError):
        return processors


def plan_processes(jobs: int | None, threads: int, processors: int) -> Processes:
    """Return as many jobs at a time as were asked for and as there are processors for.

    Args:
        jobs: asked for; None for as many as there is room for.
        threads: of each job.
        processors: that may be used.

    Raises:
        ProcessorsError: a single job would have more threads than there are processors.
    """
    if threads > processors:
        raise ProcessorsError(f"--threads {threads} is more than the {processors} processors that may be used here")
    room = processors // threads
    return Processes(room if jobs is None else min(jobs, room), threads)


@contextmanager
def thread_limits(threads: int) -> Iterator[None]:
    """Let the numerical libraries of processes that are started inside have this many threads each.

    The libraries of this process have been loaded already and do not notice.
    """
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
