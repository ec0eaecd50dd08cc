"""Logged sessions: built of columns that are checked, derived from each other, kept in files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from irecgan_gym.sessions.arrow import table_of_columns
from irecgan_gym.sessions.catalogue import Catalogue, CatalogueError
from irecgan_gym.sessions.checks import (
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
from irecgan_gym.sessions.columns import SessionColumns
from irecgan_gym.sessions.features import SCOPES, Scope, SessionFeatures
from irecgan_gym.sessions.labels import check_labels, labels_of
from irecgan_gym.sessions.parquet import read_columns, write_columns
from irecgan_gym.sessions.ragged import gather, rows_with_repeats
from irecgan_gym.sessions.slate_propensities import SlatePropensities
from irecgan_gym.sessions.splitting import SplitBy, part_of_sessions
from irecgan_gym.sessions.statistics import SessionStatistics, statistics_by_day, statistics_of
from irecgan_gym.settings import shown

_STEPS_AT_ONCE = 65_536


@dataclass(frozen=True, eq=False, repr=False)
class Sessions(SessionColumns):
    """Sessions of slates, clicks and rewards: the one form of offline data in the suite.

    Build with :meth:`from_columns`, which checks everything once; the plain constructor trusts its arguments. What the
    columns are tells :class:`~irecgan_gym.sessions.columns.SessionColumns`.
    """

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
        labels: Mapping[str, ArrayLike] | None = None,
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
            labels: of these very entries; see :meth:`with_labels`.

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
        if labels is not None:
            columns = columns.with_labels(labels)
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
            labels=labels_of(self.labels, entries),
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

    def with_rewards_from(self, label: str, *, unknown: float | None = None) -> Sessions:
        """The same sessions with rewards from a label: what it says of the clicked item, and 0 without a click.

        What it says of other items earns nothing.

        Args:
            label: its name, such as ``"bought"``.
            unknown: reward where the label of a clicked item is not known; an error when None.

        Raises:
            SessionsError: no such label, or clicked items of which it is not known.
        """
        if label not in self.labels:
            raise SessionsError(f"these sessions have no label {label!r}, but {list(self.labels)}")
        clicked = np.flatnonzero(self.slate_items == self.clicks[self.step_of_entry])
        steps, values = self.step_of_entry[clicked], self.labels[label][clicked]
        missing = np.isnan(values)
        if missing.any() and unknown is None:
            raise SessionsError(
                f"{self._place(int(steps[missing][0]))}: label {label!r} is not known of the clicked item, as of "
                f"{int(missing.sum())} of {len(clicked)}: unknown=... says what reward these get"
            )
        rewards = np.zeros(self.num_steps, dtype=np.float64)
        rewards[steps] = np.where(missing, 0.0 if unknown is None else unknown, values)
        return self.with_rewards(rewards)

    def with_labels(self, labels: Mapping[str, ArrayLike]) -> Sessions:
        """The same sessions with labels beside those that they have; those of the same name are replaced.

        Args:
            labels: numbers or truth values of the entries of the slates, NaN where unknown, by name; [L] each. Steps
                that are clicks on one list have the same.

        Raises:
            SessionsError: values of another type, or more or fewer than there are entries.
        """
        return replace(self, labels={**self.labels, **check_labels(labels, len(self.slate_items))})

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
        ``events`` and ``time``; items and users go by their names where they have some. Features, and labels as lists,
        are under their own names.
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
            "labels": self.labels or None,
        }
