"""How the commands end: user errors as one line, a stopped run with how to go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console

from benchmarks.run_folder import RunFolderError
from irecgan_gym.sessions import SessionsError


def run_command(command: Callable[[Console], Any]) -> int:
    """Run a command and turn the errors that a user can mend into a message; returns the exit status."""
    console = Console()
    try:
        command(console)
    except (RunFolderError, SessionsError, FileNotFoundError) as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on with what is left")
        return 130
    return 0
