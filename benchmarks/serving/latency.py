"""Latency of a policy by size of the catalogue: the agent's own ``predict``, and the same policy exported."""

from __future__ import annotations

import csv
import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from irecgan_gym.agents.pg import PG
from irecgan_gym.benchmarks.engine.command import check_distinct, check_positive, command_line
from irecgan_gym.serving.exported_policy import ExportedPolicy
from irecgan_gym.serving.onnx_export import export_onnx
from irecgan_gym.storage.files import write_atomically

COLUMNS = ("items", "policy", "slates", "calls", "p50_ms", "p99_ms", "processor_ms")


@dataclass(frozen=True)
class Latency:
    """Times of single calls.

    Attributes:
        p50: milliseconds in which half of the calls are done.
        p99: milliseconds in which 99 of 100 are.
        processor: milliseconds that the process computed a call, in the mean: other work on the machine adds to the
            others, and hardly to this.
    """

    p50: float
    p99: float
    processor: float


@dataclass(frozen=True, kw_only=True)
class ServingLatency:
    """Measure the latency of choosing one slate for one session, on one core."""

    items: tuple[int, ...] = (50, 40_000, 1_000_000)
    """Sizes of the catalogue."""
    slate_size: int = 10
    """Items of a slate."""
    calls: int = 1000
    """Calls of each kind; fewer where a minute has passed."""
    seconds: float = 60.0
    """Seconds after which calls of one kind end, were they fewer."""
    out: Path | None = None
    """CSV file of the results."""

    def execute(self, console: Console) -> None:
        """Measure, and print a table."""
        check_distinct(items=self.items)
        check_positive(slate_size=self.slate_size, calls=self.calls, items=min(self.items))
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            rows = [row for size in self.items for row in self._measured(size)]
        finally:
            torch.set_num_threads(threads)
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(rows)
        console.print(text.getvalue(), markup=False, highlight=False, end="")
        if self.out is not None:
            write_atomically(self.out, text.getvalue().encode())

    def _measured(self, num_items: int) -> Iterator[tuple[Any, ...]]:
        agent = PG(num_items, self.slate_size, seed=0, device="cpu")
        with tempfile.TemporaryDirectory() as folder:
            export_onnx(agent, Path(folder) / "policy.onnx")
            exported = ExportedPolicy(Path(folder) / "policy.onnx")
        for name, policy in (("agent", agent), ("exported", exported)):
            for slates, deterministic in (("top k", True), ("sampled", False)):
                found = latency(walk(policy, num_items, deterministic), self.calls, self.seconds)
                times = [round(value, 4) for value in (found.p50, found.p99, found.processor)]
                yield (num_items, name, slates, self.calls, *times)


def walk(policy: Any, num_items: int, deterministic: bool) -> Callable[[], None]:
    """Return a function whose calls are the steps of one session: each clicks the first item of the last slate."""
    click, state = np.array([num_items]), None

    def step() -> None:
        nonlocal click, state
        slates, state = policy.predict(click, state, deterministic=deterministic)
        click = slates[:, 0]

    return step


def latency(step: Callable[[], object], calls: int, seconds: float) -> Latency:
    """Time single calls, after a few that do not count.

    Args:
        step: what is called.
        calls: at most.
        seconds: after which no further call is made.
    """
    for _ in range(min(20, calls)):
        step()
    times: list[float] = []
    began, computed = time.perf_counter(), time.process_time()
    while len(times) < calls and time.perf_counter() - began < seconds:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    computed = time.process_time() - computed
    p50, p99 = np.percentile(times, [50, 99]) * 1e3
    return Latency(float(p50), float(p99), computed / len(times) * 1e3)


if __name__ == "__main__":
    sys.exit(command_line(ServingLatency))
