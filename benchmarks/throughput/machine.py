"""The machine: its name, and the rates that it reaches at matrix products and copies."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from irecgan_gym.benchmarks.throughput.arithmetic import Cost
from irecgan_gym.benchmarks.throughput.timing import time_calls
from irecgan_gym.models.building import resolve_device

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class RateTask:
    """Settings by which the rates are measured.

    Attributes:
        device: where.
        sizes: sides of the square matrices that are multiplied.
        copied_bytes: size of the copied array.
        seconds: for each size.
    """

    device: str
    sizes: tuple[int, ...] = (1024, 2048)
    copied_bytes: int = 256 * 2**20
    seconds: float = 0.3


@dataclass(frozen=True)
class Rates:
    """Rates that the machine reaches with the threads that the benchmark uses.

    Attributes:
        flops_per_second: of the best matrix product, by precision.
        bytes_per_second: read and written by a copy that no cache can hold.
    """

    flops_per_second: dict[str, float]
    bytes_per_second: float

    def best(self, other: Rates) -> Rates:
        """The better of two measurements in each respect: other work on the machine can only lower them."""
        flops = {name: max(rate, other.flops_per_second[name]) for name, rate in self.flops_per_second.items()}
        return Rates(flops, max(self.bytes_per_second, other.bytes_per_second))

    def limit(self, cost: Cost, precision: str) -> float:
        """The least seconds for a cost."""
        return cost.seconds(self.flops_per_second[precision], self.bytes_per_second)


def measure_rates(task: RateTask) -> Rates:
    """Best rates of several matrix sizes and several copies."""
    device = resolve_device(task.device)
    generator = torch.Generator().manual_seed(0)
    flops = {}
    for name, dtype in _DTYPES.items():
        rates = []
        for size in task.sizes:
            left, right = (torch.rand(size, size, generator=generator).to(device, dtype) for _ in range(2))
            rates.append(2 * size**3 / _best(partial(torch.mm, left, right, out=left @ right), task, device))
        flops[name] = max(rates)
    source = torch.zeros(task.copied_bytes // 4, device=device)
    target = torch.ones_like(source)
    return Rates(flops, 2 * source.nbytes / _best(partial(target.copy_, source), task, device))


def _best(function: Callable[[], object], task: RateTask, device: torch.device) -> float:
    """The least seconds of a call, after one to warm up."""
    function()
    return time_calls(function, task.seconds, device).best


def processor_name(device: torch.device) -> str:
    """The model of the device that computes, as the system calls it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
