"""The columns of logged sessions: what they hold, and what is read off them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.sessions.catalogue import Catalogue
from irecgan_gym.sessions.checks import FloatArray, IntArray
from irecgan_gym.sessions.features import SessionFeatures
from irecgan_gym.sessions.labels import Labels
from irecgan_gym.sessions.slate_propensities import SlatePropensities


class Session(NamedTuple):
    """One session, for reading by eye or in a loop (training uses the columns).

    Attributes:
        slates: T arrays of item ids, the lists that were shown.
        clicks: item clicked at each step, shape [T]; ``num_items`` where the user left without a click.
        rewards: reward of each step, shape [T].
    """

    slates: list[IntArray]
    clicks: IntArray
    rewards: FloatArray


@dataclass(frozen=True, eq=False)
class SessionColumns:
    """Ragged, immutable columns of sessions of slates, clicks and rewards.

    S sessions of T steps in all, L slate entries in all. Items are ids 0..num_items-1; ``num_items`` itself
    means "no click": at the last step of a session that was not cut, the user left; at any other, the user looked at
    the slate, clicked nothing and went on (:attr:`skipped`).

    All arrays are read-only. :class:`~irecgan_gym.sessions.logged_sessions.Sessions` builds them, and makes others of
    them.

    Attributes:
        num_items: size of the item catalogue, n.
        offsets: first step of each session, and T at the end; int64 [S + 1].
        slate_offsets: first slate entry of each step, and L at the end; int64 [T + 1].
        slate_items: the items shown, in the order shown; int32 [L].
        clicks: the item clicked; int32 [T].
        rewards: reward of the step; float32 [T].
        truncated: whether a session was cut (by a length limit) rather than ended by its user; bool [S].
        propensities: probability, under the logging policy, that the clicked item is in the slate; float32 [T],
            NaN where unknown, or None when nothing is known.
        states: the true state in which the slate was shown (simulated logs only); int32 [T] or None.
        users: a number for the user of each session (equal numbers, same user); int64 [S] or None. Where users have
            names, it is the number of the name, or -1 for somebody without one, who is nobody else.
        event_offsets: first other event of each step, and E at the end; int64 [T + 1] or None. The events of a
            step are the items that the user touched otherwise (viewed, opened) after the click of the
            step before and before this step's click.
        event_items: items of those events, in the order of time; int32 [E] or None.
        item_names: the catalogue's own names, item i under ``item_names[i]``; or None.
        user_names: names of the users, user u under ``user_names[u]``; or None.
        times: when each step happened, never before the step before it; float64 [T] or None. Readers give seconds
            since 1970 (UTC) where the log has dates.
        slate_propensities: probabilities of whole slates and of the item at each place, under the logging policy; or
            None when nothing is known.
        features: what else is known of items, entries of slates, steps, events and users.
        labels: further feedback on the entries of slates, such as whether an item was bought or how long it was
            watched, by name; float32 [L] each, NaN where unknown. Steps of one list with several clicks have the same.
        provenance: where the data comes from, as JSON-compatible values.
    """

    num_items: int
    offsets: IntArray
    slate_offsets: IntArray
    slate_items: IntArray
    clicks: IntArray
    rewards: FloatArray
    truncated: NDArray[np.bool_]
    propensities: FloatArray | None = None
    states: IntArray | None = None
    users: IntArray | None = None
    event_offsets: IntArray | None = None
    event_items: IntArray | None = None
    item_names: tuple[str, ...] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    user_names: tuple[str, ...] | None = None
    times: NDArray[np.float64] | None = None
    slate_propensities: SlatePropensities | None = None
    features: SessionFeatures = field(default_factory=SessionFeatures)
    labels: Labels = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.users is None:
            object.__setattr__(self, "user_names", None)
        for column in fields(self):
            value = getattr(self, column.name)
            if isinstance(value, np.ndarray):
                object.__setattr__(self, column.name, _read_only(value))
        object.__setattr__(self, "labels", {name: _read_only(values) for name, values in self.labels.items()})

    def __len__(self) -> int:
        """Number of sessions, S."""
        return len(self.offsets) - 1

    @property
    def num_steps(self) -> int:
        """Number of steps in all sessions, T."""
        return int(self.offsets[-1])

    @property
    def lengths(self) -> IntArray:
        """Steps of each session, int64 [S]."""
        return np.diff(self.offsets)

    @property
    def slate_lengths(self) -> IntArray:
        """Items shown at each step, int64 [T]."""
        return np.diff(self.slate_offsets)

    @property
    def slate_size(self) -> int:
        """The most items shown in one slate, k."""
        return int(self.slate_lengths.max()) if self.num_steps else 0

    @property
    def step_of_entry(self) -> IntArray:
        """The step to which each slate entry belongs, int64 [L]."""
        return np.repeat(np.arange(self.num_steps), self.slate_lengths)

    @property
    def session_of_step(self) -> IntArray:
        """The session to which each step belongs, int64 [T]."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def skipped(self) -> NDArray[np.bool_]:
        """Steps without a click after which the session went on; bool [T]."""
        skipped: NDArray[np.bool_] = self.clicks == self.num_items
        skipped[self.offsets[1:][~self.truncated] - 1] = False
        return skipped

    @property
    def catalogue(self) -> Catalogue:
        """The items: how many there are, and their names and features where they have some."""
        return Catalogue(self.num_items, self.item_names, self.features.items)

    @property
    def user_groups(self) -> IntArray:
        """The user of each session as numbers from 0; somebody unknown is nobody else; int64 [S]."""
        if self.users is None:
            return np.arange(len(self))
        if self.user_names is None:
            users = self.users
        else:
            users = np.where(self.users >= 0, self.users, len(self.user_names) + np.arange(len(self)))
        groups: IntArray = np.unique(users, return_inverse=True)[1]
        return groups

    @property
    def previous_clicks(self) -> IntArray:
        """The click before each step, n at the start of a session; int32 [T]."""
        previous = np.empty_like(self.clicks)
        previous[1:] = self.clicks[:-1]
        previous[self.offsets[:-1]] = self.num_items
        return previous

    def __getitem__(self, index: int) -> Session:
        """Session number ``index``; negative numbers count from the end."""
        number = range(len(self))[index]
        first, last = int(self.offsets[number]), int(self.offsets[number + 1])
        bounds = self.slate_offsets[first : last + 1]
        slates = [self.slate_items[a:b] for a, b in pairwise(bounds)]
        return Session(slates, self.clicks[first:last], self.rewards[first:last])

    def __iter__(self) -> Iterator[Session]:
        return (self[number] for number in range(len(self)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} sessions, {self.num_steps} steps, {self.num_items} items)"


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """The array's values, which nobody can change by way of what is returned."""
    view = array.view()
    view.flags.writeable = False
    return view
