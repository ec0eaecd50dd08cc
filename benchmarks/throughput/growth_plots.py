"""Cost against size on log-log axes: one figure an axis, with the law that the cost should follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from irecgan_gym.benchmarks.figures.style import COLORS, GREY, MARKERS, STYLE, legend_below, legend_entries, save_figure
from irecgan_gym.benchmarks.throughput.growth import GrowthLaw, Series

_LOOKS = dict(
    zip(
        ("agent", "user model", "discriminator", "generation", "adversarial"),
        zip(COLORS, MARKERS, strict=False),
        strict=False,
    )
)
"""Color and marker of each phase."""
_UNITS = {
    "items": "items in the catalogue",
    "sessions": "logged sessions",
    "session length": "steps of a session",
    "slate size": "items of a slate",
    "roll-outs": "roll-outs of a prefix",
}
"""Label of each axis."""


@dataclass(frozen=True)
class MeasuredSeries:
    """A series and what was measured along it.

    Attributes:
        series: phase, axis and sizes.
        costs: seconds.
        peak_memory_mb: at each size.
        law: the fit.
    """

    series: Series
    costs: tuple[float, ...]
    peak_memory_mb: tuple[float, ...]
    law: GrowthLaw


def draw_growth(measured: Sequence[MeasuredSeries], folder: Path) -> list[Path]:
    """Draw a figure for each axis as PNG and SVG.

    Returns:
        The PNG files.
    """
    written = []
    with mpl.rc_context(STYLE):
        for axis in dict.fromkeys(part.series.axis for part in measured):
            parts = [part for part in measured if part.series.axis == axis]
            name = f"growth-{axis.replace(' ', '-')}"
            written.append(save_figure(growth_figure(parts), folder / name))
    return written


def growth_figure(parts: Sequence[MeasuredSeries]) -> Figure:
    """Time on the left, peak memory on the right.

    Args:
        parts: series along one axis.
    """
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for part in parts:
        (color, marker), sizes = _LOOKS[part.series.phase], part.series.sizes
        label = f"{part.series.phase}: {part.series.law}"
        left.plot(sizes, part.costs, color=color, marker=marker, linestyle="", label=label)
        dense = np.geomspace(sizes[0], sizes[-1], 100)
        fit = [part.law.fixed + part.law.factor * part.series.work(size) for size in dense]
        left.plot(dense, fit, color=color, linewidth=1)
        right.plot(sizes, part.peak_memory_mb, color=color, marker=marker, linewidth=1)
    for exponent in sorted({part.series.exponent for part in parts}):
        _guide(left, [part for part in parts if part.series.exponent == exponent], exponent)
    axis = parts[0].series.axis
    units = sorted({part.series.per for part in parts})
    left.set(xscale="log", yscale="log", xlabel=_UNITS[axis], ylabel=f"seconds per {' or '.join(units)}")
    right.set(xscale="log", xlabel=_UNITS[axis], ylabel="peak memory (MB)")
    right.set_ylim(bottom=0)
    legend_below(figure, legend_entries([left]))
    figure.suptitle(f"cost against {axis} (lines on the left: the law, fitted)", fontsize=10)
    return figure


def _guide(axes: Axes, parts: Sequence[MeasuredSeries], exponent: int) -> None:
    """A line of the slope that the cost approaches, below the last point of the cheapest series."""
    cheapest = min(parts, key=lambda part: part.costs[-1])
    last, cost = cheapest.series.sizes[-1], cheapest.costs[-1] / 2
    first = max(cheapest.series.sizes[0], last / 30)
    ends = np.array([first, last], dtype=float)
    line = cost * (ends / last) ** exponent
    axes.plot(ends, line, color=GREY, linestyle="--", linewidth=1)
    middle = (float(np.sqrt(ends.prod())), float(np.sqrt(line.prod())))
    axes.annotate(f"slope {exponent}", middle, (4, -8), textcoords="offset points", ha="left", fontsize=7, color=GREY)
