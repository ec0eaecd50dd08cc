"""Features: what a log tells of its items, of the entries of its lists, of steps, events and users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from irecgan_gym.sessions.checks import IntArray, SessionsError

Scope = Literal["items", "entries", "steps", "events", "users"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Things that features are of."""
Kind = Literal["category", "number", "vector"]

UNKNOWN = -1
"""Code of a category that is not known."""


@dataclass(frozen=True, eq=False)
class FeatureColumn:
    """One feature of N things; build with :meth:`of`, which checks the values. The array is read-only.

    Attributes:
        values: codes of categories, -1 where unknown, int32 [N]; or numbers, NaN where unknown, float32 [N] or, of
            vectors, [N, D].
        categories: names of the categories by their codes; None for numbers and vectors.
    """

    values: NDArray[Any]
    categories: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        view = self.values.view()
        view.flags.writeable = False
        object.__setattr__(self, "values", view)

    @classmethod
    def of(cls, values: ArrayLike | FeatureColumn, name: str = "feature") -> FeatureColumn:
        """Feature from what a column of a table holds.

        Args:
            values: numbers or truth values, NaN where unknown; texts, which are categories (None or an empty text where
                unknown), in the order in which they first come; or vectors, [N, D].
            name: of the column, for messages.

        Raises:
            SessionsError: values of another type or shape, or numbers that 32 bits cannot hold.
        """
        if isinstance(values, FeatureColumn):
            return cls._checked(values, name)
        try:
            array = np.asarray(values)
        except ValueError as error:
            raise SessionsError(f"feature {name!r} must be one number, text or vector of one size each") from error
        if array.dtype == np.bool_ or np.issubdtype(array.dtype, np.number):
            return cls(_numbers(array, name))
        if array.ndim != 1:
            raise SessionsError(f"feature {name!r} must have one text each, got an array of shape {array.shape}")
        # NumPy makes texts of whatever stands beside a text.
        return _categories(np.asarray(values, dtype=object).tolist(), name)

    @classmethod
    def _checked(cls, column: FeatureColumn, name: str) -> FeatureColumn:
        """The column, if it is one."""
        if column.categories is None:
            return cls(_numbers(column.values, name))
        names, codes = tuple(column.categories), np.asarray(column.values)
        if not all(isinstance(one, str) and one for one in names) or len(set(names)) < len(names):
            raise SessionsError(f"the categories of feature {name!r} must be different texts, none of them empty")
        if codes.ndim != 1 or (codes.size and not np.issubdtype(codes.dtype, np.integer)):
            raise SessionsError(f"feature {name!r} must have flat integers as codes, got {codes.dtype}{codes.shape}")
        wrong = np.flatnonzero((codes < UNKNOWN) | (codes >= len(names)))
        if len(wrong):
            raise SessionsError(
                f"feature {name!r} has code {codes[wrong[0]]} at {wrong[0]}, expected -1 to {len(names) - 1}"
            )
        return cls(codes.astype(np.int32), names)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def kind(self) -> Kind:
        """Kind of the values."""
        if self.categories is not None:
            return "category"
        return "vector" if self.values.ndim == 2 else "number"

    @property
    def known(self) -> NDArray[np.bool_]:
        """Mask of the values that are known; bool [N]."""
        if self.categories is not None:
            flags: NDArray[np.bool_] = self.values >= 0
            return flags
        known: NDArray[np.bool_] = ~np.isnan(self.values)
        return known if known.ndim == 1 else np.logical_and.reduce(known, axis=1)

    def take(self, rows: NDArray[Any] | slice) -> FeatureColumn:
        """The values of some things; unknown where a row is -1."""
        if isinstance(rows, slice):
            return replace(self, values=self.values[rows])
        if not (rows < 0).any():
            return replace(self, values=self.values[rows])
        taken = self.values[np.maximum(rows, 0)] if len(self.values) else self._unknown(len(rows))
        taken = taken.copy()
        taken[rows < 0] = UNKNOWN if self.categories is not None else np.nan
        return replace(self, values=taken)

    def _unknown(self, length: int) -> NDArray[Any]:
        fill = UNKNOWN if self.categories is not None else np.nan
        return np.full((length, *self.values.shape[1:]), fill, dtype=self.values.dtype)

    def recoded(self, categories: tuple[str, ...]) -> FeatureColumn:
        """The same categories with the codes that they have in another list; unknown where it does not have one."""
        if self.categories is None or self.categories == categories:
            return self
        codes = {name: code for code, name in enumerate(categories)}
        # One more, at the end, where -1 points to.
        new = np.array([*(codes.get(name, UNKNOWN) for name in self.categories), UNKNOWN], dtype=np.int32)
        return FeatureColumn(new[self.values], categories)


def _numbers(array: NDArray[Any], name: str) -> NDArray[np.float32]:
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] == 0):
        raise SessionsError(f"feature {name!r} must be numbers [N] or vectors [N, D], got shape {array.shape}")
    if np.iscomplexobj(array):
        raise SessionsError(f"feature {name!r} must be real numbers, got {array.dtype}")
    with np.errstate(over="ignore"):
        stored = array.astype(np.float32)
    wrong = np.argwhere(np.isinf(stored))
    if len(wrong):
        place = tuple(wrong[0].tolist())
        raise SessionsError(f"feature {name!r} is {array[place]} at {place[0]}, expected a finite number of 32 bits")
    return stored


