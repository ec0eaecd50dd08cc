"""Soak test: long play of every kind of env, and the memory that the process holds meanwhile.

python -m benchmarks.soak --out runs/soak
"""

from __future__ import annotations

import csv
import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from matplotlib.figure import Figure
from rich.console import Console

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.benchmarks.engine.command import SettingsError, check_positive, command_line
from irecgan_gym.benchmarks.figures.style import save_figure
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.storage.files import write_atomically
from irecgan_gym.wrappers import ClickHistory, OneHotHistory, SequentialSlate, VectorClickHistory, VectorSequentialSlate

_ENVS = 4096
"""Users side by side in vector envs."""
_POOL = 16
"""Batches of actions that are drawn before, and played in turn: the soak is of envs, not of a generator."""
_STATM = Path("/proc/self/statm")

Play = Callable[[], int]
"""Makes some steps and returns their number."""


@dataclass(frozen=True)
class Sample:
    """Memory at one moment.

    Attributes:
        part: what was played.
        steps: env steps of that part so far.
        seconds: since the part began.
        memory_mb: resident memory of the process, in units of 10^6 bytes.
    """

    part: str
    steps: int
    seconds: float
    memory_mb: float


@dataclass(frozen=True, kw_only=True)
class Soak:
    """Play for long, and watch the memory of the process: flat once warm, or something is kept that should not be.

    Parts: `compiled` (RecSim-v0's vector env), `wrappers` (vector and single envs in wrappers), `learned`
    (UserModel-v0's vector env), and `collect` (logs that are thrown away). Memory is looked at a hundred times a part;
    growth is that of the last half of a part's median over that of its second quarter.
    """

    out: Path
    """Folder for soak.csv (the curve) and soak.png and soak.svg (drawn)."""
    compiled_steps: int = 1_000_000_000
    """Steps of the compiled loop."""
    wrapper_steps: int = 5_000_000
    """Steps through wrappers, of each kind."""
    learned_steps: int = 5_000_000
    """Steps of the learned env."""
    collected: int = 20_000_000
    """Sessions that are logged."""
    most_growth: float = 5.0
    """Growth, in MB, that is still taken for none; more is an error."""

    def execute(self, console: Console) -> None:
        """Play, write the curve and draw it.

        Raises:
            SettingsError: settings that make no sense, or a system that does not tell a process's memory.
            OSError: memory has grown; the message says where and by how much.
        """
        check_positive(
            compiled_steps=self.compiled_steps,
            wrapper_steps=self.wrapper_steps,
            learned_steps=self.learned_steps,
            collected=self.collected,
        )
        if not _STATM.exists():
            raise SettingsError(f"{_STATM}: this system does not tell a process how much memory it holds (Linux does)")
        torch.set_num_threads(1)
        samples: list[Sample] = []
        grown: dict[str, float] = {}
        for part, steps, make in self._parts():
            with make() as play:
                curve = watched(part, steps, play)
            samples += curve
            grown[part] = growth(curve)
            rate = curve[-1].steps / curve[-1].seconds
            console.print(
                f"{part}: {curve[-1].steps:,} steps, {rate:,.0f} a second, {curve[-1].memory_mb:,.1f} MB held, "
                f"grown by {grown[part]:+.2f} MB",
                highlight=False,
                soft_wrap=True,
            )
            self._write(samples)
        console.print("plot:", save_figure(memory_figure(samples), self.out / "soak"), soft_wrap=True)
        if wrong := {part: size for part, size in grown.items() if size > self.most_growth}:
            told = ", ".join(f"{part} by {size:.1f} MB" for part, size in wrong.items())
            raise OSError(f"memory has grown by more than {self.most_growth:g} MB: {told}")

    def _parts(self) -> Iterator[tuple[str, int, Callable[[], Any]]]:
        yield "compiled", self.compiled_steps, lambda: vector_play("RecSim-v0")
        yield "wrappers, vector", self.wrapper_steps, _wrapped_vector
        yield "wrappers, single", self.wrapper_steps, _wrapped_single
        yield "learned", self.learned_steps, lambda: vector_play("UserModel-v0", 256, user_model=_user_model())
        yield "collect", self.collected, _collecting

    def _write(self, samples: list[Sample]) -> None:
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["part", "steps", "seconds", "memory_mb"])
        for sample in samples:
            rows.writerow([sample.part, sample.steps, f"{sample.seconds:.2f}", f"{sample.memory_mb:.3f}"])
        write_atomically(self.out / "soak.csv", text.getvalue().encode())


