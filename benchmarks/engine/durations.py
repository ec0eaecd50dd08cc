"""Forecasts of how long jobs take, made from the jobs that are finished."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from irecgan_gym.benchmarks.engine.job import Job


class Durations:
    """Expected seconds of jobs, better with every job that is done.

    Args:
        finished: seconds that finished jobs took.
    """

    def __init__(self, finished: Mapping[Job, float]) -> None:
        self._of_kind: dict[tuple[str, str, int], list[float]] = {}
        for job, seconds in finished.items():
            self.add(job, seconds)

    def add(self, job: Job, seconds: float) -> None:
        """Learn from a job that is done."""
        self._of_kind.setdefault(_kind(job), []).append(seconds)

    def expected(self, job: Job) -> float | None:
        """Return the mean of the finished jobs of the same agent, log and size; None if there are none."""
        finished = self._of_kind.get(_kind(job))
        return float(np.mean(finished)) if finished else None

    def filled(self, jobs: Iterable[Job]) -> list[float] | None:
        """Return the expected seconds of several jobs; the mean of the known ones stands for those not known.

        Returns:
            None where nothing is known of any.
        """
        seconds = [self.expected(job) for job in jobs]
        known = [value for value in seconds if value is not None]
        if not known:
            return None if seconds else []
        mean = float(np.mean(known))
        return [mean if value is None else value for value in seconds]


def longest_first(jobs: Sequence[Job], durations: Durations, stage: Callable[[Job], int] = lambda job: 0) -> list[Job]:
    """Return jobs in the order in which to start them: seed by seed, and the longest of a stage of a seed first.

    So a run that is stopped early still compares all agents, and no long job is left alone at the end of a run.

    Args:
        jobs: to be started.
        durations: what they will take, as far as it is known.
        stage: later stages of a seed start after earlier ones.
    """
    return sorted(jobs, key=lambda job: (job.seed, stage(job), -(durations.expected(job) or 0.0)))


def time_left(running: Iterable[float], waiting: Iterable[float], slots: int) -> float:
    """Return the seconds until all is done when each slot that becomes free takes the next job.

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
    """Return a duration for people: ``1.5 s``, ``42 s``, ``3 min``, ``2 h 5 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _kind(job: Job) -> tuple[str, str, int]:
    return job.agent, job.logging_policy, job.num_sessions
