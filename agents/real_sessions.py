"""Logged sessions as a user model sees them, in memory or on disk, and beside generated ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from irecgan_gym.agents.generation import Generated, both_kinds, in_both
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.fitting import user_sessions
from irecgan_gym.models.streams import BatchSource, SessionStream, batches_of, with_weights
from irecgan_gym.models.user_model import UserModelConfig
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.checks import IntArray
from irecgan_gym.sessions.dataset import SessionDataset, SessionLog, drawn_sessions, parts_of


class RealSessions:
    """Logged sessions with the leaving step where users leave, checked against a user model.

    Args:
        log: sessions in memory or on disk.
        config: of the user model.

    Raises:
        ValueError: see :func:`~irecgan_gym.models.fitting.user_sessions`.
    """

    def __init__(self, log: SessionLog, config: UserModelConfig) -> None:
        self._seen: Callable[[Sessions], Sessions] = partial(user_sessions, config=config)
        self._log = log if isinstance(log, SessionDataset) else self._seen(log)

    def __len__(self) -> int:
        return len(self._log)

    @cached_property
    def lengths(self) -> IntArray:
        """Steps of each session, [S]."""
        if isinstance(self._log, Sessions):
            return self._log.lengths
        return np.concatenate([self._seen(part).lengths for part in parts_of(self._log)])

    def select(self, numbers: ArrayLike) -> Sessions:
        """Sessions by their numbers, in the order given, in memory."""
        chosen = drawn_sessions(self._log, np.asarray(numbers))
        return chosen if isinstance(self._log, Sessions) else self._seen(chosen)

    def batches(self, leave_option: bool, device: torch.device) -> BatchSource:
        """Batches of the sessions."""
        prepared = None if isinstance(self._log, Sessions) else self._seen
        return batches_of(self._log, leave_option=leave_option, device=device, prepared=prepared)

    def with_generated(
        self, generated: Generated, leave_option: bool, device: torch.device
    ) -> tuple[BatchSource, NDArray[np.float32] | None]:
        """Batches of real and generated sessions together, and the weights of Eq 7: 1 of real steps, q_D of others.

        Returns:
            The batches, and the weight of each step in memory, float32 [T]; None where the batches hold theirs.
        """
        if isinstance(self._log, Sessions):
            weights = np.concatenate([np.ones(self._log.num_steps, dtype=np.float32), generated.scores])
            both = both_kinds(self._log, generated.sessions)
            return SessionTensors(both, leave_option=leave_option, device=device), weights
        bare: Callable[[Sessions], Sessions] = in_both(self._log)

        def prepared(part: Sessions) -> Sessions:
            seen = bare(self._seen(part))
            return with_weights(seen, np.ones(seen.num_steps, dtype=np.float32))

        options: dict[str, Any] = {"leave_option": leave_option, "device": device, "prepared": prepared}
        extra = with_weights(bare(generated.sessions), generated.scores)
        return SessionStream(self._log, extra=extra, num_steps=int(self.lengths.sum()), **options), None
