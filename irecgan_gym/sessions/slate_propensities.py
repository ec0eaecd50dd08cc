"""Probabilities that a policy gives to logged slates: what off-policy evaluation needs of a log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from irecgan_gym.sessions.checks import IntArray
from irecgan_gym.sessions.ragged import gather

if TYPE_CHECKING:
    from irecgan_gym.sessions.logged_sessions import Sessions

FloatArray = NDArray[np.float64]
Given = Literal["state", "history", "clicks"]
GIVEN: tuple[Given, ...] = ("state", "history", "clicks")

_ROUNDING = 1e-9


class HasSlates(Protocol):
    """Anything with T slates, as sessions have them."""

    @property
    def slate_offsets(self) -> IntArray:
        """First entry of each slate, and the number of entries at the end; int64 [T + 1]."""

    @property
    def num_steps(self) -> int:
        """T."""


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
        sessions: HasSlates,
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
        if given not in GIVEN:
            raise ValueError(f"given must be one of {', '.join(map(repr, GIVEN))}, got {given!r}")
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

    @classmethod
    def from_probabilities(
        cls,
        sessions: HasSlates,
        slates: ArrayLike,
        *,
        places: ArrayLike | None = None,
        inclusions: ArrayLike | None = None,
        given: Given = "clicks",
        estimated: bool = False,
    ) -> SlatePropensities:
        """Take what a real log tells: the probability of each whole slate, and where known of each of its items.

        Beginnings of slates are then known no better than whole ones, and have their probability: what goes by the
        beginning of a slate (reward interaction, a cascade) takes the whole slate.

        Args:
            sessions: the log.
            slates: probability of each slate in its order, in (0, 1]; [T].
            places: probability that each entry's item stands at its place; [L].
            inclusions: probability that each entry's item is anywhere in the slate; [L].
            given: see the attributes.
            estimated: see the attributes.

        Raises:
            ValueError: a column of the wrong length, or a number that is no probability.
        """
        chances = _probabilities("slates", slates, sessions.num_steps)
        _refuse("slates", chances, ~(chances > 0), "a probability above 0, as the slate was shown")
        prefixes = np.repeat(np.log(np.minimum(chances, 1.0)), np.diff(sessions.slate_offsets))
        return cls.from_columns(
            sessions, prefixes, places=places, inclusions=inclusions, given=given, estimated=estimated
        )

    @classmethod
    def concatenate(cls, parts: Sequence[SlatePropensities]) -> SlatePropensities:
        """Put the propensities of several logs behind each other.

        A column that is missing in any part is missing in the result, which is estimated if any part is, and knows no
        more than the part that knows least.
        """

        def joined(name: str) -> FloatArray | None:
            columns = [getattr(part, name) for part in parts]
            return None if any(column is None for column in columns) else np.concatenate(columns)

        lengths = np.concatenate([np.diff(part.slate_offsets) for part in parts])
        return cls(
            np.concatenate([[0], np.cumsum(lengths)]),
            np.concatenate([part.prefixes for part in parts]),
            joined("places"),
            joined("inclusions"),
            joined("sets"),
            max((part.given for part in parts), key=GIVEN.index),
            any(part.estimated for part in parts),
        )

    def belong_to(self, sessions: HasSlates) -> bool:
        """Tell whether these are of as many slates of the same sizes as some sessions have."""
        return np.array_equal(self.slate_offsets, sessions.slate_offsets)

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
