"""The one thing that the project asks of a policy, whoever's it is: Stable-Baselines3's ``predict``."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray


@runtime_checkable
class SlatePredictor(Protocol):
    """Anything that chooses slates as Stable-Baselines3's algorithms choose actions."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        """Choose slates.

        Args:
            observation: last click of each session, [B] (``num_items`` for none yet).
            state: what the last call returned; None at the start.
            episode_start: where a new session begins, so that the state starts afresh; bool [B].
            deterministic: whether to choose the best slate, or to draw one.

        Returns:
            Slates int64 [B, k], and the state for the next call: None, an array, or a tuple of arrays.
        """
