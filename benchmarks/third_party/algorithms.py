"""Algorithms of Stable-Baselines3 and sb3-contrib, and their way to meet an env of slates.

The libraries are loaded when an algorithm is made: settings and figures need neither.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from irecgan_gym.benchmarks.joining import load_object
from irecgan_gym.collection import SlatePredictor
from irecgan_gym.wrappers import VectorClickHistory, VectorSequentialSlate, VectorSingleItem, VectorSlateScores
from irecgan_gym.wrappers.adapted_predictors import SequentialPredictor, TranslatedPredictor, WindowPredictor
from irecgan_gym.wrappers.single_item import Completion
from irecgan_gym.wrappers.slate_scores import Ranking
from irecgan_gym.wrappers.slate_space import slate_shape

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

Envs = VectorEnv[Any, Any, Any]


class Surface(ABC):
    """Observations and actions of an algorithm: wrappers to train under, and the same without an env.

    Args:
        envs: slate envs, not yet wrapped.
        history: clicks that the algorithm sees, H.
        ranking: items by popularity, for those that choose one item only; [n].
    """

    def __init__(self, envs: Envs, history: int, ranking: NDArray[np.int64]) -> None:
        self.slates = envs.single_action_space
        self.history = history
        self.ranking = ranking
        self.num_items, self.slate_size = slate_shape(self.slates)

    @property
    def actions_a_slate(self) -> int:
        """Actions that make one step of the env."""
        return 1

    def wrap(self, envs: Envs) -> Envs:
        """Return the envs as the algorithm sees them."""
        return self._act(VectorClickHistory(envs, self.history))

    def deployed(self, model: Any) -> SlatePredictor:
        """Return the trained model as a policy that sees last clicks and shows slates."""
        return WindowPredictor(self._choose(model), self.history, self.num_items)

    @abstractmethod
    def _act(self, envs: Envs) -> Envs:
        """Put the algorithm's actions in place of slates."""

    @abstractmethod
    def _choose(self, model: Any) -> Any:
        """Return the model with slates in place of its actions."""


class Slates(Surface):
    """Slates as they are, ``MultiDiscrete([n] * k)``."""

    def _act(self, envs: Envs) -> Envs:
        return envs

    def _choose(self, model: Any) -> Any:
        return model


class Scores(Surface):
    """A score an item; those with the highest scores are shown."""

    bound = 1.0

    def _act(self, envs: Envs) -> Envs:
        return VectorSlateScores(envs, bound=self.bound)

    def _choose(self, model: Any) -> Any:
        return TranslatedPredictor(model, Ranking(self.slates, None).slates)


class WideScores(Scores):
    """The same for algorithms that draw scores from a Gaussian and clip them."""

    bound = 10.0


class OneItem(Surface):
    """One item; popular ones fill the rest of the slate."""

    def _act(self, envs: Envs) -> Envs:
        return VectorSingleItem(envs, self.ranking)

    def _choose(self, model: Any) -> Any:
        completion = Completion(self.slates, self.ranking)
        return TranslatedPredictor(model, lambda items: completion.slates(items, len(items)))


class ItemByItem(Surface):
    """The slate item by item, with masks."""

    @property
    def actions_a_slate(self) -> int:
        """Picks of a slate."""
        return self.slate_size

    def _act(self, envs: Envs) -> Envs:
        return VectorSequentialSlate(envs)

    def _choose(self, model: Any) -> Any:
        return SequentialPredictor(model, self.num_items, self.slate_size)


@dataclass(frozen=True)
class Algorithm:
    """An algorithm of another library, with its settings.

    Attributes:
        kind: its class, as ``module:class``.
        policy: name of its network.
        surface: how it meets an env of slates.
        arguments: of its class. Steps between updates are counted in slates here.
        network: arguments of the network.
    """

    kind: str
    policy: str
    surface: type[Surface]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)

    def as_settings(self) -> dict[str, Any]:
        """Return all that the training depends on, as JSON-compatible values."""
        return {"surface": self.surface.__name__, "arguments": dict(self.arguments), "network": dict(self.network)}

    def create(self, envs: Any, surface: Surface, *, gamma: float, timesteps: int, seed: int) -> BaseAlgorithm:
        """Return a model that has learned nothing yet.

        Args:
            envs: wrapped by the surface, as Stable-Baselines3's ``VecEnv``.
            surface: made for them.
            gamma: discount factor of a slate.
            timesteps: slates that it will learn from, for the size of a replay buffer.
            seed: of its parameters and of its training.
        """
        from irecgan_gym.sb3 import ItemHistoryExtractor

        arguments = dict(self.arguments)
        if "n_steps" in arguments:
            arguments["n_steps"] *= surface.actions_a_slate
        if "train_freq" in arguments:
            arguments["buffer_size"] = timesteps
        model: BaseAlgorithm = load_object(self.kind)(
            self.policy,
            envs,
            gamma=gamma ** (1 / surface.actions_a_slate),
            policy_kwargs={"features_extractor_class": ItemHistoryExtractor, **self.network},
            seed=seed,
            device="cpu",
            **arguments,
        )
        return model


_ON_POLICY = {"n_steps": 4, "batch_size": 256, "n_epochs": 4, "learning_rate": 1e-3}
_OFF_POLICY = {"train_freq": 1, "gradient_steps": 8, "batch_size": 256, "learning_starts": 500, "learning_rate": 1e-3}
ALGORITHMS = {
    "ppo": Algorithm("stable_baselines3:PPO", "MlpPolicy", WideScores, _ON_POLICY),
    "a2c": Algorithm("stable_baselines3:A2C", "MlpPolicy", WideScores, {"n_steps": 2, "learning_rate": 2e-3}),
    "recurrent-ppo": Algorithm(
        "sb3_contrib:RecurrentPPO", "MlpLstmPolicy", Slates, _ON_POLICY, {"lstm_hidden_size": 64}
    ),
    "maskable-ppo": Algorithm(
        "sb3_contrib:MaskablePPO", "MultiInputPolicy", ItemByItem, {**_ON_POLICY, "batch_size": 1024, "n_epochs": 2}
    ),
    "dqn": Algorithm("stable_baselines3:DQN", "MlpPolicy", OneItem, {**_OFF_POLICY, "target_update_interval": 500}),
    "sac": Algorithm("stable_baselines3:SAC", "MlpPolicy", Scores, _OFF_POLICY, {"net_arch": [64, 64]}),
}
"""By the names of the command's option."""
