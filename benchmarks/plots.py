"""Figures of a run, as PNG and SVG, drawn from its tables alone.

python -m benchmarks.plots runs/demo
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from irecgan_gym.benchmarks.engine.command import command_line
from irecgan_gym.benchmarks.experiments import figures_of
from irecgan_gym.benchmarks.figures.run import draw


@dataclass(frozen=True)
class Plots:
    """Draw the figures of a run again, from its tables alone."""

    folder: tyro.conf.Positional[Path]
    """Run folder."""

    def execute(self, console: Console) -> None:
        """Draw the figures into the run folder."""
        for path in draw(self.folder, figures_of):
            console.print(path, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(command_line(Plots))
