"""What the commands share: CPU threads, user errors as one line, a stopped run with how to go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from rich.console import Console

from agents import AGENT_NAMES
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


def run_command(command: Callable[[Console], Any], *, threads: int | None = None) -> int:
    """Run a command and turn the errors that a user can mend into a message.

    Args:
        command: receives the console.
        threads: CPU threads that torch may use in this process; None leaves torch's own choice.

    Returns:
        The exit status.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    console = Console()
    try:
        command(console)
    except (SettingsError, RunFolderError, ReaderError, SessionsError, FileNotFoundError) as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on with what is left")
        return 130
    return 0
