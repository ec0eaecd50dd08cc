"""Growth of the latent-state user model with the catalogue: seconds and memory of a fit.

python -m benchmarks.latent_growth --items 1000 10000 100000
"""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from irecgan_gym.benchmarks.engine.command import check_positive, command_line
from irecgan_gym.benchmarks.engine.text_table import text_table
from irecgan_gym.models.appeal import AppealConfig
from irecgan_gym.models.latent_fitting import climb, random_start
from irecgan_gym.models.latent_user_model import LatentUserConfig
from irecgan_gym.planning.logged_steps import LoggedSteps
from irecgan_gym.sessions import Sessions


@dataclass(frozen=True, kw_only=True)
class LatentGrowth:
    """Fit the latent-state user model to made-up logs over ever larger catalogues, and say what it takes."""

    items: tuple[int, ...] = (1000, 10_000, 100_000)
    """Sizes of the catalogue."""
    sessions: int = 20_000
    """Logged sessions."""
    states: int = 5
    """States of the model."""
    rank: int = 8
    """Numbers in the embedding of an item."""
    iterations: int = 50
    """Iterations of the fit."""
    seed: int = 0
    """Seed of the logs and the start."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_positive(
            items=min(self.items),
            sessions=self.sessions,
            states=self.states,
            rank=self.rank,
            iterations=self.iterations,
        )

    def execute(self, console: Console) -> None:
        """Fit, and print a table.

        Raises:
            SettingsError: settings that make no sense.
        """
        self.check()
        rows = []
        for number in self.items:
            steps = LoggedSteps.of(made_up_log(number, self.sessions, np.random.default_rng(self.seed)))
            config = LatentUserConfig(self.states, AppealConfig(rank=self.rank))
            start = random_start(config, number, np.random.default_rng(self.seed))
            began = time.process_time()
            climb(config, steps, start, max_iterations=self.iterations, tolerance=0)
            seconds = time.process_time() - began
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            rows.append([f"{number:,}", f"{steps.num_steps:,}", f"{seconds:.1f}", f"{peak:.2f}"])
        headings = ("items", "steps", "seconds of the processor", "peak memory so far, GiB")
        note = f"{self.states} states, embeddings of {self.rank} numbers, {self.iterations} iterations."
        text_table("A fit of the latent-state user model", headings, rows, note).print(console)


def made_up_log(num_items: int, num_sessions: int, rng: np.random.Generator, slate_size: int = 10) -> Sessions:
    """Sessions of random slates in which some items draw more clicks than others and succeed more often."""
    lengths = rng.geometric(0.3, num_sessions)
    steps = int(lengths.sum())
    # Slots of a slate draw from separate parts of the catalogue: its items are different.
    part = num_items // slate_size
    slates = rng.integers(part, size=(steps, slate_size)) + part * np.arange(slate_size)
    appeal = rng.uniform(0.05, 1, num_items)
    chances = appeal[slates].cumsum(axis=1)
    place = (rng.random((steps, 1)) * chances[:, -1:] > chances).sum(axis=1)
    rewards = np.ones(steps)
    rewards[np.cumsum(lengths) - 1] = 0
    clicks = slates[np.arange(steps), place]
    return Sessions.from_columns(num_items=num_items, lengths=lengths, slates=slates, clicks=clicks, rewards=rewards)


if __name__ == "__main__":
    sys.exit(command_line(LatentGrowth))