def _categories(values: list[Any], name: str) -> FeatureColumn:
    codes: dict[str, int] = {}
    coded = np.empty(len(values), dtype=np.int32)
    for place, value in enumerate(values):
        if value is None or value == "" or value != value:
            coded[place] = UNKNOWN
        elif isinstance(value, str):
            coded[place] = codes.setdefault(value, len(codes))
        else:
            raise SessionsError(f"feature {name!r} has {value!r} at {place}, expected a text, or None where unknown")
    return FeatureColumn(coded, tuple(codes))


Columns = Mapping[str, FeatureColumn]


@dataclass(frozen=True)
class SessionFeatures:
    """Features of sessions by what they are of; build them with :meth:`Sessions.with_features`, which checks them.

    Attributes:
        items: of the items of the catalogue: category, price, a vector of a text; n rows.
        entries: of the entries of the slates: price as shown, position; L rows.
        steps: of the steps, known before their clicks: time of day, device; T rows.
        events: of the other events: kind, seconds before the step's click; E rows.
        users: of the user of each session, as at that time; S rows.
    """

    items: Columns = field(default_factory=dict)
    entries: Columns = field(default_factory=dict)
    steps: Columns = field(default_factory=dict)
    events: Columns = field(default_factory=dict)
    users: Columns = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any(self.of(scope) for scope in SCOPES)

    def of(self, scope: Scope) -> Columns:
        """The features of one kind of thing, by name."""
        columns: Columns = getattr(self, scope)
        return columns

    def with_columns(self, scope: Scope, values: Mapping[str, Any], length: int) -> SessionFeatures:
        """These features and others of one kind of thing; those of the same name are replaced.

        Args:
            scope: kind of thing.
            values: see :meth:`FeatureColumn.of`, by name.
            length: number of the things.

        Raises:
            SessionsError: a name that is no text, or a column that is none or has another length.
        """
        columns = dict(self.of(scope))
        for name, value in values.items():
            if not isinstance(name, str) or not name:
                raise SessionsError(f"features of {scope} need texts as names, got {name!r}")
            column = FeatureColumn.of(value, name)
            if len(column) != length:
                raise SessionsError(f"feature {name!r} has {len(column)} values for {length} {scope}")
            columns[name] = column
        return replace(self, **{scope: columns})

    def taken(self, rows: Mapping[Scope, NDArray[Any]]) -> SessionFeatures:
        """The features of some of the things, by kind; all of the kinds that are not named."""
        changed = {
            scope: {name: column.take(chosen) for name, column in self.of(scope).items()}
            for scope, chosen in rows.items()
        }
        return replace(self, **changed)

    def labels(self) -> list[str]:
        """Scope, name and kind of each feature, as messages tell them."""
        return [
            f"{column.kind} {name!r} of {scope}" for scope in SCOPES for name, column in sorted(self.of(scope).items())
        ]

    @classmethod
    def joined(cls, parts: Sequence[SessionFeatures]) -> SessionFeatures:
        """Features of things behind each other, as far as all parts have them.

        Items are the same in all parts: each has what the first part says that knows it.

        Raises:
            SessionsError: a feature of another kind, or of vectors of another size, in another part.
        """
        joined: dict[Scope, dict[str, FeatureColumn]] = {}
        for scope in SCOPES:
            names = [name for name in parts[0].of(scope) if all(name in part.of(scope) for part in parts)]
            combine = _first_known if scope == "items" else _behind_each_other
            joined[scope] = {name: combine(name, [part.of(scope)[name] for part in parts]) for name in names}
        return cls(**joined)


def _of_one_kind(name: str, columns: Sequence[FeatureColumn]) -> list[FeatureColumn]:
    if len({(column.kind, column.values.shape[1:]) for column in columns}) > 1:
        kinds = ", ".join(f"{column.kind}{list(column.values.shape[1:]) or ''}" for column in columns)
        raise SessionsError(f"feature {name!r} is of another kind in each part: {kinds}")
    if columns[0].categories is None:
        return list(columns)
    categories = tuple(dict.fromkeys(one for column in columns for one in column.categories or ()))
    return [column.recoded(categories) for column in columns]


def _behind_each_other(name: str, columns: Sequence[FeatureColumn]) -> FeatureColumn:
    alike = _of_one_kind(name, columns)
    return replace(alike[0], values=np.concatenate([column.values for column in alike]))


def _first_known(name: str, columns: Sequence[FeatureColumn]) -> FeatureColumn:
    alike = _of_one_kind(name, columns)
    values = alike[0].values.copy()
    known = alike[0].known.copy()
    for column in alike[1:]:
        new = column.known & ~known
        values[new] = column.values[new]
        known |= new
    return replace(alike[0], values=values)


def places_in_slates(slate_offsets: IntArray) -> NDArray[np.int64]:
    """Place of each entry in its slate, from 0; [L]."""
    places: NDArray[np.int64] = np.arange(slate_offsets[-1]) - np.repeat(slate_offsets[:-1], np.diff(slate_offsets))
    return places
