"""Value of a planner whose users are not those that it has in mind, by sessions with them."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.planning.learned_world import LearnedWorld
from irecgan_gym.planning.planned_slates import PlannedSlates

FloatArray = NDArray[np.float64]


class SlateChooser(Protocol):
    """Chooses slates by beliefs."""

    def slates_for(self, beliefs: FloatArray) -> PlannedSlates:
        """Return the object that chooses and values slates for these beliefs, [B, m]."""


def simulated_reward(
    users: LearnedWorld,
    known: LearnedWorld,
    chooser: SlateChooser,
    number: int,
    rng: np.random.Generator,
    *,
    max_steps: int = 50,
) -> FloatArray:
    """Rewards of sessions with users of one world, to whom a planner shows what is best for those of another; [number].

    The numbers drawn for a session's steps do not depend on the slates, so that planners are compared on the same
    users.

    Args:
        users: who click.
        known: users that the planner has in mind, whose states it filters.
        chooser: of slates for beliefs over the states of ``known``.
        number: of sessions.
        rng: of the users.
        max_steps: sessions are cut there.

    Raises:
        ValueError: users who leave in place of a click.
    """
    if users.leaving is not None:
        raise ValueError("sessions are simulated of users who click at every step, but these leave")
    earned = np.zeros(number)
    active = np.arange(number)
    states = _drawn(np.tile(users.start, (number, 1)), rng.random(number))
    beliefs = known.first_beliefs(number)
    for _ in range(max_steps):
        click, success, move = rng.random((3, number))[:, active]
        slates = chooser.slates_for(beliefs).choose(beliefs)
        rows = np.arange(len(active))
        place = _drawn(users.weights[states[:, None], slates], click)
        clicks = slates[rows, place]
        goes_on = success < users.successes[states, clicks]
        earned[active[goes_on]] += 1
        if not goes_on.any():
            break
        active, states, clicks = active[goes_on], states[goes_on], clicks[goes_on]
        beliefs = known.update(beliefs[goes_on], known.totals(slates[goes_on]), clicks)
        states = _drawn(users.moves.source[states] * users.moves.target[clicks], move[goes_on])
    return earned


def _drawn(weights: FloatArray, uniform: FloatArray) -> NDArray[np.int64]:
    """Draw a column of each row in proportion to its weights, by uniform numbers; [B, C] and [B] to [B]."""
    bounds = weights.cumsum(axis=1)
    return np.minimum((uniform[:, None] * bounds[:, -1:] >= bounds).sum(axis=1), weights.shape[1] - 1)
