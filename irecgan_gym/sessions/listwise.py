"""Listwise features: what a practitioner computes of the entries of a list from the session before it.

Users of search results go on from what they touched last, and down the list from there. These features say so to
models that know nothing of it: which entries were touched, how long ago, and where an entry stands and what it costs
beside the item touched last and beside the list.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.sessions.features import places_in_slates
from irecgan_gym.sessions.logged_sessions import Sessions

Numbers = NDArray[np.float64]
_PAIRS_AT_ONCE = 2**20


class _Touches(NamedTuple):
    """Items that users touched, by clicks and other events; those of a session in the order of time.

    Attributes:
        items: int64 [U].
        is_click: bool [U].
        times: seconds, NaN where unknown; [U].
        offsets: first touch of each session, and U; int64 [S + 1].
        before_step: number of touches, of all sessions, that came before each step's click; int64 [T].
    """

    items: NDArray[np.int64]
    is_click: NDArray[np.bool_]
    times: Numbers
    offsets: NDArray[np.int64]
    before_step: NDArray[np.int64]


class _LastTouches(NamedTuple):
    """Knowledge of the items that a user has touched before steps, one row a pair of step and item.

    Attributes:
        keys: step times n plus item, ascending; int64 [P].
        ranks: other items touched since; int64 [P].
        counts: touches so far; int64 [P].
        clicks: those of them that were clicks; int64 [P].
        times: of the last touch; [P].
    """

    keys: NDArray[np.int64]
    ranks: NDArray[np.int64]
    counts: NDArray[np.int64]
    clicks: NDArray[np.int64]
    times: Numbers


def listwise_features(sessions: Sessions, *, price: str = "price") -> dict[str, NDArray[np.float32]]:
    """Return features of every entry of every list, by name; NaN where there is nothing to tell.

    Only what came before a step's click is used: the session's lists, clicks and other events so far, and the list.
    ``touched_rank`` is how many other items the user has touched since; ``touched_last`` marks the last one of all;
    names that end in ``_to_last`` compare an entry with that item's entry of the same list.

    Args:
        sessions: any; times, times of events (a feature ``seconds`` of events) and prices are used where known.
        price: name of the feature of entries that is a price.

    Returns:
        Float32 [L] each.
    """
    step, place = sessions.step_of_entry, places_in_slates(sessions.slate_offsets).astype(np.float64)
    touched = _last_touches(sessions, _touches(sessions))
    row = _rows_of(touched.keys, step * sessions.num_items + sessions.slate_items)
    is_touched = row >= 0
    rank = _where(is_touched, touched.ranks, row)
    last = rank == 0
    place_of_last = _of_step(sessions, place, last)[step]
    seen = is_touched.astype(np.float64)
    above = _running_sum(seen, sessions.slate_offsets)
    features = {
        "place": place,
        "list_length": sessions.slate_lengths[step].astype(np.float64),
        "step_of_session": (np.arange(sessions.num_steps) - np.repeat(sessions.offsets[:-1], sessions.lengths))[step],
        "touched_rank": rank,
        "touched_count": np.where(is_touched, _where(is_touched, touched.counts, row), 0.0),
        "clicked_count": np.where(is_touched, _where(is_touched, touched.clicks, row), 0.0),
        "touched_last": last.astype(np.float64),
        "touched_items": np.bincount(touched.keys // sessions.num_items, minlength=sessions.num_steps)[step],
        "place_of_last": place_of_last,
        "place_to_last": place - place_of_last,
        "touched_above": above - seen,
        "touched_below": np.add.reduceat(seen, sessions.slate_offsets[:-1])[step] - above if len(step) else seen,
        "touched_before": _neighbor(seen, place == 0, 1),
        "touched_behind": _neighbor(seen, place == sessions.slate_lengths[step] - 1, -1),
        "shown_count": _shown_before(sessions),
    }
    if sessions.times is not None:
        since = sessions.times[step] - _where(is_touched, touched.times, row)
        features["seconds_since_touched"] = since
        features["seconds_since_last"] = _of_step(sessions, since, last)[step]
    if price in sessions.features.entries and sessions.features.entries[price].kind == "number":
        features |= _price_features(sessions, sessions.features.entries[price].values.astype(np.float64), last, seen)
    return {name: column.astype(np.float32) for name, column in features.items()}


def with_listwise_features(sessions: Sessions, *, price: str = "price") -> Sessions:
    """The same sessions with :func:`listwise_features` among the features of their entries."""
    return sessions.with_features(entries=listwise_features(sessions, price=price))


def _price_features(
    sessions: Sessions, price: Numbers, last: NDArray[np.bool_], touched: Numbers
) -> dict[str, NDArray[np.floating]]:
    """Prices beside those of the list, of the item touched last and of all touched items of the list."""
    step, starts = sessions.step_of_entry, sessions.slate_offsets[:-1]
    known = ~np.isnan(price)
    filled = np.where(known, price, 0.0)

    def mean(weights: Numbers) -> Numbers:
        """Mean price of each list by some weights, NaN without any."""
        total = np.add.reduceat(weights, starts) if len(weights) else weights
        with np.errstate(invalid="ignore", divide="ignore"):
            result: Numbers = (np.add.reduceat(weights * filled, starts) if len(weights) else weights) / total
        return result

    # Ranks within lists: unknown prices stand last, and get none.
    order = np.lexsort((np.where(known, price, np.inf), step))
    ranks = np.empty(len(price))
    ranks[order] = places_in_slates(sessions.slate_offsets)
    lowest = np.minimum.reduceat(np.where(known, price, np.inf), starts)[step] if len(price) else price
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "price": price,
            "price_rank": np.where(known, ranks, np.nan),
            "price_share": np.where(known, ranks, np.nan) / sessions.slate_lengths[step],
            "price_to_list": price / mean(known.astype(np.float64))[step],
            "price_to_lowest": price / np.where(np.isinf(lowest), np.nan, lowest),
            "price_to_last": price / _of_step(sessions, price, last)[step],
            "price_to_touched": price / mean(touched * known)[step],
        }


def _touches(sessions: Sessions) -> _Touches:
    """All clicks and other events in the order of time."""
    num_steps = sessions.num_steps
    clicked = sessions.clicks < sessions.num_items
    step_time = np.full(num_steps, np.nan) if sessions.times is None else sessions.times
    if sessions.event_items is None or sessions.event_offsets is None:
        event_step = np.zeros(0, dtype=np.int64)
        event_items, event_time = event_step, np.zeros(0)
    else:
        event_step = np.repeat(np.arange(num_steps), np.diff(sessions.event_offsets))
        event_items = sessions.event_items.astype(np.int64)
        event_time = np.full(len(event_items), np.nan)
        seconds = sessions.features.events.get("seconds")
        if seconds is not None and seconds.kind == "number":
            event_time = step_time[event_step] - seconds.values
    steps = np.concatenate([event_step, np.flatnonzero(clicked)])
    # A step's events come before its click, and have their order already.
    is_click = np.arange(len(steps)) >= len(event_step)
    order = np.lexsort((is_click, steps))
    counts = np.bincount(event_step, minlength=num_steps)
    before = np.cumsum(counts) + np.cumsum(clicked) - clicked
    sizes = np.append(0, before + clicked)[np.append(0, sessions.offsets[1:])] if num_steps else np.zeros(1, np.int64)
    return _Touches(
        np.concatenate([event_items, sessions.clicks[clicked]])[order],
        is_click[order],
        np.concatenate([event_time, step_time[clicked]])[order],
        sizes.astype(np.int64),
        before.astype(np.int64),
    )


def _last_touches(sessions: Sessions, touches: _Touches) -> _LastTouches:
    """Return what is known of the items touched before each step, some steps at a time."""
    first = np.repeat(touches.offsets[:-1], sessions.lengths)
    lengths = touches.before_step - first
    ends = np.append(0, np.cumsum(lengths))
    parts, start = [], 0
    while start < sessions.num_steps:
        stop = max(start + 1, int(np.searchsorted(ends, ends[start] + _PAIRS_AT_ONCE, side="right")) - 1)
        parts.append(_last_touches_of(sessions, touches, first, lengths, start, stop))
        start = stop
    empty = np.zeros(0, dtype=np.int64)
    parts = parts or [_LastTouches(empty, empty, empty, empty, np.zeros(0))]
    return _LastTouches(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _last_touches_of(
    sessions: Sessions,
    touches: _Touches,
    first: NDArray[np.int64],
    lengths: NDArray[np.int64],
    start: int,
    stop: int,
) -> _LastTouches:
    """The same for the steps from ``start`` to below ``stop``."""
    counts = lengths[start:stop]
    ends = np.cumsum(counts)
    touch = np.arange(ends[-1] if len(ends) else 0) + np.repeat(first[start:stop] - ends + counts, counts)
    steps = np.repeat(np.arange(start, stop), counts)
    keys = steps * sessions.num_items + touches.items[touch]
    order = np.argsort(keys, kind="stable")  # The touches of an item stay in the order of time.
    keys, touch = keys[order], touch[order]
    begins = np.flatnonzero(np.diff(keys, prepend=-1))
    finish = np.append(begins[1:], len(keys))
    final = touch[finish - 1] if len(keys) else touch
    clicks = np.add.reduceat(touches.is_click[touch].astype(np.int64), begins) if len(keys) else begins
    # Of a step's items, those whose last touch is later come before.
    step_of_pair = keys[begins] // sessions.num_items
    by_time = np.lexsort((-final, step_of_pair))
    starts = np.flatnonzero(np.diff(step_of_pair[by_time], prepend=-1))
    ranks = np.empty(len(begins), dtype=np.int64)
    ranks[by_time] = np.arange(len(begins)) - np.repeat(starts, np.diff(starts, append=len(begins)))
    return _LastTouches(keys[begins], ranks, finish - begins, clicks, touches.times[final])


def _rows_of(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of each wanted key among ascending ones, -1 where it is not there."""
    if not len(keys):
        return np.full(len(wanted), -1)
    rows = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[rows] == wanted, rows, -1)


