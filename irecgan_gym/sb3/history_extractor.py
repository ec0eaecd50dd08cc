"""Features of item ids for Stable-Baselines3's networks."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import torch
from gymnasium.spaces import Box, Dict
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from irecgan_gym.sb3.window_encoders import EncoderKind, make_encoder, masked_mean


class ItemHistoryExtractor(BaseFeaturesExtractor):
    """Embed the ids of a window of clicks and encode the window.

    For observations of :class:`~irecgan_gym.wrappers.ClickHistory`, and of
    :class:`~irecgan_gym.wrappers.SequentialSlate` around it: then the features also hold the mean embedding of the
    items picked so far, and what share of the slate is filled. Clicks and picks share one table of embeddings.

    Parameters: (n + 1) E of the table, and of the encoder what does not depend on n. With the defaults (E = 32, F = 64)
    a window of 10 takes 20,448 at 50 items and 338,848 at 10,000. The first layer of Stable-Baselines3's default
    network, 64 units on one-hot vectors of the same window, takes 32,704 and 6,400,704. (Its last layers grow with the
    actions: n outputs for one item or for n scores, n k for a slate of k; only query vectors, see
    :class:`~irecgan_gym.wrappers.SlateScores`, do not.)

    ```python
    PPO("MlpPolicy", env, policy_kwargs={"features_extractor_class": ItemHistoryExtractor})
    ```

    (``"MultiInputPolicy"`` with ``SequentialSlate``.) For RecurrentPPO, which remembers by itself, a window of 1 is
    enough.

    Args:
        observation_space: of the env.
        embedding_size: numbers an item, E.
        features_dim: size of the encoded window, F; with ``SequentialSlate``, E + 1 features are added.
        encoder: ``"gru"``, ``"mean"`` or ``"attention"``, see :mod:`irecgan_gym.sb3.window_encoders`.
    """

    def __init__(
        self,
        observation_space: gym.Space[Any],
        embedding_size: int = 32,
        features_dim: int = 64,
        encoder: EncoderKind = "gru",
    ) -> None:
        space: gym.Space[Any] = observation_space
        builds_slates = False
        if isinstance(observation_space, Dict) and set(observation_space.spaces) == {"observation", "slate"}:
            space, builds_slates = observation_space["observation"], True
        if not isinstance(space, Box) or space.dtype.kind != "i" or len(space.shape) != 1:
            raise ValueError(f"features are made of a window of item ids: wrap the env in ClickHistory, it has {space}")
        super().__init__(observation_space, features_dim + (embedding_size + 1 if builds_slates else 0))
        self.builds_slates = builds_slates
        self.num_items = int(space.high.max())
        self.embedding = nn.Embedding(self.num_items + 1, embedding_size)
        self.encoder = make_encoder(encoder, embedding_size, features_dim, space.shape[0])

    def forward(self, observations: Tensor | dict[str, Tensor]) -> Tensor:
        """Features, float32 [B, features_dim].

        Args:
            observations: ids as Stable-Baselines3 hands them over: as floats, which hold them exactly below 2 ** 24.
        """
        if isinstance(observations, Tensor):
            return self._encode(observations)
        picks = observations["slate"].long()
        picked = picks != self.num_items
        slate = masked_mean(self.embedding(picks), picked)
        filled = picked.float().mean(dim=1, keepdim=True)
        return torch.cat([self._encode(observations["observation"]), slate, filled], dim=1)

    def _encode(self, window: Tensor) -> Tensor:
        clicks = window.long()
        features: Tensor = self.encoder(self.embedding(clicks), clicks != self.num_items)
        return features
