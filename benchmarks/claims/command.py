"""The command that judges the claims of the paper by run folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from irecgan_gym.benchmarks.claims.judgement import judge_all
from irecgan_gym.benchmarks.claims.runs import Runs
from irecgan_gym.benchmarks.claims.tables import claims_markdown, claims_tables
from irecgan_gym.benchmarks.engine.command import SettingsError
from irecgan_gym.storage.files import write_atomically


@dataclass(frozen=True)
class Claims:
    """Turn run folders into verdicts on the claims of the paper."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders, of one or more experiments."""
    markdown: Path | None = None
    """File for the verdicts with all numbers and doses, in Markdown."""

    def execute(self, console: Console) -> None:
        """Judge all claims that the runs have something to say about.

        Raises:
            SettingsError: no run folder was given, or two that measured the same.
        """
        if not self.runs:
            raise SettingsError("give one or more run folders")
        runs = Runs.read(self.runs)
        judgements = judge_all(runs)
        for table in claims_tables(judgements):
            table.print(console)
        if self.markdown is not None:
            write_atomically(self.markdown, claims_markdown(judgements, runs).encode())
            console.print("written:", self.markdown, soft_wrap=True)
