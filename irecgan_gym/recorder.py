"""Where training reports its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Recorder(Protocol):
    """Receives named numbers while something trains.

    Names are paths such as ``train/policy_loss``, ``disc/accuracy`` or ``user_model/validation_click_log_likelihood``;
    the part before the slash is the component. ``step`` counts epochs or rounds within that component.
    """

    def record(self, values: Mapping[str, float], step: int) -> None:
        """Take note of some numbers that belong to the same step."""


class SilentRecorder:
    """Takes no note of anything."""

    def record(self, values: Mapping[str, float], step: int) -> None:
        """Drop the numbers."""


silent = SilentRecorder()
