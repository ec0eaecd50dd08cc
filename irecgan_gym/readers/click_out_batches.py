"""Rows of the RecSys Challenge's file, many at a time: which of them are plain, and what those hold."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from irecgan_gym.sessions.ragged import gather, rows_with_repeats

_WHOLE = "^[0-9]{1,18}$"
_LIST = r"^[0-9]+(\|[0-9]+)*$"
_PRICES = r"^[0-9]{1,9}(\.[0-9]{1,9})?(\|[0-9]{1,9}(\.[0-9]{1,9})?)*$"
OTHER, CLICK, TOUCH, NO_ITEM = range(4)
"""Kinds of rows: actions that concern no hotel, click-outs, interactions with a hotel, and with none."""


class PlainClickOuts(NamedTuple):
    """R rows of a batch; what is said of rows that are not plain means nothing.

    Attributes:
        plain: whether the row is sound, and so are all others of its session in this batch; bool [R].
        session: number of the row's session among ``session_names``; int64 [R].
        session_names: Arrow strings.
        user: number of the row's user among ``user_names``; int64 [R].
        user_names: Arrow strings.
        time: int64 [R].
        step: int64 [R].
        kind: OTHER, CLICK, TOUCH or NO_ITEM; int8 [R].
        action: number of the row's action among ``action_names``; int64 [R].
        action_names: Arrow strings.
        offsets: first item of each row: those of a click-out's list, the one that is touched, or none; int64 [R + 1].
        items: numbers among ``item_names``, of all rows one behind the other.
        item_names: Arrow strings.
        clicked: the item of a click-out that was clicked, as a number among ``item_names``; int64 [R].
        priced: whether the row is a click-out with a price for each item of its list; others tell of none; bool [R].
        prices: of all ``items``, NaN where there is none; float32.
        context: for each column that tells of steps its texts as numbers, -1 where there is none, int64 [R], and the
            different texts, Arrow strings.
    """

    plain: NDArray[np.bool_]
    session: NDArray[np.int64]
    session_names: Any
    user: NDArray[np.int64]
    user_names: Any
    time: NDArray[np.int64]
    step: NDArray[np.int64]
    kind: NDArray[np.int8]
    action: NDArray[np.int64]
    action_names: Any
    offsets: NDArray[np.int64]
    items: NDArray[np.int64]
    item_names: Any
    clicked: NDArray[np.int64]
    priced: NDArray[np.bool_]
    prices: NDArray[np.float32]
    context: dict[str, tuple[NDArray[np.int64], Any]]

    def without(self, sessions: NDArray[np.bool_]) -> PlainClickOuts:
        """Return the same with the rows of some of its sessions not plain."""
        return self._replace(plain=self.plain & ~np.append(sessions, True)[self.session])

    def stretches(self, rows: slice) -> Iterator[tuple[int, int]]:
        """Yield the first row and the one behind the last of stretches that are all plain, or all not."""
        borders = np.flatnonzero(np.diff(self.plain[rows])) + 1 + rows.start
        yield from ((a, b) for a, b in pairwise([rows.start, *borders.tolist(), rows.stop]) if a < b)


def plain_click_outs(cells: Any, click: str, interactions: Collection[str], context: Collection[str]) -> PlainClickOuts:
    """Take the cells of a batch apart.

    Args:
        cells: Arrow record batch with the challenge's columns.
        click: the action of a click-out.
        interactions: the actions that concern a hotel.
        context: columns that tell of steps.
    """
    column = {name: cells.column(name) for name in cells.schema.names}
    session, session_names = _codes(column["session_id"])
    user, user_names = _codes(column["user_id"])
    action, action_names = _codes(pc.fill_null(column["action_type"], ""))
    (time, good_time), (step, good_step) = (_whole(column[name]) for name in ("timestamp", "step"))
    plain = (session >= 0) & (user >= 0) & good_time & good_step
    kinds = [CLICK if name == click else TOUCH if name in interactions else OTHER for name in action_names.to_pylist()]
    kind = np.array([*kinds, OTHER], dtype=np.int8)[action]
    reference = pc.fill_null(column["reference"], "")
    touching = np.flatnonzero(kind == TOUCH)
    has_item = _flags(pc.match_substring_regex(reference.take(pa.array(touching)), _WHOLE))
    kind[touching[~has_item]] = NO_ITEM
    touching, clicking = touching[has_item], np.flatnonzero(kind == CLICK)
    # Lists that are no lists of hotels are no plain ones: their items do not count.
    lists = pc.fill_null(column["impressions"].take(pa.array(clicking)), "")
    is_list = _flags(pc.match_substring_regex(lists, _LIST))
    plain[clicking[~is_list]] = False
    split = pc.split_pattern(pc.if_else(pa.array(is_list), lists, ""), "|")
    lengths = np.zeros(len(plain), dtype=np.int64)
    lengths[touching] = 1
    lengths[clicking] = pc.list_value_length(split).to_numpy(zero_copy_only=False)
    offsets = np.append(0, np.cumsum(lengths))
    shown = pc.list_flatten(split)
    texts = [reference.take(pa.array(touching)), shown, reference.take(pa.array(clicking))]
    codes, item_names = _codes(pa.concat_arrays(texts))
    of_touch, of_list, of_click = np.split(codes, np.cumsum([len(touching), len(shown)]))
    items, clicked = np.empty(len(touching) + len(shown), dtype=np.int64), np.full(len(plain), -1)
    items[offsets[touching]] = of_touch
    items[gather(offsets, clicking)[0]] = of_list
    clicked[clicking] = of_click
    prices, priced = np.full(len(items), np.nan, dtype=np.float32), np.zeros(len(plain), dtype=bool)
    of_lists, priced[clicking], sound = _prices(column["prices"].take(pa.array(clicking)), lengths[clicking])
    plain[clicking[~sound]] = False
    prices[gather(offsets, np.flatnonzero(priced))[0]] = of_lists
    row_of_item = np.repeat(np.arange(len(plain)), lengths)
    found = kind != CLICK
    found[row_of_item[items == clicked[row_of_item]]] = True
    plain &= found
    plain[rows_with_repeats(offsets, items)] = False
    plain = _of_sound_sessions(plain, session, user, time, step)
    return PlainClickOuts(
        plain, session, session_names, user, user_names, time, step, kind, action, action_names, offsets, items,
        item_names, clicked, priced, prices, {name: _codes(column[name]) for name in context},
    )  # fmt: skip


def _of_sound_sessions(
    plain: NDArray[np.bool_],
    session: NDArray[np.int64],
    user: NDArray[np.int64],
    time: NDArray[np.int64],
    step: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """The plain rows of sessions all of whose rows are plain, of one user, and in order."""
    order = by_session(session)
    goes_on = np.flatnonzero(session[order][1:] == session[order][:-1])
    before, now = order[goes_on], order[goes_on + 1]
    in_order = (step[now] > step[before]) & (time[now] >= time[before]) & (user[now] == user[before])
    unsound = np.zeros(int(session.max(initial=-1)) + 2, dtype=bool)  # The last entry is that of rows without one.
    unsound[session[~plain]] = True
    unsound[session[now[~in_order]]] = True
    unsound[-1] = True
    return ~unsound[session]


def by_session(session: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows in the order of their sessions, those of one session as they come."""
    return np.arange(len(session)) if (np.diff(session) >= 0).all() else np.argsort(session, kind="stable")


