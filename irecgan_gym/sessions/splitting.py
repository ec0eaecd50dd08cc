"""Parts of sessions to learn from and to be tested on: by chance, by user, by time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.sessions.checks import IntArray

SplitBy = Literal["session", "user", "time", "user-and-time"]


def part_of_sessions(
    number: int,
    fractions: Sequence[float],
    seed: int | None,
    by: SplitBy,
    users: Callable[[], IntArray | None],
    starts: Callable[[], NDArray[Any] | None],
) -> IntArray:
    """Return the part of each session, -1 for those that are in none; [S] (see ``Sessions.split``).

    Args:
        number: of sessions, S.
        fractions: share of each part.
        seed: of what is random.
        by: how sessions are put into parts.
        users: gives the user of each session as a number from 0, [S], or None where users are not known.
        starts: gives the time at which each session begins, [S], or None where times are not known.

    Raises:
        ValueError: fractions that do not add up to 1, an unknown ``by``, no seed, or no users or times.
    """
    shares = check_fractions(fractions)
    if by not in get_args(SplitBy):
        raise ValueError(f"by must be 'session', 'user', 'time' or 'user-and-time', got {by!r}")
    part: IntArray = np.zeros(number, dtype=np.int64)
    if by != "time":
        if seed is None:
            raise ValueError(f"a split by {by} is random: give a seed")
        groups = np.arange(number) if by == "session" else users()
        if groups is None:
            raise ValueError("these sessions have no user column to split by")
        part = parts_by_chance(groups, shares, seed)
    if by in ("time", "user-and-time"):
        begun = starts()
        if begun is None:
            raise ValueError("these sessions have no times to split by")
        moments = parts_by_time(begun, shares)
        part = np.where(moments == part, part, -1) if by == "user-and-time" else moments
    return part


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
