"""Policies that know the tables of the synthetic MDP: the references for agents that must learn."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from irecgan_gym.agents.base import Agent
from irecgan_gym.mdp import RecommendationMDP
from irecgan_gym.models.stored_catalogue import catalogue_tensors, split_catalogue
from irecgan_gym.ope.policies import EvaluationPolicy, PointMassPolicy
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions
from irecgan_gym.storage.weights import check_dimensions, described_by, load_weights, save_weights

MDPPolicyT = TypeVar("MDPPolicyT", bound="MDPPolicy")


class MDPPolicy(Agent):
    """A policy computed from an MDP; nothing in it is learned.

    Args:
        mdp: the true tables, e.g. ``env.unwrapped.mdp``.
        slate_size: items to show at a time, k.
    """

    kind: ClassVar[str]
    options: ClassVar[Mapping[str, type]] = {}
    """Types of the constructor's arguments beyond those of every policy from the tables."""

    def __init__(self, mdp: RecommendationMDP, slate_size: int) -> None:
        super().__init__(mdp.num_items, slate_size)
        self.mdp = mdp

    def _learn(self, sessions: Sessions, validation: Sessions | None, recorder: Recorder) -> None:
        """Learn nothing: the tables are known."""

    def save(self, path: str | Path) -> None:
        """Write the tables to one safetensors file, atomically."""
        tables = {"rewards": self.mdp.rewards, "transitions": self.mdp.transitions}
        # PyTorch does not like arrays that are read-only.
        tensors = {name: torch.from_numpy(table.copy()) for name, table in tables.items()}
        tensors |= catalogue_tensors(self.catalogue)
        save_weights(path, self.kind, {name: getattr(self, name) for name in self._arguments()}, tensors)

    @classmethod
    def _arguments(cls) -> dict[str, type]:
        return {"slate_size": int, **cls.options}

    @classmethod
    def load(cls: type[MDPPolicyT], path: str | Path, *, device: str = "auto") -> MDPPolicyT:
        """Read what :meth:`save` wrote and compute the policy again; ``device`` makes no difference here.

        Raises:
            FileNotFoundError: there is no such file.
            StorageError: a file that holds something else, or was damaged.
        """
        arguments, tensors = load_weights(path, cls.kind, cls._arguments())
        tables = {name: tensor for name, tensor in tensors.items() if name in ("rewards", "transitions")}
        check_dimensions(path, tables, {"rewards": 2, "transitions": 3})
        with described_by(path):
            mdp = RecommendationMDP(tensors["rewards"].numpy(), tensors["transitions"].numpy())
            policy = cls(mdp, **arguments)
            others, policy.catalogue = split_catalogue(tensors, mdp.num_items)
            check_dimensions(path, others, {"rewards": 2, "transitions": 3})
        return policy


class DeterministicMDPPolicy(MDPPolicy):
    """Policy that shows the same slate to all users of whom it knows the same.

    Sampled deployment (``deterministic=False``) shows the same slates: it is the policy that is a reference, not its
    exploration.
    """

    def set_random_seed(self, seed: int) -> None:
        """Nothing is random."""

    def slate_scores(self, sessions: Sessions) -> NDArray[np.float32]:
        """Log-probability that a random place of the policy's own slate holds the item: log(1 / k), or -inf.

        Raises:
            ValueError: sessions over another catalogue, or without what the policy observes.
        """
        self._check_catalogue(sessions)
        own = self._slates_in(sessions)[sessions.step_of_entry]
        chosen = (own == sessions.slate_items[:, None]).any(axis=1)
        return np.where(chosen, -np.log(self.slate_size), -np.inf).astype(np.float32)

    def _sampled_policy(self, places: bool) -> EvaluationPolicy:
        return self._top_policy(0.0)

    def _top_policy(self, epsilon: float) -> EvaluationPolicy:
        return PointMassPolicy(self._slates_in, self.num_items, self.slate_size, epsilon=epsilon)

    @abstractmethod
    def _slates_in(self, sessions: Sessions) -> NDArray[np.int64]:
        """Return the slates that the policy would have shown at each logged step, [T, k]."""
