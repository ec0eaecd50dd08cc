"""Training from sessions on disk beside training from the same in memory: what each takes, and what comes of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from irecgan_gym.agents import PG, PGConfig
from irecgan_gym.benchmarks.measurement import Measurement, in_a_process, measured
from irecgan_gym.envs.recsim import RecSimEnv
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.dataset import SessionDataset, SessionLog
from irecgan_gym.storage.weights import digest_of_tensors

PLACES = ("disk", "memory")
"""Where the sessions are that an agent learns from."""
_AT_ONCE = 20_000
_HELD_OUT = 500


def write_dataset(folder: Path, sessions: int) -> None:
    """Write sessions of RecSim-v0, logged at random, as a data set; memory holds a few thousand of them."""
    SessionDataset.write(folder, _logs(sessions))


def _logs(sessions: int) -> Iterator[Sessions]:
    for seed, first in enumerate(range(0, sessions, _AT_ONCE)):
        yield RecSimEnv().collect(min(_AT_ONCE, sessions - first), seed=seed)


def train(place: str, folder: Path) -> tuple[str, Measurement]:
    """Have PG learn from a data set in one pass, and return the digest of its weights with what that took.

    Where it learns from memory, reading the data set into it counts.

    Args:
        place: one of ``PLACES``.
        folder: the data set.
    """
    config = PGConfig(fit=FitConfig(max_epochs=1))
    held_out = RecSimEnv().collect(_HELD_OUT, seed=10**6)

    def learn(sessions: SessionLog) -> PG:
        return PG(sessions.num_items, sessions.slate_size, config, seed=0, device="cpu").learn(sessions, held_out)

    learn(held_out)  # What is imported and compiled once does not count.
    dataset = SessionDataset.open(folder)
    agent, taken = measured(lambda: learn(dataset if place == "disk" else dataset.load()))
    return digest_of_tensors(agent.policy.state_dict()), taken


def show(sizes: Sequence[int], folder: str | None) -> None:
    """Print a table of trainings.

    Args:
        sizes: sessions of each log.
        folder: where logs are written; some 130 bytes a session.
    """
    print("PG learns in one pass")
    print()
    print("| sessions | on disk (MB) | from | seconds | CPU seconds | peak memory (MB) | weights |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            dataset = Path(place) / "log"
            in_a_process(write_dataset, dataset, size)
            written = sum(file.stat().st_size for file in dataset.iterdir()) / 1e6
            for where in PLACES:
                digest, taken = in_a_process(train, where, dataset)
                print(
                    f"| {size:,} | {written:,.0f} | {where} | {taken.seconds:,.1f} | {taken.cpu_seconds:,.1f} "
                    f"| {taken.peak_mb:,.0f} | {digest[:8]} |"
                )
