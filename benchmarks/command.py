"""What the commands share: CPU threads, user errors as one line, a stopped run with how to go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
import tyro
from irecgan_gym.agents import AGENT_NAMES
from irecgan_gym.benchmarks.job_loop import JobsFailedError
from irecgan_gym.benchmarks.processors import Processes, ProcessorsError, available_processors, plan_processes
from irecgan_gym.benchmarks.run_folder import RunFolderError
from rich.console import Console

from irecgan_gym.readers import ReaderError
from irecgan_gym.sessions import SessionsError


class SettingsError(ValueError):
    """Settings of a command that make no sense; the message names the option."""


@dataclass(frozen=True, kw_only=True)
class GridSettings:
    """Options of every command that runs a grid of jobs."""

    out: Path
    """Run folder: settings, results.csv, checkpoints, plots. The same command goes on where it stopped."""
    jobs: int | None = None
    """Jobs at a time, each in a process of its own; as many as there are processors if left out."""
    threads: int = 1
    """CPU threads of a job. More than one makes small networks slower, and much slower on busy processors."""
    dry_run: bool = False
    """Print what there is to do and what it should take, and do nothing."""

    def check_processes(self) -> None:
        """Refuse numbers of jobs or threads below 1.

        Raises:
            SettingsError: with the option.
        """
        check_positive(threads=self.threads)
        if self.jobs is not None:
            check_positive(jobs=self.jobs)


SettingsT = TypeVar("SettingsT", bound=GridSettings)


def grid_command(
    settings_type: type[SettingsT],
    run: Callable[[SettingsT, Console], Any],
    plan: Callable[[SettingsT, Console], Any],
    arguments: Sequence[str] | None,
) -> int:
    """The command line of a grid of jobs; returns the exit status.

    Args:
        settings_type: what the command line fills.
        run: runs the grid, or goes on with it.
        plan: prints what ``run`` would do, for ``--dry-run``.
        arguments: those of the process when None.
    """
    settings = tyro.cli(settings_type, args=arguments)
    command = plan if settings.dry_run else run
    return run_command(lambda console: command(settings, console), threads=settings.threads)


def check_agents(names: tuple[str, ...]) -> None:
    """Refuse unknown agents, none, and one twice.

    Raises:
        SettingsError: with the agents there are.
    """
    if not names or len(set(names)) < len(names) or not set(names) <= set(AGENT_NAMES):
        raise SettingsError(f"--agents takes one or more of {', '.join(AGENT_NAMES)}, got: {' '.join(names)}")


def check_positive(**options: int) -> None:
    """Refuse numbers below 1, named like their options.

    Raises:
        SettingsError: for the first such number.
    """
    for name, value in options.items():
        if value < 1:
            raise SettingsError(f"--{name.replace('_', '-')} must be at least 1, got {value}")


def check_distinct(**options: Sequence[Any]) -> None:
    """Refuse options, named like their keys, that take values of which there are none, or one twice.

    Raises:
        SettingsError: for the first such option.
    """
    for name, values in options.items():
        if not values or len(set(values)) < len(values):
            given = " ".join(map(str, values)) or "none"
            raise SettingsError(f"--{name.replace('_', '-')} takes one or more different values, got: {given}")


def choose_processes(jobs: int | None, threads: int, console: Console) -> Processes:
    """How many jobs at a time, as ``--jobs`` and ``--threads`` ask and the processors allow; says where it is fewer.

    Raises:
        ProcessorsError: more threads than processors.
    """
    processors = available_processors()
    processes = plan_processes(jobs, threads, processors)
    if jobs is not None and processes.jobs < jobs:
        console.print(
            f"--jobs {jobs} with {threads} threads each are too many for {processors} processors: "
            f"{processes.jobs} at a time",
            highlight=False,
            soft_wrap=True,
        )
    return processes


def run_command(command: Callable[[Console], Any], *, threads: int | None = None) -> int:
    """Run a command and turn the errors that a user can mend into a message.

    Args:
        command: receives the console.
        threads: CPU threads that torch may use in this process; None leaves torch's own choice.

    Returns:
        The exit status.
    """
    if threads is not None and threads > 0:
        torch.set_num_threads(threads)
    console = Console()
    try:
        command(console)
    except (
        SettingsError,
        ProcessorsError,
        RunFolderError,
        JobsFailedError,
        ReaderError,
        SessionsError,
        FileNotFoundError,
    ) as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on with what is left")
        return 130
    return 0
