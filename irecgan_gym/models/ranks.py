"""Training by several processes at once: each takes its part of every batch, and gradients are summed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn


class Ranks:
    """One process of those that train a network together.

    All of them hold the same sessions and parameters and draw the same batches. Each computes the loss of its part of
    a batch; the parts' gradients are summed, and as losses are sums over steps divided by a constant, the sum is the
    gradient of the whole batch. Gradients, and so parameters and decisions, are the same bits in every process, and
    those of a single process but for the order in which floating-point numbers are added up.

    Args:
        rank: number of this process, from 0.
        size: number of processes; 1 for a process that trains alone.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        if not 0 <= rank < size:
            raise ValueError(f"rank must be in [0, {size}), got {rank}")
        self.rank, self.size = rank, size

    def part(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], float]:
        """Return the sessions of a batch that are this process's, and the share of their loss that it answers for.

        The share is 1, but for a batch with fewer sessions than processes: its sessions are then everybody's.

        Args:
            numbers: sessions of the whole batch, int64 [B].
        """
        if len(numbers) < self.size:
            return numbers, 1 / self.size
        return numbers[self.rank :: self.size], 1.0

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace gradients by the sums of those of all processes; a parameter that nobody has used stays without."""
        if self.size == 1:
            return
        gradients = [
            (torch.zeros_like(parameter) if parameter.grad is None else parameter.grad) for parameter in parameters
        ]
        used = gradients[0].new_tensor([float(parameter.grad is not None) for parameter in parameters])
        # One message: a network of many small ones would wait for each.
        flat = torch.cat([used, *(gradient.flatten() for gradient in gradients)])
        dist.all_reduce(flat)
        used, *sums = torch.split(flat, [len(parameters), *(gradient.numel() for gradient in gradients)])
        for parameter, is_used, total in zip(parameters, used.tolist(), sums, strict=True):
            parameter.grad = total.view_as(parameter) if is_used else None

    def total(self, value: Tensor) -> Tensor:
        """Return the sum of a number over all processes."""
        if self.size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value


ALONE = Ranks()
"""A process that trains by itself."""

_ranks: ContextVar[Ranks] = ContextVar("irecgan_gym_ranks", default=ALONE)


def current_ranks() -> Ranks:
    """Return the processes that the innermost :func:`data_parallel` trains with; outside of one, this process alone."""
    return _ranks.get()


@contextmanager
def data_parallel(backend: str | None = None) -> Iterator[Ranks]:
    """Fit user models and policies together with the other processes of a launcher, such as torchrun or Ray Train.

    Every process runs the same program with the same seeds, and ends up with the same network; one of them, such as
    that of rank 0, should write it. Batches of user models and policies are shared out. What else an agent does
    (validation, generating sessions, training D) every process does by itself, alike.

    A process group that exists already is used and left alone; otherwise one is made from the environment variables
    ``RANK``, ``WORLD_SIZE``, ``MASTER_ADDR`` and ``MASTER_PORT``, and ended with the context.

    On a machine with several GPUs, the one that the launcher's ``LOCAL_RANK`` counts off is PyTorch's current one
    within the context, and so that of the devices ``"cuda"`` and ``"auto"``.

    Args:
        backend: one of torch.distributed. By default gloo; and NCCL for tensors on GPUs where every process of this
            machine (``LOCAL_WORLD_SIZE``) has one for itself, as NCCL asks for.

    Yields:
        The rank of this process and their number.

    Raises:
        RuntimeError: no launcher has said what the other processes are.
    """
    is_ours = not dist.is_initialized()
    if is_ours:
        missing = [name for name in _LAUNCHER_VARIABLES if name not in os.environ]
        if missing:
            raise RuntimeError(
                f"data_parallel() needs the processes of a launcher: start the program by torchrun (the environment "
                f"lacks {', '.join(missing)})"
            )
    with _own_card():
        if is_ours:
            dist.init_process_group(backend or _backend())
        token = _ranks.set(Ranks(dist.get_rank(), dist.get_world_size()))
        try:
            yield current_ranks()
        finally:
            _ranks.reset(token)
            if is_ours:
                dist.destroy_process_group()


def _own_card() -> AbstractContextManager[object]:
    """Make the GPU of this process the current one; nothing without GPUs, or where no launcher counts processes."""
    if "LOCAL_RANK" not in os.environ or not torch.cuda.is_available():
        return nullcontext()
    return torch.cuda.device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())


def _backend() -> str:
    """Return the backend for the devices of this machine; processes that share a GPU cannot talk over NCCL."""
    local = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"]))
    has_cards = torch.cuda.is_available() and torch.cuda.device_count() >= local and dist.is_nccl_available()
    return "cpu:gloo,cuda:nccl" if has_cards else "gloo"


_LAUNCHER_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
