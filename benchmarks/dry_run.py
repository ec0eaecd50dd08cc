"""What a run would do, how much of it is done, and what it should cost; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from irecgan_gym.benchmarks.durations import DefaultSeconds, Durations, as_text, longest_first, time_left, unknown
from irecgan_gym.benchmarks.measurements import Duration, Job, Measurement, read_rows
from irecgan_gym.benchmarks.processors import Processes
from irecgan_gym.benchmarks.run_folder import check_settings
from rich.console import Console
from rich.table import Table


def print_plan(
    path: Path,
    config: Mapping[str, Any],
    jobs: Sequence[Job],
    processes: Processes,
    console: Console,
    default_seconds: DefaultSeconds = unknown,
    method: Callable[[Job], str] = attrgetter("agent"),
) -> None:
    """Print the grid of a run, how many of its jobs are finished, and an estimate of what the others will take.

    Args:
        path: the run folder, which need not exist.
        config: settings of the run.
        jobs: all of the run.
        processes: how many jobs at a time.
        console: prints.
        default_seconds: what jobs take as long as none of their kind is done.
        method: the row of the first table that a job belongs to.

    Raises:
        RunFolderError: the folder belongs to another run.
    """
    check_settings(path, config)
    finished = {row.job for row in read_rows(Measurement, path / "results.csv")}
    spent = {row.job: row.seconds for row in read_rows(Duration, path / "durations.csv")}
    durations = Durations(spent, default_seconds)
    console.print(_table("agent", jobs, finished, durations, method))
    cells = _table(
        "logging policy, sessions",
        jobs,
        finished,
        durations,
        lambda job: f"{job.logging_policy}, {job.num_sessions:,}",
    )
    console.print(cells)
    left = longest_first([job for job in jobs if job not in finished], durations)
    seeds = len({job.seed for job in jobs})
    console.print(f"jobs: {len(jobs)} with {seeds} seeds; finished: {len(jobs) - len(left)}", highlight=False)
    seconds = durations.filled(left)
    if seconds is None:
        console.print("nothing is known yet of what they take: finish one, and ask again", highlight=False)
    elif left:
        total = time_left([], seconds, processes.jobs)
        source = "jobs finished in this folder"
        if not all(map(durations.is_measured, left)):
            source = "default costs, measured once elsewhere" + (f", scaled by {source}" if spent else "")
        console.print(
            f"estimate: {as_text(sum(seconds))} of work; {as_text(total)} with --jobs {processes.jobs} (from {source})",
            highlight=False,
            soft_wrap=True,
        )


def _table(
    heading: str, jobs: Sequence[Job], finished: set[Job], durations: Durations, group: Callable[[Job], str]
) -> Table:
    table = Table(heading, pad_edge=False)
    for column in ("jobs", "finished", "seconds a job (estimate)", "left (estimate)"):
        table.add_column(column, justify="right")
    for name in dict.fromkeys(map(group, jobs)):
        members = [job for job in jobs if group(job) == name]
        left = [job for job in members if job not in finished]
        known = [seconds for job in members if (seconds := durations.expected(job)) is not None]
        table.add_row(
            name,
            str(len(members)),
            str(len(members) - len(left)),
            _range(known),
            as_text(sum(durations.filled(left) or [])) if known else "unknown",
        )
    return table


def _range(seconds: Sequence[float]) -> str:
    if not seconds:
        return "unknown"
    low, high = f"{min(seconds):.1f}", f"{max(seconds):.1f}"
    return low if low == high else f"{low} to {high}"
