"""The type of numbers in which matrices are multiplied."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]


def matrix_precision(precision: Precision, device: torch.device) -> torch.autocast:
    """A context in which losses are computed with products of matrices in the given precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def check_precision(name: str, precision: str) -> None:
    """Refuse anything but a :data:`Precision`.

    Raises:
        ValueError: with the setting's name and what it takes.
    """
    if precision not in ("float32", "bfloat16"):
        raise ValueError(f"{name} must be 'float32' or 'bfloat16', got {precision!r}")
