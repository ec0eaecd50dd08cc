"""What networks must know of a log before they learn from it, and after: features, contexts, the scale of rewards."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import nn

from irecgan_gym.sessions import Sessions


@runtime_checkable
class KnowsLog(Protocol):
    """A module that keeps something of a log which no gradient teaches it."""

    def take(self, sessions: Sessions) -> None:
        """Take it from the sessions that the network learns from, or has learned from."""


def take_log(module: nn.Module, sessions: Sessions) -> None:
    """Let all parts of a network take what they must know of a log; most have nothing to take."""
    for part in module.modules():
        if isinstance(part, KnowsLog):
            part.take(sessions)
