"""Kills at random moments: every command that trains or runs a grid, killed, started again, and compared.

python -m benchmarks.kill_campaign --kills 100 --out runs/kill-campaign
"""

from __future__ import annotations

import csv
import importlib
import io
import multiprocessing
import os
import shutil
import signal
import sys
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from rich.console import Console

from irecgan_gym.benchmarks.engine.command import (
    SettingsError,
    check_at_least,
    check_known,
    check_positive,
    command_line,
)
from irecgan_gym.benchmarks.engine.processors import thread_limits
from irecgan_gym.benchmarks.engine.text_table import text_table
from irecgan_gym.benchmarks.main import SUBCOMMANDS, main
from irecgan_gym.storage.files import write_atomically

Victim = Literal["group", "parent"]

_SMALL = ("--env-kwargs", '{"num_items": 12, "slate_size": 3}')
_GRID = ("--seeds", "1", "--checkpoint-seconds", "0")
_CELL = ("--env", "RecSim-v0", "--logging-policy", "random")
COMMANDS: dict[str, tuple[str, ...]] = {
    "simulate": ("simulate", "--sessions", "40", "--policy", "max", *_SMALL),
    "train": ("train", "--data", "{log}", "--agent", "irecgan", "--checkpoint-seconds", "0"),
    "fit": ("fit", "--data", "{log}", "--ending", "reward", "--checkpoint-seconds", "0"),
    "simulate-many": ("simulate-many", "--sessions", "60000", "--part", "10000", "--jobs", "1", *_SMALL),
    "online": (
        *("online", "--agents", "pg", "lstm", "--sessions", "20", "--eval-sessions", "20", "--jobs", "2"),
        *(*_GRID, *_SMALL),
    ),
    "learning": (
        *("learning", "--methods", "pg-online&offline", "--rounds", "3", "--sessions", "10", "--eval-sessions", "20"),
        *("--jobs", "1", *_GRID, *_SMALL),
    ),
    "rerank": (
        *("rerank", "--data", "{log}", "--format", "sessions", "--min-list-length", "2", "--agents", "pg", "irecgan"),
        *("--features", "none", "--jobs", "1", *_GRID),
    ),
    "tune": (
        *("tune", "--agents", "pg", "--candidates", "2", "--seeds", "2", "--sessions", "20", "--logging-policy", "max"),
        *("--eval-sessions", "20", "--jobs", "1", "--checkpoint-seconds", "0", *_SMALL),
    ),
    "planners": (
        *("planners", "--agents", "choice", "pg", "--sessions", "60", "--eval-sessions", "20", "--jobs", "1"),
        *(*_CELL, *_GRID),
    ),
    "third-party": (
        *("third-party", "--agents", "pg", "--algorithms", "ppo", "--worlds", "model", "--sessions", "20"),
        *("--timesteps", "64", "--eval-sessions", "20", "--jobs", "1", *_GRID, *_SMALL),
    ),
    "simulators": (
        *("simulators", "--models", "choice", "--sessions", "30", "--eval-sessions", "20", "--jobs", "1"),
        *(*_CELL, *_GRID),
    ),
    "value-bias": (
        *("value-bias", "--logging-policy", "random", "--sessions", "20", "--rounds", "1", "--simulated", "20"),
        *("--jobs", "1", *_GRID),
    ),
    "ope": (
        *("ope", "--worlds", "small", "--logs", "random", "--sessions", "50", "--replications", "2"),
        *("--recommendations", "1", "--truth-sessions", "1000"),
    ),
}
"""Words of the commands, as small as they can be; ``{log}`` stands for a log of 40 sessions, and ``--out`` comes last.

Not among them: ``latent-recovery`` and ``latent-growth``, which print a table and write nothing, and ``serve``, which
``serving-load`` kills. Agents of ``online``, whose two jobs are at work at once, share no pre-training: which of them
reports it depends on who comes first.
"""
# What depends on the clock: times of day, seconds, and pictures that hold the day on which they were drawn.
_OF_THE_CLOCK = frozenset({"versions.json", "durations.csv", "digests.json"})
_FOLDERS_OF_THE_CLOCK = frozenset({"tensorboard", "plots"})
_SECONDS = "seconds/"
_PATIENCE = 10.0
"""Seconds in which what a killed parent has left must be gone."""


class Kill(NamedTuple):
    """A kill; a row of ``kills.csv``.

    Attributes:
        command: what was killed.
        round: number of the outcome that it was on the way to; each begins with nothing.
        victim: the whole process group, or its first process alone.
        seconds: between its start and the kill.
        children: processes that the victim had at that moment.
        gone_after: seconds until none was left.
        orphans: processes that were left for longer.
    """

    command: str
    round: int
    victim: Victim
    seconds: float
    children: int
    gone_after: float
    orphans: int


class Ending(NamedTuple):
    """A round that came to its end; a row of ``rounds.csv``.

    Attributes:
        command: what was run.
        round: its number.
        kills: on the way.
        status: exit status of the last start.
        differences: files that are not those of an unbroken run.
        first: name of the first of them.
    """

    command: str
    round: int
    kills: int
    status: int
    differences: int
    first: str


