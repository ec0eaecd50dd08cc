"""Models trained under the adaptors, asked for slates without them: in the true env, or in the roll-outs of Eq 6.

Each class undoes one adaptor, and they are put together as the wrappers were: what was inside comes first.

```python
env = SlateScores(ClickHistory(gym.make("RecSim-v0"), 5))
model = PPO("MlpPolicy", env).learn(100_000)
ranking = Ranking(env.unwrapped.action_space, None)
policy = WindowPredictor(TranslatedPredictor(model, ranking.slates), 5, num_items=50)
```
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.collection import SlatePredictor


class Predictor(SlatePredictor, Protocol):
    """A model of Stable-Baselines3, or a part of it: actions for observations of whatever spaces it was made for.

    Its state is None, or a tuple of arrays.
    """

    def set_random_seed(self, seed: int) -> None:
        """Seed the actions that are drawn."""


class MaskedPredictor(Protocol):
    """A model of sb3-contrib's MaskablePPO."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        action_masks: Any = None,
    ) -> tuple[NDArray[Any], Any]:
        """Actions [B] among those that the masks allow, bool [B, n]."""

    def set_random_seed(self, seed: int) -> None:
        """Seed the actions that are drawn."""


class WindowPredictor:
    """Keeps the window of clicks that :class:`~irecgan_gym.wrappers.ClickHistory` shows a model.

    Args:
        predictor: acts on windows, int64 [B, H].
        length: of the window, H.
        num_items: size of the catalogue, n; the id "no click".
    """

    def __init__(self, predictor: Predictor, length: int, num_items: int) -> None:
        self.predictor = predictor
        self._length = length
        self._num_items = num_items

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...]]:
        """See :class:`~irecgan_gym.collection.SlatePredictor`.

        The state is the H - 1 clicks that the next window begins with, and then the model's own.
        """
        clicks = np.asarray(observation, dtype=np.int64)
        if state is None:
            before = np.full((len(clicks), self._length - 1), self._num_items)
        elif episode_start is None:
            before = state[0]
        else:
            before = np.where(np.asarray(episode_start, dtype=np.bool_)[:, None], self._num_items, state[0])
        window = np.concatenate([before, clicks[:, None]], axis=1)
        inner = None if state is None or len(state) == 1 else state[1:]
        actions, inner = self.predictor.predict(window, inner, episode_start, deterministic)
        return actions, (window[:, 1:], *(inner or ()))

    def set_random_seed(self, seed: int) -> None:
        """Seed the slates that are drawn."""
        self.predictor.set_random_seed(seed)


class TranslatedPredictor:
    """Turns a model's actions into slates, as a wrapper of actions does.

    Args:
        predictor: its actions are no slates: scores, queries, single items.
        slates: slates int64 [B, k] of actions [B, ...]: :meth:`irecgan_gym.wrappers.slate_scores.Ranking.slates`, for
            example.
    """

    def __init__(self, predictor: Predictor, slates: Callable[[NDArray[Any]], NDArray[np.int64]]) -> None:
        self.predictor = predictor
        self._slates = slates

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[NDArray[np.int64], Any]:
        """See :class:`~irecgan_gym.collection.SlatePredictor`."""
        actions, state = self.predictor.predict(observation, state, episode_start, deterministic)
        return self._slates(actions), state

    def set_random_seed(self, seed: int) -> None:
        """Seed the slates that are drawn."""
        self.predictor.set_random_seed(seed)


class SequentialPredictor:
    """Has a model pick a slate item by item, as :class:`~irecgan_gym.wrappers.SequentialSlate` does.

    Args:
        predictor: picks one item at a time, by observations ``{"observation", "slate"}`` and masks; without memory.
        num_items: size of the catalogue, n.
        slate_size: picks of a slate, k.
    """

    def __init__(self, predictor: MaskedPredictor, num_items: int, slate_size: int) -> None:
        self.predictor = predictor
        self._num_items = num_items
        self._slate_size = slate_size

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[NDArray[np.int64], None]:
        """See :class:`~irecgan_gym.collection.SlatePredictor`."""
        count = len(observation)
        slates = np.full((count, self._slate_size), self._num_items, dtype=np.int64)
        free = np.ones((count, self._num_items), dtype=np.bool_)
        for place in range(self._slate_size):
            seen = {"observation": observation, "slate": slates}
            picks, _ = self.predictor.predict(seen, deterministic=deterministic, action_masks=free)
            slates[:, place] = picks
            free[np.arange(count), picks] = False
        return slates, None

    def set_random_seed(self, seed: int) -> None:
        """Seed the slates that are drawn."""
        self.predictor.set_random_seed(seed)
