"""Deterministic mode: algorithms that give the same bits every time, on GPUs too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@contextmanager
def deterministic_algorithms() -> Iterator[None]:
    """Let PyTorch use none but deterministic algorithms meanwhile; an operation that has none is an error.

    On the CPU everything of the suite is deterministic anyway, with one number of threads. On GPUs sums are added in
    another order from run to run unless this is asked for, which makes them slower::

        with deterministic_algorithms():
            agent.learn(sessions)

    cuBLAS takes its part of it from the environment variable ``CUBLAS_WORKSPACE_CONFIG`` when a process first uses the
    GPU: it is set here where it is not, and must be set before the program starts if the GPU has been used before.
    """
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    os.environ.setdefault(_WORKSPACE, ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark
