"""Parts of sessions to learn from and to be tested on: by chance, by user, by time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.sessions.checks import IntArray


def check_fractions(fractions: Sequence[float]) -> NDArray[np.float64]:
    """The shares of parts, which add up to 1.

    Raises:
        ValueError: they do not, or one is negative.
    """
    shares = np.asarray(fractions, dtype=float)
    if shares.ndim != 1 or len(shares) == 0 or (shares < 0).any() or not np.isclose(shares.sum(), 1.0):
        raise ValueError(f"fractions must be non-negative and add up to 1, got {list(fractions)}")
    return shares


def parts_by_chance(group: IntArray, shares: NDArray[np.float64], seed: int) -> IntArray:
    """Return the part of each session, where all sessions of a group are in one; [S].

    Args:
        group: of each session, from 0; [S].
        shares: of the groups.
        seed: of the permutation.
    """
    number = int(group.max()) + 1 if len(group) else 0
    rank = np.empty(number, dtype=np.int64)
    rank[np.random.default_rng(seed).permutation(number)] = np.arange(number)
    return _parts(rank, shares, number)[group] if len(group) else group


def parts_by_time(starts: NDArray[np.float64], shares: NDArray[np.float64]) -> IntArray:
    """Return the part of each session, earlier ones in earlier parts and those of one moment in the same; [S].

    Args:
        starts: when each session begins, [S].
        shares: of the sessions.
    """
    rank = np.searchsorted(np.sort(starts), starts, side="left")
    return _parts(rank, shares, len(starts))


def _parts(rank: IntArray, shares: NDArray[np.float64], number: int) -> IntArray:
    """The part of each rank of so many."""
    bounds = np.rint(np.cumsum(shares) * number).astype(np.int64)
    parts: IntArray = np.searchsorted(bounds, rank, side="right")
    return parts