def _where(present: NDArray[np.bool_], values: NDArray[np.generic], rows: NDArray[np.int64]) -> Numbers:
    """Values at rows, NaN where there is none."""
    result = np.full(len(rows), np.nan)
    result[present] = values[rows[present]]
    return result


def _of_step(sessions: Sessions, values: Numbers, chosen: NDArray[np.bool_]) -> Numbers:
    """The value of the chosen entry of each step (there is one at most), NaN without one; [T]."""
    result = np.full(sessions.num_steps, np.nan)
    result[sessions.step_of_entry[chosen]] = values[chosen]
    return result


def _running_sum(values: Numbers, offsets: NDArray[np.integer]) -> Numbers:
    """Sum of each list's values up to and with each entry."""
    total = np.append(0.0, np.cumsum(values))
    result: Numbers = total[1:] - np.repeat(total[offsets[:-1]], np.diff(offsets))
    return result


def _neighbor(values: Numbers, at_edge: NDArray[np.bool_], shift: int) -> Numbers:
    """Value of the entry before (shift 1) or behind (-1), 0 at the edge of the list."""
    return np.where(at_edge, 0.0, np.roll(values, shift))


def _shown_before(sessions: Sessions) -> Numbers:
    """Return how many earlier lists of the session have shown each entry's item."""
    session = sessions.session_of_step[sessions.step_of_entry]
    order = np.lexsort((np.arange(len(session)), sessions.slate_items, session))
    key_changes = (np.diff(session[order], prepend=-1) != 0) | (np.diff(sessions.slate_items[order], prepend=-1) != 0)
    starts = np.flatnonzero(key_changes)
    counts = np.empty(len(session))
    counts[order] = np.arange(len(session)) - np.repeat(starts, np.diff(starts, append=len(session)))
    return counts
