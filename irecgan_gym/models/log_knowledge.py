"""Knowledge of a log that networks need before they learn, and after: features, contexts, the scale of rewards."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import nn

from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.dataset import SessionDataset, SessionLog


@runtime_checkable
class KnowsLog(Protocol):
    """A module that keeps something of a log which no gradient teaches it."""

    def take(self, sessions: Sessions) -> None:
        """Take it from the sessions that the network learns from, or has learned from."""


def take_log(module: nn.Module, sessions: SessionLog) -> None:
    """Let all parts of a network take what they must know of a log; most have nothing to take.

    Raises:
        ValueError: sessions on disk, and a part that must see them all.
    """
    parts = [part for part in module.modules() if isinstance(part, KnowsLog)]
    if not parts:
        return
    if isinstance(sessions, SessionDataset):
        raise ValueError(
            "features and laws of rewards are measured on the whole log: load it into memory (SessionDataset.load), "
            f"or learn without them; the sessions in {sessions.folder} stay on disk"
        )
    for part in parts:
        part.take(sessions)