def next_click(rows: PlainClickOuts, first: int, last: int) -> NDArray[np.int64]:
    """Return the click-out of the same session that comes next after each row, or is it; -1 where none does.

    Args:
        rows: of a batch.
        first: the first row of a stretch.
        last: the row behind its last one.

    Returns:
        Numbers of rows within the stretch, int64 [last - first].
    """
    session, is_click = rows.session[first:last], rows.kind[first:last] == CLICK
    order = by_session(session)
    places = np.arange(len(order))
    following = np.minimum.accumulate(np.where(is_click[order], places, len(order))[::-1])[::-1]
    found = order[following.clip(max=len(order) - 1)]
    found = np.where((following < len(order)) & (session[found] == session[order]), found, -1)
    result = np.empty(len(order), dtype=np.int64)
    result[order] = found
    return result


def _prices(texts: Any, lengths: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Prices of lists: those of all that have one for each item, which these are, and which are sound.

    Lists without any price are sound too. What is neither may still hold some, which rows read one by one tell.

    Args:
        texts: prices joined by ``|``, Arrow strings [C].
        lengths: items of each list, [C].
    """
    some = _flags(pc.is_valid(texts))
    plain = _flags(pc.fill_null(pc.match_substring_regex(texts, _PRICES), False))
    split = pc.split_pattern(pc.if_else(pa.array(plain), texts, ""), "|")
    priced = plain & (pc.list_value_length(split).to_numpy(zero_copy_only=False) == lengths)
    cells = pc.list_flatten(split.filter(pa.array(priced)))
    # Through 64 bits, as Python's own numbers go into an array of 32.
    values: NDArray[np.float64] = cells.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values.astype(np.float32), priced, priced | ~some


def _codes(column: Any) -> tuple[NDArray[np.int64], Any]:
    """Texts as numbers in the order in which they first come, -1 where there is none, and the different texts."""
    encoded = pc.dictionary_encode(column)
    codes = pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    return codes, encoded.dictionary


def _whole(column: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Whole numbers of texts of digits, and which texts are such."""
    good = pc.fill_null(pc.match_substring_regex(column, _WHOLE), False)
    numbers = pc.if_else(good, column, "0").cast(pa.int64())
    return numbers.to_numpy(zero_copy_only=False), _flags(good)


def _flags(array: Any) -> NDArray[np.bool_]:
    flags: NDArray[np.bool_] = array.to_numpy(zero_copy_only=False).astype(bool)
    return flags
