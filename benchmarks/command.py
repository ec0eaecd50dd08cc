"""What the commands share: CPU threads, user errors as one line, a stopped run with how to go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from rich.console import Console

from agents import AGENT_NAMES
from benchmarks.job_loop import JobsFailedError
from benchmarks.processors import Processes, ProcessorsError, available_processors, plan_processes
from benchmarks.run_folder import RunFolderError
from irecgan_gym.readers import ReaderError
from irecgan_gym.sessions import SessionsError


class SettingsError(ValueError):
    """Settings of a command that make no sense; the message names the option."""


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
