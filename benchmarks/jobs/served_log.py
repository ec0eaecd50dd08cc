"""Read the log of a server into sessions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console

from irecgan_gym.benchmarks.engine.command import SettingsError
from irecgan_gym.serving.events import LogError
from irecgan_gym.serving.served_log import read_served_log, write_table


@dataclass(frozen=True, kw_only=True)
class ServedLogJob:
    """Read the log of a server, say what is in it, and save it as sessions; the server may go on."""

    log: tyro.conf.Positional[Path]
    """Folder of the log."""
    out: Path
    """Parquet file for the sessions."""
    table: Path | None = None
    """CSV file for the same, as `irecgan-gym read table` takes it, with the probability of each slate beside it."""
    unanswered: Literal["leave", "drop"] = "leave"
    """Last step of a session that expired: leave, a step without a click; drop, none."""

    def execute(self, console: Console) -> None:
        """Read, count and save."""
        try:
            log = read_served_log(self.log, unanswered=self.unanswered)
            log.sessions.save(self.out)
            if self.table is not None:
                write_table(log, self.table)
        except LogError as error:
            raise SettingsError(str(error)) from error
        console.print(str(log.sessions.statistics()), markup=False, highlight=False)
        console.print(f"sessions without a step that tells of a click: {log.left_out}", highlight=False)
        console.print("written:", self.out, soft_wrap=True)
