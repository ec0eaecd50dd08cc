"""Works through the jobs of a run, several at a time, skipping those that an earlier sitting has finished."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import cast

from irecgan_gym.benchmarks.durations import DefaultSeconds, Durations, longest_first, unknown
from irecgan_gym.benchmarks.job_progress import JobProgress
from irecgan_gym.benchmarks.job_worker import Failed, Message, Outcome, Work, Worker, do_job
from irecgan_gym.benchmarks.measurements import Job
from irecgan_gym.benchmarks.processors import Processes
from irecgan_gym.benchmarks.run_folder import RunFolder
from irecgan_gym.benchmarks.run_tables import RunTables
from rich.console import Console

from irecgan_gym.storage.files import write_atomically


@dataclass(frozen=True)
class Failure:
    """A job that failed.

    Attributes:
        job: which.
        reason: one line.
    """

    job: Job
    reason: str


class JobsFailedError(RuntimeError):
    """Some jobs of a run have failed; the others are finished. The message lists them and says where to look."""

    def __init__(self, failures: Sequence[Failure], folder: RunFolder) -> None:
        shown = [f"  {failure.job.name}: {failure.reason}" for failure in failures[:10]]
        if len(failures) > len(shown):
            shown.append(f"  and {len(failures) - len(shown)} more")
        count = "1 job has" if len(failures) == 1 else f"{len(failures)} jobs have"
        lines = [f"{count} failed:", *shown, f"tracebacks: {folder.failures}; the same command tries again"]
        super().__init__("\n".join(lines))
        self.failures = tuple(failures)


def run_jobs(
    folder: RunFolder,
    jobs: Sequence[Job],
    work: Work,
    console: Console,
    processes: Processes = Processes(),  # noqa: B008 (immutable)
    default_seconds: DefaultSeconds = unknown,
) -> list[Failure]:
    """Run all unfinished jobs and write down each when it is done; a job that fails does not stop the others.

    With one job at a time they are done in this process. With several they are done in worker processes that stay
    from job to job; ``work`` and what it needs must then survive pickling. Only this process writes tables.

    Args:
        folder: where results go.
        jobs: what there is to do, in the order of their rows.
        work: does a job, reporting its training, and returns what it measured. All randomness must come from the job,
            so that results do not depend on where and in which order jobs are done.
        console: shows progress.
        processes: how many jobs at a time, with how many threads.
        default_seconds: what jobs take, for the time left, as long as none of their kind is done.

    Returns:
        The jobs that failed, with their tracebacks in ``failures/``.

    Raises:
        RunFolderError: another process is at work in the folder.
    """
    failures = []
    with folder.claim():
        tables = RunTables(folder, jobs)
        durations = Durations(folder.durations(), default_seconds)
        waiting = longest_first([job for job in jobs if job not in tables.finished], durations)
        if len(waiting) < len(jobs):
            console.print(
                f"{len(jobs) - len(waiting)} of {len(jobs)} jobs are in {folder.results_file} already", soft_wrap=True
            )
        slots = max(1, min(processes.jobs, len(waiting)))
        with JobProgress(len(jobs), waiting, slots, durations, console) as progress:
            outcomes = (
                _in_this_process(waiting, work, folder, progress)
                if slots == 1
                else _in_workers(waiting, work, folder, progress, Processes(slots, processes.threads))
            )
            with closing(outcomes):
                for job, outcome in outcomes:
                    if isinstance(outcome, Failed):
                        failures.append(Failure(job, outcome.reason))
                        write_atomically(folder.failure(job), outcome.details.encode())
                    else:
                        tables.finish(job, outcome)
                        folder.failure(job).unlink(missing_ok=True)
                    progress.ended(job, outcome)
    return failures


def _in_this_process(
    waiting: Sequence[Job], work: Work, folder: RunFolder, progress: JobProgress
) -> Generator[tuple[Job, Outcome], None, None]:
    for job in waiting:
        progress.started(job)

        def show(text: str, job: Job = job) -> None:
            progress.said(job, text)

        yield job, do_job(work, job, folder.tensorboard, show)


def _in_workers(
    waiting: Sequence[Job], work: Work, folder: RunFolder, progress: JobProgress, processes: Processes
) -> Generator[tuple[Job, Outcome], None, None]:
    """Outcomes as they come. A worker that dies fails the one job that it had, and another takes its place."""
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
        for worker in workers:
            worker.stop()
