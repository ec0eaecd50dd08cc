"""Options that single jobs share: logs to learn from, and files of trained agents."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from safetensors import SafetensorError, safe_open

from irecgan_gym.agents import AGENT_NAMES, PLANNER_NAMES, Agent
from irecgan_gym.benchmarks.engine.command import SettingsError, check_at_least, check_known
from irecgan_gym.benchmarks.engine.experiment import check_device
from irecgan_gym.benchmarks.joining import agent_type
from irecgan_gym.benchmarks.log_data import FORMATS, open_log
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.dataset import SessionLog
from irecgan_gym.storage.checkpoints import Checkpoints


@dataclass(frozen=True, kw_only=True)
class Learning:
    """Options of jobs that learn from logs."""

    data: Path
    """The logs: a file, or a folder for formats of several files, and for sessions on disk
    (`irecgan-gym read --on-disk`), which are learned from part by part."""
    out: Path
    """File for what was learned (safetensors)."""
    format: str = "sessions"
    """Format of the logs: sessions (saved by `irecgan-gym read`), recsys-challenge-2019, cikm-cup-2016, irecgan-text,
    table, impressions, open-bandit, kuairand, kuairec, rl4rs, finn-no-slates, mind, or eb-nerd."""
    on_error: Literal["repair", "skip", "raise"] = "repair"
    """Effect of a quirk: it is put right, left out, or ends the job; malformed rows are left out, or end it."""
    preset: Literal["fast", "tuned", "paper"] = "fast"
    """Settings: fast (1x64 LSTM), tuned, or paper (2x512 LSTM, for a GPU)."""
    ending: Literal["reward", "leave"] = "leave"
    """End of the user model's sessions: its users leave (real logs), or a click without reward ends them (RecSim)."""
    held_out: float = 0.1
    """Share of the sessions, by user where users are known, that is held out and decides when training stops."""
    seed: int = 0
    """Seed of everything that is random."""
    device: str = "auto"
    """Device to train on: auto, cpu, cuda."""
    checkpoints: Path | None = None
    """Folder of checkpoints, from which the same command goes on, until OUT is written; OUT.training if left out."""
    checkpoint_seconds: float = 60.0
    """Least seconds between two checkpoints; they are taken after epochs and rounds."""

    def resume(self) -> Checkpoints:
        """Return where training keeps its checkpoints.

        Raises:
            SettingsError: seconds below 0.
        """
        folder = self.out.with_name(f"{self.out.name}.training") if self.checkpoints is None else self.checkpoints
        try:
            return Checkpoints(folder, self.checkpoint_seconds)
        except ValueError as error:
            raise SettingsError(f"--checkpoint-seconds: {error}") from error

    def read(self, console: Console) -> tuple[SessionLog, SessionLog]:
        """Check the options, read or open the logs and return the sessions to learn from and those held out.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_known(FORMATS, format=(self.format,))
        check_at_least(0, seed=self.seed)
        check_device(self.device)
        if not 0 < self.held_out < 1:
            raise SettingsError(f"--held-out must be between 0 and 1, got {self.held_out}")
        sessions, report = open_log(self.data, self.format, self.on_error)
        console.print(report, markup=False, highlight=False, soft_wrap=True)
        by: Literal["session", "user"] = "user" if knows_users(sessions) else "session"
        training, validation = sessions.split((1 - self.held_out, self.held_out), seed=self.seed, by=by)
        if not len(training) or not len(validation):
            raise SettingsError(f"--held-out {self.held_out} of {len(sessions)} sessions leaves a part empty")
        return training, validation


def knows_users(log: SessionLog) -> bool:
    """Tell whether the users of sessions are known."""
    some = log if isinstance(log, Sessions) else log.first_part()
    return some.users is not None


def load_agent(path: Path, device: str = "auto", agent: str | None = None) -> Agent:
    """Return the agent of a file; its class is that of the file, or one named as ``"module:Class"``.

    Raises:
        FileNotFoundError: there is no such file.
        SettingsError: the file holds no agent.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    if agent is not None:
        kind: type[Agent] = agent_type(agent)
        return kind.load(path, device=device)
    try:
        with safe_open(path, framework="pt") as file:
            name = json.loads((file.metadata() or {}).get("irecgan_gym", "{}")).get("kind")
    except SafetensorError as error:
        raise SettingsError(f"{path} is not a safetensors file: {error}") from error
    if name not in (*AGENT_NAMES, *PLANNER_NAMES):
        raise SettingsError(
            f"{path} holds {name or 'nothing of the suite'}, not an agent: name its class by --agent-class"
        )
    loaded: Agent = agent_type(name).load(path, device=device)
    return loaded
