"""Serve a policy over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console

from irecgan_gym.benchmarks.engine.command import SettingsError, check_positive
from irecgan_gym.benchmarks.jobs.served_policy import load_served_policy
from irecgan_gym.serving.events import LogError
from irecgan_gym.serving.opening import open_service
from irecgan_gym.serving.service import Limits


@dataclass(frozen=True, kw_only=True)
class Serve:
    """Answer sessions over HTTP by a policy, and log slates, clicks and propensities."""

    policy: tyro.conf.Positional[Path]
    """File of the policy: .onnx, as written by `irecgan-gym export`, or an agent saved by `irecgan-gym train`."""
    log: Path
    """Folder of the log; sessions that are open in it go on."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8000
    """Port to listen on."""
    top: bool = False
    """Show the best items, not slates drawn from the policy; such logs tell nothing of other policies."""
    durability: Literal["fsync", "write"] = "fsync"
    """When an answer is sent: fsync, when the disk has its event; write, when the operating system has it, which
    survives the end of the server but not that of the machine."""
    item_names: Path | None = None
    """Text file with the name of an item in each line; those stored with the policy if left out."""
    agent_class: str | None = None
    """Class of an agent that is not of the suite, as module:Class."""
    max_sessions: int = 100_000
    """Sessions open at a time; further ones are refused."""
    max_session_steps: int = 1000
    """Slates of a session at most."""
    idle_seconds: float = 1800.0
    """Seconds after which a session of which nothing is heard has ended."""
    batch: int = 256
    """Requests that are answered together at most."""
    threads: int = 1
    """Threads that one call of an exported policy may use."""

    def execute(self, console: Console) -> None:
        """Serve until stopped."""
        import uvicorn

        from irecgan_gym.serving.app import create_app

        check_positive(
            max_sessions=self.max_sessions,
            max_session_steps=self.max_session_steps,
            batch=self.batch,
            threads=self.threads,
        )
        if not self.idle_seconds > 0:
            raise SettingsError(f"--idle-seconds must be positive, got {self.idle_seconds}")
        if not 0 < self.port < 2**16:
            raise SettingsError(f"--port must be from 1 to 65535, got {self.port}")
        served = load_served_policy(
            self.policy, names=self.item_names, agent_class=self.agent_class, threads=self.threads
        )
        try:
            service = open_service(
                served.policy,
                self.log,
                policy_digest=served.digest,
                item_names=served.item_names,
                sampled=not self.top,
                durability=self.durability,
                limits=Limits(self.max_sessions, self.max_session_steps, self.idle_seconds),
            )
        except LogError as error:
            raise SettingsError(str(error)) from error
        app = create_app(service, item_names=served.item_names, most=self.batch)
        console.print(
            f"serving {self.policy} on http://{self.host}:{self.port}, log {self.log}, "
            f"{service.num_open} sessions go on",
            soft_wrap=True,
        )
        uvicorn.run(app, host=self.host, port=self.port, log_level="warning", access_log=False)
