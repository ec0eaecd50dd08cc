"""Measurements of speed, as CSV and as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields

from pandas import DataFrame

from irecgan_gym.benchmarks.engine.text_table import TextTable


@dataclass(frozen=True)
class SpeedRow:
    """A measurement, and what it is read against.

    Attributes:
        group: ``"environments"``, ``"training"``, ``"generation"`` or ``"growth"``.
        name: what was measured.
        shape: at which sizes.
        batch: sessions or envs at a time; None where that has no meaning.
        precision: of the arithmetic, empty where there is none to speak of.
        threads: of torch; None where it computes nothing.
        value: the figure.
        unit: its unit.
        compared_with: what ``baseline`` is a figure of; empty if nothing.
        baseline: a figure of the same unit from the same run.
        ratio: value / baseline.
        flops: floating-point operations that a session needs at least.
        bytes: that a session moves between memory and processor at least.
        limit_fraction: least time that the machine needs for both, over the time taken.
        processor_share: of the time of its threads that the measurement got to compute in; other work on the machine
            takes the rest, as do threads that wait. None where it does not compute on the processor.
        peak_memory_mb: see :class:`~benchmarks.throughput.isolation.Isolated`.
    """

    group: str
    name: str
    shape: str
    batch: int | None
    precision: str
    threads: int | None
    value: float
    unit: str
    compared_with: str = ""
    baseline: float | None = None
    ratio: float | None = None
    flops: float | None = None
    bytes: float | None = None
    limit_fraction: float | None = None
    processor_share: float | None = None
    peak_memory_mb: float | None = None


def to_csv(rows: Sequence[SpeedRow]) -> str:
    """Return the rows as CSV with a header; empty cells where nothing is known."""
    columns = [field.name for field in fields(SpeedRow)]
    text: str = DataFrame(map(asdict, rows), columns=columns).convert_dtypes().to_csv(index=False, float_format="%.6g")
    return text


def number(value: float | None) -> str:
    """Return three figures, thousands apart; a dash for nothing."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{number(value)}x"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{number(100 * value)}%"


def comparison_table(rows: Sequence[SpeedRow], caption: str = "") -> TextTable:
    """Return the rows that are compared with something; columns that say nothing are left out."""
    compared = [row for row in rows if row.compared_with]
    columns: dict[str, Callable[[SpeedRow], str]] = {
        "what": lambda row: row.name,
        "shape": lambda row: row.shape,
        "batch": lambda row: "-" if row.batch is None else f"{row.batch:,}",
        "precision": lambda row: row.precision,
        rows[0].unit: lambda row: number(row.value),
        "compared with": lambda row: f"{row.compared_with} {number(row.baseline)}",
        "ratio": lambda row: _times(row.ratio),
        "GFLOP a session": lambda row: number(None if row.flops is None else row.flops / 1e9),
        "share of limit": lambda row: _share(row.limit_fraction),
        "of its threads": lambda row: _share(row.processor_share),
        "peak MB": lambda row: number(row.peak_memory_mb),
    }
    others = {row.compared_with for row in compared}
    if len(others) == 1:
        columns = {others.copy().pop() if title == "compared with" else title: cell for title, cell in columns.items()}
        columns[others.pop()] = lambda row: number(row.baseline)
    if len({row.precision for row in compared}) == 1:
        del columns["precision"]
    shown = {title: [cell(row) for row in compared] for title, cell in columns.items()}
    shown = {title: cells for title, cells in shown.items() if any(cell not in ("-", "") for cell in cells)}
    return TextTable(caption, DataFrame(shown, dtype=object))
