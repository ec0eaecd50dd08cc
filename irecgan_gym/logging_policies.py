"""The logging policies of §7.1: who showed the slates that end up in a log, and with which probabilities."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.kernels import loading
from irecgan_gym.mdp import RecommendationMDP
from irecgan_gym.planning.pool_mixture import Pool, PoolMixture
from irecgan_gym.planning.uniform_slates import uniform_click_probabilities
from irecgan_gym.planning.values import click_probabilities
from irecgan_gym.sessions import Sessions, SlatePropensities
from irecgan_gym.settings import shown

FloatTable = NDArray[np.float64]
States = NDArray[np.int64]
Slates = NDArray[np.int64]


class LoggingPolicy(ABC):
    """Draws slates given the true state, and knows how probable it makes each item.

    Args:
        mdp: the world in which it acts.
        slate_size: items in a slate, k.

    Attributes:
        inclusion_probabilities: the propensities, probability that item a is in a slate shown in state s; read-only
            float64 [m, n], rows add up to k.
    """

    def __init__(self, mdp: RecommendationMDP, slate_size: int) -> None:
        if not 1 <= slate_size <= mdp.num_items:
            raise ValueError(f"slate_size must be from 1 to num_items = {mdp.num_items}, got {slate_size!r}")
        self.num_items = mdp.num_items
        self.slate_size = slate_size
        self._rewards = mdp.rewards
        self._ranked = mdp.ranked_items()
        self._top = np.ascontiguousarray(self._ranked[:, :slate_size])
        self.inclusion_probabilities = np.take_along_axis(
            np.tile(self._inclusion_by_rank(), (mdp.num_states, 1)), np.argsort(self._ranked, axis=1), axis=1
        )
        self.inclusion_probabilities.flags.writeable = False

    @abstractmethod
    def draw(self, states: States, rng: np.random.Generator) -> Slates:
        """Slates of k different items for users in the given states.

        Args:
            states: [B].
            rng: the source of all randomness.

        Returns:
            Item ids in the order shown, int64 [B, k].
        """

    @abstractmethod
    def click_probabilities(self) -> FloatTable:
        """Exact probability that a user in state s clicks item a, over the slates shown; [m, n], rows add up to 1."""

    @property
    @abstractmethod
    def mixture(self) -> PoolMixture:
        """Exact probabilities of its slates, with states as contexts."""

    def slate_propensities(self, sessions: Sessions) -> SlatePropensities:
        """Exact probabilities of slates that this policy has shown, given the true states.

        Args:
            sessions: with their states, and slates of this policy's size.

        Raises:
            ValueError: sessions without states.
        """
        if sessions.states is None:
            raise ValueError("probabilities given the state need sessions with their true states")
        states = sessions.states.astype(np.int64)
        slates = sessions.slate_items.reshape(-1, self.slate_size).astype(np.int64)
        mixture = self.mixture
        places = mixture.place_probabilities()
        return SlatePropensities.from_columns(
            sessions,
            mixture.prefix_log_probabilities(states, slates).reshape(-1),
            places=places[states[:, None], np.arange(self.slate_size), slates].reshape(-1),
            inclusions=self.inclusion_probabilities[states[:, None], slates].reshape(-1),
            sets=mixture.set_log_probabilities(states, slates),
            given="state",
        )

    @abstractmethod
    def _inclusion_by_rank(self) -> NDArray[np.float64]:
        """Probability that the item of each rank (0 is the best) is in the slate, [n]."""


class RandomLoggingPolicy(LoggingPolicy):
    """pi_random: every ordered list of k different items is as probable as any other."""

    def draw(self, states: States, rng: np.random.Generator) -> Slates:
        """See :meth:`LoggingPolicy.draw`."""
        return random_slates(len(states), self.slate_size, self.num_items, rng)

    def click_probabilities(self) -> FloatTable:
        """See :meth:`LoggingPolicy.click_probabilities`."""
        return uniform_click_probabilities(self._rewards, self.slate_size)

    @property
    def mixture(self) -> PoolMixture:
        """See :attr:`LoggingPolicy.mixture`."""
        return PoolMixture([Pool(1.0, self._ranked, fixed=False)], self.num_items, self.slate_size)

    def _inclusion_by_rank(self) -> NDArray[np.float64]:
        return np.full(self.num_items, self.slate_size / self.num_items)


class MaxLoggingPolicy(LoggingPolicy):
    """pi_max: the k items of highest reward in the true state, the best one first."""

    def draw(self, states: States, rng: np.random.Generator) -> Slates:
        """See :meth:`LoggingPolicy.draw`; nothing is random here."""
        return self._top.take(states, axis=0)

    def click_probabilities(self) -> FloatTable:
        """See :meth:`LoggingPolicy.click_probabilities`."""
        return click_probabilities(self._rewards, self._top)

    @property
    def mixture(self) -> PoolMixture:
        """See :attr:`LoggingPolicy.mixture`."""
        return PoolMixture([Pool(1.0, self._top, fixed=True)], self.num_items, self.slate_size)

    def _inclusion_by_rank(self) -> NDArray[np.float64]:
        return (np.arange(self.num_items) < self.slate_size).astype(np.float64)


class MixLoggingPolicy(LoggingPolicy):
    """pi_mix: with probability 1/2 the top k, else k random items of the 20%-50% band of ranks.

    The band is made of the ranks from n // 5 up to and without n // 2, 0 being the best; with n = 50, ranks 10 to 24.

    Raises:
        ValueError: the band has fewer than k items.
    """

    def __init__(self, mdp: RecommendationMDP, slate_size: int) -> None:
        self._band = range(mdp.num_items // 5, mdp.num_items // 2)
        if len(self._band) < slate_size:
            raise ValueError(
                f"logging policy 'mix' draws {slate_size} items out of ranks {self._band.start} to "
                f"{self._band.stop - 1} of num_items = {mdp.num_items}, which are only {len(self._band)}: take a "
                "smaller slate_size or more items"
            )
        super().__init__(mdp, slate_size)

    def draw(self, states: States, rng: np.random.Generator) -> Slates:
        """See :meth:`LoggingPolicy.draw`."""
        slates = self._top.take(states, axis=0)
        band = np.flatnonzero(rng.random(len(states)) < 0.5)
        ranks = self._band.start + random_slates(len(band), self.slate_size, len(self._band), rng)
        slates[band] = self._ranked.take(states[band, None] * self.num_items + ranks)
        return slates

    def click_probabilities(self) -> FloatTable:
        """See :meth:`LoggingPolicy.click_probabilities`."""
        items = self._ranked[:, self._band.start : self._band.stop]
        in_band = uniform_click_probabilities(np.take_along_axis(self._rewards, items, axis=1), self.slate_size)
        probabilities = 0.5 * click_probabilities(self._rewards, self._top)
        np.put_along_axis(
            probabilities, items, np.take_along_axis(probabilities, items, axis=1) + 0.5 * in_band, axis=1
        )
        return probabilities

    @property
    def mixture(self) -> PoolMixture:
        """See :attr:`LoggingPolicy.mixture`."""
        band = self._ranked[:, self._band.start : self._band.stop]
        halves = [Pool(0.5, self._top, fixed=True), Pool(0.5, band, fixed=False)]
        return PoolMixture(halves, self.num_items, self.slate_size)

    def _inclusion_by_rank(self) -> NDArray[np.float64]:
        inclusion = np.zeros(self.num_items)
        inclusion[: self.slate_size] += 0.5
        inclusion[self._band.start : self._band.stop] += 0.5 * self.slate_size / len(self._band)
        return inclusion


LOGGING_POLICIES: dict[str, type[LoggingPolicy]] = {
    "random": RandomLoggingPolicy,
    "max": MaxLoggingPolicy,
    "mix": MixLoggingPolicy,
}


def make_logging_policy(name: str, mdp: RecommendationMDP, slate_size: int) -> LoggingPolicy:
    """The logging policy ``"random"``, ``"max"`` or ``"mix"`` for an MDP.

    Raises:
        ValueError: an unknown name, or a slate size that the policy cannot fill.
    """
    if not isinstance(name, str) or name not in LOGGING_POLICIES:
        known = ", ".join(map(repr, LOGGING_POLICIES))
        raise ValueError(f"logging_policy must be one of {known}, got {shown(name)}")
    return LOGGING_POLICIES[name](mdp, slate_size)


def random_slates(number: int, slate_size: int, num_items: int, rng: np.random.Generator) -> Slates:
    """Uniform ordered slates of different items, [number, slate_size].

    Fisher and Yates's shuffle of the catalogue, stopped after the slate: every ordered list of different items is as
    probable as any other.
    """
    draws = rng.random((number, slate_size))
    kernels = loading.load_kernels()
    if kernels is None:
        return shuffled_slates(draws, num_items)
    slates: Slates = kernels.random_slates(draws, num_items)
    return slates


def shuffled_slates(draws: NDArray[np.float64], num_items: int) -> Slates:
    """Slates of different items from numbers of U[0, 1), both [B, k]; NumPy's version of ``kernels.random_slates``.

    The deck is not laid out: only the cards that earlier slots have moved are remembered.
    """
    size = draws.shape[1]
    slates = np.empty(draws.shape, dtype=np.int64)
    places = np.arange(size) + (draws * (num_items - np.arange(size))).astype(np.int64)
    # The card that slot's swap puts at places[:, slot]. A later swap at the same place puts another one there.
    moved = np.empty(draws.shape, dtype=np.int64)
    for slot in range(size):
        card = np.full(len(draws), slot)
        item = places[:, slot].copy()
        for earlier in range(slot):
            np.copyto(card, moved[:, earlier], where=places[:, earlier] == slot)
            np.copyto(item, moved[:, earlier], where=places[:, earlier] == places[:, slot])
        slates[:, slot] = item
        moved[:, slot] = card
    return slates
