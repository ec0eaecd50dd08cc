"""A learned user to plan for: states, weights of choice, successes, transitions, and a filter of beliefs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.planning.hidden_states import Moves
from irecgan_gym.planning.logged_steps import LoggedSteps
from irecgan_gym.planning.ratio_slates import best_ratio_slates, slate_ratios

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.integer[Any]]

# Relative: policy iteration ends where a round gains less.
_TOLERANCE = 1e-9
_MAX_ROUNDS = 100
ROUNDING = 1e-9
"""Most by which a stored probability may be above 1."""


@dataclass(frozen=True, eq=False)
class LearnedWorld:
    """Users as a fitted model has them: a click on item a of slate S in state s has the probability w_sa / sum_S w_s.

    Sessions end by a click that fails; or, where users may leave in place of a click, by that alone.

    Attributes:
        start: distribution of the first state, [m].
        weights: w, positive, [m, n].
        successes: probability that a click succeeds and the session goes on, below 1, [m, n].
        moves: the next state after a click that succeeded.
        cautious: chances of success that plans go by, [m, n]; beliefs go by ``successes``. None for the same.
        leaving: weight of leaving beside those of the items shown, [m]; None for users who click at every step.
    """

    start: FloatArray
    weights: FloatArray
    successes: FloatArray
    moves: Moves
    cautious: FloatArray | None = None
    leaving: FloatArray | None = None

    @property
    def planned(self) -> FloatArray:
        """Chances of success that plans go by, [m, n]."""
        return self.successes if self.cautious is None else self.cautious

    def checked(self) -> LearnedWorld:
        """Return the world itself, if there can be such users: planning on others need not end.

        Raises:
            ValueError: probabilities that are not from 0 to 1, or weights below 0.
        """
        tables = {"start": self.start, "weights": self.weights, "successes": self.successes}
        tables |= {"source": self.moves.source, "target": self.moves.target, "cautious": self.planned}
        if self.leaving is not None:
            tables["leaving"] = self.leaving
        for name, table in tables.items():
            highest = 1 + ROUNDING if name in ("start", "successes", "cautious") else np.inf
            if table.size and not (table.min() >= 0 and table.max() <= highest):
                wanted = "at least 0" if np.isinf(highest) else "from 0 to 1"
                raise ValueError(f"{name} must be {wanted}, got numbers from {table.min():g} to {table.max():g}")
        return self

    @property
    def num_states(self) -> int:
        """Number of states, m."""
        return len(self.start)

    @property
    def num_items(self) -> int:
        """Number of items, n."""
        return int(self.weights.shape[1])

    def first_beliefs(self, number: int) -> FloatArray:
        """Beliefs at the start of sessions, [number, m]."""
        return np.tile(self.start, (number, 1))

    def totals(self, slates: IntArray) -> FloatArray:
        """Sums of weights of what users can do with slates [B, k] in each state, [B, m]."""
        totals: FloatArray = self.weights.T[slates].sum(axis=1)
        return totals if self.leaving is None else totals + self.leaving

    def update(self, beliefs: FloatArray, totals: FloatArray, clicks: IntArray) -> FloatArray:
        """Bayes's rule for clicks after which the session went on: that succeeded, or any where users leave.

        Args:
            beliefs: before, [B, m].
            totals: of the slates shown, see :meth:`totals`, [B, m].
            clicks: an item of each slate, [B].

        Returns:
            [B, m]; rows add up to 1.
        """
        if self.leaving is None:
            joint = beliefs * self.weights.T[clicks] * self.successes.T[clicks] / totals
        else:
            joint = beliefs * self.weights.T[clicks] / totals
        # Far from all that was logged every probability can round to zero: then the click alone counts.
        reached = joint.sum(axis=1, keepdims=True)
        joint = np.where(reached > 0, joint, self.successes.T[clicks])
        moved = self.moves.after(joint, clicks)
        posterior: FloatArray = moved / moved.sum(axis=1, keepdims=True)
        return posterior

    def click_values(self, values: FloatArray) -> FloatArray:
        """Return the value of every click, q(s, a), where V(s') are values [m] of the next state; [m, n]."""
        later = self.moves.expected(values)
        worth: FloatArray = self.planned * (1 + later) if self.leaving is None else self.planned + later
        return worth

    def beliefs_along(self, steps: LoggedSteps) -> FloatArray:
        """Beliefs before each logged step, given its session's slates and clicks so far, [T, m]."""
        beliefs = np.empty((steps.num_steps, self.num_states))
        totals = np.asarray(steps.shown @ self.weights.T)
        if self.leaving is not None:
            totals = totals + self.leaving
        now = self.first_beliefs(steps.num_sessions)
        for place, rows in enumerate(steps.rounds):
            if place:
                before = steps.rounds[place - 1][: len(rows)]
                now = self.update(now[: len(rows)], totals[before], steps.clicks[before])
            beliefs[rows] = now
        return beliefs

    def known_state_values(self, slate_size: int) -> FloatArray:
        """V*, [m], of one who sees the state: policy iteration over slates (see ``optimal_slates``)."""
        slates = best_ratio_slates(self.weights, self.planned, slate_size, self.leaving)
        values = self.slate_values(slates)
        for _ in range(_MAX_ROUNDS):
            worth = self.click_values(values)
            candidates = best_ratio_slates(self.weights, worth, slate_size, self.leaving)
            gain = slate_ratios(self.weights, worth, candidates, self.leaving) - values
            better = gain > _TOLERANCE * (1 + np.abs(values))
            if not better.any():
                break
            slates = np.where(better[:, None], candidates, slates)
            values = self.slate_values(slates)
        return values

    def slate_values(self, slates: IntArray) -> FloatArray:
        """Expected reward from each state on where each state has a slate of its own, [m, k]; [m]."""
        states = np.arange(self.num_states)[:, None]
        clicks = self.weights[states, slates]
        total = clicks.sum(axis=1, keepdims=True)
        clicked = clicks / (total if self.leaving is None else total + self.leaving[:, None])
        succeeded = clicked * self.planned[states, slates]
        goes_on = succeeded if self.leaving is None else clicked
        # Moves of the shown items only: the whole table is large for large catalogues.
        by_item = self.moves.target[slates] * self.moves.source[:, None, :]
        by_item /= self.moves.totals[slates, states][:, :, None]
        moved = (goes_on[:, :, None] * by_item).sum(axis=1)
        values: FloatArray = np.linalg.solve(np.eye(self.num_states) - moved, succeeded.sum(axis=1))
        return values


def ensemble(worlds: Sequence[LearnedWorld], shares: FloatArray) -> LearnedWorld:
    """Several worlds as one, whose hidden state says which of them is true.

    A belief over its states is a belief over worlds and their states, so that the filter learns which world it is in.

    Args:
        worlds: over the same items, whose users all leave, or none.
        shares: probability of each, adding up to 1.
    """
    sizes = [world.num_states for world in worlds]
    bounds = np.cumsum([0, *sizes])
    source = np.zeros((bounds[-1], bounds[-1]))
    for world, low, high in zip(worlds, bounds[:-1], bounds[1:], strict=True):
        source[low:high, low:high] = world.moves.source
    planned = np.concatenate([world.planned for world in worlds])
    leaving = [world.leaving for world in worlds if world.leaving is not None]
    return LearnedWorld(
        start=np.concatenate([share * world.start for share, world in zip(shares, worlds, strict=True)]),
        weights=np.concatenate([world.weights for world in worlds]),
        successes=np.concatenate([world.successes for world in worlds]),
        moves=Moves.of(source, np.concatenate([world.moves.target for world in worlds], axis=1)),
        cautious=None if all(world.cautious is None for world in worlds) else planned,
        leaving=np.concatenate(leaving) if leaving else None,
    )
