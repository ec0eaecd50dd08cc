"""What completes sessions in the roll-outs of Eq 6."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class RolloutPolicy(Protocol):
    """What completes sessions in a roll-out; :class:`~irecgan_gym.models.slate_policy.SlatePolicy` is one.

    Policies of other libraries become one by :func:`~irecgan_gym.models.predictor_policy.as_rollout_policy`.
    """

    def start(self, num_sessions: int) -> Tensor:
        """States of new sessions, [B, S]."""

    def observe(self, clicks: Tensor, state: Tensor) -> Tensor:
        """States after one more click; ``clicks`` int64 [B], ``state`` [B, S]."""

    def sample(self, state: Tensor, generator: torch.Generator, *, draws: int = 1) -> Tensor:
        """Slates of different items, ``draws`` of them for each session; int64 [B * draws, k], a session's together."""