def watched(part: str, steps: int, play: Play, memory: Callable[[], float] | None = None) -> list[Sample]:
    """Play until so many steps are made, and return what memory was held: at a hundred moments and at the end.

    Args:
        part: name of what is played.
        steps: least number of steps.
        play: makes some steps.
        memory: tells the memory that is held, in MB; that of the process when None.
    """
    memory = resident_mb if memory is None else memory
    samples: list[Sample] = []
    done, start = 0, time.perf_counter()
    for percent in range(1, 101):
        while done < steps * percent / 100:
            done += play()
        samples.append(Sample(part, done, time.perf_counter() - start, memory()))
    return samples


def growth(samples: list[Sample]) -> float:
    """Return by how many MB a part's memory has grown once it was warm: its second half over its second quarter."""
    memory = np.array([sample.memory_mb for sample in samples])
    quarter = len(memory) // 4
    return float(np.median(memory[2 * quarter :]) - np.median(memory[quarter : 2 * quarter]))


def resident_mb() -> float:
    """Return the resident memory of this process, in units of 10^6 bytes."""
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory_figure(samples: list[Sample]) -> Figure:
    """Return a figure of the memory held, a panel a part, from its steps made."""
    parts = list(dict.fromkeys(sample.part for sample in samples))
    figure = Figure(figsize=(3 * len(parts), 2.8), layout="constrained")
    panels = figure.subplots(1, len(parts), squeeze=False)[0]
    for axes, part in zip(panels, parts, strict=True):
        curve = [sample for sample in samples if sample.part == part]
        memory = [sample.memory_mb for sample in curve]
        axes.plot([sample.steps / 1e6 for sample in curve], memory, color="C0")
        middle = float(np.median(memory))
        # Noise of a few kB must not look like growth.
        axes.set_ylim(min(min(memory), middle - 10) - 1, max(max(memory), middle + 10) + 1)
        axes.set_title(part)
        axes.set_xlabel("million steps")
    panels[0].set_ylabel("MB held")
    return figure


@contextmanager
def vector_play(name: str, num_envs: int = _ENVS, **kwargs: Any) -> Iterator[Play]:
    """Play a vector env with random slates of different items."""
    envs = gym.make_vec(name, num_envs, autoreset_mode=AutoresetMode.SAME_STEP, **kwargs)
    rng, space = np.random.default_rng(0), envs.single_action_space
    size, num_items = len(space.nvec), int(space.nvec[0])  # type: ignore[attr-defined]
    order = (rng.random((num_envs, num_items)).argsort(axis=1) for _ in range(_POOL))
    yield _playing(envs, [np.ascontiguousarray(items[:, :size]) for items in order])
    envs.close()


def _playing(envs: VectorEnv[Any, Any, Any], pool: list[Any]) -> Play:
    envs.reset(seed=0)
    turn = 0

    def play() -> int:
        nonlocal turn
        turn += 1
        envs.step(pool[turn % len(pool)])
        return envs.num_envs

    return play


@contextmanager
def _wrapped_vector() -> Iterator[Play]:
    inner: Any = gym.make_vec("RecSim-v0", _ENVS // 4, autoreset_mode=AutoresetMode.SAME_STEP)
    envs = VectorSequentialSlate(VectorClickHistory(inner, 10))
    size = inner.single_action_space.shape[0]
    # Picks that never repeat within a slate, a different one in each place.
    pool = [np.full(envs.num_envs, place) for place in range(size)]
    yield _playing(envs, [*pool[1:], pool[0]])
    envs.close()


@contextmanager
def _wrapped_single() -> Iterator[Play]:
    envs: list[gym.Env[Any, Any]] = [
        SequentialSlate(OneHotHistory(ClickHistory(gym.make("RecSim-v0"), 5))),
        ClickHistory(gym.make("RecSim-Observable-v0"), 5),
    ]
    for env in envs:
        env.action_space.seed(0)
        env.reset(seed=0)
    pools = [[env.action_space.sample() for _ in range(997)] for env in envs]
    turn = 0

    def play() -> int:
        nonlocal turn
        for env, pool in zip(envs, pools, strict=True):
            turn += 1
            _, _, terminated, truncated, _ = env.step(pool[turn % len(pool)])
            if terminated or truncated:
                env.reset()
        return len(envs)

    yield play
    for env in envs:
        env.close()


@contextmanager
def _collecting() -> Iterator[Play]:
    env = gym.make("RecSim-v0")
    collect, part = env.get_wrapper_attr("collect"), 100_000
    turn = 0

    def play() -> int:
        nonlocal turn
        turn += 1
        return len(collect(part, seed=turn))

    yield play
    env.close()


def _user_model() -> UserModel:
    encoder = EncoderConfig(hidden_size=32, embedding_size=16)
    return UserModel.create(UserModelConfig(50, 10, "leave", encoder), seed=0, device="cpu")


if __name__ == "__main__":
    sys.exit(command_line(Soak, prog="python -m benchmarks.soak"))
