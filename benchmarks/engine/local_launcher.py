"""Jobs on this machine: in the command's own process, or in worker processes that stay from job to job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import cast

from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.launcher import Outcomes
from irecgan_gym.benchmarks.engine.processors import Processes, available_processors
from irecgan_gym.benchmarks.engine.progress import JobProgress
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.engine.worker import Message, Work, Worker, do_job


class LocalLauncher:
    """Does one job at a time in this process, and several in a worker process each.

    With worker processes, the work and what it needs must survive pickling.
    """

    @property
    def processors(self) -> int:
        """Processors that this process may use."""
        return available_processors()

    def launch(
        self, waiting: Sequence[Job], work: Work, folder: RunFolder, progress: JobProgress, processes: Processes
    ) -> Outcomes:
        """See :meth:`~irecgan_gym.benchmarks.engine.launcher.Launcher.launch`."""
        how = _in_this_process if processes.jobs == 1 else _in_workers
        yield from how(waiting, work, folder, progress, processes)


def _in_this_process(
    waiting: Sequence[Job], work: Work, folder: RunFolder, progress: JobProgress, processes: Processes
) -> Outcomes:
    for job in waiting:
        progress.started(job)

        def show(text: str, job: Job = job) -> None:
            progress.said(job, text)

        yield job, do_job(work, job, folder.tensorboard, show)


def _in_workers(
    waiting: Sequence[Job], work: Work, folder: RunFolder, progress: JobProgress, processes: Processes
) -> Outcomes:
    """Yield outcomes as they come. A worker that dies fails the one job that it had, and another takes its place."""
    queue = list(reversed(waiting))
    with _worker_list() as workers:
        for _ in range(processes.jobs):
            workers.append(_begun(Worker(work, folder.tensorboard, processes.threads), queue, progress))
        while busy := [worker for worker in workers if worker.job is not None]:
            ready = cast(list[Connection], wait([worker.connection for worker in busy]))
            for worker in [worker for worker in busy if worker.connection in ready]:
                job = cast(Job, worker.job)
                said = worker.receive()
                if isinstance(said, Message):
                    progress.said(job, said.text)
                    continue
                if queue and not worker.is_alive:
                    worker.stop()
                    workers[workers.index(worker)] = worker = Worker(work, folder.tensorboard, processes.threads)
                if queue:  # Before the tables are written, so that no processor waits for that.
                    _begun(worker, queue, progress)
                yield job, said


def _begun(worker: Worker, queue: list[Job], progress: JobProgress) -> Worker:
    job = queue.pop()
    worker.start(job)
    progress.started(job)
    return worker


@contextmanager
def _worker_list() -> Iterator[list[Worker]]:
    """Workers that are stopped at the end, come what may."""
    workers: list[Worker] = []
    try:
        yield workers
    finally:
        # All together, for each may take a while to keep a checkpoint.
        for worker in workers:
            worker.ask_to_end()
        for worker in workers:
            worker.stop()
