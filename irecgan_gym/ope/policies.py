"""Policies as off-policy evaluation sees them: probabilities of logged slates, and draws of new ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from irecgan_gym.ope import plackett_luce
from irecgan_gym.planning.pool_mixture import Pool, PoolMixture
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.slate_propensities import SlatePropensities

FloatArray = NDArray[np.float64]
Slates = NDArray[np.int64]


class PlaceTable(NamedTuple):
    """Probability that each item stands at each place, in each context.

    Attributes:
        table: float64 [C, k, n]; adds up to 1 over the items.
        contexts: the context of each logged step, int64 [T].
    """

    table: FloatArray
    contexts: NDArray[np.int64]


@runtime_checkable
class EvaluationPolicy(Protocol):
    """A policy that can say how probable logged slates are, given what it knew at each step.

    Attributes:
        num_items: size of the catalogue, n.
        slate_size: items shown at a time, k.
    """

    num_items: int
    slate_size: int

    def propensities(self, sessions: Sessions) -> SlatePropensities:
        """Probabilities of the logged slates."""

    def place_table(self, sessions: Sessions) -> PlaceTable:
        """Probability that each item stands at each place, for every logged step."""

    def sample(self, sessions: Sessions, draws: int, rng: np.random.Generator) -> Slates:
        """Slates that the policy would show at the logged steps, independent draws of each, int64 [T, draws, k]."""

    def expected_next(self, sessions: Sessions, table: FloatArray) -> FloatArray:
        """Expected entry of a table [k, n] for the item at each place, given the logged items before it; [L]."""


class ContextScores(NamedTuple):
    """Unnormalised log-probabilities of all items, for each thing that a policy may know.

    Attributes:
        table: float64 [C, n].
        contexts: row of each logged step, int64 [T].
    """

    table: FloatArray
    contexts: NDArray[np.int64]


ScoreFunction = Callable[[Sessions], ContextScores]
"""What a policy scores items by at each step of some sessions."""


def fixed_scores(scores: ArrayLike) -> ScoreFunction:
    """The same scores [n] at every step."""
    table = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    return lambda sessions: ContextScores(table, np.zeros(sessions.num_steps, dtype=np.int64))


def last_click_scores(scores: ArrayLike) -> ScoreFunction:
    """Scores [n + 1, n] by the click before; the last row is for the start of a session."""
    table = np.asarray(scores, dtype=np.float64)
    return lambda sessions: ContextScores(table, sessions.previous_clicks.astype(np.int64))


class PlackettLucePolicy:
    """Draws slates from a softmax without replacement (Eq 4); all probabilities are exact.

    Args:
        scores: logits of all items at each step.
        num_items: size of the catalogue, n.
        slate_size: k.
        places: whether to work out the probabilities of places, which takes n k^2 times longer than the rest.
        estimated: whether the scores are those of a model of the policy.
    """

    def __init__(
        self,
        scores: ScoreFunction,
        num_items: int,
        slate_size: int,
        *,
        places: bool = True,
        estimated: bool = False,
    ) -> None:
        self.num_items = num_items
        self.slate_size = slate_size
        self.estimated = estimated
        self._scores = scores
        self._places = places
        self._last_table: tuple[FloatArray, PlaceTable] | None = None

    def propensities(self, sessions: Sessions) -> SlatePropensities:
        """See :class:`EvaluationPolicy`."""
        slates = slate_matrix(sessions, self.num_items, self.slate_size)
        table, contexts = self._scores(sessions)
        logits = table[contexts]
        places = inclusions = None
        if self._places:
            chances, rows = self.place_table(sessions)
            places = chances[rows[:, None], np.arange(self.slate_size), slates].reshape(-1)
            inclusions = np.minimum(chances.sum(axis=1), 1.0)[rows[:, None], slates].reshape(-1)
        return SlatePropensities.from_columns(
            sessions,
            plackett_luce.prefix_log_probabilities(logits, slates).reshape(-1),
            places=places,
            inclusions=inclusions,
            sets=plackett_luce.set_log_probabilities(logits, slates),
            estimated=self.estimated,
        )

    def place_table(self, sessions: Sessions) -> PlaceTable:
        """See :class:`EvaluationPolicy`."""
        table, contexts = self._scores(sessions)
        if self._last_table is None or self._last_table[0] is not table:
            # Many logs are asked about with one table of scores, which is then worked out once.
            different, rows = np.unique(table, axis=0, return_inverse=True)
            places = PlaceTable(plackett_luce.place_probabilities(different, self.slate_size), rows.reshape(-1))
            self._last_table = (table, places)
        places = self._last_table[1]
        return PlaceTable(places.table, places.contexts[contexts].astype(np.int64))

    def sample(self, sessions: Sessions, draws: int, rng: np.random.Generator) -> Slates:
        """See :class:`EvaluationPolicy`."""
        table, contexts = self._scores(sessions)
        logits = table[np.repeat(contexts, draws)]
        return plackett_luce.sample_slates(logits, self.slate_size, rng).reshape(-1, draws, self.slate_size)

    def expected_next(self, sessions: Sessions, table: FloatArray) -> FloatArray:
        """See :class:`EvaluationPolicy`."""
        slates = slate_matrix(sessions, self.num_items, self.slate_size)
        scores, contexts = self._scores(sessions)
        return plackett_luce.expected_next(scores[contexts], slates, table).reshape(-1)


class ContextPools(NamedTuple):
    """Slates from pools, and the context of each step.

    Attributes:
        mixture: of pools, in each of C contexts.
        contexts: int64 [T].
    """

    mixture: PoolMixture
    contexts: NDArray[np.int64]


class PoolPolicy:
    """Shows slates from a mixture of pools (:class:`irecgan_gym.planning.pool_mixture.PoolMixture`).

    Args:
        pools: the mixture, and the context of each step of some sessions.
        num_items: size of the catalogue, n.
        slate_size: k.
    """

    def __init__(self, pools: Callable[[Sessions], ContextPools], num_items: int, slate_size: int) -> None:
        self.num_items = num_items
        self.slate_size = slate_size
        self._pools = pools

    def propensities(self, sessions: Sessions) -> SlatePropensities:
        """See :class:`EvaluationPolicy`."""
        slates = slate_matrix(sessions, self.num_items, self.slate_size)
        mixture, contexts = self._pools(sessions)
        chances = mixture.place_probabilities()
        return SlatePropensities.from_columns(
            sessions,
            mixture.prefix_log_probabilities(contexts, slates).reshape(-1),
            places=chances[contexts[:, None], np.arange(self.slate_size), slates].reshape(-1),
            inclusions=chances.sum(axis=1)[contexts[:, None], slates].reshape(-1),
            sets=mixture.set_log_probabilities(contexts, slates),
        )

    def place_table(self, sessions: Sessions) -> PlaceTable:
        """See :class:`EvaluationPolicy`."""
        mixture, contexts = self._pools(sessions)
        return PlaceTable(mixture.place_probabilities(), contexts)

    def sample(self, sessions: Sessions, draws: int, rng: np.random.Generator) -> Slates:
        """See :class:`EvaluationPolicy`."""
        mixture, contexts = self._pools(sessions)
        return mixture.sample(np.repeat(contexts, draws), rng).reshape(-1, draws, self.slate_size)

    def expected_next(self, sessions: Sessions, table: FloatArray) -> FloatArray:
        """See :class:`EvaluationPolicy`."""
        slates = slate_matrix(sessions, self.num_items, self.slate_size)
        mixture, contexts = self._pools(sessions)
        return mixture.expected_next(contexts, slates, table).reshape(-1)


class PointMassPolicy(PoolPolicy):
    """Shows one slate at each step, and with probability epsilon a uniformly random one instead.

    With epsilon = 0 it is a point mass: a log that does not hold the very slate says nothing about it.

    Args:
        slates: the slate at each step of some sessions, int64 [T, k].
        num_items: size of the catalogue, n.
        slate_size: k.
        epsilon: from 0 to 1.
    """

    def __init__(
        self, slates: Callable[[Sessions], Slates], num_items: int, slate_size: int, *, epsilon: float = 0.0
    ) -> None:
        if not 0 <= epsilon <= 1:
            raise ValueError(f"epsilon must be a probability from 0 to 1, got {epsilon!r}")

        def pools(sessions: Sessions) -> ContextPools:
            shown = slates(sessions)
            parts = [Pool(1 - epsilon, shown, fixed=True)]
            if epsilon:
                parts.append(Pool(epsilon, np.tile(np.arange(num_items), (len(shown), 1)), fixed=False))
            return ContextPools(PoolMixture(parts, num_items, slate_size), np.arange(len(shown)))

        super().__init__(pools, num_items, slate_size)
        self.epsilon = epsilon


class TopKPolicy(PoolPolicy):
    """Shows the k items of the highest scores, and with probability epsilon a uniformly random slate instead.

    With epsilon = 0 the policy is a point mass: a log that does not hold the very slate says nothing about it.

    Args:
        scores: logits of all items at each step; equal ones are ranked by item id.
        num_items: size of the catalogue, n.
        slate_size: k.
        epsilon: from 0 to 1.
    """

    def __init__(self, scores: ScoreFunction, num_items: int, slate_size: int, *, epsilon: float = 0.0) -> None:
        if not 0 <= epsilon <= 1:
            raise ValueError(f"epsilon must be a probability from 0 to 1, got {epsilon!r}")

        def pools(sessions: Sessions) -> ContextPools:
            table, contexts = scores(sessions)
            ranked = np.argsort(-table, axis=1, kind="stable")
            parts = [Pool(1 - epsilon, ranked[:, :slate_size], fixed=True), Pool(epsilon, ranked, fixed=False)]
            return ContextPools(PoolMixture(parts, num_items, slate_size), contexts)

        super().__init__(pools, num_items, slate_size)
        self.epsilon = epsilon


def slate_matrix(sessions: Sessions, num_items: int, slate_size: int) -> Slates:
    """Logged slates as a table, int64 [T, k].

    Raises:
        ValueError: another catalogue, or slates of other sizes than the policy's.
    """
    if sessions.num_items != num_items:
        raise ValueError(f"the sessions have {sessions.num_items} items, the policy {num_items}")
    wrong = np.flatnonzero(sessions.slate_lengths != slate_size)
    if len(wrong):
        raise ValueError(
            f"the policy shows {slate_size} items, but step {wrong[0]} of the log shows "
            f"{sessions.slate_lengths[wrong[0]]}: its probability is not defined"
        )
    return sessions.slate_items.reshape(-1, slate_size).astype(np.int64)
