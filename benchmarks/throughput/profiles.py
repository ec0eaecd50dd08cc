"""Profiles of a phase: shares of PyTorch's operators, for the suite and for plain PyTorch.

python -m benchmarks.throughput.profiles --shape cikm --precision bfloat16
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from torch.profiler import ProfilerActivity, profile

from irecgan_gym.benchmarks.engine.command import SettingsError, check_positive, command_line
from irecgan_gym.benchmarks.engine.processors import available_processors
from irecgan_gym.benchmarks.engine.text_table import text_table
from irecgan_gym.benchmarks.throughput.isolation import run_isolated
from irecgan_gym.benchmarks.throughput.phases import (
    GENERATION_PHASES,
    TRAINING_PHASES,
    GenerationTask,
    TrainingTask,
    UserModelTask,
    fit_for_generation,
    measure_generation,
    measure_training,
)
from irecgan_gym.benchmarks.throughput.plain_phases import PlainTask, measure_plain
from irecgan_gym.benchmarks.throughput.shapes import Shape, ShapeName, shape, smoke_shape
from irecgan_gym.benchmarks.throughput.timing import MEASURED
from irecgan_gym.kernels.low_precision import Precision


@dataclass(frozen=True)
class Profiles:
    """Profile each phase of training and generation, and the same in plain PyTorch.

    Figures of speed are those of `python -m benchmarks.throughput`: profiling slows short operators down.
    """

    shape: ShapeName = "cikm"
    """Sizes of phases: cikm (40,000 items, 2x512 LSTM), max (50 items, 2x512), fast (50 items, 1x64)."""
    batch_size: int = 256
    """Sessions a batch in training."""
    num_sessions: int = 200
    """Sessions generated at once."""
    precision: Precision = "float32"
    """Of the suite; plain PyTorch is float32."""
    top: int = 8
    """Operators to name."""
    threads: int | None = None
    """CPU threads; all cores when left out."""
    seconds: float = 1.0
    """Least time of each measurement."""
    scale: Literal["full", "smoke"] = "full"
    """smoke: sizes so small that the figures mean nothing, to see whether the command works."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_positive(
            batch_size=self.batch_size,
            num_sessions=self.num_sessions,
            top=self.top,
            threads=1 if self.threads is None else self.threads,
        )
        if not self.seconds > 0:
            raise SettingsError(f"--seconds must be positive, got {self.seconds}")

    def execute(self, console: Console) -> None:
        """Profile all phases, each in a process of its own, and print a table."""
        self.check()
        _run(self, console)


@dataclass(frozen=True)
class _Profiled:
    """A measurement to be profiled: a function and its argument."""

    measure: Callable[[Any], object]
    task: Any


def operator_shares(profiled: _Profiled) -> dict[str, float]:
    """Share of each operator in the time that all operators took themselves while time was taken, largest first."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        profiled.measure(profiled.task)
    events = recorded.events() or []
    spans = [event.time_range for event in events if event.name == MEASURED]
    taken: Counter[str] = Counter()
    for event in events:
        middle = (event.time_range.start + event.time_range.end) / 2
        if event.name.startswith("aten::") and any(span.start <= middle <= span.end for span in spans):
            taken[event.name.removeprefix("aten::")] += event.self_cpu_time_total
    total = sum(taken.values())
    return {name: microseconds / total for name, microseconds in taken.most_common()}


def _run(settings: Profiles, console: Console) -> None:
    # What starts and stops the profiler would write a line for each, in processes that begin from here.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    threads = settings.threads or available_processors()
    sizes = smoke_shape(settings.shape) if settings.scale == "smoke" else _full_shape(settings.shape)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        user_model = Path(folder) / "user_model.safetensors"
        run_isolated(fit_for_generation, UserModelTask(sizes, user_model, "cpu"), threads=threads)
        for phase in (*TRAINING_PHASES, *GENERATION_PHASES):
            plain = PlainTask(sizes, phase, user_model, "cpu", settings.seconds)
            for who, profiled in (
                ("plain PyTorch", _Profiled(measure_plain, plain)),
                (f"suite, {settings.precision}", _own(settings, sizes, phase, user_model)),
            ):
                shares = run_isolated(operator_shares, profiled, threads=threads).value
                named = [f"{name} {share:.0%}" for name, share in list(shares.items())[: settings.top]]
                rows.append((phase, who, ", ".join(named)))
    text_table(sizes.description(), ("phase", "by", "operators by their share of the time"), rows).print(console)


def _full_shape(name: ShapeName) -> Shape:
    return shape(name, cikm_sessions=2_000, max_sessions=1_000)


def _own(settings: Profiles, sizes: Shape, phase: Any, user_model: Path) -> _Profiled:
    if phase in TRAINING_PHASES:
        training = TrainingTask(sizes, phase, settings.batch_size, settings.precision, "cpu", settings.seconds)
        return _Profiled(measure_training, training)
    generation = GenerationTask(
        sizes, phase, settings.num_sessions, user_model, settings.precision, "cpu", settings.seconds
    )
    return _Profiled(measure_generation, generation)


if __name__ == "__main__":
    sys.exit(command_line(Profiles))
