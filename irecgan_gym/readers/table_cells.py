"""Cells of one row of a table, and what they mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, NamedTuple

import numpy as np

from irecgan_gym.readers.arrow_cells import list_literal
from irecgan_gym.readers.report import Place, ReadReport

Cells = Mapping[str, Any]
"""The cells of a row by what they mean, None where they are empty."""


NULL_VALUES = ("NULL", "Null", "null", "NaN", "nan", "NAN", "None", "none", "NA", "N/A", "n/a", "<NA>", "\\N")
"""Texts by which tools write that there is no value."""


@dataclass(frozen=True)
class CellRules:
    """Rules for the texts of cells.

    Attributes:
        null_values: texts of cells without a value. In the column of clicks, one of them that is in the slate is the
            item of that name; in slates they are items.
        padding: names that fill short slates up at either end; empty entries at the ends do too.
        separator: between the items of a slate, or of several clicks, that are text.
        time_scale: seconds in a unit of times that are numbers.
    """

    null_values: tuple[str, ...] = NULL_VALUES
    padding: tuple[str, ...] = ()
    separator: str = "|"
    time_scale: float = 1.0


class Step(NamedTuple):
    """One row, checked.

    Attributes:
        session: name of its session.
        slate: names of the items shown, all different.
        clicks: those of them that were clicked, in the order given, all different; empty where none was.
        rewards: of each click, or of the step without one; finite.
        propensity: in (0, 1], or NaN.
        time: a finite number; 0 where there is no such column.
        user: name of the user, or None.
    """

    session: str
    slate: list[str]
    clicks: list[str]
    rewards: list[float]
    propensity: float
    time: float
    user: str | None


def parse_step(place: Place, cells: Cells, report: ReadReport, rules: CellRules) -> Step | None:
    """The step that a row holds, or None where it is malformed.

    Args:
        place: of the row.
        cells: ``slate`` and ``click`` may be lists, without padding; None where empty.
        report: counts what is malformed, and what is put right.
        rules: what cells may say.
    """
    if cells["session"] is None:
        report.malformed(place, "no session", "the session's cell is empty")
        return None
    slate = _slate(place, cells["slate"], report)
    clicks = None if slate is None else _clicks(place, cells["click"], slate, report, rules)
    if slate is None or clicks is None:
        return None
    rewards, time = _rewards(place, cells, clicks, report), _time(cells, rules)
    if rewards is None:
        return None
    propensity = math.nan if _unknown(cells.get("propensity")) else _number(cells["propensity"])
    if propensity is None:
        report.malformed(place, "wrong type", f"propensity must be a finite number, got {cells['propensity']!r}")
        return None
    if time is None:
        report.malformed(place, "wrong type", f"time must be a number or a date and time, got {cells['time']!r}")
        return None
    # As it will be stored, in 32 bits: so small a number that it would become 0 is no probability either.
    if not math.isnan(propensity) and not 0 < np.float32(propensity) <= 1:
        report.malformed(place, "wrong propensity", f"got {propensity}, expected a number in (0, 1]")
        return None
    user = None if cells.get("user") is None else str(cells["user"])
    return Step(str(cells["session"]), slate, clicks, rewards, propensity, time, user)


def _slate(place: Place, shown: Any, report: ReadReport) -> list[str] | None:
    """The items shown, or None where they are malformed."""
    if not isinstance(shown, list) or not shown or any(item is None or item == "" for item in shown):
        report.malformed(place, "no slate", f"slate must be a list of items, got {shown!r}")
        return None
    slate = [str(item) for item in shown]
    different = list(dict.fromkeys(slate))
    if len(different) == len(slate):
        return slate
    if not report.repairs:
        report.malformed(place, "repeated item", f"an item is in the slate twice: {slate}")
        return None
    report.repaired("slates that show an item twice: it counts at its first place", 1, [place])
    return different


def _clicks(place: Place, clicked: Any, slate: list[str], report: ReadReport, rules: CellRules) -> list[str] | None:
    """The items clicked, or None where one of them was not shown."""
    if clicked is None:
        return []
    if isinstance(clicked, list):
        clicks = [str(item) for item in clicked if item is not None]
    elif clicked in slate:
        return [clicked]
    elif clicked in rules.null_values:
        return []
    elif clicked[0] == "[" and clicked[-1] == "]" and (items := list_literal(clicked, rules.separator)) is not None:
        clicks = items
    else:
        clicks = [item.strip() for item in clicked.split(rules.separator)]
    missing = [item for item in clicks if item not in slate]
    if missing:
        report.malformed(place, "click not in slate", f"item {missing[0]!r} is not in {slate}")
        return None
    return list(dict.fromkeys(clicks))


def _rewards(place: Place, cells: Cells, clicks: list[str], report: ReadReport) -> list[float] | None:
    """The reward of each click, or of the step without one; None where a cell holds none."""
    value = cells.get("reward")
    if "reward" in cells and clicks and (value is None or (isinstance(value, list) and None in value)):
        report.malformed(place, "wrong type", "reward must be a number where there is a click, the cell is empty")
        return None
    if isinstance(value, list) and clicks:
        numbers = [_number(number) for number in value]
        if len(numbers) != len(clicks):
            report.malformed(place, "wrong type", f"there are {len(numbers)} rewards of {len(clicks)} clicks")
            return None
    else:
        numbers = [*[0.0] * (len(clicks) - 1), _number(None if isinstance(value, list) else value)]
    found = [number for number in numbers if number is not None]
    if len(found) < len(numbers):
        report.malformed(place, "wrong type", f"reward must be a finite number, got {value!r}")
        return None
    return found


def _number(value: Any) -> float | None:
    """A cell as a number, 0 where it is empty, None where it is none that 32 bits can hold."""
    try:
        number = float(0.0 if value is None else value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) <= float(np.finfo(np.float32).max) else None


def _unknown(value: Any) -> bool:
    """Tell whether a cell is empty or says NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or str(value).strip().lower() == "nan"


def _time(cells: Cells, rules: CellRules) -> float | None:
    """The time of a row, 0 where there is no such column, None where the cell holds none."""
    if "time" not in cells:
        return 0.0
    value = cells["time"]
    try:
        number = float(value) * rules.time_scale
        return number if math.isfinite(number) else None
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)).timestamp()
