"""Logged steps laid out for models of choice: who was shown what, what was clicked, which step follows which."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from irecgan_gym.sessions import Catalogue, Sessions, SessionsError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class LoggedSteps:
    """Steps of sessions as matrices, in an order in which many sessions can be filtered together.

    Attributes:
        num_items: size of the catalogue, n.
        shown: 1 where an item was in the slate of a step, sparse [T, n].
        slate_items: the same as item ids, one slate after the other, [L].
        slate_starts: first entry of each slate in ``slate_items``, [T].
        clicks: the item clicked, n where the user left, [T].
        successes: whether the click was rewarded, as 0.0 or 1.0; [T].
        previous: the click before, n at the start of a session; [T].
        session: the session of each step, [T].
        rounds: the steps that are the first, second, ... of their sessions, longest sessions first; the sessions of a
            round are the first ones of the round before.
        num_sessions: S.
        catalogue: the items.
    """

    num_items: int
    shown: sparse.csr_matrix
    slate_items: IntArray
    slate_starts: IntArray
    clicks: IntArray
    successes: FloatArray
    previous: IntArray
    session: IntArray
    rounds: tuple[IntArray, ...]
    num_sessions: int
    catalogue: Catalogue

    @classmethod
    def of(cls, sessions: Sessions, *, leaving: bool = False) -> LoggedSteps:
        """Lay out sessions.

        Args:
            sessions: whose rewards are 0 or 1.
            leaving: whether the last step of a session may be one without a click, at which the user left.

        Raises:
            SessionsError: rewards other than 0 and 1, or a step without a click that cannot be.
        """
        wrong = np.flatnonzero((sessions.rewards != 0) & (sessions.rewards != 1))
        if len(wrong):
            raise SessionsError(
                f"rewards[{wrong[0]}] must be 0 or 1 for a model of choice, got {sessions.rewards[wrong[0]]}"
            )
        left = sessions.clicks == sessions.num_items
        if leaving:
            left = left & ~np.isin(np.arange(sessions.num_steps), sessions.offsets[1:] - 1)
        if left.any():
            step = np.flatnonzero(left)[0]
            rule = (
                "users leave at the end of a session"
                if leaving
                else "models of choice are for users who click at every step"
            )
            raise SessionsError(f"clicks[{step}] is no item: {rule}")
        items = sessions.slate_items.astype(np.int64)
        shown = sparse.csr_matrix(
            (np.ones(len(items)), items, sessions.slate_offsets), shape=(sessions.num_steps, sessions.num_items)
        )
        order = np.argsort(-sessions.lengths, kind="stable")
        lengths, starts = sessions.lengths[order], sessions.offsets[:-1][order]
        longest = int(lengths.max(initial=0))
        active = np.searchsorted(-lengths, -np.arange(1, longest + 1), side="right")
        return cls(
            num_items=sessions.num_items,
            shown=shown,
            slate_items=items,
            slate_starts=sessions.slate_offsets[:-1],
            clicks=sessions.clicks.astype(np.int64),
            successes=sessions.rewards.astype(np.float64),
            previous=sessions.previous_clicks.astype(np.int64),
            session=sessions.session_of_step,
            rounds=tuple(starts[:number] + place for place, number in enumerate(active)),
            num_sessions=len(sessions),
            catalogue=sessions.catalogue,
        )

    @property
    def num_steps(self) -> int:
        """Number of steps, T."""
        return len(self.clicks)

    @cached_property
    def left(self) -> NDArray[np.bool_]:
        """True where the user left at a step, [T]."""
        return np.asarray(self.clicks == self.num_items)

    @cached_property
    def clicked(self) -> sparse.csr_matrix:
        """1 where an item was clicked at a step, sparse [n, T]: its products are sums over the clicks of each item."""
        return _clicked_by(self.clicks, self.num_items)

    @cached_property
    def by_round(self) -> StepsByRound:
        """The steps round by round, so that those of a round lie side by side."""
        order = np.concatenate([np.zeros(0, dtype=np.int64), *self.rounds])
        sizes = [len(rows) for rows in self.rounds]
        bounds = np.cumsum([0, *sizes])
        starts = np.repeat(bounds[:-2], sizes[1:])
        before = starts + np.arange(len(starts)) + self.num_sessions - np.repeat(bounds[1:-1], sizes[1:])
        moved_by = _clicked_by(self.clicks[order[before]], self.num_items)
        return StepsByRound(order, bounds.tolist(), before, moved_by)


@dataclass(frozen=True, eq=False)
class StepsByRound:
    """An order of steps: the first ones of all sessions, the second ones, and so on, longest sessions first.

    Attributes:
        order: the steps in it, [T].
        bounds: where rounds begin in it, and its end.
        before: places in it of the steps before those from the second round on, [T - S].
        moved_by: 1 where an item was clicked at these, sparse [n, T - S].
    """

    order: IntArray
    bounds: list[int]
    before: IntArray
    moved_by: sparse.csr_matrix


def _clicked_by(clicks: IntArray, num_items: int) -> sparse.csr_matrix:
    steps = np.flatnonzero(clicks < num_items)
    return sparse.csr_matrix((np.ones(len(steps)), (clicks[steps], steps)), shape=(num_items, len(clicks)))
