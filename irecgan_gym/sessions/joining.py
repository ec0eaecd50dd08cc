"""Sessions of several logs behind each other, items and users found again by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from irecgan_gym.sessions.catalogue import Catalogue
from irecgan_gym.sessions.checks import IntArray
from irecgan_gym.sessions.features import SessionFeatures
from irecgan_gym.sessions.labels import joined_labels
from irecgan_gym.sessions.logged_sessions import Sessions
from irecgan_gym.sessions.slate_propensities import SlatePropensities


def concatenate(parts: Sequence[Sessions]) -> Sessions:
    """Put sessions behind each other.

    Items of the same name are the same item. The catalogue is that of the first part, and behind it the items that it
    lacks; items without names (or beside a part that has them) are the same by number, and their catalogues must be of
    one size. Users of the same name are the same user, and where no part names them, users of the same number.

    A column, feature or label that is missing in any part is missing in the result; of an item, each feature is that of
    the first part that knows it; the provenance is that of the first part.

    Raises:
        ValueError: no part at all, catalogues of different sizes without names, or users with and without names.
    """
    if not parts:
        raise ValueError("concatenate needs at least one part")
    parts = _over_one_catalogue(parts)
    users, user_names = _joined_users(parts)

    def joined(name: str) -> Any:
        columns = [getattr(part, name) for part in parts]
        return None if any(column is None for column in columns) else np.concatenate(columns)

    def joined_offsets(name: str) -> Any:
        columns = [getattr(part, name) for part in parts]
        if any(column is None for column in columns):
            return None
        return np.concatenate([[0], np.cumsum(np.concatenate([np.diff(column) for column in columns]))])

    of_slates = [part.slate_propensities for part in parts if part.slate_propensities is not None]
    names = ("slate_items", "clicks", "rewards", "truncated", "propensities", "states", "event_items", "times")
    return replace(
        parts[0],
        users=users,
        user_names=user_names,
        features=SessionFeatures.joined([part.features for part in parts]),
        labels=joined_labels([part.labels for part in parts]),
        slate_propensities=SlatePropensities.concatenate(of_slates) if len(of_slates) == len(parts) else None,
        **{name: joined(name) for name in names},
        **{name: joined_offsets(name) for name in ("offsets", "slate_offsets", "event_offsets")},
    )


def _over_one_catalogue(parts: Sequence[Sessions]) -> list[Sessions]:
    """The parts with one numbering of the items."""
    named = [part.item_names for part in parts if part.item_names is not None]
    if named and len(named) == len(parts) and any(names != named[0] for names in named):
        catalogue = Catalogue(len(named[0]), named[0])
        for names in named[1:]:
            catalogue = catalogue.extended(names)
        return [part.reindexed(catalogue) for part in parts]
    sizes = {part.num_items for part in parts}
    if len(sizes) > 1:
        raise ValueError(f"the parts have catalogues of different sizes: {sorted(sizes)}, and not all have names")
    if any(names != named[0] for names in named):
        raise ValueError("the parts have catalogues of different names, and some have none: one number for two items")
    return [replace(parts[0], item_names=named[0] if named else None), *parts[1:]]


def _joined_users(parts: Sequence[Sessions]) -> tuple[IntArray | None, tuple[str, ...] | None]:
    """The users of all sessions, and their names."""
    columns = [part.users for part in parts if part.users is not None]
    if len(columns) < len(parts):
        return None, None
    named = [part.user_names for part in parts if part.user_names is not None]
    if not named or (all(names == named[0] for names in named) and len(named) == len(parts)):
        return np.concatenate(columns), named[0] if named else None
    if len(named) < len(parts):
        raise ValueError(
            "some parts name their users and others only number them: it cannot be told who is the same "
            "(replace(part, users=None) leaves the numbers out)"
        )
    numbers: dict[str, int] = {}
    joined = []
    for users, names in zip(columns, named, strict=True):
        # One entry more, at the end, where -1 points to: somebody without a name.
        new = np.array([*(numbers.setdefault(name, len(numbers)) for name in names), -1], dtype=np.int64)
        joined.append(new[users])
    return np.concatenate(joined), tuple(numbers)
