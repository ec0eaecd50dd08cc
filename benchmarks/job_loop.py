"""Works through the jobs of a run, skipping those that an earlier sitting has finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.measurements import Job
from benchmarks.recorder import JobRecorder
from benchmarks.run_folder import RunFolder
from irecgan_gym.recorder import Recorder

Work = Callable[[Job, Recorder], Mapping[str, float]]


def run_jobs(folder: RunFolder, jobs: Sequence[Job], work: Work, console: Console) -> None:
    """Run all unfinished jobs, one after the other, and write down each when it is done.

    Args:
        folder: where results go.
        jobs: what there is to do.
        work: does a job, reporting its training, and returns what it measured.
        console: shows progress.
    """
    finished = {row.job for row in folder.results()}
    waiting = [job for job in jobs if job not in finished]
    if len(waiting) < len(jobs):
        console.print(f"{len(jobs) - len(waiting)} of {len(jobs)} jobs are in {folder.results_file} already")
    progress = Progress(
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
    )
    with progress:
        bar = progress.add_task("", total=len(jobs), completed=len(jobs) - len(waiting))
        for job in waiting:
            progress.update(bar, description=job.name)

            def show(text: str, name: str = job.name) -> None:
                progress.update(bar, description=f"{name}  {text}")

            start = time.perf_counter()
            with JobRecorder(job, folder.tensorboard, show) as recorder:
                metrics = work(job, recorder)
            folder.finish(job, metrics, recorder.records)
            progress.advance(bar)
            console.print(f"{job.name}: done in {time.perf_counter() - start:.1f} s")
