"""Knowledge of a log that networks need before they learn, and after: features, contexts, the scale of rewards."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import nn

from irecgan_gym.sessions.dataset import SessionLog


@runtime_checkable
class KnowsLog(Protocol):
    """A module that keeps something of a log which no gradient teaches it."""

    def take(self, sessions: SessionLog) -> None:
        """Take it from the sessions that the network learns from, or has learned from; the same from disk."""


def take_log(module: nn.Module, sessions: SessionLog) -> None:
    """Let all parts of a network take what they must know of a log; most have nothing to take."""
    for part in module.modules():
        if isinstance(part, KnowsLog):
            part.take(sessions)
