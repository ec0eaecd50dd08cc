"""The steps that a batch of rows holds, as far as its cells are plain: all at once, without a loop over rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from irecgan_gym.readers.arrow_cells import Lists, Names, lists_of, names_of, numbers_of, times_of
from irecgan_gym.sessions.ragged import rows_with_repeats

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


def plain_steps(cells: Any, names: Mapping[str, str], separator: str) -> PlainSteps:
    """Take the cells of a batch apart.

    Args:
        cells: Arrow record batch.
        names: of its columns, by what they mean.
        separator: between the items of a slate that is text.
    """
    column = {meaning: cells.column(name) for meaning, name in names.items()}
    session, slate = names_of(column["session"]), lists_of(column["slate"], separator)
    rows = cells.num_rows
    offsets = np.zeros(rows + 1, dtype=np.int64)
    np.cumsum(slate.lengths.clip(min=0), out=offsets[1:])
    row_of_entry = np.repeat(np.arange(rows), np.diff(offsets))
    plain = (session.codes >= 0) & (slate.lengths > 0)
    plain[row_of_entry[slate.items.codes < 0]] = False
    plain[rows_with_repeats(offsets, slate.items.codes.astype(np.int32))] = False
    click = _among(names_of(column["click"]), slate.items)
    found = click == -1
    found[row_of_entry[slate.items.codes == click[row_of_entry]]] = True
    plain &= found
    reward = np.zeros(rows)
    if "reward" in column:
        numbers = numbers_of(column["reward"])
        reward = np.where(numbers.empty, 0.0, numbers.values)
        plain &= numbers.plain & (np.abs(reward) <= _LARGEST) & ~(numbers.empty & (click != -1))
    propensity = np.full(rows, np.nan)
    if "propensity" in column:
        numbers = numbers_of(column["propensity"])
        propensity = numbers.values
        with np.errstate(over="ignore", under="ignore"):
            stored = propensity.astype(np.float32)  # So small a number that it would become 0 is no probability.
        plain &= numbers.plain & (numbers.empty | ((stored > 0) & (propensity <= 1)))
    time = np.zeros(rows)
    if "time" in column:
        numbers = times_of(column["time"])
        time = numbers.values
        plain &= numbers.plain & np.isfinite(time)
    user = names_of(column["user"]) if "user" in column else None
    return PlainSteps(plain, session, user, slate, offsets, click, reward, propensity, time)


def row_cells(cells: Any, names: Mapping[str, str], steps: PlainSteps, row: int) -> dict[str, Any]:
    """Return one row's cells by what they mean, None where they are empty, for a look at that row alone."""
    values = {meaning: cells.column(name)[row].as_py() for meaning, name in names.items()}
    values = {meaning: None if value == "" or value != value else value for meaning, value in values.items()}
    for meaning, texts in (("session", steps.session), ("user", steps.user)):
        if texts is not None:
            code = int(texts.codes[row])
            values[meaning] = None if code < 0 else texts.names[code].as_py()
    clicked = names_of(cells.column(names["click"]).slice(row, 1))
    values["click"] = clicked.names[0].as_py() if clicked.codes[0] >= 0 else None
    if steps.slate.lengths[row] >= 0:
        codes = steps.slate.items.codes[steps.offsets[row] : steps.offsets[row + 1]].tolist()
        values["slate"] = [None if code < 0 else steps.slate.items.names[code].as_py() for code in codes]
    return values


def _among(clicks: Names, items: Names) -> NDArray[np.int64]:
    """Codes of clicks among the items shown: -1 for no click, -2 for a click on what no slate of the batch holds."""
    place = pc.fill_null(pc.index_in(clicks.names, value_set=items.names), -2)
    code_of_click = np.append(place.to_numpy(zero_copy_only=False).astype(np.int64), -1)
    codes: NDArray[np.int64] = code_of_click[clicks.codes]
    return codes


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
