"""Probabilities that a policy gives to logged slates: what off-policy evaluation needs of a log."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.checks import IntArray
from irecgan_gym.sessions.ragged import gather

FloatArray = NDArray[np.float64]
Given = Literal["state", "history", "clicks"]

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class SlatePropensities:
    """Probabilities of T logged slates with L entries in all, under one policy; columns beside those of ``Sessions``.

    Build with :meth:`from_columns`, which checks them. All arrays are read-only.

    Attributes:
        slate_offsets: first entry of each slate, and L at the end; int64 [T + 1].
        prefixes: log-probability that the slate begins with its entries up to and with this one, in this order; -inf
            where the policy never shows it; float64 [L].
        places: probability that this entry's item stands at this entry's place; float64 [L], or None if not known.
        inclusions: probability that this entry's item is anywhere in the slate; float64 [L], or None.
        sets: log-probability of the slate's items in any order; float64 [T], or None.
        given: what the probabilities are conditional on: the user's true ``"state"``, the whole observed ``"history"``
            of slates and clicks, or the ``"clicks"`` alone.
        estimated: whether a model of the policy said so, rather than the policy itself.
    """

    slate_offsets: IntArray
    prefixes: FloatArray
    places: FloatArray | None = None
    inclusions: FloatArray | None = None
    sets: FloatArray | None = None
    given: Given = "clicks"
    estimated: bool = False

    def __post_init__(self) -> None:
        for column in fields(self):
            value = getattr(self, column.name)
            if isinstance(value, np.ndarray):
                view = value.view()
                view.flags.writeable = False
                object.__setattr__(self, column.name, view)

    @classmethod
    def from_columns(
        cls,
        sessions: Sessions,
        prefixes: ArrayLike,
        *,
        places: ArrayLike | None = None,
        inclusions: ArrayLike | None = None,
        sets: ArrayLike | None = None,
        given: Given = "clicks",
        estimated: bool = False,
    ) -> SlatePropensities:
        """Check columns and put them beside the sessions that they belong to.

        Args:
            sessions: the log.
            prefixes: log-probabilities, at most 0 and not rising within a slate; [L].
            places: probabilities; [L].
            inclusions: probabilities, not below those of ``places``; [L].
            sets: log-probabilities, not below those of the ordered slates; [T].
            given: see the attributes.
            estimated: see the attributes.

        Raises:
            ValueError: a column of the wrong length, or with a value out of its range; the message names the first.
        """
        offsets = sessions.slate_offsets
        num_entries = int(offsets[-1])
        logs = _column("prefixes", prefixes, num_entries)
        _refuse("prefixes", logs, ~(logs <= _ROUNDING), "a log-probability, at most 0")
        rises = np.zeros(num_entries, dtype=bool)
        rises[1:] = logs[1:] > logs[:-1] + _ROUNDING
        rises[offsets[:-1]] = False
        _refuse("prefixes", logs, rises, "at most that of the entry before, as it is of a longer beginning")
        in_place = None if places is None else _probabilities("places", places, num_entries)
        shown = None if inclusions is None else _probabilities("inclusions", inclusions, num_entries)
        if in_place is not None and shown is not None:
            _refuse("inclusions", shown, shown < in_place - 1e-6, "at least the probability of the entry's own place")
        in_any_order = None
        if sets is not None:
            in_any_order = _column("sets", sets, sessions.num_steps)
            ordered = logs[offsets[1:] - 1]
            wrong = ~(in_any_order <= _ROUNDING) | (in_any_order < ordered - 1e-6)
            _refuse("sets", in_any_order, wrong, "a log-probability, at least that of the ordered slate")
        return cls(offsets, logs, in_place, shown, in_any_order, given, estimated)

    @property
    def slates(self) -> FloatArray:
        """Log-probability of each whole slate in its order, [T]."""
        logs: FloatArray = self.prefixes[self.slate_offsets[1:] - 1]
        return logs

    def of_steps(self, steps: IntArray) -> SlatePropensities:
        """The same for some of the steps, in the order given."""
        entries, offsets = gather(self.slate_offsets, steps)
        return SlatePropensities(
            offsets,
            self.prefixes[entries],
            None if self.places is None else self.places[entries],
            None if self.inclusions is None else self.inclusions[entries],
            None if self.sets is None else self.sets[steps],
            self.given,
            self.estimated,
        )

    def of_clicks(self, sessions: Sessions) -> NDArray[np.float32]:
        """The column ``propensities`` of ``Sessions``: probability that the clicked item is shown, NaN without a click.

        Raises:
            ValueError: the probabilities to be shown are not known.
        """
        if self.inclusions is None:
            raise ValueError("these propensities do not say how probable each item is to be shown (inclusions)")
        clicked = sessions.slate_items == sessions.clicks[sessions.step_of_entry]
        column = np.full(sessions.num_steps, np.nan, dtype=np.float32)
        column[sessions.step_of_entry[clicked]] = self.inclusions[clicked]
        return column


def _column(name: str, values: ArrayLike, length: int) -> FloatArray:
    column = np.asarray(values, dtype=np.float64)
    if column.shape != (length,):
        raise ValueError(f"{name} must have shape ({length},), got {column.shape}")
    return column


def _probabilities(name: str, values: ArrayLike, length: int) -> FloatArray:
    column = _column(name, values, length)
    _refuse(name, column, ~((column >= 0) & (column <= 1 + 1e-6)), "a probability from 0 to 1")
    return column


def _refuse(name: str, column: FloatArray, wrong: NDArray[np.bool_], expected: str) -> None:
    places = np.flatnonzero(wrong)
    if len(places):
        raise ValueError(f"{name}[{places[0]}] must be {expected}, got {column[places[0]]}")
