"""Logged sessions as ragged, immutable columns: the one form of offline data in the suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from irecgan_gym.sessions.arrow import table_of_columns
from irecgan_gym.sessions.catalogue import Catalogue, CatalogueError
from irecgan_gym.sessions.checks import (
    FloatArray,
    IntArray,
    SessionsError,
    check_flags,
    check_ids,
    check_named_users,
    check_names,
    check_numbers,
    check_offsets,
    check_propensities,
    check_times,
)
from irecgan_gym.sessions.features import SCOPES, Scope, SessionFeatures
from irecgan_gym.sessions.parquet import read_columns, write_columns
from irecgan_gym.sessions.ragged import gather, rows_with_repeats
from irecgan_gym.sessions.slate_propensities import SlatePropensities
from irecgan_gym.sessions.splitting import SplitBy, part_of_sessions
from irecgan_gym.sessions.statistics import SessionStatistics, statistics_by_day, statistics_of
from irecgan_gym.settings import shown

_STEPS_AT_ONCE = 65_536

__all__ = ["Session", "SessionStatistics", "Sessions", "SessionsError"]


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
class Sessions:
    """Sessions of slates, clicks and rewards, stored as columns.

    S sessions of T steps in all, L slate entries in all. Items are ids 0..num_items-1; ``num_items`` itself
    means "no click": at the last step of a session that was not cut, the user left; at any other, the user looked at
    the slate, clicked nothing and went on (:attr:`skipped`).

    Build with :meth:`from_columns`, which checks everything once; the plain constructor trusts its arguments.
    All arrays are read-only.

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

    def __post_init__(self) -> None:
        if self.users is None:
            object.__setattr__(self, "user_names", None)
        for column in fields(self):
            value = getattr(self, column.name)
            if isinstance(value, np.ndarray):
                view = value.view()
                view.flags.writeable = False
                object.__setattr__(self, column.name, view)

    @classmethod
    def from_columns(
        cls,
        *,
        num_items: int,
        lengths: ArrayLike,
        slates: ArrayLike,
        clicks: ArrayLike,
        rewards: ArrayLike,
        slate_lengths: ArrayLike | None = None,
        truncated: ArrayLike | None = None,
        propensities: ArrayLike | None = None,
        states: ArrayLike | None = None,
        users: ArrayLike | None = None,
        event_lengths: ArrayLike | None = None,
        event_items: ArrayLike | None = None,
        item_names: Sequence[str] | None = None,
        provenance: Mapping[str, Any] | None = None,
        user_names: Sequence[str] | None = None,
        times: ArrayLike | None = None,
        slate_propensities: SlatePropensities | None = None,
        features: SessionFeatures | None = None,
    ) -> Sessions:
        """Check columns and build sessions from them; the arrays are copied where their type must change.

        Args:
            num_items: size of the catalogue, n >= 1.
            lengths: steps of each session, all >= 1; [S].
            slates: items shown: [T, k], or flat [L] together with ``slate_lengths`` [T] for ragged slates. The
                items of one slate differ from each other.
            clicks: item clicked at each step, one of its slate, or n for no click; [T].
            rewards: finite numbers; [T].
            slate_lengths: see ``slates``.
            truncated: [S]; all False when left out.
            propensities: in (0, 1], NaN where unknown; [T].
            states: [T], >= 0.
            users: [S].
            event_lengths: number of other events before each step's click; [T], together with ``event_items``.
            event_items: flat [E].
            item_names: n different names.
            provenance: JSON-compatible description of the source.
            user_names: different names; users are then from 0 to below their number, or -1.
            times: finite numbers that do not go back within a session; [T].
            slate_propensities: of these very slates.
            features: of these very items, entries, steps, events and users; see :meth:`with_features`.

        Raises:
            SessionsError: a column has a wrong type, length or value; the message names the first such place.
        """
        if isinstance(num_items, bool) or not isinstance(num_items, (int, np.integer)) or num_items < 1:
            raise SessionsError(f"num_items must be an integer of at least 1, got {shown(num_items)}")
        num_items = int(num_items)
        if num_items > np.iinfo(np.int32).max:
            # "No click" is item num_items, and must fit in the columns too.
            raise SessionsError(f"num_items must be below 2**31, got {num_items}")
        if provenance is not None and not isinstance(provenance, Mapping):
            raise SessionsError(f"provenance must be a mapping, got a {type(provenance).__name__}")
        offsets = check_offsets("lengths", lengths, minimum=1)
        num_sessions, num_steps = len(offsets) - 1, int(offsets[-1])

        slate_array = np.asarray(slates)
        if slate_lengths is None:
            if slate_array.ndim != 2:
                raise SessionsError(
                    f"slates must have shape [T, k] when slate_lengths is not given, got {slate_array.shape}"
                )
            slate_offsets = np.arange(slate_array.shape[0] + 1, dtype=np.int64) * slate_array.shape[1]
            if slate_array.shape[1] == 0:
                raise SessionsError("slates must hold at least one item each, got shape [T, 0]")
        else:
            slate_offsets = check_offsets("slate_lengths", slate_lengths, minimum=1)
        if len(slate_offsets) - 1 != num_steps:
            raise SessionsError(f"lengths add up to {num_steps} steps, but there are {len(slate_offsets) - 1} slates")
        slate_items = check_ids("slates", slate_array.reshape(-1), int(slate_offsets[-1]), num_items)

        click_array = check_ids("clicks", clicks, num_steps, num_items + 1)
        columns = cls(
            num_items=num_items,
            offsets=offsets,
            slate_offsets=slate_offsets,
            slate_items=slate_items,
            clicks=click_array,
            rewards=check_numbers("rewards", rewards, num_steps),
            truncated=check_flags("truncated", truncated, num_sessions),
            propensities=None if propensities is None else check_propensities(propensities, num_steps),
            states=None if states is None else check_ids("states", states, num_steps, None),
            users=None if users is None else check_ids("users", users, num_sessions, None, np.int64, signed=True),
            item_names=None if item_names is None else check_names(item_names, num_items),
            provenance=dict(provenance or {}),
            times=None if times is None else check_times(times, offsets),
        )
        if user_names is not None:
            columns = replace(columns, user_names=check_named_users(columns.users, user_names))
        if (event_lengths is None) != (event_items is None):
            raise SessionsError("event_lengths and event_items must be given together")
        if event_lengths is not None:
            event_offsets = check_offsets("event_lengths", event_lengths, minimum=0)
            if len(event_offsets) - 1 != num_steps:
                raise SessionsError(f"event_lengths has {len(event_offsets) - 1} entries for {num_steps} steps")
            columns = replace(
                columns,
                event_offsets=event_offsets,
                event_items=check_ids("event_items", event_items, int(event_offsets[-1]), num_items),
            )
        columns._check_slates_and_clicks()
        if features is not None:
            columns = columns.with_features(**{scope: features.of(scope) for scope in SCOPES})
        return columns if slate_propensities is None else columns.with_slate_propensities(slate_propensities)

    def _check_slates_and_clicks(self) -> None:
        """Check that slates hold different items, and that clicks are in them."""
        repeated = rows_with_repeats(self.slate_offsets, self.slate_items)
        if len(repeated):
            step = int(repeated[0])
            shown = np.sort(self.slate_items[self.slate_offsets[step] : self.slate_offsets[step + 1]])
            item = shown[:-1][shown[1:] == shown[:-1]][0]
            raise SessionsError(f"{self._place(step)}: item {item} is in the slate more than once")
        found = self.clicks == self.num_items
        # Some steps at a time: what is needed of an entry here takes several times the space of the entry.
        for start in range(0, self.num_steps, _STEPS_AT_ONCE):
            end = min(start + _STEPS_AT_ONCE, self.num_steps)
            entries = self.slate_items[self.slate_offsets[start] : self.slate_offsets[end]]
            steps = np.repeat(np.arange(start, end), np.diff(self.slate_offsets[start : end + 1]))
            found[steps[entries == self.clicks[steps]]] = True
        missing = np.flatnonzero(~found)
        if len(missing):
            step = int(missing[0])
            slate = self.slate_items[self.slate_offsets[step] : self.slate_offsets[step + 1]]
            raise SessionsError(f"{self._place(step)}: click {self.clicks[step]} is not in the slate {slate.tolist()}")

    def _place(self, step: int) -> str:
        session = int(np.searchsorted(self.offsets, step, side="right")) - 1
        return f"session {session}, step {step - int(self.offsets[session])}"

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
        return f"Sessions({len(self)} sessions, {self.num_steps} steps, {self.num_items} items)"

    def select(self, index: slice | ArrayLike) -> Sessions:
        """Sessions by slice, by numbers (in the order given, repeats allowed) or by a mask of length S."""
        chosen = index if isinstance(index, slice) else np.asarray(index)
        if not isinstance(chosen, slice) and chosen.size == 0:
            chosen = slice(0, 0)  # An empty list has no type, and NumPy would take it for numbers with fractions.
        numbers = np.arange(len(self))[chosen]
        steps, offsets = gather(self.offsets, numbers)
        entries, slate_offsets = gather(self.slate_offsets, steps)
        selected = replace(
            self,
            offsets=offsets,
            slate_offsets=slate_offsets,
            slate_items=self.slate_items[entries],
            clicks=self.clicks[steps],
            rewards=self.rewards[steps],
            truncated=self.truncated[numbers],
            propensities=None if self.propensities is None else self.propensities[steps],
            slate_propensities=None if self.slate_propensities is None else self.slate_propensities.of_steps(steps),
            states=None if self.states is None else self.states[steps],
            users=None if self.users is None else self.users[numbers],
            times=None if self.times is None else self.times[steps],
        )
        if self.event_offsets is not None and self.event_items is not None:
            events, event_offsets = gather(self.event_offsets, steps)
            selected = replace(selected, event_offsets=event_offsets, event_items=self.event_items[events])
        if self.features:
            rows: dict[Scope, NDArray[Any]] = {"entries": entries, "steps": steps, "users": numbers}
            if self.event_offsets is not None:
                rows["events"] = gather(self.event_offsets, steps)[0]
            selected = replace(selected, features=self.features.taken(rows))
        return selected

    def split(
        self,
        fractions: Sequence[float],
        *,
        seed: int | None = None,
        by: SplitBy = "session",
    ) -> tuple[Sessions, ...]:
        """Cut into parts of the given fractions, which add up to 1.

        Args:
            fractions: share of each part; sizes are rounded so that they add up to all sessions.
            seed: of what is random: all but ``"time"`` needs one.
            by: ``"session"``: at random. ``"user"``: at random, all sessions of a user in one part (fractions then
                count users). ``"time"``: a session that begins earlier is in no later part, and those that begin at
                the same moment are in one. ``"user-and-time"``: sessions whose user and whose time are both of the
                part, each by the fractions: later sessions of users that no earlier part knows. The others, such as
                the later sessions of the first part's users, are in none.

        Raises:
            ValueError: fractions that do not add up to 1, an unknown ``by``, no seed, or no column of users or times.
        """
        part = part_of_sessions(
            len(self),
            fractions,
            seed,
            by,
            lambda: None if self.users is None else self.user_groups,
            lambda: None if self.times is None else self.times[self.offsets[:-1]],
        )
        return tuple(self.select(np.flatnonzero(part == number)) for number in range(len(fractions)))

    def returns_to_go(self, values: ArrayLike, gamma: float) -> NDArray[np.float32]:
        """Discounted sums to the end of the session, G_t = x_t + gamma G_{t+1} (R_t of Eq 9); float32 [T].

        Args:
            values: a number a step, float [T].
            gamma: discount factor.
        """
        returns = np.array(values, dtype=np.float64)
        if returns.shape != (self.num_steps,):
            raise ValueError(f"values must have shape ({self.num_steps},), got {returns.shape}")
        lengths, last = self.lengths, self.offsets[1:] - 1
        for back in range(1, int(lengths.max()) if len(self) else 0):
            step = (last - back)[lengths > back]
            returns[step] += gamma * returns[step + 1]
        return returns.astype(np.float32)

    def with_rewards(self, rewards: ArrayLike) -> Sessions:
        """The same sessions with other rewards; finite numbers, [T]."""
        return replace(self, rewards=check_numbers("rewards", rewards, self.num_steps))

    def with_features(
        self,
        *,
        items: Mapping[str, Any] | None = None,
        entries: Mapping[str, Any] | None = None,
        steps: Mapping[str, Any] | None = None,
        events: Mapping[str, Any] | None = None,
        users: Mapping[str, Any] | None = None,
    ) -> Sessions:
        """The same sessions with features beside those that they have; those of the same name are replaced.

        Values are numbers (NaN where unknown), texts, which are categories (None where unknown), or rows of a matrix.

        Args:
            items: of the items of the catalogue, n values each, by name.
            entries: of the entries of the slates, L values each.
            steps: of the steps, T values each; known before their clicks.
            events: of the other events, E values each.
            users: of the user of each session, S values each.

        Raises:
            SessionsError: values of another type, or more or fewer than there are things.
        """
        given = {"items": items, "entries": entries, "steps": steps, "events": events, "users": users}
        features = self.features
        for scope in SCOPES:
            features = features.with_columns(scope, given[scope] or {}, self._number_of(scope))
        return replace(self, features=features)

    def _number_of(self, scope: Scope) -> int:
        """Number of things that features are of."""
        numbers: dict[Scope, int] = {
            "items": self.num_items,
            "entries": len(self.slate_items),
            "steps": self.num_steps,
            "events": 0 if self.event_items is None else len(self.event_items),
            "users": len(self),
        }
        return numbers[scope]

    def with_slate_propensities(self, propensities: SlatePropensities | None) -> Sessions:
        """The same sessions with probabilities of their slates, or without.

        Raises:
            SessionsError: probabilities of slates of other sizes.
        """
        if propensities is not None and not propensities.belong_to(self):
            raise SessionsError(
                f"slate_propensities are of {len(propensities.slate_offsets) - 1} slates with "
                f"{len(propensities.prefixes)} entries, not of these {self.num_steps} with {len(self.slate_items)}"
            )
        return replace(self, slate_propensities=propensities)

    def reindexed(self, catalogue: Catalogue) -> Sessions:
        """The same sessions with the numbers that their items have in another catalogue, found by name.

        Args:
            catalogue: has all items that occur in the sessions, and any others.

        Raises:
            CatalogueError: items without names, or items that occur in the sessions and not in the catalogue.
        """
        if self.item_names is None or catalogue.names is None:
            nameless = "these sessions have" if self.item_names is None else "that catalogue has"
            raise CatalogueError(f"items are found in another catalogue by name, but {nameless} no names")
        if self.item_names == catalogue.names:
            return self
        # One entry more: "no click" is the number behind the last item.
        numbers = np.append(catalogue.positions(self.item_names), catalogue.num_items).astype(np.int32)
        unknown = numbers[:-1] < 0
        if unknown.any():
            occurs = np.zeros(self.num_items, dtype=bool)
            occurs[self.slate_items] = True
            if self.event_items is not None:
                occurs[self.event_items] = True
            lost = [self.item_names[item] for item in np.flatnonzero(occurs & unknown)]
            if lost:
                shown = ", ".join(map(repr, lost[:5])) + (", ..." if len(lost) > 5 else "")
                raise CatalogueError(f"{len(lost)} items of the sessions are not in the catalogue: {shown}")
        own = np.full(catalogue.num_items, -1)
        own[numbers[:-1][~unknown]] = np.flatnonzero(~unknown)
        return replace(
            self,
            num_items=catalogue.num_items,
            item_names=catalogue.names,
            features=self.features.taken({"items": own}),
            slate_items=numbers[self.slate_items],
            clicks=numbers[self.clicks],
            event_items=None if self.event_items is None else numbers[self.event_items],
        )

    def statistics(self) -> SessionStatistics:
        """Counts and means, in a form that prints as a small table."""
        return statistics_of(self)

    def statistics_by_day(self) -> dict[date, SessionStatistics]:
        """Counts and means of the sessions that begin on each day (UTC), for times in seconds since 1970.

        Raises:
            ValueError: sessions without times.
        """
        return statistics_by_day(self)

    def save(self, path: str | Path) -> None:
        """Write to a Parquet file (see :mod:`irecgan_gym.sessions.parquet`), atomically.

        Raises:
            SessionsError: the provenance holds values that JSON does not.
        """
        write_columns(Path(path), self.to_columns())

    @classmethod
    def load(cls, path: str | Path) -> Sessions:
        """Read a Parquet file written by :meth:`save`, checking it like any other input.

        Raises:
            FileNotFoundError: there is no such file.
            SessionsError: not a Parquet file, not one of ours, of a later format, or with columns that are no sessions.
        """
        columns = read_columns(Path(path))
        try:
            return cls.from_columns(**columns)
        except SessionsError as error:
            raise SessionsError(f"{path}: {error}") from error

    def to_arrow(self) -> Any:
        """Return an Arrow table of one row a step, for other tools and for the table reader, which takes it back.

        Its columns are ``session`` (numbered from 0), ``slate`` (list), ``click`` (null where the user left without
        one), ``reward``, ``truncated`` (of the session), and where known ``propensity``, ``state``, ``user``,
        ``events`` and ``time``; items and users go by their names where they have some.
        """
        return table_of_columns(self.to_columns())

    def to_pandas(self) -> Any:
        """Return the table of :meth:`to_arrow` as a pandas data frame; pandas must be installed."""
        return self.to_arrow().to_pandas()

    def to_columns(self) -> dict[str, Any]:
        """Return the arguments of :meth:`from_columns` that describe these sessions."""
        return {
            "num_items": self.num_items,
            "lengths": self.lengths,
            "slates": self.slate_items,
            "slate_lengths": self.slate_lengths,
            "clicks": self.clicks,
            "rewards": self.rewards,
            "truncated": self.truncated,
            "propensities": self.propensities,
            "states": self.states,
            "users": self.users,
            "event_lengths": None if self.event_offsets is None else np.diff(self.event_offsets),
            "event_items": self.event_items,
            "item_names": self.item_names,
            "provenance": self.provenance,
            "user_names": self.user_names,
            "times": self.times,
            "slate_propensities": self.slate_propensities,
            "features": self.features,
        }
