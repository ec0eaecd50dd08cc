"""BatchSource of sessions on disk: a few parts in memory at a time, the order of sessions random within them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from irecgan_gym.models.batches import SessionTensors, StepBatch
from irecgan_gym.models.ranks import ALONE, Ranks
from irecgan_gym.sessions import Sessions, concatenate
from irecgan_gym.sessions.dataset import SessionDataset, SessionLog

PARTS_AT_ONCE = 4
"""Parts among whose sessions batches are drawn."""
_WEIGHT = "\0weight"
"""Steps bring their weights along as a feature, of a name that no log has."""


class BatchSource(Protocol):
    """Sessions as batches, wherever they are."""

    @property
    def num_steps(self) -> int:
        """Steps of all sessions."""

    def all(self, batch_size: int) -> Iterator[StepBatch]:
        """Yield every session once, in the order of the log."""

    def shuffled(self, batch_size: int, generator: np.random.Generator, ranks: Ranks = ALONE) -> Iterator[StepBatch]:
        """Yield every session once, in random order; of each batch the part of a process among those that train."""

    def mean_steps(self, batch_size: int) -> float:
        """Return the expected number of steps of a batch."""


class Window(NamedTuple):
    """Sessions in memory, and the batches that are cut out of them.

    Attributes:
        sessions: some of the log.
        batches: numbers of the sessions of each batch, in order.
    """

    sessions: Sessions
    batches: list[NDArray[np.int64]]


def windows(
    dataset: SessionDataset,
    batch_size: int,
    generator: np.random.Generator | None,
    *,
    parts_at_once: int = PARTS_AT_ONCE,
    parts: NDArray[np.int64] | None = None,
    prepared: Callable[[Sessions], Sessions] | None = None,
    extra: Sessions | None = None,
) -> Iterator[Window]:
    """Yield every session once, some parts at a time, cut into batches that are full but for the last one.

    Parts come in random order, and the sessions of those in memory are shuffled together. With as many parts at once as
    there are, it is the order of :meth:`~irecgan_gym.models.batches.SessionTensors.shuffled`.

    Args:
        dataset: the sessions.
        batch_size: sessions a batch.
        generator: of the order; in the order of the log when None.
        parts_at_once: in memory.
        parts: numbers of the parts to read; all when None.
        prepared: changes the sessions of a part, without changing their number.
        extra: sessions in memory that join those on disk, some in every window; behind the last of the log.
    """
    prepared = _itself if prepared is None else prepared
    numbers = np.flatnonzero(dataset.part_sizes) if parts is None else parts
    if generator is not None and len(numbers) > parts_at_once:
        numbers = generator.permutation(numbers)
    waiting: Sessions | None = None
    shares = _shares(extra, -(-len(numbers) // parts_at_once))
    for first in range(0, len(numbers), parts_at_once):
        # In the order of the log: which parts are in memory is random, and so is the order of their sessions.
        here = np.sort(numbers[first : first + parts_at_once])
        loaded = [prepared(dataset.part(int(number))) for number in here]
        if extra is not None:
            loaded.append(extra.select(next(shares)))
        left = 0 if waiting is None else len(waiting)
        sessions = concatenate([*([] if waiting is None else [waiting]), *loaded])
        del loaded
        fresh = len(sessions) - left
        order = np.arange(fresh) if generator is None else generator.permutation(fresh)
        order = np.concatenate([np.arange(left), left + order])
        is_last = first + parts_at_once >= len(numbers)
        full = len(order) if is_last else len(order) // batch_size * batch_size
        # What does not fill a batch waits for the next parts.
        waiting = None if is_last else sessions.select(order[full:])
        yield Window(sessions, [order[start : min(start + batch_size, full)] for start in range(0, full, batch_size)])


@dataclass(frozen=True)
class StreamedLog:
    """Sessions on disk, those in memory that join them, and how many of them memory holds at a time.

    Attributes:
        dataset: sessions on disk.
        prepared: changes the sessions of a part, without changing their number.
        extra: sessions in memory that join those on disk.
        parts_at_once: in memory, where the order is random.
    """

    dataset: SessionDataset
    prepared: Callable[[Sessions], Sessions] | None = None
    extra: Sessions | None = None
    parts_at_once: int = PARTS_AT_ONCE

    def __len__(self) -> int:
        """Return the number of sessions."""
        return len(self.dataset) + (0 if self.extra is None else len(self.extra))

    def in_order(self, batch_size: int) -> Iterator[Window]:
        """Yield :func:`windows` in the order of the log."""
        return windows(self.dataset, batch_size, None, parts_at_once=1, prepared=self.prepared, extra=self.extra)

    def shuffled(self, batch_size: int, generator: np.random.Generator) -> Iterator[Window]:
        """Yield :func:`windows` in random order."""
        return windows(
            self.dataset,
            batch_size,
            generator,
            parts_at_once=self.parts_at_once,
            prepared=self.prepared,
            extra=self.extra,
        )


def _itself(sessions: Sessions) -> Sessions:
    return sessions


def _shares(extra: Sessions | None, number: int) -> Iterator[NDArray[np.int64]]:
    """Numbers of the sessions that join each of some windows."""
    return iter(np.array_split(np.arange(0 if extra is None else len(extra)), max(number, 1)))


def with_weights(sessions: Sessions, weights: NDArray[np.float32]) -> Sessions:
    """Return sessions whose steps bring weights in the loss along, [T]; batches of :class:`SessionStream` have them."""
    return sessions.with_features(steps={_WEIGHT: weights})


class SessionStream:
    """The batches of sessions on disk: what :class:`~irecgan_gym.models.batches.SessionTensors` is to those in memory.

    Memory holds a few parts at a time. For the same order of sessions, batches are the same, bit for bit, but for
    ``steps`` and ``numbers``, which count within the parts in memory.

    Args:
        dataset: the sessions.
        leave_option: see :class:`~irecgan_gym.models.batches.SessionTensors`.
        device: where batches live.
        prepared: changes sessions before they become batches, without changing their number; it is called once for
            every part at the start, so that what it refuses is refused then.
        parts_at_once: in memory.
        extra: sessions in memory that join those on disk; see :func:`windows`.
        num_steps: of the sessions on disk once they are prepared; counted, in a pass over them, when None.
    """

    def __init__(
        self,
        dataset: SessionDataset,
        *,
        leave_option: bool,
        device: torch.device | str = "cpu",
        prepared: Callable[[Sessions], Sessions] | None = None,
        parts_at_once: int = PARTS_AT_ONCE,
        extra: Sessions | None = None,
        num_steps: int | None = None,
    ) -> None:
        self.dataset = dataset
        self._leave_option, self._device = leave_option, device
        self._log = StreamedLog(dataset, prepared, extra, parts_at_once)
        if num_steps is None:
            num_steps = dataset.num_steps if prepared is None else sum(prepared(part).num_steps for part in dataset)
        self.num_steps = num_steps
        if extra is not None:
            self.num_steps += extra.num_steps

    def all(self, batch_size: int) -> Iterator[StepBatch]:
        """Yield every session once, in the order of the log."""
        return self._batches(self._log.in_order(batch_size))

    def shuffled(self, batch_size: int, generator: np.random.Generator, ranks: Ranks = ALONE) -> Iterator[StepBatch]:
        """Yield every session once, in the random order of :func:`windows`; of each batch the part of a process."""
        return self._batches(self._log.shuffled(batch_size, generator), ranks)

    def _batches(self, found: Iterator[Window], ranks: Ranks = ALONE) -> Iterator[StepBatch]:
        for window in found:
            tensors = SessionTensors(window.sessions, leave_option=self._leave_option, device=self._device)
            column = window.sessions.features.steps.get(_WEIGHT)
            weights = None if column is None else torch.tensor(column.values, device=self._device)
            for numbers in window.batches:
                part, share = ranks.part(numbers)
                batch = tensors.batch(part)
                yield replace(batch, share=share, weights=None if weights is None else weights[batch.steps])

    def mean_steps(self, batch_size: int) -> float:
        """See :meth:`irecgan_gym.models.batches.SessionTensors.mean_steps`."""
        return self.num_steps / len(self._log) * min(batch_size, len(self._log))


def batches_of(
    sessions: SessionLog,
    *,
    leave_option: bool,
    device: torch.device | str = "cpu",
    prepared: Callable[[Sessions], Sessions] | None = None,
) -> BatchSource:
    """Return the batches of sessions in memory or on disk.

    Args:
        sessions: the log.
        leave_option: see :class:`~irecgan_gym.models.batches.SessionTensors`.
        device: where batches live.
        prepared: changes sessions before they become batches; see :class:`SessionStream`.
    """
    if isinstance(sessions, SessionDataset):
        return SessionStream(sessions, leave_option=leave_option, device=device, prepared=prepared)
    ready = sessions if prepared is None else prepared(sessions)
    return SessionTensors(ready, leave_option=leave_option, device=device)


class SessionBatches(IterableDataset[StepBatch]):
    """BatchSource of sessions on disk for ``torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=...)``.

    Each worker of each process of a distributed training reads parts of its own: in an epoch every session is in one
    batch of one of them. Call :meth:`set_epoch` before an epoch, so that its order is another.

    Args:
        dataset: the sessions.
        batch_size: sessions a batch.
        leave_option: see :class:`~irecgan_gym.models.batches.SessionTensors`.
        seed: of the order.
        rank: of this process among those that train together; that of ``torch.distributed``, or of the environment
            variable RANK, when None.
        world_size: number of these processes; likewise, WORLD_SIZE.
        parts_at_once: in the memory of a worker.
    """

    def __init__(
        self,
        dataset: SessionDataset,
        batch_size: int,
        *,
        leave_option: bool = False,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        parts_at_once: int = PARTS_AT_ONCE,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self._dataset, self._batch_size, self._leave_option = dataset, batch_size, leave_option
        self._seed, self._epoch, self._parts_at_once = seed, 0, parts_at_once
        self._rank = _process("rank", "RANK", 0) if rank is None else rank
        self._world_size = _process("world_size", "WORLD_SIZE", 1) if world_size is None else world_size
        if not 0 <= self._rank < self._world_size:
            raise ValueError(f"rank must be from 0 to below world_size={self._world_size}, got {self._rank}")

    def set_epoch(self, epoch: int) -> None:
        """Have the next epoch in an order of its own."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[StepBatch]:
        """BatchSource of this worker's parts."""
        worker = get_worker_info()
        workers, number = (1, 0) if worker is None else (worker.num_workers, worker.id)
        generator = np.random.default_rng([self._seed, self._epoch])
        # All workers draw the same order of the parts, and take turns in it.
        parts = generator.permutation(np.flatnonzero(self._dataset.part_sizes))
        own = parts[self._rank * workers + number :: self._world_size * workers]
        generator = np.random.default_rng([self._seed, self._epoch, self._rank, number])
        for window in windows(self._dataset, self._batch_size, generator, parts_at_once=self._parts_at_once, parts=own):
            tensors = SessionTensors(window.sessions, leave_option=self._leave_option)
            yield from map(tensors.batch, window.batches)


def _process(name: str, variable: str, alone: int) -> int:
    """A number of this process among those that train together."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return int(getattr(torch.distributed, f"get_{name}")())
    return int(os.environ.get(variable, alone))
