"""Command lines: settings become a command, errors that a user can mend become one line and an exit status.

Every command ends with 0 when its work is done, 1 when work has failed (a job, unreadable data, a full disk), 2 for a
wrong usage (an option, a missing file, a folder that cannot be used), 130 when it is stopped by Ctrl-C, and 143 when it
is stopped by SIGTERM.
"""

from __future__ import annotations

from collections.abc import Sequence
from signal import SIGTERM
from typing import Any, Protocol

import tyro
from rich.console import Console

from irecgan_gym.benchmarks.engine.jobs_failed import JobsFailedError
from irecgan_gym.benchmarks.engine.processors import ProcessorsError
from irecgan_gym.benchmarks.engine.run_folder_error import RunFolderError
from irecgan_gym.kernels.memory import use_huge_pages
from irecgan_gym.readers import ReaderError
from irecgan_gym.sessions import SessionsError

FAILED, USAGE, STOPPED, TERMINATED = 1, 2, 130, 143


class SettingsError(ValueError):
    """Settings of a command that make no sense; the message names the option."""


class Command(Protocol):
    """Settings that are carried out; a dataclass, whose fields are the options of a command line."""

    def execute(self, console: Console) -> object:
        """Do what the settings say.

        Args:
            console: shows progress and results.

        Raises:
            SettingsError: settings that make no sense.
        """


def command_line(command: type[Any], arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Read a command's settings from a command line and carry them out.

    Args:
        command: a dataclass with a method ``execute`` (:class:`Command`).
        arguments: words of the command line; those of the process when None.
        prog: name of the program in its help.

    Returns:
        The exit status.
    """
    use_huge_pages()
    settings: Command = tyro.cli(command, args=arguments, prog=prog)
    return carry_out(settings)


def carry_out(settings: Command) -> int:
    """Carry out a command; errors that a user can mend become one line.

    Returns:
        The exit status.
    """
    console = Console()
    try:
        settings.execute(console)
    except KeyboardInterrupt as stop:
        console.print("stopped; the same command goes on with what is left")
        return TERMINATED if getattr(stop, "signal", None) == SIGTERM else STOPPED
    except _usage_errors() as error:
        return _refused(str(error), USAGE)
    except (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        return _refused(_in_words(error), USAGE)
    except (JobsFailedError, ReaderError, SessionsError) as error:
        return _refused(str(error), FAILED)
    except OSError as error:
        return _refused(_in_words(error), FAILED)
    return 0


def _usage_errors() -> tuple[type[Exception], ...]:
    """Return errors of a wrong usage; called where one has come up, so that commands can start without PyTorch."""
    from irecgan_gym.storage.checkpoints import CheckpointError

    return SettingsError, ProcessorsError, RunFolderError, CheckpointError


def _refused(message: str, status: int) -> int:
    Console(stderr=True).print(f"error: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
    return status


def _in_words(error: OSError) -> str:
    """Return the file and what is wrong with it, without the number that the system has for it."""
    if error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def check_positive(**options: int) -> None:
    """Refuse numbers below 1, named like their options.

    Raises:
        SettingsError: for the first such number.
    """
    check_at_least(1, "", **options)


def check_at_least(least: int, reason: str = "", **options: int) -> None:
    """Refuse numbers that are too small, named like their options.

    Args:
        least: smallest number that is allowed.
        reason: explanation for the message.
        options: values by the name of the option.

    Raises:
        SettingsError: for the first such number.
    """
    for name, value in options.items():
        if value < least:
            why = f" ({reason})" if reason else ""
            raise SettingsError(f"{_option(name)} must be at least {least}{why}, got {value}")


def check_not_negative(**options: float) -> None:
    """Refuse numbers below 0, infinite ones and what is none, named like their options.

    Raises:
        SettingsError: for the first such number.
    """
    for name, value in options.items():
        if not 0 <= value < float("inf"):
            raise SettingsError(f"{_option(name)} must be a number from 0, got {value:g}")


def check_distinct(**options: Sequence[Any]) -> None:
    """Refuse options, named like their keys, that take values of which there are none, or one twice.

    Raises:
        SettingsError: for the first such option.
    """
    for name, values in options.items():
        if not values or len(set(values)) < len(values):
            given = " ".join(map(str, values)) or "none"
            raise SettingsError(f"{_option(name)} takes one or more different values, got: {given}")


def check_known(known: Sequence[str], more: str = "", **options: Sequence[str]) -> None:
    """Refuse options, named like their keys, with no values, one twice, or one that is not known.

    Args:
        known: values that there are.
        more: more about them, for the message.
        options: values by the name of the option.

    Raises:
        SettingsError: for the first such option.
    """
    check_distinct(**options)
    for name, values in options.items():
        if not set(values) <= set(known):
            raise SettingsError(
                f"{_option(name)} takes one or more of {', '.join(known)}{more}, got: {' '.join(values)}"
            )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
