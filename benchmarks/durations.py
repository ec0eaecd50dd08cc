"""How long jobs will take: from those that are done, else from a table of what was measured once."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from irecgan_gym.benchmarks.measurements import Job

DefaultSeconds = Callable[[Job], float | None]
Cell = tuple[str, str, int]


def unknown(job: Job) -> float | None:
    """Nothing is known of how long any job takes."""
    return None


class Durations:
    """Expected seconds of jobs, better with every job that is done.

    Args:
        finished: seconds that finished jobs took.
        default: expected seconds of a job on some machine, None where not known.
    """

    def __init__(self, finished: Mapping[Job, float], default: DefaultSeconds = unknown) -> None:
        self._default = default
        self._of_cell: dict[Cell, list[float]] = {}
        self._spent, self._spent_by_default = 0.0, 0.0
        for job, seconds in finished.items():
            self.add(job, seconds)

    def add(self, job: Job, seconds: float) -> None:
        """Learn from a job that is done."""
        self._of_cell.setdefault(_cell(job), []).append(seconds)
        default = self._default(job)
        if default is not None:
            self._spent += seconds
            self._spent_by_default += default

    def is_measured(self, job: Job) -> bool:
        """Whether a job of the same agent, logging policy and number of sessions has been done."""
        return _cell(job) in self._of_cell

    def expected(self, job: Job) -> float | None:
        """Seconds that a job should take; None where nothing is known.

        The mean of the jobs of the same agent, logging policy and number of sessions; before there are any, the
        default, times what the other jobs took as a multiple of their defaults (another machine, a busy one).
        """
        measured = self._of_cell.get(_cell(job))
        if measured:
            return float(np.mean(measured))
        default = self._default(job)
        if default is None or not self._spent_by_default:
            return default
        return default * self._spent / self._spent_by_default

    def filled(self, jobs: Iterable[Job]) -> list[float] | None:
        """Expected seconds of several jobs; the mean of the known ones where one is not known.

        Returns:
            None where nothing is known of any.
        """
        seconds = [self.expected(job) for job in jobs]
        known = [value for value in seconds if value is not None]
        if not known:
            return None if seconds else []
        mean = float(np.mean(known))
        return [mean if value is None else value for value in seconds]


def longest_first(jobs: Sequence[Job], durations: Durations) -> list[Job]:
    """The order in which to start jobs: seed by seed, and the longest of a seed first.

    So a run that is stopped early still compares all agents, and no long job is left alone at the end of a run.
    """
    return sorted(jobs, key=lambda job: (job.seed, -(durations.expected(job) or 0.0)))


def time_left(running: Iterable[float], waiting: Iterable[float], slots: int) -> float:
    """Seconds until all is done when each slot that gets free takes the next job.

    Args:
        running: seconds that the running jobs still need.
        waiting: seconds that the others take, in the order in which they start.
        slots: jobs at a time; at least as many as are running.
    """
    ends = [max(seconds, 0.0) for seconds in running]
    ends += [0.0] * (slots - len(ends))
    heapq.heapify(ends)
    for seconds in waiting:
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends)


def as_text(seconds: float) -> str:
    """A duration for people: ``1.5 s``, ``42 s``, ``3 min``, ``2 h 5 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _cell(job: Job) -> Cell:
    return job.agent, job.logging_policy, job.num_sessions
