"""The rule of slates: what an action may be, and what users see when it names an item twice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def check_slates(actions: Any, shape: tuple[int, ...], num_items: int) -> NDArray[np.int64]:
    """Actions as an array of item ids.

    Args:
        actions: what the agent chose.
        shape: [k] or [B, k].
        num_items: ids run from 0 to this number less one.

    Raises:
        ValueError: a wrong shape or type, or an id out of range, named with its place.
    """
    slates = np.asarray(actions)
    if slates.shape != shape:
        raise ValueError(f"a slate action must have shape {shape}, got {slates.shape}: {actions!r}")
    if not np.issubdtype(slates.dtype, np.integer):
        raise ValueError(f"a slate action must hold integers, got {slates.dtype}: {actions!r}")
    if slates.size and (slates.min() < 0 or slates.max() >= num_items):
        place = tuple(int(i) for i in np.argwhere((slates < 0) | (slates >= num_items))[0])
        raise ValueError(f"item ids run from 0 to {num_items - 1}, got {slates[place]} at {list(place)} of the action")
    return slates.astype(np.int64)


def distinct_slates(
    slates: NDArray[np.int64], duplicates: str, num_items: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """What users see: every slot that repeats an earlier item is filled with a random other item.

    Users always see k different items: they must click, so a shorter list of excellent items would beat every honest
    slate.

    Args:
        slates: item ids [B, k].
        duplicates: ``"replace"``, or ``"error"`` to refuse.
        num_items: size of the catalogue.
        rng: draws the other items, uniformly from those that are not in the slate.

    Returns:
        [B, k], different items in every row; the input itself where nothing repeats.

    Raises:
        ValueError: a repeated item with ``duplicates="error"``, named with its row.
    """
    ordered = np.sort(slates, axis=1)
    rows = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
    if len(rows) == 0:
        return slates
    if duplicates == "error":
        raise ValueError(f"the slate names an item more than once: {slates[rows[0]].tolist()}")
    repaired = slates.copy()
    repaired[rows] = _replace_repeats(slates[rows], num_items, rng)
    return repaired


def _replace_repeats(slates: NDArray[np.int64], num_items: int, rng: np.random.Generator) -> NDArray[np.int64]:
    size = slates.shape[1]
    order = np.argsort(slates, axis=1, kind="stable")
    in_order = np.take_along_axis(slates, order, axis=1)
    repeats = np.zeros(slates.shape, dtype=bool)
    # The stable order lists equal items by slot, so that every one but the first is a repeat of an earlier slot.
    np.put_along_axis(repeats, order[:, 1:], in_order[:, 1:] == in_order[:, :-1], axis=1)
    # Items taken so far, sorted; places still free hold num_items, which is beyond every item.
    taken = np.sort(np.where(repeats, num_items, slates), axis=1)
    repaired = slates.copy()
    for slot in range(1, size):
        rows = np.flatnonzero(repeats[:, slot])
        if len(rows) == 0:
            continue
        held = taken[rows]
        free = num_items - (held < num_items).sum(axis=1)
        # The number of a free item among the free ones; stepping over the taken ones below it gives its id.
        item = rng.integers(free)
        for place in range(size):
            item += held[:, place] <= item
        repaired[rows, slot] = item
        held[:, -1] = item
        taken[rows] = np.sort(held, axis=1)
    return repaired
