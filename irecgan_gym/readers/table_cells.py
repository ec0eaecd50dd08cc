"""Cells of one row of a table, and what they mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

import numpy as np

from irecgan_gym.readers.report import Place, ReadReport

Cells = Mapping[str, Any]
"""The cells of a row by what they mean, None where they are empty."""


class Step(NamedTuple):
    """One row, checked.

    Attributes:
        session: name of its session.
        slate: names of the items shown, all different.
        click: one of them, or None where the user left.
        reward: finite.
        propensity: in (0, 1], or NaN.
        time: a finite number; 0 where there is no such column.
        user: name of the user, or None.
    """

    session: str
    slate: list[str]
    click: str | None
    reward: float
    propensity: float
    time: float
    user: str | None


def parse_step(place: Place, cells: Cells, report: ReadReport) -> Step | None:
    """The step that a row holds, or None where it is malformed."""
    if cells["session"] is None:
        report.malformed(place, "no session", "the session's cell is empty")
        return None
    click = None if cells["click"] is None else str(cells["click"])
    slate = _slate(place, cells["slate"], click, report)
    if slate is None:
        return None
    if "reward" in cells and cells["reward"] is None and click is not None:
        report.malformed(place, "wrong type", "reward must be a number where there is a click, the cell is empty")
        return None
    reward, time = _number(cells.get("reward")), _time(cells)
    propensity = math.nan if _unknown(cells.get("propensity")) else _number(cells["propensity"])
    if reward is None or propensity is None:
        name = "reward" if reward is None else "propensity"
        report.malformed(place, "wrong type", f"{name} must be a finite number, got {cells[name]!r}")
        return None
    if time is None:
        report.malformed(place, "wrong type", f"time must be a number or a date and time, got {cells['time']!r}")
        return None
    # As it will be stored, in 32 bits: so small a number that it would become 0 is no probability either.
    if not math.isnan(propensity) and not 0 < np.float32(propensity) <= 1:
        report.malformed(place, "wrong propensity", f"got {propensity}, expected a number in (0, 1]")
        return None
    user = None if cells.get("user") is None else str(cells["user"])
    return Step(str(cells["session"]), slate, click, reward, propensity, time, user)


def _slate(place: Place, shown: Any, click: str | None, report: ReadReport) -> list[str] | None:
    """The items shown, or None where they are malformed or do not hold the click."""
    if not isinstance(shown, list) or not shown or any(item is None or item == "" for item in shown):
        report.malformed(place, "no slate", f"slate must be a list of items, got {shown!r}")
        return None
    slate = [str(item) for item in shown]
    if len(set(slate)) < len(slate):
        report.malformed(place, "repeated item", f"an item is in the slate twice: {slate}")
    elif click is not None and click not in slate:
        report.malformed(place, "click not in slate", f"item {click!r} is not in {slate}")
    else:
        return slate
    return None


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


def _time(cells: Cells) -> float | None:
    """The time of a row, 0 where there is no such column, None where the cell holds none."""
    if "time" not in cells:
        return 0.0
    value = cells["time"]
    try:
        number = float(value)
        return number if math.isfinite(number) else None
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)).timestamp()
