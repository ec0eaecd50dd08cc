"""The steps that a batch of rows holds, as far as its cells are plain: all at once, without a loop over rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from irecgan_gym.readers.arrow_cells import (
    Lists,
    Names,
    is_list,
    lists_of,
    names_of,
    numbers_of,
    times_of,
    without_texts,
)
from irecgan_gym.readers.table_cells import CellRules
from irecgan_gym.sessions.ragged import rows_with_repeats

_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_LARGEST = float(np.finfo(np.float32).max)


class PlainSteps(NamedTuple):
    """Steps of R rows; those of rows that are not plain mean nothing.

    Attributes:
        plain: whether a row holds a step for sure; the others must be looked at one by one; bool [R].
        session: names of the sessions.
        user: names of the users, -1 where empty; None without such a column.
        slate: the items shown.
        offsets: first entry of each slate, and the number of entries; int64 [R + 1].
        click: the clicked item, as a code of ``slate``, -1 where there is no click; int64 [R].
        reward: float64 [R].
        propensity: NaN where unknown; float64 [R].
        time: float64 [R].
    """

    plain: NDArray[np.bool_]
    session: Names
    user: Names | None
    slate: Lists
    offsets: NDArray[np.int64]
    click: NDArray[np.int64]
    reward: NDArray[np.float64]
    propensity: NDArray[np.float64]
    time: NDArray[np.float64]


def without_nulls(cells: Any, names: Mapping[str, str], rules: CellRules, items: tuple[str, ...]) -> Any:
    """Return the cells with none where a text says that there is none, and dates and times as seconds since 1970.

    Args:
        cells: Arrow record batch.
        names: of its columns, by what they mean.
        rules: what cells may say.
        items: meanings of the columns that stay as they are: their texts may be names of items.
    """
    columns = dict(zip(cells.schema.names, cells.columns, strict=True))
    kept = {names[meaning] for meaning in items if meaning in names}
    for meaning, name in names.items():
        if name not in kept:
            columns[name] = _without_nulls(columns[name], rules.null_values)
        if meaning == "time" and pa.types.is_temporal(columns[name].type) and list(names.values()).count(name) == 1:
            columns[name] = _seconds(columns[name])
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _without_nulls(column: Any, null_values: tuple[str, ...]) -> Any:
    kind = column.type
    if str(kind) == "string_view" or (pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type)):
        column, kind = column.cast(pa.string()), pa.string()
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return column
    return without_texts(column, null_values)


def _seconds(column: Any) -> Any:
    """Dates, and dates with times, as seconds since 1970 (UTC)."""
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        return column
    unit = "us" if pa.types.is_date(column.type) else column.type.unit
    moments = column.cast(pa.timestamp(unit)).cast(pa.int64())
    numbers = moments.to_numpy(zero_copy_only=False).astype(np.float64) / _UNITS[unit]
    return pa.array(numbers, mask=column.is_null().to_numpy(zero_copy_only=False))


def _without_padding(slate: Lists, padding: tuple[str, ...]) -> Lists:
    """Lists without what fills them up at either end."""
    codes, lengths = slate.items.codes, slate.lengths.clip(min=0)
    fills = codes < 0
    if padding:
        named = np.append(_flags(pc.is_in(slate.items.names, value_set=pa.array(padding, pa.string()))), True)
        fills = named[codes]
    if not fills.any():
        return slate
    row = np.repeat(np.arange(len(lengths)), lengths)
    places = np.arange(len(codes))
    first, last = np.full(len(lengths), len(codes)), np.full(len(lengths), -1)
    np.minimum.at(first, row[~fills], places[~fills])
    np.maximum.at(last, row[~fills], places[~fills])
    kept = (places >= first[row]) & (places <= last[row])
    # What stands between items is no filling: a row with it is looked at alone, and told.
    codes = np.where(fills, -1, codes)[kept]
    new_lengths = np.where(slate.lengths < 0, -1, np.bincount(row[kept], minlength=len(lengths)))
    return Lists(new_lengths, Names(codes, slate.items.names))


def _flags(array: Any) -> NDArray[np.bool_]:
    flags: NDArray[np.bool_] = array.to_numpy(zero_copy_only=False)
    return flags.astype(bool)


def plain_steps(cells: Any, names: Mapping[str, str], rules: CellRules) -> PlainSteps:
    """Take the cells of a batch apart.

    Args:
        cells: Arrow record batch.
        names: of its columns, by what they mean.
        rules: what cells may say.
    """
    column = {meaning: cells.column(name) for meaning, name in names.items()}
    session = names_of(column["session"], rules.null_values)
    slate = _without_padding(lists_of(column["slate"], rules.separator), rules.padding)
    rows = cells.num_rows
    offsets = np.zeros(rows + 1, dtype=np.int64)
    np.cumsum(slate.lengths.clip(min=0), out=offsets[1:])
    row_of_entry = np.repeat(np.arange(rows), np.diff(offsets))
    plain = (session.codes >= 0) & (slate.lengths > 0)
    plain[row_of_entry[np.flatnonzero(slate.items.codes < 0)]] = False
    plain[rows_with_repeats(offsets, slate.items.codes.astype(np.int32))] = False
    clicked, several = _single_clicks(column["click"])
    click = _among(clicked, slate.items)
    found = click == -1
    found[row_of_entry[np.flatnonzero(slate.items.codes == click[row_of_entry])]] = True
    says_none = np.append(_flags(pc.is_in(clicked.names, value_set=pa.array(rules.null_values, pa.string()))), False)
    no_click = ~found & says_none[clicked.codes]
    click[no_click] = -1
    plain &= (found | no_click) & ~several
    reward = np.zeros(rows)
    if "reward" in column:
        numbers = numbers_of(column["reward"], rules.null_values)
        reward = np.where(numbers.empty, 0.0, numbers.values)
        plain &= numbers.plain & (np.abs(reward) <= _LARGEST) & ~(numbers.empty & (click != -1))
    propensity = np.full(rows, np.nan)
    if "propensity" in column:
        numbers = numbers_of(column["propensity"], rules.null_values)
        propensity = numbers.values
        with np.errstate(over="ignore", under="ignore"):
            stored = propensity.astype(np.float32)  # So small a number that it would become 0 is no probability.
        plain &= numbers.plain & (numbers.empty | ((stored > 0) & (propensity <= 1)))
    time = np.zeros(rows)
    if "time" in column:
        numbers = times_of(column["time"], rules.time_scale, rules.null_values)
        time = numbers.values
        plain &= numbers.plain & np.isfinite(time)
    user = names_of(column["user"], rules.null_values) if "user" in column else None
    return PlainSteps(plain, session, user, slate, offsets, click, reward, propensity, time)


def row_cells(
    cells: Any, names: Mapping[str, str], steps: PlainSteps, row: int, null_values: tuple[str, ...]
) -> dict[str, Any]:
    """Return one row's cells by what they mean, None where they are empty, for a look at that row alone.

    Args:
        cells: Arrow record batch.
        names: of its columns, by what they mean.
        steps: of the batch.
        row: number of the row in it.
        null_values: texts of cells that are empty too.
    """
    values = {meaning: cells.column(name)[row].as_py() for meaning, name in names.items()}
    values = {meaning: None if _is_empty(value, null_values) else value for meaning, value in values.items()}
    for meaning, texts in (("session", steps.session), ("user", steps.user)):
        if texts is not None:
            code = int(texts.codes[row])
            values[meaning] = None if code < 0 else texts.names[code].as_py()
    click = cells.column(names["click"]).slice(row, 1)
    if is_list(click.type):
        texts = names_of(pc.list_flatten(click))
        values["click"] = [texts.names[code].as_py() for code in texts.codes.tolist() if code >= 0]
    else:
        clicked = names_of(click)
        values["click"] = clicked.names[int(clicked.codes[0])].as_py() if clicked.codes[0] >= 0 else None
    if steps.slate.lengths[row] >= 0:
        codes = steps.slate.items.codes[steps.offsets[row] : steps.offsets[row + 1]].tolist()
        values["slate"] = [None if code < 0 else steps.slate.items.names[code].as_py() for code in codes]
    return values


def _is_empty(value: Any, null_values: tuple[str, ...]) -> bool:
    return value != value or (isinstance(value, str) and value.strip() in ("", *null_values))


def _single_clicks(column: Any) -> tuple[Names, NDArray[np.bool_]]:
    """The clicked item of each row, and which rows hold a list of several."""
    if not is_list(column.type):
        return names_of(column), np.zeros(len(column), dtype=bool)
    lists = lists_of(column, "")
    one, lengths = lists.lengths == 1, lists.lengths.clip(min=0)
    codes = np.full(len(column), -1, dtype=np.int64)
    codes[one] = lists.items.codes[(np.cumsum(lengths) - lengths)[one]]
    return Names(codes, lists.items.names), lists.lengths > 1


def _among(clicks: Names, items: Names) -> NDArray[np.int64]:
    """Codes of clicks among the items shown: -1 for no click, -2 for a click on what no slate of the batch holds."""
    place = pc.fill_null(pc.index_in(clicks.names, value_set=items.names), -2)
    code_of_click = np.append(place.to_numpy(zero_copy_only=False).astype(np.int64), -1)
    codes: NDArray[np.int64] = code_of_click[clicks.codes]
    return codes


def session_keys(steps: PlainSteps) -> Names:
    """Name for the session of each row that no session of another user has: session and user together."""
    if steps.user is None:
        return steps.session
    width = len(steps.user.names) + 1
    pairs, codes = np.unique(steps.session.codes * width + steps.user.codes + 1, return_inverse=True)
    sessions = steps.session.names.take(pa.array(pairs // width, mask=pairs < 0))
    users = pa.concat_arrays([pa.array([""], pa.string()), steps.user.names]).take(pa.array(pairs % width))
    return Names(codes, pc.binary_join_element_wise(sessions, users, "\0"))


def user_keys(steps: PlainSteps) -> Names:
    """Name for the user of each row: one that stands for the session where no user is named."""
    sessions = pc.binary_join_element_wise("session", steps.session.names, " ")
    if steps.user is None:
        return Names(steps.session.codes, sessions)
    users = pc.binary_join_element_wise("user", steps.user.names, " ")
    if (steps.user.codes >= 0).all():
        return Names(steps.user.codes, users)
    codes = np.where(steps.user.codes >= 0, steps.user.codes, len(users) + steps.session.codes)
    return Names(codes, pa.concat_arrays([users, sessions]))
