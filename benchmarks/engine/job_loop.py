"""Work through the jobs of a run, several at a time, skipping those that an earlier sitting has finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

from rich.console import Console

from irecgan_gym.benchmarks.engine.durations import Durations, longest_first
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.launcher import Launcher
from irecgan_gym.benchmarks.engine.local_launcher import LocalLauncher
from irecgan_gym.benchmarks.engine.processors import Processes
from irecgan_gym.benchmarks.engine.progress import JobProgress
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.engine.tables import DURATIONS, RESULTS, TRAINING, TableFile, read_durations
from irecgan_gym.benchmarks.engine.worker import Failed, Work
from irecgan_gym.storage.files import write_atomically
from irecgan_gym.storage.interruption import terminations_raised


def run_jobs(
    folder: RunFolder,
    jobs: Sequence[Job],
    work: Work,
    console: Console,
    processes: Processes = Processes(),  # noqa: B008 (immutable)
    stage: Callable[[Job], int] = lambda job: 0,
    launcher: Launcher = LocalLauncher(),  # noqa: B008 (immutable)
) -> dict[Job, str]:
    """Run all unfinished jobs and write down each when it is done; a job that fails does not stop the others.

    Only this process writes tables, whatever does the jobs.

    Args:
        folder: run folder that the results go to.
        jobs: all jobs of the run, in the order of their rows.
        work: does a job, reporting its training, and returns what it measured. All randomness must come from the job,
            so that results do not depend on where and in which order jobs are done.
        console: shows progress.
        processes: number of jobs at a time, and of the threads of each.
        stage: jobs of later stages of a seed start after those of earlier ones.
        launcher: does the jobs.

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
            outcomes = launcher.launch(waiting, work, folder, progress, Processes(slots, processes.threads))
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
