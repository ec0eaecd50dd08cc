"""Requests for slates other than the policy's own: of another size, or without some items."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Exclude = Collection[int] | Sequence[Collection[int]] | NDArray[Any]
"""Items that must not be shown: for one session a collection of ids, or bool [n]; for B sessions B of them."""


class SlateChoice(NamedTuple):
    """Slates, and how probable they were.

    Attributes:
        slates: int64 [B, k], or [k] for a single observation.
        log_probabilities: log-probability that a slate begins with the first l items, for l = 1..k; 0 where the policy
            shows the very same slate every time, NaN where it cannot say; float64, in the shape of the slates.
        state: for the next call.
    """

    slates: NDArray[np.int64]
    log_probabilities: NDArray[np.float64]
    state: Any


@dataclass(frozen=True)
class SlateRequest:
    """Size of the slates of B sessions, and items that must not be in them, checked.

    Attributes:
        size: items of a slate, k.
        excluded: ascending ids that must not be shown, an array for each session; None where nothing is excluded.
    """

    size: int
    excluded: list[NDArray[np.int64]] | None

    @classmethod
    def checked(
        cls, k: int | None, exclude: Exclude | None, *, number: int | None, num_items: int, slate_size: int
    ) -> SlateRequest:
        """Check what a caller asks for.

        Args:
            k: items of a slate; ``slate_size`` when None.
            exclude: see :data:`Exclude`; nothing when None.
            number: sessions, B; None for a single one whose ``exclude`` is one collection.
            num_items: size of the catalogue, n.
            slate_size: the policy's own k.

        Raises:
            ValueError: a size that the catalogue does not have, items that are none of it, not one collection a
                session, or fewer items left than are to be shown; the message names the session.
        """
        size = slate_size if k is None else k
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or not 1 <= size <= num_items:
            raise ValueError(f"k must be an integer from 1 to num_items={num_items}, got {k!r}")
        if exclude is None:
            return cls(int(size), None)
        rows: Sequence[Any]
        if number is None:
            rows = [exclude]
        else:
            if isinstance(exclude, (str, bytes, set, frozenset)) or len(exclude) != number:
                raise ValueError(f"exclude must hold one collection of item ids for each of {number} sessions")
            rows = exclude  # type: ignore[assignment]
        excluded = [_ids(row, session, num_items) for session, row in enumerate(rows)]
        for session, items in enumerate(excluded):
            if num_items - len(items) < size:
                raise ValueError(
                    f"exclude[{session}] leaves {num_items - len(items)} of {num_items} items, fewer than the {size} "
                    "to be shown"
                )
        return cls(int(size), excluded if any(len(items) for items in excluded) else None)


def _ids(row: Any, session: int, num_items: int) -> NDArray[np.int64]:
    """Different ids, ascending."""
    items = np.asarray(list(row) if isinstance(row, (set, frozenset)) else row)
    if items.dtype == np.bool_ and items.shape == (num_items,):
        return np.flatnonzero(items)
    if items.size == 0 and items.ndim == 1:
        return np.zeros(0, dtype=np.int64)
    if items.ndim != 1 or not np.issubdtype(items.dtype, np.integer):
        raise ValueError(f"exclude[{session}] must be a collection of item ids or bool [{num_items}], got {row!r}")
    wrong = items[(items < 0) | (items >= num_items)]
    if len(wrong):
        raise ValueError(f"exclude[{session}] holds {wrong[0]}, expected item ids from 0 to {num_items - 1}")
    return np.unique(items).astype(np.int64)
