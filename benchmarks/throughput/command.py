"""Speed of all of it, and its distance from what the machine allows.

python -m benchmarks.throughput --out runs/throughput
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from irecgan_gym.benchmarks.engine.command import STOPPED, SettingsError, check_at_least, check_distinct, check_positive
from irecgan_gym.benchmarks.engine.experiment import check_device
from irecgan_gym.benchmarks.engine.processors import available_processors
from irecgan_gym.benchmarks.engine.run_folder import versions
from irecgan_gym.benchmarks.throughput.growth import FULL, SMOKE
from irecgan_gym.benchmarks.throughput.growth_plots import draw_growth
from irecgan_gym.benchmarks.throughput.machine import RateTask, processor_name
from irecgan_gym.benchmarks.throughput.measuring import (
    Measuring,
    measure_environments,
    measure_generation_phases,
    measure_growth_series,
    measure_sb3_rollouts,
    measure_training_phases,
)
from irecgan_gym.benchmarks.throughput.phases import GenerationPhase
from irecgan_gym.benchmarks.throughput.report import growth_table, machine_line, markdown_report
from irecgan_gym.benchmarks.throughput.rows import comparison_table, to_csv
from irecgan_gym.benchmarks.throughput.shapes import Shape, ShapeName, shape, smoke_shape
from irecgan_gym.benchmarks.throughput.synthetic_logs import CIKM
from irecgan_gym.kernels.low_precision import Precision
from irecgan_gym.models.building import resolve_device
from irecgan_gym.storage.files import write_atomically

Part = Literal["env", "training", "generation", "growth"]
PARTS: tuple[Part, ...] = ("env", "training", "generation", "growth")


@dataclass(frozen=True)
class Throughput:
    """Measure speed and memory of environments, training and generation, as ratios within one run.

    Environments stand beside CartPole-v1 and, where it is installed, SARDINE (`pip install sardine-rec`); phases of
    training beside plain PyTorch and beside the least time that the machine's own rates allow.
    """

    out: Path = Path("runs/throughput")
    """Folder for throughput.json, .csv and .md, and plots; what it holds of an earlier run is replaced."""
    only: tuple[Part, ...] = PARTS
    """Parts to run."""
    shapes: tuple[ShapeName, ...] = ("cikm", "max", "fast")
    """Sizes of phases: cikm (40,000 items, 2x512 LSTM), max (50 items, 2x512), fast (50 items, 1x64)."""
    sessions: int = 2_000
    """Logged sessions of an epoch at the shape cikm; the whole data set has 65,284."""
    items: int = 40_000
    """Catalogue of the shape cikm."""
    max_sessions: int = 1_000
    """Logged sessions of an epoch at the other shapes."""
    batch_sizes: tuple[int, ...] = (32, 256)
    """Sessions a batch in training; 32 is the paper preset's."""
    generated: int = 1_000
    """Sessions generated at once without the discriminator."""
    adversarial: int = 200
    """Sessions generated at once with its scores."""
    precisions: tuple[Precision, ...] = ("float32",)
    """Precisions of training and generation."""
    threads: int | None = None
    """CPU threads; all cores when left out."""
    device: str = "auto"
    """Device that phases run on: auto, cpu, cuda."""
    seconds: float = 0.6
    """Least time of each measurement."""
    scale: Literal["full", "smoke"] = "full"
    """smoke: sizes so small that the figures mean nothing, to see whether the command works."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_positive(
            sessions=self.sessions,
            max_sessions=self.max_sessions,
            generated=self.generated,
            adversarial=self.adversarial,
            threads=1 if self.threads is None else self.threads,
            batch_sizes=min(self.batch_sizes, default=0),
        )
        check_distinct(only=self.only, shapes=self.shapes, precisions=self.precisions)
        check_device(self.device)
        check_at_least(CIKM.slate_sizes[1], "the longest slate", items=self.items)
        if not self.seconds > 0:
            raise SettingsError(f"--seconds must be positive, got {self.seconds}")

    def shape(self, name: ShapeName) -> Shape:
        """Return a shape by name, as large as the settings say."""
        if self.scale == "smoke":
            return smoke_shape(name)
        return shape(name, cikm_sessions=self.sessions, max_sessions=self.max_sessions, cikm_items=self.items)

    def execute(self, console: Console) -> None:
        """Measure, and write what was measured after each part."""
        self.check()
        self.out.mkdir(parents=True, exist_ok=True)
        _run(self, console)


def _run(settings: Throughput, console: Console) -> None:
    device, threads = resolve_device(settings.device), settings.threads or available_processors()
    started, load = time.perf_counter(), os.getloadavg()[0]
    if load > 0.25 * threads:
        console.print(f"the machine is busy (load {load:.1f}): figures will be low, ratios to the limit most of all")
    rate_task = RateTask(settings.device)
    if device.type == "cuda":
        # Sizes that fill a card, and a copy that its cache cannot hold.
        rate_task = RateTask(settings.device, sizes=(2048, 8192), copied_bytes=2**31)
    if settings.scale == "smoke":
        rate_task = RateTask(settings.device, sizes=(64,), copied_bytes=2**20, seconds=0.01)
    measuring = Measuring(settings.device, threads, settings.seconds, rate_task, console)
    measuring.measure_rates(threads)
    machine = {
        "processor": processor_name(device),
        "cores": available_processors(),
        "threads": threads,
        "device": str(device),
        "load_before": load,
        **versions(),
    }
    try:
        _measure(settings, measuring)
    except KeyboardInterrupt:
        console.print("stopped; what was measured so far is written")
        raise SystemExit(STOPPED) from None
    finally:
        machine["seconds_in_all"] = round(time.perf_counter() - started, 1)
        _write(settings, machine, measuring)


def _measure(settings: Throughput, measuring: Measuring) -> None:
    """Measure the parts that the settings name, one after the other."""
    smoke = settings.scale == "smoke"
    if "env" in settings.only:
        measure_environments(measuring, (1, 4) if smoke else (1, 64, 1_024, 65_536))
        measure_sb3_rollouts(measuring, 4 if smoke else 64)
    for name in settings.shapes:
        if "training" in settings.only:
            measure_training_phases(measuring, settings.shape(name), settings.batch_sizes, settings.precisions)
        if "generation" in settings.only:
            counts: dict[GenerationPhase, int] = {
                "generation": settings.generated,
                "adversarial": settings.adversarial,
            }
            measure_generation_phases(measuring, settings.shape(name), counts, settings.precisions)
    if "growth" in settings.only:
        measure_growth_series(measuring, SMOKE if smoke else FULL)


def _write(settings: Throughput, machine: dict[str, Any], measuring: Measuring) -> None:
    """Write all files of the run, and print the tables."""
    console, out, rows = measuring.console, settings.out, measuring.with_limits()
    machine["gflops_per_second"] = {
        count: {name: rate / 1e9 for name, rate in rates.flops_per_second.items()}
        for count, rates in measuring.rates.items()
    }
    machine["copied_gb_per_second"] = {count: rates.bytes_per_second / 1e9 for count, rates in measuring.rates.items()}
    record = {
        "settings": {**asdict(settings), "out": str(out)},
        "machine": machine,
        "rows": [asdict(row) for row in rows],
        "growth": [asdict(series) for series in measuring.series],
        "notes": measuring.notes,
    }
    shapes = [settings.shape(name) for name in settings.shapes]
    text = markdown_report(machine, shapes, rows, measuring.series, measuring.notes, measuring.rates)
    files = {
        "throughput.json": json.dumps(record, indent=2) + "\n",
        "throughput.csv": to_csv(rows),
        "throughput.md": text,
    }
    for name, content in files.items():
        write_atomically(out / name, content.encode())
    console.print(machine_line(machine), highlight=False)
    for group in dict.fromkeys(row.group for row in rows if row.group != "growth"):
        comparison_table([row for row in rows if row.group == group], group).print(console)
    if measuring.series:
        growth_table(measuring.series).print(console)
    for note in measuring.notes:
        console.print(note)
    written = [out / name for name in files] + draw_growth(measuring.series, out)
    for path in written:
        console.print("written:", path, soft_wrap=True)
