"""Policies without a model of the user, to put beside the agents: random and popularity."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from irecgan_gym.agents.base import Agent, Array, State
from irecgan_gym.logging_policies import random_slates
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions
from irecgan_gym.storage.weights import check_tensors, described_by, load_weights, outline, save_weights

ReferencePolicyT = TypeVar("ReferencePolicyT", bound="ReferencePolicy")


class ReferencePolicy(Agent):
    """A policy whose scores of items depend neither on the user nor on the clicks so far.

    Args:
        num_items: size of the catalogue, n.
        slate_size: items to show at a time, k.
        seed: of the slates drawn.
    """

    kind: ClassVar[str]
    options: ClassVar[Mapping[str, type]] = {}
    """Types of the constructor's arguments beyond those of every reference policy."""

    def __init__(self, num_items: int, slate_size: int, *, seed: int = 0) -> None:
        super().__init__(num_items, slate_size)
        self.seed = seed
        self._rng = np.random.default_rng(seed)
        self._scores = np.full(num_items, -np.log(num_items), dtype=np.float32)

    def set_random_seed(self, seed: int) -> None:
        """See :meth:`irecgan_gym.agents.base.Agent.set_random_seed`."""
        self._rng = np.random.default_rng(seed)

    def _choose(
        self, observed: Array, state: State | None, starts: NDArray[np.bool_], deterministic: bool
    ) -> tuple[NDArray[np.int64], State | None]:
        return self._slates(len(observed), deterministic), None

    def _slates(self, num_slates: int, deterministic: bool) -> NDArray[np.int64]:
        raise NotImplementedError

    def slate_scores(self, sessions: Sessions) -> NDArray[np.float32]:
        """See :meth:`irecgan_gym.agents.base.Agent.slate_scores`."""
        self._check_catalogue(sessions)
        return self._scores[sessions.slate_items]

    def save(self, path: str | Path) -> None:
        """Write the policy to one safetensors file, atomically."""
        arguments = {name: getattr(self, name) for name in self._arguments()}
        save_weights(path, self.kind, arguments, {"scores": torch.from_numpy(self._scores)})

    @classmethod
    def load(cls: type[ReferencePolicyT], path: str | Path, *, device: str = "auto") -> ReferencePolicyT:
        """Read what :meth:`save` wrote; ``device`` makes no difference here.

        Raises:
            FileNotFoundError: there is no such file.
            StorageError: a file that holds something else, or was damaged.
        """
        arguments, tensors = load_weights(path, cls.kind, cls._arguments())
        with described_by(path):
            check_tensors(path, tensors, outline({"scores": (arguments["num_items"],)}, torch.float32))
            policy = cls(**arguments)
        policy._scores = tensors["scores"].numpy()
        return policy

    @classmethod
    def _arguments(cls) -> dict[str, type]:
        return {"num_items": int, "slate_size": int, "seed": int, **cls.options}


class RandomPolicy(ReferencePolicy):
    """All slates, and all rankings, with the same probability; ``deterministic`` changes nothing.

    Args:
        num_items: size of the catalogue, n.
        slate_size: items to show at a time, k.
        seed: of the slates drawn.
    """

    kind = "random"

    def _learn(self, sessions: Sessions, validation: Sessions | None, recorder: Recorder) -> None:
        """Learn nothing."""

    def _slates(self, num_slates: int, deterministic: bool) -> NDArray[np.int64]:
        return random_slates(num_slates, self.slate_size, self.num_items, self._rng)


class PopularityPolicy(ReferencePolicy):
    """Items by how often they were clicked in the training sessions.

    The score of an item is the logarithm of (clicks + smoothing), or of (clicks + smoothing * c) / (impressions +
    smoothing) with c the clicks per impression of all items together, normalised over the catalogue. Sampled slates
    are drawn without replacement in proportion to its exponential. Items of equal score are in one random order
    that the seed decides.

    Args:
        num_items: size of the catalogue, n.
        slate_size: items to show at a time, k.
        seed: of the slates drawn and of the order of equal items.
        per_impression: whether clicks are divided by the number of times an item was shown.
        smoothing: added so that no item is impossible; positive.
    """

    kind = "popularity"
    options = {"per_impression": bool, "smoothing": float}

    def __init__(
        self,
        num_items: int,
        slate_size: int,
        *,
        seed: int = 0,
        per_impression: bool = False,
        smoothing: float = 1.0,
    ) -> None:
        super().__init__(num_items, slate_size, seed=seed)
        if not smoothing > 0:
            raise ValueError(f"smoothing must be positive, got {smoothing}")
        self.per_impression = per_impression
        self.smoothing = smoothing
        # Apart from the stream of slates, so that the order does not depend on when it is first needed.
        self._order_of_equals = np.random.default_rng([seed, 1]).permutation(num_items)

    def _learn(self, sessions: Sessions, validation: Sessions | None, recorder: Recorder) -> None:
        """Count clicks, and impressions; ``validation`` is not used."""
        clicked = sessions.clicks[sessions.clicks < self.num_items]
        clicks = np.bincount(clicked, minlength=self.num_items)
        if self.per_impression:
            impressions = np.bincount(sessions.slate_items, minlength=self.num_items)
            prior = max(len(clicked), 1) / max(len(sessions.slate_items), 1)
            odds = (clicks + self.smoothing * prior) / (impressions + self.smoothing)
        else:
            odds = clicks + self.smoothing
        self._scores = np.log(odds / odds.sum()).astype(np.float32)

    def _slates(self, num_slates: int, deterministic: bool) -> NDArray[np.int64]:
        if deterministic:
            top = np.lexsort((self._order_of_equals, -self._scores))[: self.slate_size]
            return np.tile(top, (num_slates, 1))
        # Gumbel top-k: sampling without replacement in proportion to exp(score).
        keys = self._scores + self._rng.gumbel(size=(num_slates, self.num_items))
        return np.argsort(-keys, axis=1)[:, : self.slate_size]
