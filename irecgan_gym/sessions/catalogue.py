"""The catalogue: which items there are, by number and by name, so that a number means the same item everywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.sessions.checks import check_names
from irecgan_gym.sessions.features import FeatureColumn, SessionFeatures

_SHOWN = 3
"""Names that a message shows."""


class CatalogueError(ValueError):
    """Data over one catalogue where another one is known; the message names both."""


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Items 0..n-1, their names and their features where they are known.

    Simulated items have no names: their catalogue is only a size. Build catalogues of named items by :meth:`of`, which
    checks the names; the plain constructor trusts its arguments.

    Attributes:
        num_items: size of the catalogue, n.
        names: item i is called ``names[i]``; None for items without names.
        features: what is known of the items, by name. It takes no part in comparisons: prices change, items stay.
    """

    num_items: int
    names: tuple[str, ...] | None = None
    features: Mapping[str, FeatureColumn] = field(default_factory=dict)

    @classmethod
    def of(cls, names: Iterable[str]) -> Catalogue:
        """Catalogue of named items, in the order given.

        Raises:
            SessionsError: no name, names that are no texts, or a name that is there twice.
        """
        listed = list(names)
        return cls(len(listed), check_names(listed, len(listed)))

    def __len__(self) -> int:
        return self.num_items

    @cached_property
    def digest(self) -> str | None:
        """Short number of the names and their order, 16 hexadecimal digits; None for items without names."""
        if self.names is None:
            return None
        digest = hashlib.sha256()
        for name in self.names:
            text = name.encode(errors="surrogatepass")
            digest.update(len(text).to_bytes(8, "little"))
            digest.update(text)
        return digest.hexdigest()[:16]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Number of each name; empty for items without names."""
        return {name: number for number, name in enumerate(self.names or ())}

    def __repr__(self) -> str:
        return f"Catalogue({self})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Catalogue:
        """Itself: it never changes, and copies of models need no second list of names."""
        return self

    def __str__(self) -> str:
        named = "without names" if self.names is None else f"digest {self.digest}"
        return f"{self.num_items} items, {named}"

    def agrees_with(self, other: Catalogue) -> bool:
        """Tell whether a number may mean the same item in both: equal sizes, and equal names where both have names."""
        if self.num_items != other.num_items:
            return False
        return self.names is None or other.names is None or self.names is other.names or self.names == other.names

    def check_agrees(self, other: Catalogue, this: str, that: str) -> None:
        """Refuse another catalogue.

        Args:
            other: the catalogue of what came in.
            this: what has this catalogue, such as ``"the policy"``.
            that: what has the other one, such as ``"the sessions"``, in the plural.

        Raises:
            CatalogueError: they do not agree; the message names sizes and digests of both, and the first difference.
        """
        if not self.agrees_with(other):
            verb = "have" if that.endswith("s") else "has"
            raise CatalogueError(
                f"{that} {verb} {other.num_items} items, {this} {self.num_items}: catalogues of other items"
                f"{_difference(other, self, that, this)}"
            )

    def joined(self, other: Catalogue) -> Catalogue:
        """This catalogue, with the names of one that agrees with it where this one has none."""
        return other if self.names is None else self

    def extended(self, names: Iterable[str]) -> Catalogue:
        """Catalogue of these items and, behind them, those of other names that it does not have yet.

        Raises:
            CatalogueError: these items have no names.
        """
        if self.names is None:
            raise CatalogueError(f"a catalogue of {self} cannot be extended by names")
        known = self.numbers
        new = [name for name in dict.fromkeys(names) if name not in known]
        if not new:
            return self
        rows = np.append(np.arange(self.num_items), np.full(len(new), -1))
        features = {name: column.take(rows) for name, column in self.features.items()}
        return replace(Catalogue.of([*self.names, *new]), features=features)

    def with_features(self, features: Mapping[str, Any]) -> Catalogue:
        """These items with features beside those that they have; those of the same name are replaced.

        Args:
            features: by name, a value for each item: numbers, texts or vectors, see ``Sessions.with_features``.

        Raises:
            SessionsError: values of another type, or more or fewer than there are items.
        """
        merged = SessionFeatures(items=self.features).with_columns("items", features, self.num_items)
        return replace(self, features=merged.items)

    def positions(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Number of each of some names, -1 for a name that no item has; [N]."""
        numbers = self.numbers
        return np.fromiter((numbers.get(name, -1) for name in names), dtype=np.int64, count=len(names))


def catalogue_of(source: Any) -> Catalogue:
    """The catalogue of an env, a policy or a model: its own word, or one of ``num_items`` items without names."""
    own = getattr(source, "catalogue", None)
    return own if isinstance(own, Catalogue) else Catalogue(int(source.num_items))


def _difference(one: Catalogue, other: Catalogue, this: str, that: str) -> str:
    """Tell two catalogues apart by name, as the end of a sentence; empty where one has no names."""
    if one.names is None or other.names is None:
        return ""
    digests = f" (digests {one.digest} and {other.digest})"
    pairs = zip(one.names, other.names, strict=False)
    first = next((number for number, (name, twin) in enumerate(pairs) if name != twin), None)
    parts = []
    if first is not None:
        parts.append(f"item {first} is {one.names[first]!r} in {this}, {other.names[first]!r} in {that}")
    for catalogue, reference, place in ((one, other, this), (other, one, that)):
        only = [name for name in catalogue.names or () if name not in reference.numbers]
        if only:
            listed = ", ".join(map(repr, only[:_SHOWN])) + (", ..." if len(only) > _SHOWN else "")
            parts.append(f"{len(only)} only in {place}: {listed}")
    return f"{digests}: {'; '.join(parts)}"
