"""What every agent can do: learn from sessions, predict slates, score logged slates, be saved and loaded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.recorder import Recorder, silent
from irecgan_gym.sessions import Sessions

AgentT = TypeVar("AgentT", bound="Agent")
State = tuple[NDArray[Any], ...]


class Agent(ABC):
    """A recommendation agent with Stable-Baselines3's surface, so that ``evaluate_policy`` takes it.

    Args:
        num_items: size of the catalogue, n.
        slate_size: items to show at a time, k.
    """

    def __init__(self, num_items: int, slate_size: int) -> None:
        if not 1 <= slate_size <= num_items:
            raise ValueError(f"slate_size must be from 1 to num_items={num_items}, got {slate_size}")
        self.num_items = num_items
        self.slate_size = slate_size

    @abstractmethod
    def learn(
        self: AgentT, sessions: Sessions, validation: Sessions | None = None, *, recorder: Recorder = silent
    ) -> AgentT:
        """Learn from logged sessions.

        Args:
            sessions: what to learn from.
            validation: held-out sessions for early stopping; a part of ``sessions`` when left out.
            recorder: receives the numbers of training.

        Returns:
            The agent itself.
        """

    @abstractmethod
    def predict(
        self,
        observation: NDArray[Any] | int,
        state: State | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[np.int64], State | None]:
        """Choose slates, as ``BaseAlgorithm.predict`` of Stable-Baselines3 chooses actions.

        Args:
            observation: last click of each session, [B] (``num_items`` for none yet), or one number.
            state: what the last call returned; None at the start.
            episode_start: where a new session begins, so that the state starts afresh; bool [B].
            deterministic: the top k items if True, else a slate sampled without replacement.

        Returns:
            Slates int64 [B, k] ([k] for a single number), and the state for the next call.
        """

    @abstractmethod
    def set_random_seed(self, seed: int) -> None:
        """Start the sampled slates afresh from a seed."""

    @abstractmethod
    def slate_scores(self, sessions: Sessions) -> NDArray[np.float32]:
        """Log-probability of each logged slate's items, given the clicks before; float32 [L].

        Sorting a slate by these scores re-ranks it; adding Gumbel noise first samples a ranking.
        """

    @abstractmethod
    def save(self, path: str | Path) -> None:
        """Write the agent to one file, atomically."""

    @classmethod
    @abstractmethod
    def load(cls: type[AgentT], path: str | Path, *, device: str = "auto") -> AgentT:
        """Read an agent from a file written by :meth:`save`."""
