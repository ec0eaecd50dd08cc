"""Slates that are fixed, or uniform draws from a pool of items, or a mixture of such: exact probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp

FloatArray = NDArray[np.float64]
Ids = NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Pool:
    """One part of a mixture: k items drawn without replacement from a pool, or the pool itself in its order.

    Attributes:
        weight: probability that a slate comes from this pool.
        items: different items for each of C contexts, at least k of them, int64 [C, p].
        fixed: whether the first k items are shown as they are; otherwise every ordered list of k is as probable.
    """

    weight: float
    items: NDArray[np.int64]
    fixed: bool


class PoolMixture:
    """Slates of k items in each of C contexts, from pools.

    The suite's logging policies are of this kind, with states as contexts, and so is a top-k policy that now and then
    shows a random slate.

    Args:
        pools: their weights add up to 1.
        num_items: size of the catalogue, n.
        slate_size: k.

    Raises:
        ValueError: weights that do not add up to 1, or pools with too few items.
    """

    def __init__(self, pools: Sequence[Pool], num_items: int, slate_size: int) -> None:
        total = sum(pool.weight for pool in pools)
        if not np.isclose(total, 1.0):
            raise ValueError(f"the weights of the pools must add up to 1, got {total}")
        for pool in pools:
            if pool.items.shape[1] < slate_size:
                raise ValueError(f"a pool must hold at least slate_size={slate_size} items, got {pool.items.shape[1]}")
        self.pools = tuple(pool for pool in pools if pool.weight > 0)
        self.num_items = num_items
        self.slate_size = slate_size
        self.num_contexts = len(self.pools[0].items)

    @property
    def is_uniform(self) -> bool:
        """Tell whether every ordered list of k different items of the catalogue is as probable as any other."""
        return len(self.pools) == 1 and not self.pools[0].fixed and self.pools[0].items.shape[1] == self.num_items

    def prefix_log_probabilities(self, contexts: Ids, slates: Ids) -> FloatArray:
        """Log-probability that a slate begins with the first l items, for l = 1..k; [M] and [M, k] to [M, k]."""
        parts = [self._prefixes(pool, contexts, slates) + np.log(pool.weight) for pool in self.pools]
        with np.errstate(divide="ignore"):
            log_probabilities: FloatArray = logsumexp(parts, axis=0)
        return log_probabilities

    def set_log_probabilities(self, contexts: Ids, slates: Ids) -> FloatArray:
        """Log-probability that a slate holds these items in any order; [M] and [M, k] to [M]."""
        parts = []
        for pool in self.pools:
            size = self.slate_size if pool.fixed else pool.items.shape[1]
            inside = self._members(pool)[contexts[:, None], slates].all(axis=1)
            number = gammaln(size + 1) - gammaln(self.slate_size + 1) - gammaln(size - self.slate_size + 1)
            parts.append(np.where(inside, np.log(pool.weight) - number, -np.inf))
        with np.errstate(divide="ignore"):
            log_probabilities: FloatArray = logsumexp(parts, axis=0)
        return log_probabilities

    def place_probabilities(self) -> FloatArray:
        """Probability that each item stands at each place in each context, [C, k, n]."""
        table = np.zeros((self.num_contexts, self.slate_size, self.num_items))
        for pool in self.pools:
            if pool.fixed:
                rows, places = np.ogrid[: self.num_contexts, : self.slate_size]
                table[rows, places, pool.items[:, : self.slate_size]] += pool.weight
            else:
                share = pool.weight / pool.items.shape[1]
                table += share * self._members(pool)[:, None, :]
        return table

    def expected_next(self, contexts: Ids, slates: Ids, table: FloatArray) -> FloatArray:
        """Expectation of a table's entry [k, n] for the item at each place, given the items before it; [M, k].

        0 where the beginning of the slate is never shown.
        """
        expectations, masses = np.zeros(slates.shape), np.zeros(slates.shape)
        for pool in self.pools:
            prefixes = np.exp(self._prefixes(pool, contexts, slates))
            before = np.concatenate([np.ones((len(slates), 1)), prefixes[:, :-1]], axis=1) * pool.weight
            if pool.fixed:
                following = table[np.arange(self.slate_size), pool.items[:, : self.slate_size]][contexts]
            else:
                members = self._members(pool).astype(np.float64)
                inside = (members @ table.T)[contexts]
                taken = np.zeros(slates.shape)
                for place in range(1, self.slate_size):
                    taken[:, place] = table[place][slates[:, :place]].sum(axis=1)
                following = (inside - taken) / (pool.items.shape[1] - np.arange(self.slate_size))
            expectations += before * following
            masses += before
        return np.divide(expectations, masses, out=np.zeros_like(masses), where=masses > 0)

    def second_moments(self, context: int) -> FloatArray:
        """E[x x^T] of the slates' indicators, x[l, a] = 1 where item a is at place l; [k n, k n]."""
        size, num_items = self.slate_size, self.num_items
        moments = np.zeros((size, num_items, size, num_items))
        other_place = ~np.eye(size, dtype=bool)
        for pool in self.pools:
            if pool.fixed:
                shown = np.zeros((size, num_items))
                shown[np.arange(size), pool.items[context, :size]] = 1.0
                moments += pool.weight * np.multiply.outer(shown, shown)
                continue
            members = self._members(pool)[context].astype(np.float64)
            count = pool.items.shape[1]
            same = np.diag(members) / count
            pairs = (np.multiply.outer(members, members) - np.diag(members)) / max(1, count * (count - 1))
            moments += pool.weight * np.eye(size)[:, None, :, None] * same[None, :, None, :]
            moments += pool.weight * other_place[:, None, :, None] * pairs[None, :, None, :]
        return moments.reshape(size * num_items, size * num_items)

    def sample(self, contexts: Ids, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw a slate for each context; [M] to int64 [M, k]."""
        which = rng.choice(len(self.pools), size=len(contexts), p=[pool.weight for pool in self.pools])
        slates = np.empty((len(contexts), self.slate_size), dtype=np.int64)
        for number, pool in enumerate(self.pools):
            rows = np.flatnonzero(which == number)
            items = pool.items[contexts[rows]]
            if not pool.fixed:
                items = rng.permuted(items, axis=1)
            slates[rows] = items[:, : self.slate_size]
        return slates

    def _prefixes(self, pool: Pool, contexts: Ids, slates: Ids) -> FloatArray:
        """Log-probabilities of beginnings if the slate comes from this pool, [M, k]."""
        drawn = np.arange(1, self.slate_size + 1)
        if pool.fixed:
            fits = pool.items[contexts, : self.slate_size] == slates
            logs = np.zeros(self.slate_size)
        else:
            fits = self._members(pool)[contexts[:, None], slates]
            count = pool.items.shape[1]
            logs = gammaln(count - drawn + 1) - gammaln(count + 1)
        return np.where(np.logical_and.accumulate(fits, axis=1), logs, -np.inf)

    def _members(self, pool: Pool) -> NDArray[np.bool_]:
        """Tell whether each item can come from the pool in each context, [C, n]."""
        members = np.zeros((self.num_contexts, self.num_items), dtype=bool)
        items = pool.items[:, : self.slate_size] if pool.fixed else pool.items
        members[np.arange(self.num_contexts)[:, None], items] = True
        return members
