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
from irecgan_gym.models.streams import PARTS_AT_ONCE, Window, windows
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.dataset import SessionDataset, SessionLog

Propensities = Callable[[Sessions], NDArray[np.float32]]


class StreamedReturns:
    """Sessions on disk with the agent's rewards and returns: what ``ReturnsData`` is to those in memory.

    Args:
        dataset: the sessions.
        returns: gives sessions in memory their returns.
        propensities_known: whether the propensities of all clicks are.
        parts_at_once: parts of the data set in memory.
        prepared: changes sessions part by part; see :func:`~irecgan_gym.models.streams.windows`.
        extra: sessions in memory that join those on disk.
    """

    def __init__(
        self,
        dataset: SessionDataset,
        returns: Callable[[Sessions], ReturnsData],
        *,
        propensities_known: bool,
        parts_at_once: int = PARTS_AT_ONCE,
        prepared: Callable[[Sessions], Sessions] | None = None,
        extra: Sessions | None = None,
    ) -> None:
        self.dataset, self.propensities_known = dataset, propensities_known
        self._returns, self._parts_at_once = returns, parts_at_once
        self._prepared, self._extra = prepared, extra

    def with_extra(self, extra: Sessions) -> StreamedReturns:
        """Return these sessions and others in memory, of the same columns, mixed among them."""
        return StreamedReturns(
            self.dataset,
            self._returns,
            propensities_known=self.propensities_known,
            parts_at_once=self._parts_at_once,
            prepared=self._prepared,
            extra=extra,
        )

    @property
    def num_sessions(self) -> int:
        """Number of sessions."""
        return len(self.dataset) + (0 if self._extra is None else len(self._extra))

    @property
    def num_steps(self) -> int:
        """Steps of all sessions."""
        return self.dataset.num_steps + (0 if self._extra is None else self._extra.num_steps)

    def mean_steps(self, batch_size: int) -> float:
        """See :meth:`irecgan_gym.models.batches.SessionTensors.mean_steps`."""
        return self.num_steps / self.num_sessions * min(batch_size, self.num_sessions)

    def all(self, batch_size: int) -> Iterator[tuple[ReturnsData, StepBatch]]:
        """Yield every session once, in the order of the log, in batches, with the returns that they belong to."""
        return self._batches(self._windows(batch_size, None, 1))

    def shuffled(
        self, batch_size: int, generator: np.random.Generator, ranks: Ranks = ALONE
    ) -> Iterator[tuple[ReturnsData, StepBatch]]:
        """Yield the same in the random order of :func:`irecgan_gym.models.streams.windows`."""
        return self._batches(self._windows(batch_size, generator, self._parts_at_once), ranks)

    def _windows(self, batch_size: int, generator: np.random.Generator | None, parts_at_once: int) -> Iterator[Window]:
        return windows(
            self.dataset,
            batch_size,
            generator,
            parts_at_once=parts_at_once,
            prepared=self._prepared,
            extra=self._extra,
        )

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
    return StreamedReturns(
        sessions, with_returns, propensities_known=propensities is not None or propensities_are_known(sessions)
    )


def propensities_are_known(sessions: SessionLog) -> bool:
    """Tell whether the propensities of all clicks were logged."""
    parts = sessions if isinstance(sessions, SessionDataset) else [sessions]
    return all(known_propensities(part) is not None for part in parts)
