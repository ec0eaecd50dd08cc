"""The rule of slates: what an action may be, and what users see when it names an item twice."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.kernels import loading
from irecgan_gym.settings import shown

Slates = NDArray[np.int64]

_FEW_ITEMS = 512


def check_slates(actions: Any, shape: tuple[int, ...], num_items: int) -> Slates:
    """Actions as a contiguous array of item ids, which may be the caller's own.

    Args:
        actions: what the agent chose.
        shape: [k] or [B, k].
        num_items: ids run from 0 to this number less one.

    Raises:
        ValueError: a wrong shape or type, or an id out of range, named with its place.
    """
    slates = np.asarray(actions)
    if slates.shape != shape:
        raise ValueError(f"a slate action must have shape {shape}, got {slates.shape}: {shown(actions)}")
    if slates.dtype.kind not in "iu":
        raise ValueError(f"a slate action must hold integers, got {slates.dtype}: {shown(actions)}")
    if slates.dtype == np.uint64 and slates.size:
        # Numbers that int64 cannot hold are out of range, and must stay so.
        slates = np.minimum(slates, np.uint64(num_items))
    ids: Slates = np.ascontiguousarray(slates, dtype=np.int64)
    if not (ids.flags.writeable and ids.flags.aligned):
        # Kernels are compiled for the usual kind of array only.
        ids = ids.copy()
    place = _first_invalid(ids, num_items)
    if place >= 0:
        index = [int(i) for i in np.unravel_index(place, shape)]
        value = np.asarray(actions)[tuple(index)]
        raise ValueError(f"item ids run from 0 to {num_items - 1}, got {value} at {index} of the action")
    return ids


def distinct_slates(slates: Slates, duplicates: str, num_items: int, rng: np.random.Generator) -> Slates:
    """Return the slates that users see: every slot that repeats an earlier item is filled with a random other item.

    Users always see k different items: they must click, so a shorter list of excellent items would beat every honest
    slate.

    Args:
        slates: item ids [B, k].
        duplicates: ``"replace"``, or ``"error"`` to refuse.
        num_items: size of the catalogue.
        rng: draws the other items, uniformly from those that are not in the slate: one number for each such slot, row
            by row and slot by slot.

    Returns:
        [B, k], different items in every row; the input itself where nothing repeats.

    Raises:
        ValueError: a repeated item with ``duplicates="error"``, named with its row.
    """
    kernels = loading.load_kernels()
    counts = count_repeats(slates, num_items) if kernels is None else kernels.count_repeats(slates, num_items)
    rows = np.flatnonzero(counts)
    if len(rows) == 0:
        return slates
    if duplicates == "error":
        raise_repeated(slates[rows[0]].tolist())
    repaired = slates.copy()
    draws = rng.random(int(counts.sum()))
    if kernels is None:
        repaired[rows] = replace_repeats(slates[rows], draws, num_items)
    else:
        kernels.replace_repeats(repaired, rows, draws, num_items)
    return repaired


def fill_repeats(slate: list[int], unseen: set[int], draws: list[float], num_items: int) -> list[int]:
    """Do what :func:`distinct_slates` does for one slate, in place.

    Args:
        slate: item ids, [k].
        unseen: the different items of the slate; emptied of those that are met.
        draws: from U[0, 1), one for each slot that repeats an earlier one.
        num_items: size of the catalogue.

    Returns:
        The slots that were filled.
    """
    taken, filled = sorted(unseen), []
    slot = 0
    for draw in draws:
        while slate[slot] in unseen:
            unseen.remove(slate[slot])
            slot += 1
        # The number of a free item among the free ones; stepping over the taken ones below it gives its id.
        item = number = int(draw * (num_items - len(taken)))
        while item != number + (below := bisect_right(taken, item)):
            item = number + below
        taken.insert(below, item)
        slate[slot] = item
        filled.append(slot)
        slot += 1
    return filled


def raise_repeated(slate: list[int]) -> NoReturn:
    """Refuse a slate that names an item more than once."""
    raise ValueError(f"the slate names an item more than once: {slate}")


def count_repeats(slates: Slates, num_items: int) -> NDArray[np.int64]:
    """Number of slots in each row that repeat an earlier one, [B]; NumPy's version of the kernel of this name."""
    number, size = slates.shape
    if num_items <= _FEW_ITEMS:
        # One place for each item of each row: quick to tell that nothing repeats, the usual case.
        shown = np.zeros(number * num_items, dtype=np.bool_)
        shown[(slates + (np.arange(number) * num_items)[:, None]).reshape(-1)] = True
        if np.count_nonzero(shown) == number * size:
            return np.zeros(number, dtype=np.int64)
    ordered = np.sort(slates, axis=1)
    counts: NDArray[np.int64] = (ordered[:, 1:] == ordered[:, :-1]).sum(axis=1)
    return counts


def replace_repeats(slates: Slates, draws: NDArray[np.float64], num_items: int) -> Slates:
    """Slates without repeats; NumPy's version of the kernel of this name.

    Args:
        slates: item ids [B, k].
        draws: from U[0, 1), one for each slot that repeats an earlier one, row by row, slot by slot.
        num_items: size of the catalogue.
    """
    order = np.argsort(slates, axis=1, kind="stable")
    in_order = np.take_along_axis(slates, order, axis=1)
    repeats = np.zeros(slates.shape, dtype=bool)
    # The stable order lists equal items by slot, so that every one but the first is a repeat of an earlier slot.
    np.put_along_axis(repeats, order[:, 1:], in_order[:, 1:] == in_order[:, :-1], axis=1)
    # Places still free hold num_items, which is beyond every item.
    repaired = np.where(repeats, num_items, slates)
    draw_of_slot = np.zeros(slates.shape)
    draw_of_slot[repeats] = draws
    for slot in range(1, slates.shape[1]):
        rows = np.flatnonzero(repeats[:, slot])
        if len(rows) == 0:
            continue
        taken = repaired[rows]
        free = num_items - (taken < num_items).sum(axis=1)
        # The number of a free item among the free ones; stepping over the taken ones below it gives its id.
        number = (draw_of_slot[rows, slot] * free).astype(np.int64)
        item, stepped_over = number, None
        while stepped_over is None or (item != stepped_over).any():
            stepped_over, item = item, number + (taken <= item[:, None]).sum(axis=1)
        repaired[rows, slot] = item
    return repaired


def _first_invalid(ids: Slates, num_items: int) -> int:
    """Place of the first id out of range in the flat array, -1 if there is none."""
    kernels = loading.load_kernels()
    if kernels is not None:
        place: int = kernels.first_invalid(ids.reshape(-1), num_items)
        return place
    # Negative ids are huge unsigned numbers.
    if ids.size == 0 or ids.view(np.uint64).max() < num_items:
        return -1
    return int(np.flatnonzero((ids.reshape(-1) < 0) | (ids.reshape(-1) >= num_items))[0])
