"""Returns of sessions on disk: those of the parts in memory, worked out as they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from irecgan_gym.agents.returns import ReturnsData, ReturnSettings, known_propensities, offline_returns
from irecgan_gym.models.batches import StepBatch
from irecgan_gym.models.ranks import ALONE, Ranks
from irecgan_gym.models.streams import StreamedLog, Window
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.dataset import SessionDataset, SessionLog

Propensities = Callable[[Sessions], NDArray[np.float32]]


class StreamedReturns:
    """Sessions on disk with the agent's rewards and returns: what ``ReturnsData`` is to those in memory.

    Args:
        log: the sessions, and those in memory that join them.
        returns: gives sessions in memory their returns.
        propensities_known: whether the propensities of all clicks are.
    """

    def __init__(
        self, log: StreamedLog, returns: Callable[[Sessions], ReturnsData], *, propensities_known: bool
    ) -> None:
        self._log, self._returns, self.propensities_known = log, returns, propensities_known

    @property
    def dataset(self) -> SessionDataset:
        """The sessions on disk."""
        return self._log.dataset

    def with_extra(self, extra: Sessions) -> StreamedReturns:
        """Return these sessions and others in memory, of the same columns, mixed among them."""
        log = replace(self._log, extra=extra)
        return StreamedReturns(log, self._returns, propensities_known=self.propensities_known)

    @property
    def num_sessions(self) -> int:
        """Number of sessions."""
        return len(self._log)

    @property
    def num_steps(self) -> int:
        """Steps of all sessions."""
        return self.dataset.num_steps + (0 if self._log.extra is None else self._log.extra.num_steps)

    def mean_steps(self, batch_size: int) -> float:
        """See :meth:`irecgan_gym.models.batches.SessionTensors.mean_steps`."""
        return self.num_steps / self.num_sessions * min(batch_size, self.num_sessions)

    def all(self, batch_size: int) -> Iterator[tuple[ReturnsData, StepBatch]]:
        """Yield every session once, in the order of the log, in batches, with the returns that they belong to."""
        return self._batches(self._log.in_order(batch_size))

    def shuffled(
        self, batch_size: int, generator: np.random.Generator, ranks: Ranks = ALONE
    ) -> Iterator[tuple[ReturnsData, StepBatch]]:
        """Yield the same in the random order of :func:`irecgan_gym.models.streams.windows`."""
        return self._batches(self._log.shuffled(batch_size, generator), ranks)

    def _batches(self, found: Iterator[Window], ranks: Ranks = ALONE) -> Iterator[tuple[ReturnsData, StepBatch]]:
        for window in found:
            data = self._returns(window.sessions)
            for numbers in window.batches:
                part, share = ranks.part(numbers)
                yield data, replace(data.sessions.batch(part), share=share)


def returns_of(
    sessions: SessionLog,
    settings: ReturnSettings,
    device: torch.device,
    propensities: Propensities | None = None,
) -> ReturnsData | StreamedReturns:
    """Return logged sessions, in memory or on disk, with the rewards of Eq 10 with q_D = 1.

    Args:
        sessions: the log.
        settings: discounting and weight of the rewards.
        device: device of the batches.
        propensities: gives sessions those of their clicked items, [T]; the logged ones when None.
    """

    def with_returns(part: Sessions) -> ReturnsData:
        return offline_returns(part, settings, device, None if propensities is None else propensities(part))

    if not isinstance(sessions, SessionDataset):
        return with_returns(sessions)
    known = propensities is not None or propensities_are_known(sessions)
    return StreamedReturns(StreamedLog(sessions), with_returns, propensities_known=known)


def propensities_are_known(sessions: SessionLog) -> bool:
    """Tell whether the propensities of all clicks were logged."""
    parts = sessions if isinstance(sessions, SessionDataset) else [sessions]
    return all(known_propensities(part) is not None for part in parts)
