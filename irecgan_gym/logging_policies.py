"""The logging policies of §7.1: random, max and mix, with the chance of each item to be shown."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.envs.slates import distinct_slates
from irecgan_gym.mdp import RecommendationMDP

LOGGING_POLICIES = ("random", "max", "mix")


class LoggingPolicy(Protocol):
    """Chooses slates knowing the user's true state."""

    @property
    def inclusion_probabilities(self) -> NDArray[np.float64]:
        """Chance that an item is in the slate shown in a state, the item's propensity; [m, n], rows add up to k."""

    def draw(self, states: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """A slate of k different items for each state; ``states`` [B] to [B, k]."""


class RandomPolicy:
    """k items, all slates alike.

    Args:
        mdp: only its sizes are used.
        slate_size: k.
    """

    def __init__(self, mdp: RecommendationMDP, slate_size: int) -> None:
        self._num_items, self._slate_size = mdp.num_items, slate_size
        self.inclusion_probabilities = np.full(mdp.rewards.shape, slate_size / mdp.num_items)

    def draw(self, states: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """See :class:`LoggingPolicy`."""
        return random_slates(len(states), self._slate_size, self._num_items, rng)


class MaxPolicy:
    """The k items of highest reward in the user's true state, the best first.

    Args:
        mdp: whose rewards rank the items.
        slate_size: k.
    """

    def __init__(self, mdp: RecommendationMDP, slate_size: int) -> None:
        self._top = np.argsort(-mdp.rewards, axis=1, kind="stable")[:, :slate_size]
        self.inclusion_probabilities = np.zeros(mdp.rewards.shape)
        np.put_along_axis(self.inclusion_probabilities, self._top, 1.0, axis=1)

    def draw(self, states: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """See :class:`LoggingPolicy`."""
        return self._top[states]


class MixPolicy:
    """By the toss of a coin the k best items, or k random items ranked from 20% to 50% of the catalogue.

    Args:
        mdp: whose rewards rank the items.
        slate_size: k; the band of ranks must hold as many.
    """

    def __init__(self, mdp: RecommendationMDP, slate_size: int) -> None:
        first, last = mdp.num_items // 5, mdp.num_items // 2
        if last - first < slate_size:
            raise ValueError(
                f"logging_policy='mix' shows slates out of ranks {first} to {last - 1}, which are fewer than "
                f"slate_size={slate_size}: use more items or smaller slates"
            )
        self._max = MaxPolicy(mdp, slate_size)
        self._band = np.argsort(-mdp.rewards, axis=1, kind="stable")[:, first:last]
        self._slate_size = slate_size
        in_band = np.zeros(mdp.rewards.shape)
        np.put_along_axis(in_band, self._band, slate_size / (last - first), axis=1)
        self.inclusion_probabilities = (self._max.inclusion_probabilities + in_band) / 2

    def draw(self, states: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """See :class:`LoggingPolicy`."""
        slates = self._max.draw(states, rng)
        rows = np.flatnonzero(rng.random(len(states)) < 0.5)
        places = random_slates(len(rows), self._slate_size, self._band.shape[1], rng)
        slates[rows] = self._band[states[rows, None], places]
        return slates


def make_logging_policy(name: str, mdp: RecommendationMDP, slate_size: int) -> LoggingPolicy:
    """A logging policy by its name, one of ``LOGGING_POLICIES``."""
    if name == "random":
        return RandomPolicy(mdp, slate_size)
    if name == "max":
        return MaxPolicy(mdp, slate_size)
    if name == "mix":
        return MixPolicy(mdp, slate_size)
    raise ValueError(f"logging_policy must be one of {LOGGING_POLICIES}, got {name!r}")


def random_slates(num_slates: int, slate_size: int, num_items: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Slates of different items, all alike; [num_slates, slate_size].

    Independent items with their repeats replaced by other items: no item is treated unlike another, so every slate is
    as likely as every other, and the work does not grow with the catalogue.
    """
    return distinct_slates(rng.integers(num_items, size=(num_slates, slate_size)), "replace", num_items, rng)