@dataclass(frozen=True, kw_only=True)
class KillCampaign:
    """Kill commands with SIGKILL at random moments, start the same command again until it ends, and compare.

    Of each command an unbroken run comes first: it says how long the command takes, over which the moments are spread
    evenly, and what must come out: tables, weights and sessions, bit for bit, and no file more or less. Half of the
    kills hit the whole process group, the others the parent alone, whose children must end by themselves. Differences,
    orphans and commands that fail are errors.

    Commands are forked from a process that has loaded the libraries already, so that moments fall into their work;
    their workers are spawned, as ever.
    """

    out: Path
    """Folder for kills.csv, rounds.csv and commands.csv; and for what differed, in the folder work."""
    kills: int = 100
    """Kills, shared out among the commands."""
    commands: tuple[str, ...] = tuple(COMMANDS)
    """Commands to kill."""
    seed: int = 0
    """Seed of the moments."""

    def execute(self, console: Console) -> None:
        """Kill, compare, write the tables and print one.

        Raises:
            SettingsError: settings that make no sense, or a system without process groups.
            OSError: a command has failed, or came to another end; the message says which.
        """
        check_known(tuple(COMMANDS), commands=self.commands)
        check_positive(kills=self.kills)
        check_at_least(0, seed=self.seed)
        if not Path("/proc/self/stat").exists():
            raise SettingsError("/proc/self/stat: this system does not tell the processes of a session (Linux does)")
        for module in ("third_party.training", *(SUBCOMMANDS[name].place.partition(":")[0] for name in self.commands)):
            importlib.import_module(f"irecgan_gym.benchmarks.{module}")
        work = self.out / "work"
        shutil.rmtree(work, ignore_errors=True)
        with thread_limits(1):
            self._kill_all(work, console)
        shutil.rmtree(work)

    def _kill_all(self, work: Path, console: Console) -> None:
        log = work / "log.parquet"
        _unbroken("simulate", log, log)
        kills: list[Kill] = []
        endings: list[Ending] = []
        lengths: dict[str, float] = {}
        for number, name in enumerate(self.commands):
            share = self.kills // len(self.commands) + (number < self.kills % len(self.commands))
            rng = np.random.default_rng([self.seed, list(COMMANDS).index(name)])
            lengths[name] = _unbroken(name, work / name / "unbroken", log)
            campaign = Campaign(partial(run_command, name, log), work / name, lengths[name], rng, name)
            campaign.run(share)
            kills += campaign.kills
            endings += campaign.endings
            _write(self.out / "kills.csv", Kill._fields, kills)
            _write(self.out / "rounds.csv", Ending._fields, endings)
            _write(self.out / "commands.csv", _HEADINGS, [_row(one, lengths[one], kills, endings) for one in lengths])
            console.print(" ".join(map(str, _row(name, lengths[name], kills, endings))), highlight=False)
        rows = [tuple(map(str, _row(name, lengths[name], kills, endings))) for name in lengths]
        text_table(f"{len(kills)} kills at random moments", _HEADINGS, rows).print(console)
        wrong = [one for one in endings if one.status or one.differences]
        left = sum(one.orphans for one in kills)
        if wrong or left:
            first = f"; the first: {wrong[0].command}, {wrong[0].first or f'status {wrong[0].status}'}" if wrong else ""
            raise OSError(f"{len(wrong)} of {len(endings)} rounds came to another end{first}; {left} orphans")


def _unbroken(name: str, out: Path, log: Path) -> float:
    """Run a command to its end, and return the seconds that it takes."""
    said = out.with_name(f"{out.name}.txt")
    out.parent.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    process = _start(partial(run_command, name, log), out, said)
    process.join()
    if process.exitcode:
        raise OSError(f"{name} has failed with exit status {process.exitcode}: see {said}")
    return time.perf_counter() - begin


def run_command(name: str, log: Path, out: Path) -> int:
    """Run a command, and return its exit status.

    Args:
        name: of the command.
        log: that commands learn from.
        out: place of its outcome.
    """
    return main([*(str(log) if word == "{log}" else word for word in COMMANDS[name]), "--out", str(out)])


