"""Dynamics of RecSim's users (§7.1): what they click, whether it succeeds, where they go."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.envs.user_streams import UserStreams
from irecgan_gym.kernels import loading
from irecgan_gym.mdp import RecommendationMDP

DRAWS_PER_STEP = 2
"""Uniform numbers that a user takes at each step: for the click, and for its success and the next state.

A click succeeds where the second number u is below r. Given that, u / r is uniform again, and decides the next state.
"""
DRAWS_AFTER_CLICK = 2
"""Uniform numbers that a user with a number for each item takes besides: for the success, and for the next state."""
SHORTEST_TIME = 2.0**-64
"""Least time of an item in the race for a click: in place of 0, the time of one number in 2^53."""


class RecSimResponse(NamedTuple):
    """Answers of B users to their slates.

    Attributes:
        clicks: the item clicked, int64 [B].
        successes: outcome of the Bernoulli experiment; False ends the session; bool [B].
        states: the state afterwards, the same as before where the session ended; int64 [B].
    """

    clicks: NDArray[np.int64]
    successes: NDArray[np.bool_]
    states: NDArray[np.int64]


class UserDynamics:
    """Dynamics of users who answer slates in an MDP.

    A click falls on an item of the slate in proportion to r(s, .), succeeds with probability r(s, a), and a success
    moves the user by P(. | s, a). Each choice is the first entry of a list of cumulative sums that is above a uniform
    number, the last entry if none of the others is.

    The dynamics are written three times: here for one user and, with NumPy, for many, and in
    :mod:`irecgan_gym.kernels.user_loops` for many at the speed of machine code. All three add in the same order and so
    answer the same draws alike, to the last bit.

    Args:
        mdp: the tables.

    Attributes:
        rewards: r(s, a) at s * n + a, [m * n].
        cumulative_transitions: cumulative P(. | s, a) at s * n + a, [m * n, m].
    """

    def __init__(self, mdp: RecommendationMDP) -> None:
        self._num_items = mdp.num_items
        self.rewards: NDArray[np.float64] = mdp.rewards.flatten()
        cumulative = np.cumsum(mdp.transitions, axis=2).reshape(-1, mdp.num_states)
        # The division makes the last possible state's entry exactly 1, above every draw, whatever rounding did.
        self.cumulative_transitions: NDArray[np.float64] = cumulative / cumulative[:, -1:]
        # Lists are quicker than arrays for one user; the rows of transitions are made into lists when first needed.
        self._reward_lists: list[list[float]] = mdp.rewards.tolist()
        self._transition_lists: dict[int, list[float]] = {}

    def respond(
        self, states: NDArray[np.int64], slates: NDArray[np.int64], draws: NDArray[np.float64]
    ) -> RecSimResponse:
        """Answers of B users.

        Args:
            states: true states, [B].
            slates: different items, [B, k].
            draws: independent numbers from U[0, 1), [B, 2].
        """
        kernels = loading.load_kernels()
        if kernels is None:
            return self.respond_with_numpy(states, slates, draws)
        number = len(states)
        response = RecSimResponse(np.empty(number, np.int64), np.empty(number, np.bool_), np.empty(number, np.int64))
        columns = (np.ascontiguousarray(column) for column in (states, slates, draws))
        kernels.respond(*columns, self.rewards, self.cumulative_transitions, *response)
        return response

    def respond_with_numpy(
        self, states: NDArray[np.int64], slates: NDArray[np.int64], draws: NDArray[np.float64]
    ) -> RecSimResponse:
        """Respond as :meth:`respond` does, without compiled kernels."""
        number = len(states)
        first_entries = states * self._num_items
        # Slots before users, [k, B]: each operation is then one pass over long rows.
        entries = np.ascontiguousarray(slates.T) + first_entries
        rewards = self.rewards.take(entries)
        cumulative = rewards.copy()
        for slot in range(1, len(cumulative)):
            cumulative[slot] += cumulative[slot - 1]
        slots = (cumulative[:-1] <= draws[:, 0] * cumulative[-1]).sum(axis=0)
        places = slots * number + np.arange(number)
        clicked, chances = entries.take(places), rewards.take(places)
        successes = draws[:, 1] < chances
        # Users who leave get any number: they stay in their state.
        again = np.divide(draws[:, 1], chances, out=np.zeros(number), where=successes)
        above = self.cumulative_transitions.take(clicked, axis=0) > again[:, None]
        above[:, -1] = True
        return RecSimResponse(clicked - first_entries, successes, np.where(successes, above.argmax(axis=1), states))

    def respond_by_item(
        self,
        states: NDArray[np.int64],
        slates: NDArray[np.int64],
        streams: UserStreams,
        users: NDArray[np.int64],
        steps: NDArray[np.int64],
    ) -> RecSimResponse:
        """Answers of B users by their own streams of random numbers: the same law, coupled across slates.

        Items race for the click: each takes an exponential time of rate r(s, i), and the first one is clicked, so that
        each is in proportion to its rate. Two slates that both hold an item which is ahead of all others of both are
        answered by the same click, wherever it stands in them. Kernel and NumPy take logarithms by functions of their
        own, which may differ in the last bit.

        Args:
            states: true states, [B].
            slates: different items, [B, k].
            streams: a number for each item at the place of its id, then for the success, then for the next state.
            users: number of each user, [B].
            steps: step of the user's session, from 0 on, [B].
        """
        kernels = loading.load_kernels()
        if kernels is None:
            return self.respond_by_item_with_numpy(states, slates, streams, users, steps)
        number = len(states)
        response = RecSimResponse(np.empty(number, np.int64), np.empty(number, np.bool_), np.empty(number, np.int64))
        columns = (np.ascontiguousarray(column) for column in (states, slates, users, steps))
        kernels.respond_by_item(*columns, streams.key, self.rewards, self.cumulative_transitions, *response)
        return response

    def respond_by_item_with_numpy(
        self,
        states: NDArray[np.int64],
        slates: NDArray[np.int64],
        streams: UserStreams,
        users: NDArray[np.int64],
        steps: NDArray[np.int64],
    ) -> RecSimResponse:
        """Respond as :meth:`respond_by_item` does, without compiled kernels."""
        number, size = slates.shape
        after_click = np.broadcast_to(self._num_items + np.arange(DRAWS_AFTER_CLICK), (number, DRAWS_AFTER_CLICK))
        draws = streams.numbers(users, steps, np.concatenate([slates, after_click], axis=1))
        entries = slates + (states * self._num_items)[:, None]
        rewards = self.rewards.take(entries)
        times = np.maximum(-np.log(1.0 - draws[:, :size]), SHORTEST_TIME)
        # Speeds relative to the best item's: those of rewards near zero may vanish, none is too large for a float.
        speeds = rewards / rewards.max(axis=1, keepdims=True) / times
        places = speeds.argmax(axis=1) + np.arange(0, slates.size, size)
        clicked = entries.take(places)
        successes = draws[:, size] < self.rewards.take(clicked)
        above = self.cumulative_transitions.take(clicked, axis=0) > draws[:, size + 1, None]
        return RecSimResponse(slates.take(places), successes, np.where(successes, above.argmax(axis=1), states))

    def respond_one(self, state: int, slate: list[int], draws: Sequence[float]) -> tuple[int, bool, int]:
        """Click, success and next state of one user, by the same rules.

        Args:
            state: the true state.
            slate: different items, [k].
            draws: independent numbers from U[0, 1); the first two are used.
        """
        rewards = self._reward_lists[state]
        cumulative = list(accumulate([rewards[item] for item in slate]))
        click = slate[bisect_right(cumulative, draws[0] * cumulative[-1], 0, len(cumulative) - 1)]
        chance = rewards[click]
        if draws[1] >= chance:
            return click, False, state
        entry = state * self._num_items + click
        moves = self._transition_lists.get(entry)
        if moves is None:
            moves = self._transition_lists[entry] = self.cumulative_transitions[entry].tolist()
        return click, True, bisect_right(moves, draws[1] / chance, 0, len(moves) - 1)
