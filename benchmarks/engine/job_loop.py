"""Work through the jobs of a run, several at a time, skipping those that an earlier sitting has finished."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection, wait
from typing import cast

from rich.console import Console

from irecgan_gym.benchmarks.engine.durations import Durations, longest_first
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.processors import Processes
from irecgan_gym.benchmarks.engine.progress import JobProgress
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.engine.tables import DURATIONS, RESULTS, TRAINING, TableFile, read_durations
from irecgan_gym.benchmarks.engine.worker import Failed, Message, Outcome, Work, Worker, do_job
from irecgan_gym.storage.files import write_atomically
from irecgan_gym.storage.interruption import terminations_raised


class JobsFailedError(RuntimeError):
    """Some jobs of a run have failed; the others are finished. The message lists them and says where to look."""

    def __init__(self, failures: Mapping[Job, str], folder: RunFolder) -> None:
        shown = [f"  {job.name}: {reason}" for job, reason in list(failures.items())[:10]]
        if len(failures) > len(shown):
            shown.append(f"  and {len(failures) - len(shown)} more")
        count = "1 job has" if len(failures) == 1 else f"{len(failures)} jobs have"
        lines = [f"{count} failed:", *shown, f"tracebacks: {folder.failures}; the same command tries again"]
        super().__init__("\n".join(lines))


def run_jobs(
    folder: RunFolder,
    jobs: Sequence[Job],
    work: Work,
    console: Console,
    processes: Processes = Processes(),  # noqa: B008 (immutable)
    stage: Callable[[Job], int] = lambda job: 0,
) -> dict[Job, str]:
    """Run all unfinished jobs and write down each when it is done; a job that fails does not stop the others.

    With one job at a time they are done in this process. With several they are done in worker processes that stay
    from job to job; ``work`` and what it needs must then survive pickling. Only this process writes tables.

    Args:
        folder: run folder that the results go to.
        jobs: all jobs of the run, in the order of their rows.
        work: does a job, reporting its training, and returns what it measured. All randomness must come from the job,
            so that results do not depend on where and in which order jobs are done.
        console: shows progress.
        processes: number of jobs at a time, and of the threads of each.
        stage: jobs of later stages of a seed start after those of earlier ones.

    Returns:
        The reason, in one line, of each job that failed; tracebacks are in ``failures/``.

    Raises:
        RunFolderError: another process is at work in the folder, a table in it was damaged, or it was moved meanwhile.
        OSError: a file cannot be written, as where the disk is full; what had finished stays.
    """
    failures: dict[Job, str] = {}
    with folder.claim(), terminations_raised():
        # The results go last: a job stopped between the tables is run again and its rows are replaced.
        training, durations_table, results = (
            TableFile(file, columns, jobs)
            for file, columns in (
                (folder.training_file, TRAINING),
                (folder.durations_file, DURATIONS),
                (folder.results_file, RESULTS),
            )
        )
        durations = Durations(read_durations(folder.durations_file))
        waiting = longest_first([job for job in jobs if job not in results.jobs], durations, stage)
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
                    folder.check_there()
                    if isinstance(outcome, Failed):
                        failures[job] = outcome.reason
                        write_atomically(folder.failure(job), outcome.details.encode())
                    else:
                        training.replace(job, outcome.records)
                        durations_table.replace(job, [(outcome.seconds,)])
                        results.replace(job, outcome.metrics.items())
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
