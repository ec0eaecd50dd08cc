"""Random numbers that belong to a user: functions of who they are for, not of what was drawn before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

# Of splitmix64 (Steele, Lea and Flood: Fast splittable pseudorandom number generators, OOPSLA 2014).
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))
_UNUSED_BITS = np.uint64(11)
_UNIT = 2.0**-53


class UserStreams:
    """Independent numbers from U[0, 1), one for each user, step and place.

    A generator that is drawn from in turn gives the users of one policy other numbers than those of another, as soon as
    a session ends earlier. Here a number is computed from what it is for: the key starts a stream of splitmix64 with a
    word for each user, that word one with a word for each step, and that one a stream with a word for each place.

    Kernels compute the same numbers (:mod:`irecgan_gym.kernels.user_loops`).

    Args:
        key: from 0 to 2^64 - 1; other keys, other numbers.
    """

    def __init__(self, key: int) -> None:
        self.key = np.uint64(key)

    @classmethod
    def of(cls, seed: int | None) -> UserStreams:
        """Return the streams of a seed of any size.

        Raises:
            ValueError: no seed.
        """
        if seed is None:
            raise ValueError("user_streams needs a seed: streams of users are a function of it")
        return cls(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]))

    def numbers(
        self, users: NDArray[np.int64], steps: NDArray[np.int64], places: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return the numbers of B users at P places each, [B, P].

        Args:
            users: number of each user, from 0 on, [B].
            steps: step of the user's session, from 0 on, [B].
            places: from 0 on, [B, P] or [P].
        """
        of_step = _word(_word(self.key, users), steps)
        numbers: NDArray[np.float64] = (_word(of_step[:, None], places) >> _UNUSED_BITS).astype(np.float64) * _UNIT
        return numbers


def _word(streams: Words | np.uint64, places: NDArray[np.int64]) -> Words:
    """Return the words of splitmix64 at the given places, from 0 on, of the streams that begin with these states."""
    words: Words = places.astype(np.uint64)
    words += np.uint64(1)
    words = words * _GAMMA + streams
    words ^= words >> _SHIFTS[0]
    words *= _FACTORS[0]
    words ^= words >> _SHIFTS[1]
    words *= _FACTORS[1]
    words ^= words >> _SHIFTS[2]
    return words
