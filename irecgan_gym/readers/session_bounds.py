"""Bounds of sessions, and the order of their steps, as options of readers of tables say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.readers.assembly import StepColumns, keep_lengths
from irecgan_gym.readers.report import ReadReport, check_lengths
from irecgan_gym.settings import checked_value

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""Seconds in each unit of times that are numbers."""


class StepLog(Protocol):
    """Steps gathered from rows, of sessions that may have to be cut."""

    steps: StepColumns

    def steps_in_order(self, max_gap: float | None) -> NDArray[np.int64]:
        """Numbers of the steps by session, and in it by time or as they came."""


@dataclass(frozen=True)
class SessionBounds:
    """Options on what a session is.

    Attributes:
        min_length: sessions of fewer steps are left out and counted.
        max_length: sessions of more steps are left out and counted.
        sort: whether to put the steps of a session in the order of time.
        max_gap: seconds after which the same id is another session; None never cuts one.
    """

    min_length: int = 1
    max_length: int = 2**31 - 1
    sort: bool = False
    max_gap: float | None = None

    def __post_init__(self) -> None:
        check_lengths(self.min_length, self.max_length)
        checked_value("max_gap", self.max_gap, float | None)

    def check_time(self, column: str | None, unit: str) -> None:
        """Refuse options that need times where there are none.

        Args:
            column: name of that of times, None where there is none.
            unit: of times that are numbers.

        Raises:
            ValueError: they do, or the unit or the gap is none.
        """
        if self.sort and column is None:
            raise ValueError("sort=True needs a time column to sort by")
        if self.max_gap is not None and (column is None or not self.max_gap > 0):
            raise ValueError(
                f"max_gap must be a positive number of seconds, and needs a time column, got {self.max_gap}"
            )
        if unit not in SECONDS:
            raise ValueError(f"time_unit must be one of {', '.join(SECONDS)}, got {unit!r}")

    def steps_kept(self, log: StepLog, report: ReadReport) -> NDArray[np.int64]:
        """Return the numbers of the steps of the sessions asked for, by session and in their order.

        Args:
            log: all steps.
            report: counts what is left out, and what is put right.

        Raises:
            ReaderError: time goes back so often that the rows are in no order of time.
        """
        order = log.steps_in_order(self.max_gap)
        return keep_lengths(log.steps, order, self.min_length, self.max_length, "steps", report)