class Campaign:
    """Kills of one command.

    Args:
        command: brings about an outcome at a place, goes on with one, and returns an exit status.
        folder: of the outcomes; ``unbroken`` in it is what they must be.
        seconds: over which the moments of the kills are spread.
        rng: draws moments and victims.
        name: of the command, for the rows.

    Attributes:
        kills: those so far.
        endings: rounds that came to their end.
    """

    def __init__(
        self,
        command: Callable[[Path], int],
        folder: Path,
        seconds: float,
        rng: np.random.Generator,
        name: str = "command",
    ) -> None:
        self._command, self._folder, self._seconds, self._rng, self._name = command, folder, seconds, rng, name
        self.kills: list[Kill] = []
        self.endings: list[Ending] = []

    def run(self, kills: int) -> None:
        """Begin, kill, go on and compare until there were so many kills, and the last round has come to its end.

        A command that fails is not begun again.
        """
        while len(self.kills) < kills and not any(ending.status for ending in self.endings):
            self._round(kills)

    def _round(self, most: int) -> None:
        number, before = len(self.endings), len(self.kills)
        out, said = self._folder / f"round-{number:03}", self._folder / f"round-{number:03}.txt"
        while True:
            process = _start(self._command, out, said)
            moment = self._rng.uniform(0, self._seconds) if len(self.kills) < most else None
            process.join(moment)
            if process.exitcode is not None:
                break
            assert process.pid is not None
            assert moment is not None
            self._kill(process.pid, number, moment)
            process.join()
        status = process.exitcode
        wrong = differences(self._folder / "unbroken", out)
        name = wrong[0] if wrong else ""
        self.endings.append(Ending(self._name, number, len(self.kills) - before, status, len(wrong), name))
        if not status and not wrong:
            said.unlink()
            if out.is_dir():
                shutil.rmtree(out)
            else:
                out.unlink()

    def _kill(self, leader: int, number: int, moment: float) -> None:
        victim: Victim = "group" if self._rng.random() < 0.5 else "parent"
        children = len(processes_of(leader)) - 1
        if victim == "group":
            os.killpg(leader, signal.SIGKILL)
        else:
            os.kill(leader, signal.SIGKILL)
        begin = time.perf_counter()
        while (left := processes_of(leader)) and time.perf_counter() - begin < _PATIENCE:
            time.sleep(0.02)
        gone = time.perf_counter() - begin
        self.kills.append(
            Kill(self._name, number, victim, round(moment, 3), max(children, 0), round(gone, 3), len(left))
        )
        if left:
            os.killpg(leader, signal.SIGKILL)


def _start(command: Callable[[Path], int], out: Path, said: Path) -> BaseProcess:
    """Start a process in a session and a group of its own; what it says goes to the end of a file."""
    process = multiprocessing.get_context("fork").Process(target=_lead, args=(command, out, said))
    process.start()
    assert process.pid is not None
    while process.is_alive() and os.getsid(process.pid) != process.pid:
        time.sleep(0.001)
    return process


def _lead(command: Callable[[Path], int], out: Path, said: Path) -> None:
    os.setsid()
    with said.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    torch.set_num_threads(1)
    sys.exit(command(out))


def processes_of(session: int) -> list[int]:
    """Return the ids of the processes of a session that are alive; those that wait to be buried do not count."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name of the program, in brackets, may hold blanks.
            state, _, _, of = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):  # It has ended meanwhile.
            continue
        if int(of) == session and state not in "ZX":
            found.append(int(entry.name))
    return found


def differences(expected: Path, found: Path) -> list[str]:
    """Return the names of the files in which two outcomes differ, whatever depends on the clock aside.

    Args:
        expected: a file, or a folder of files.
        found: what should be like it.
    """
    there, here = contents(expected), contents(found)
    return sorted(name for name in there.keys() | here.keys() if there.get(name) != here.get(name))


def contents(outcome: Path) -> Mapping[str, object]:
    """Return what must be the same in each outcome of a command, by the names of files."""
    if outcome.is_file():
        return {"": outcome.read_bytes()}
    files = (file for file in sorted(outcome.rglob("*")) if file.is_file())
    names = {file: file.relative_to(outcome) for file in files}
    return {
        str(name): _content(file)
        for file, name in names.items()
        if name.name not in _OF_THE_CLOCK and name.parts[0] not in _FOLDERS_OF_THE_CLOCK
    }


def _content(file: Path) -> object:
    if file.suffix == ".csv":
        rows = list(csv.reader(io.StringIO(file.read_text(), newline="")))
        return [row for row in rows if not any(cell.startswith(_SECONDS) for cell in row)]
    if file.suffix == ".zip":  # Models of other libraries: their settings hold the time, their weights do not.
        with zipfile.ZipFile(file) as parts:
            return {part.filename: part.CRC for part in parts.infolist() if part.filename.endswith(".pth")}
    return file.read_bytes()


_HEADINGS = (
    *("command", "seconds unbroken", "kills", "of the parent alone", "children", "slowest end", "orphans"),
    *("rounds", "failed", "different"),
)


def _row(name: str, seconds: float, kills: Sequence[Kill], endings: Sequence[Ending]) -> tuple[str | int | float, ...]:
    killed, ended = [one for one in kills if one.command == name], [one for one in endings if one.command == name]
    return (
        name,
        round(seconds, 1),
        len(killed),
        sum(one.victim == "parent" for one in killed),
        sum(one.children for one in killed),
        max((one.gone_after for one in killed), default=0.0),
        sum(one.orphans for one in killed),
        len(ended),
        sum(one.status != 0 for one in ended),
        sum(one.differences > 0 for one in ended),
    )


def _write(file: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    write_atomically(file, text.getvalue().encode())


if __name__ == "__main__":
    sys.exit(command_line(KillCampaign, prog="python -m benchmarks.kill_campaign"))
