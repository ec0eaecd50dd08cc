"""Treatment: how much a policy and a user model have learned from, and how far that has moved them."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, sqrt
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import UserModel

_LOGITS = 2**24
"""Logits held at a time while two policies are compared (64 MB)."""


class Dose(NamedTuple):
    """Training that a policy has had.

    Attributes:
        updates: steps of its optimizer.
        sessions: sessions that it has seen, each as often as it was seen.
    """

    updates: int
    sessions: int

    def __add__(self, other: object) -> Dose:
        """Return the dose of two trainings, one after the other."""
        if not isinstance(other, Dose):
            return NotImplemented
        return Dose(self.updates + other.updates, self.sessions + other.sessions)

    def after_pass(self, num_sessions: int, batch_size: int) -> Dose:
        """Return the dose after one more pass over some sessions, in batches."""
        return Dose(self.updates + ceil(num_sessions / batch_size), self.sessions + num_sessions)

    @classmethod
    def of(cls, metrics: Mapping[str, float]) -> Dose:
        """Return the dose that :meth:`as_metrics` has told."""
        return cls(int(metrics["treatment/policy_updates"]), int(metrics["treatment/sessions_seen"]))

    def as_metrics(self) -> dict[str, float]:
        """Return both numbers by name."""
        return {"treatment/policy_updates": float(self.updates), "treatment/sessions_seen": float(self.sessions)}


@torch.no_grad()
def policy_shift(before: SlatePolicy, after: SlatePolicy, sessions: SessionTensors) -> float:
    """Return how far a policy has moved: the mean total variation of pi(. | s_t) over the steps of sessions, 0 to 1.

    Args:
        before: the policy as it was.
        after: the policy as it is.
        sessions: their histories are the states.
    """
    moved, steps = 0.0, 0
    longest = int(sessions.sessions.lengths.max())
    for batch in sessions.all(max(1, _LOGITS // (before.num_items * longest))):
        one, other = (policy.log_probabilities(policy.encoder(batch)).exp() for policy in (before, after))
        moved += float((one - other).abs().sum()) / 2
        steps += len(one)
    return moved / steps


@torch.no_grad()
def user_model_shift(before: UserModel, after: UserModel, sessions: SessionTensors, batch_size: int) -> float:
    """Return how far a user model has moved: the mean total variation of clicks on logged slates (Eq 1), 0 to 1.

    Args:
        before: the user model as it was.
        after: the user model as it is.
        sessions: sessions as the user model sees them.
        batch_size: sessions a batch.
    """
    moved, steps = 0.0, 0
    for batch in sessions.all(batch_size):
        one, other = (
            model.click_logits(model.encoder(batch), batch.slates, position_bias=True)
            .masked_fill(~batch.slate_mask, -torch.inf)
            .softmax(-1)
            for model in (before, after)
        )
        moved += float((one - other).abs().sum()) / 2
        steps += len(one)
    return moved / steps


class ScoreMoments:
    """Mean and standard deviation of the scores q_D of all generated steps of a training."""

    def __init__(self) -> None:
        self._number = 0
        self._sum = self._sum_of_squares = 0.0

    def add(self, scores: NDArray[np.float32]) -> None:
        """Take note of some scores, [T]."""
        exact = scores.astype(np.float64)
        self._number += len(exact)
        self._sum += float(exact.sum())
        self._sum_of_squares += float(np.square(exact).sum())

    def as_metrics(self) -> dict[str, float]:
        """Return both by name; nothing without scores."""
        if not self._number:
            return {}
        mean = self._sum / self._number
        spread = sqrt(max(0.0, self._sum_of_squares / self._number - mean**2))
        return {"treatment/mean_q": mean, "treatment/std_q": spread}

    def state_dict(self) -> dict[str, float]:
        """Return the sums so far."""
        return {"number": self._number, "sum": self._sum, "sum_of_squares": self._sum_of_squares}

    def load_state_dict(self, state: Mapping[str, float], /) -> None:
        """Take what :meth:`state_dict` has returned."""
        self._number = int(state["number"])
        self._sum, self._sum_of_squares = state["sum"], state["sum_of_squares"]
