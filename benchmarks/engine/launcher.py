"""Launchers: what does the jobs of a run, and hands over what each has come to."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.processors import Processes
from irecgan_gym.benchmarks.engine.progress import JobProgress
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.engine.worker import Outcome, Work

Outcomes = Generator[tuple[Job, Outcome], None, None]


class Launcher(Protocol):
    """Does jobs somewhere: on this machine, or on the machines of a cluster."""

    @property
    def processors(self) -> int:
        """Processors that jobs may use together."""

    def launch(
        self, waiting: Sequence[Job], work: Work, folder: RunFolder, progress: JobProgress, processes: Processes
    ) -> Outcomes:
        """Yield outcomes as they come; what is still at work when the generator is closed is stopped.

        Args:
            waiting: the jobs, in the order in which they start.
            work: does a job.
            folder: run folder of the jobs.
            progress: is told of jobs that start and of what they say.
            processes: number of jobs at a time, and of the threads of each.
        """
