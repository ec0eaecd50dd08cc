"""Functions run in a fresh process each, so that one measurement's memory and caches are not the next one's."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

import torch

from irecgan_gym.benchmarks.measurement import peak_mb

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")

# Imported once by the process from which the fresh ones are forked; it computes nothing itself. The last one is what
# PyTorch imports when the first optimizer is made.
_PRELOADED = [
    "irecgan_gym.benchmarks.throughput.environments",
    "irecgan_gym.benchmarks.throughput.growth",
    "irecgan_gym.benchmarks.throughput.machine",
    "irecgan_gym.benchmarks.throughput.plain_phases",
    "torch._dynamo",
]


class IsolatedError(RuntimeError):
    """A measurement failed in its process; the message holds the traceback."""


@dataclass(frozen=True)
class Isolated(Generic[ResultT]):
    """Result of a process.

    Attributes:
        value: the function's result.
        peak_memory_mb: the most memory it held, in units of 10^6 bytes: resident memory of the process, libraries
            included, or on a CUDA device what tensors occupied there.
    """

    value: ResultT
    peak_memory_mb: float


def run_isolated(function: Callable[[TaskT], ResultT], task: TaskT, *, threads: int) -> Isolated[ResultT]:
    """Call a function in a process of its own.

    Args:
        function: of a module's top level.
        task: its argument; both travel by pickling between processes of this command alone.
        threads: that torch may use there.

    Raises:
        IsolatedError: the function raised, or its process died (for lack of memory, say).
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, function, task, threads), daemon=True)
    process.start()
    sender.close()
    try:
        succeeded, value, peak = receiver.recv()
    except EOFError:
        process.join()
        raise IsolatedError(f"the process of {task} ended with exit status {process.exitcode}") from None
    finally:
        if process.is_alive():
            process.join(timeout=10)
            process.kill()
        receiver.close()
    if not succeeded:
        raise IsolatedError(f"{task} failed:\n{value}")
    return Isolated(value, peak)


def _child(sender: Connection, function: Callable[[Any], Any], task: Any, threads: int) -> None:
    torch.set_num_threads(threads)
    try:
        value = function(task)
    except KeyboardInterrupt:
        pass  # The command itself says that it was stopped.
    except Exception:
        sender.send((False, traceback.format_exc(), 0.0))
    else:
        sender.send((True, value, _peak_memory_mb()))


def _peak_memory_mb() -> float:
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return torch.cuda.max_memory_allocated() / 1e6
    return peak_mb()
