"""Values of beliefs by points: what later steps are worth to one who will know no more than clicks tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.planning.learned_world import LearnedWorld
from irecgan_gym.planning.logged_steps import LoggedSteps
from irecgan_gym.planning.planned_slates import PlannedSlates, TopSlates

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Numbers held at a time, in beliefs x items x states: bounds the memory taken, to a few times 32 MiB.
_MAX_ENTRIES = 2**22


class KnownStateSlates:
    """Chooses slates by QMDP: as if the state became known after the click.

    Args:
        world: the user.
        slate_size: k.
        foresight: factor of the worth of later steps; 0 plans for the next click alone.
        top: whether the slate is that of the best items, not the best slate.
    """

    def __init__(self, world: LearnedWorld, slate_size: int, foresight: float = 1.0, *, top: bool = False) -> None:
        values = foresight * world.known_state_values(slate_size)
        search = TopSlates if top else PlannedSlates
        self._slates = search(world.weights, world.click_values(values), slate_size, world.leaving)

    def slates_for(self, beliefs: FloatArray) -> PlannedSlates:
        """Return the object that chooses and values slates for these beliefs, [B, m]."""
        return self._slates


class PointValues:
    r"""Chooses slates by values of beliefs that policies earn: point-based value iteration.

    Each of P points, beliefs that users come by, has a plan: a slate, and after each click the plan of another point.
    The plan of a point earns alpha(s) where the state is s, so that max_p b . alpha_p is a lower bound of what can be
    earned from a belief b. A round of improvement chooses for each point the plan to go on with after each click, and
    then the slate (Pineau, Gordon and Thrun, IJCAI 2003). QMDP's values are an upper bound.

    Args:
        world: the user.
        slate_size: k.
        points: beliefs, [P, m].
        rounds: of improvement.
    """

    def __init__(self, world: LearnedWorld, slate_size: int, points: FloatArray, rounds: int = 15) -> None:
        self._world = world
        self._first = KnownStateSlates(world, slate_size).slates_for(points)
        self._slate_size = slate_size
        slates = self._first.choose(points)
        self.alphas = np.array([self._repeated(slate) for slate in slates])
        for _ in range(rounds):
            self.alphas = self._improved(points)

    def slates_for(self, beliefs: FloatArray) -> PlannedSlates:
        """Return the object that chooses and values slates for these beliefs, [B, m]."""
        totals = self._world.totals(self._first.choose(beliefs))
        values = self.click_values(beliefs, totals)
        return PlannedSlates(self._world.weights, values, self._slate_size, self._world.leaving)

    def click_values(self, beliefs: FloatArray, totals: FloatArray) -> FloatArray:
        """Return the value of a click on each item in each state, if the plan goes on that is best for what it tells.

        Args:
            beliefs: before the click, [B, m].
            totals: sums of weights of about the slates that will be shown, which set what a click tells, [B, m].

        Returns:
            [B, m, n].
        """
        world = self._world
        number, size = world.num_states, world.num_items
        values = np.empty((len(beliefs), number, size))
        goes_on = world.weights * world.successes if world.leaving is None else world.weights
        at_once = max(1, _MAX_ENTRIES // (number * size))
        for low in range(0, len(beliefs), at_once):
            rows = slice(low, low + at_once)
            joint = (beliefs[rows] / totals[rows])[:, None, :] * goes_on.T
            reached = ((joint / world.moves.totals) @ world.moves.source) * world.moves.target
            plan = (reached @ self.alphas.T).argmax(axis=2)
            later = ((world.moves.target * self.alphas[plan]) @ world.moves.source.T) / world.moves.totals
            after = np.swapaxes(later, 1, 2)
            values[rows] = world.planned * (1 + after) if world.leaving is None else world.planned + after
        return values

    def values(self, beliefs: FloatArray) -> FloatArray:
        """Lower bound of what is earned from beliefs [B, m] on, [B]."""
        bound: FloatArray = (beliefs @ self.alphas.T).max(axis=1)
        return bound

    def _improved(self, points: FloatArray) -> FloatArray:
        chooser = self.slates_for(points)
        slates = chooser.choose(points)
        # Once more with what clicks tell on these very slates; the plans are then the right ones.
        values = self.click_values(points, self._world.totals(slates))
        shown = self._world.weights.T[slates]
        total = shown.sum(axis=1, keepdims=True)
        share = shown / (total if self._world.leaving is None else total + self._world.leaving)
        worth = np.take_along_axis(values, slates[:, None, :], axis=2)
        found: FloatArray = (share * np.swapaxes(worth, 1, 2)).sum(axis=1)
        better = (points * found).sum(axis=1) >= self.values(points)
        return np.where(better[:, None], found, self.alphas[(points @ self.alphas.T).argmax(axis=1)])

    def _repeated(self, slate: IntArray) -> FloatArray:
        """Return the earnings from each state by the same slate for ever, [m]."""
        world = self._world
        return world.slate_values(np.tile(slate, (world.num_states, 1)))


def points_along(world: LearnedWorld, steps: LoggedSteps, number: int, rng: np.random.Generator) -> FloatArray:
    """Beliefs that come by along a log, the first of sessions always among them, [P, m]."""
    different = np.unique(world.beliefs_along(steps).round(6), axis=0)
    chosen = different[rng.permutation(len(different))[: number - 1]]
    return np.concatenate([world.start[None], chosen / chosen.sum(axis=1, keepdims=True)])
