"""An experiment: settings, jobs, tables and figures; everything else that a run needs is done for it here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from matplotlib.figure import Figure
from pandas import DataFrame
from rich.console import Console

from irecgan_gym.benchmarks.engine.command import SettingsError, check_not_negative, check_positive
from irecgan_gym.benchmarks.engine.durations import Durations, as_text, longest_first, time_left
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.job_loop import run_jobs
from irecgan_gym.benchmarks.engine.jobs_failed import JobsFailedError
from irecgan_gym.benchmarks.engine.launcher import Launcher
from irecgan_gym.benchmarks.engine.local_launcher import LocalLauncher
from irecgan_gym.benchmarks.engine.processors import Processes, available_processors, plan_processes
from irecgan_gym.benchmarks.engine.run_folder import RunFolder, merged_settings
from irecgan_gym.benchmarks.engine.summaries import Measure, measurement_tables
from irecgan_gym.benchmarks.engine.tables import RESULTS, jobs_of, read_durations, read_table
from irecgan_gym.benchmarks.engine.text_table import text_table
from irecgan_gym.benchmarks.extras import missing
from irecgan_gym.benchmarks.figures.run import draw
from irecgan_gym.recorder import Recorder

MOST_SEEDS = 10_000
"""Every job of a grid is made before the first is run."""


@dataclass(frozen=True, kw_only=True)
class Experiment(ABC):
    """A grid of independent jobs; subclasses add options as fields, and say what a job is.

    A subclass is a dataclass whose docstring is the command's help and whose fields are its options. It survives
    pickling: with several jobs at a time it is sent to worker processes.

    Attributes:
        name: name of the experiment in ``results.csv``.
        axes: entries of :meth:`config` along which a finished run may grow, such as agents and seeds.
        measures: metrics that tables show; all when empty.
    """

    name: ClassVar[str]
    axes: ClassVar[Sequence[str]] = ()
    measures: ClassVar[Sequence[Measure]] = ()

    out: Path
    """Run folder: settings, results.csv, checkpoints, plots. The same command goes on where it stopped."""
    jobs: int | None = None
    """Jobs at a time, each in a process of its own; as many as there are processors if left out."""
    threads: int = 1
    """CPU threads of a job. More than one makes small networks slower, and much slower on busy processors."""
    launcher: Literal["local", "ray"] = "local"
    """Place of the jobs: this machine, or the machines of a Ray cluster (pip install "irecgan-gym[ray]"); the run
    folder is the same. All machines must see it, and the logs, under the same path."""
    ray_address: str | None = None
    """Address of a running Ray cluster, such as auto; if left out, one of this machine is started and ended."""
    checkpoint_seconds: float = 60.0
    """Least seconds between two checkpoints of a job's training, from which it goes on when the run is killed."""
    dry_run: bool = False
    """Print what there is to do and what it should take, and do nothing."""

    @abstractmethod
    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return all settings that measurements depend on, JSON-compatible."""

    @abstractmethod
    def grid(self, results: DataFrame) -> list[Job]:
        """Return all jobs that are known so far, in the order of their rows.

        Args:
            results: measurements of finished jobs. A grid that depends on them is asked for again when its jobs are
                done, until there is nothing left to do.
        """

    @abstractmethod
    def measure(self, job: Job, recorder: Recorder, folder: RunFolder) -> Mapping[str, float]:
        """Do a job; all that is random in it comes from the job's seed.

        Args:
            job: one of the grid.
            recorder: receives the numbers of training.
            folder: takes checkpoints.

        Returns:
            Measurements by metric, such as ``reward/top-k``.
        """

    def stage(self, job: Job) -> int:
        """Return the stage of a job: of one seed, later stages start after earlier ones."""
        return 0

    def forecast(self, results: DataFrame) -> list[Job]:
        """Return all jobs of the run as far as they can be foreseen, for ``--dry-run``."""
        return self.grid(results)

    def describe(self, console: Console) -> None:  # noqa: B027 (optional)
        """Print what there is to say before the jobs start."""

    def prepare(self, folder: RunFolder) -> None:  # noqa: B027 (optional)
        """Add to the run folder what belongs there before the jobs start."""

    def conclude(self, folder: RunFolder, results: DataFrame, console: Console) -> None:  # noqa: B027 (optional)
        """Print what there is to say of the results beside the tables."""

    @staticmethod
    def figures(rows: DataFrame) -> Mapping[str, Callable[[], Figure]]:
        """Return the functions that draw figures of the results, by name.

        Args:
            rows: measurements of this experiment.
        """
        return {}

    def execute(self, console: Console) -> None:
        """Run or continue the experiment, or with ``--dry-run`` print what that would mean.

        Raises:
            SettingsError: settings that make no sense.
            RunFolderError: the folder belongs to another run.
            JobsFailedError: some jobs failed; the others are finished and reported.
        """
        check_positive(threads=self.threads, jobs=1 if self.jobs is None else self.jobs)
        check_not_negative(checkpoint_seconds=self.checkpoint_seconds)
        self._check_launcher()
        seeds: int = getattr(self, "seeds", 1)
        if seeds > MOST_SEEDS:
            raise SettingsError(f"--seeds must be at most {MOST_SEEDS:,}, got {seeds:,}")
        self.check()
        torch.set_num_threads(self.threads)
        if self.dry_run:
            processes = self._processes(available_processors(), console)
            self.describe(console)
            merged_settings(self.out, self.config(), self.axes)
            self._print_plan(processes, console)
        else:
            with self._launching() as launcher:
                processes = self._processes(launcher.processors, console)
                self.describe(console)
                self._run(launcher, processes, console)

    def _run(self, launcher: Launcher, processes: Processes, console: Console) -> None:
        folder = RunFolder(self.out, self.config(), self.axes, self.checkpoint_seconds)
        self.prepare(folder)
        jobs: list[Job] = []
        failures: dict[Job, str] = {}
        while not failures and (grid := self.grid(folder.results())) != jobs:
            jobs = grid
            failures = run_jobs(
                folder, jobs, partial(self.measure, folder=folder), console, processes, self.stage, launcher
            )
        results = folder.results()
        if len(results):
            for table in measurement_tables(results, self.measures):
                table.print(console)
            self.conclude(folder, results, console)
            console.print("measurements:", folder.results_file, soft_wrap=True)
            for path in draw(folder.path, self.figures):
                console.print("plot:", path, soft_wrap=True)
        if failures:
            raise JobsFailedError(failures, folder)

    def _check_launcher(self) -> None:
        """Refuse a cluster that cannot be asked for.

        Raises:
            SettingsError: Ray is not installed, or has an address and is not to be used.
        """
        if self.launcher == "ray" and (line := missing("ray")):
            raise SettingsError(f"--launcher ray: {line}")
        if self.launcher != "ray" and self.ray_address is not None:
            raise SettingsError(f"--ray-address {self.ray_address} is for --launcher ray")

    @contextmanager
    def _launching(self) -> Iterator[Launcher]:
        """Have what does the jobs at hand meanwhile."""
        if self.launcher == "local":
            yield LocalLauncher()
            return
        # Only now: Ray is large, and may not be there.
        from irecgan_gym.benchmarks.engine.ray_launcher import ray_cluster

        here = available_processors() if self.jobs is None else min(available_processors(), self.jobs * self.threads)
        with ray_cluster(self.ray_address, here) as launcher:
            yield launcher

    def _processes(self, processors: int, console: Console) -> Processes:
        """Return the number of jobs at a time that is asked for and that the processors allow."""
        processes = plan_processes(self.jobs, self.threads, processors)
        if self.jobs is not None and processes.jobs < self.jobs:
            console.print(
                f"--jobs {self.jobs} with {self.threads} threads each are too many for {processors} processors: "
                f"{processes.jobs} at a time",
                highlight=False,
                soft_wrap=True,
            )
        return processes

    def _print_plan(self, processes: Processes, console: Console) -> None:
        """Print the grid, the number of finished jobs, and a forecast from them of what the others take."""
        results = read_table(self.out / "results.csv", RESULTS)
        jobs, finished = self.forecast(results), set(jobs_of(results))
        durations = Durations(read_durations(self.out / "durations.csv"))
        self._print_jobs("agent", jobs, finished, durations, lambda job: job.agent.partition("/")[0], console)
        self._print_jobs(
            "log", jobs, finished, durations, lambda job: f"{job.logging_policy}, {job.num_sessions:,}", console
        )
        left = longest_first([job for job in jobs if job not in finished], durations, self.stage)
        seeds = len({job.seed for job in jobs})
        console.print(f"jobs: {len(jobs)} with {seeds} seeds; finished: {len(jobs) - len(left)}", highlight=False)
        seconds = durations.filled(left)
        if seconds is None:
            console.print("nothing is known yet of what they take: finish one, and ask again", highlight=False)
        elif left:
            console.print(
                f"forecast from the finished jobs: {as_text(sum(seconds))} of work; "
                f"{as_text(time_left([], seconds, processes.jobs))} with --jobs {processes.jobs}",
                highlight=False,
                soft_wrap=True,
            )

    @staticmethod
    def _print_jobs(
        heading: str,
        jobs: Sequence[Job],
        finished: set[Job],
        durations: Durations,
        group: Callable[[Job], str],
        console: Console,
    ) -> None:
        rows = []
        for name in dict.fromkeys(map(group, jobs)):
            members = [job for job in jobs if group(job) == name]
            left = [job for job in members if job not in finished]
            known = [seconds for job in members if (seconds := durations.expected(job)) is not None]
            each = "unknown" if not known else f"{min(known):.1f} to {max(known):.1f}"
            more = as_text(sum(durations.filled(left) or [])) if known else "unknown"
            rows.append((name, str(len(members)), str(len(members) - len(left)), each, more))
        text_table("Jobs", (heading, "jobs", "finished", "seconds a job", "left"), rows).print(console)


def check_device(device: str) -> None:
    """Refuse a device that is not there.

    Raises:
        SettingsError: with what was given.
    """
    try:
        torch.empty(0, device="cpu" if device == "auto" else device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(f"--device: {str(error).splitlines()[0]}") from error
