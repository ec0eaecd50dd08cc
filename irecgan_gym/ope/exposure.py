"""Exposure of users to items: the share of each item and of the catalogue, and how alike two policies' slates are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.ope.policies import EvaluationPolicy, Slates, slate_matrix
from irecgan_gym.sessions import Sessions

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Exposure:
    """Slates of a policy at the steps of a log.

    Attributes:
        shares: share of the slates that hold each item, float64 [n]; adds up to k.
        slates: of each step, independent draws, int64 [T, draws, k].
    """

    shares: FloatArray
    slates: Slates

    @classmethod
    def of(cls, policy: EvaluationPolicy, sessions: Sessions, *, draws: int = 4, seed: int = 0) -> Exposure:
        """Draw slates at every step of some sessions, given the clicks before.

        Args:
            policy: whose slates.
            sessions: their clicks say what the policy knows at each step.
            draws: slates a step.
            seed: of the draws.
        """
        slates = policy.sample(sessions, draws, np.random.default_rng(seed))
        return cls(_shares(slates, policy.num_items), slates)

    @classmethod
    def logged(cls, sessions: Sessions) -> Exposure:
        """Take the slates that a log holds."""
        slates = slate_matrix(sessions, sessions.num_items, int(sessions.slate_lengths[0]))[:, None]
        return cls(_shares(slates, sessions.num_items), slates)

    @property
    def coverage(self) -> float:
        """Share of the catalogue that is shown at all."""
        return float((self.shares > 0).mean())

    @property
    def effective_items(self) -> float:
        """Exponential of the entropy of what is shown: n if all items are shown alike, k if the same k always are."""
        shares = self.shares[self.shares > 0] / self.shares.sum()
        return float(np.exp(-(shares * np.log(shares)).sum()))

    @property
    def gini(self) -> float:
        """Gini's coefficient of what is shown: 0 if all items are shown alike, near 1 if few have everything."""
        shares = np.sort(self.shares)
        places = np.arange(1, len(shares) + 1)
        return float((2 * places - len(shares) - 1) @ shares / (len(shares) * shares.sum()))

    @property
    def variety(self) -> float:
        """Items of a slate that are not in another slate of the same policy, which another user may see; from 0 to 1.

        Two slates drawn at random share sum of (share of an item)^2 items on average.
        """
        return 1 - float((self.shares**2).sum() / self.shares.sum())


def shared_items(first: Exposure, second: Exposure) -> float:
    """Share of a slate's items that are also in the other policy's slate at the same step, over the draws of both."""
    steps = len(first.slates)
    if len(second.slates) != steps:
        raise ValueError(f"exposures must be of the same steps, got {steps} and {len(second.slates)}")
    shared = [
        (first.slates[:, i, :, None] == second.slates[:, j, None, :]).any(axis=2).mean()
        for i in range(first.slates.shape[1])
        for j in range(second.slates.shape[1])
    ]
    return float(np.mean(shared))


def same_first(first: Exposure, second: Exposure) -> float:
    """Return the share of steps and draws at which both policies put the same item first."""
    tops = first.slates[:, :, None, 0] == second.slates[:, None, :, 0]
    return float(tops.mean())


def _shares(slates: Slates, num_items: int) -> FloatArray:
    counts = np.bincount(slates.reshape(-1), minlength=num_items)
    shares: FloatArray = counts / (slates.shape[0] * slates.shape[1])
    return shares
