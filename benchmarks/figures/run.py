"""All figures of a run folder, as PNG and SVG, drawn from its tables alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame

from irecgan_gym.benchmarks.engine.tables import TRAINING, agents_of, cells_of, read_results, read_table
from irecgan_gym.benchmarks.figures.style import STYLE, legend_below, looks, plot_line, save_figure

Figures = Mapping[str, Callable[[], Figure]]
"""Functions that draw figures, by the name of the figure."""


def draw(folder: Path, figures: Callable[[DataFrame], Figures]) -> list[Path]:
    """Draw all figures that the tables of a run folder allow, into ``plots/``.

    Args:
        folder: run folder with ``results.csv`` and perhaps ``training.csv``.
        figures: returns the figures of the results.

    Returns:
        The PNG files written; each has an SVG twin.

    Raises:
        FileNotFoundError: the folder has no ``results.csv``.
    """
    with mpl.rc_context(STYLE):
        return [save_figure(one(), folder / "plots" / name) for name, one in run_figures(folder, figures).items()]


def run_figures(folder: Path, figures: Callable[[DataFrame], Figures]) -> Figures:
    """Return the functions that draw the figures of a run folder: those of its results and of its training."""
    training = cells_of(read_table(folder / "training.csv", TRAINING))
    return {
        **figures(read_results(folder)),
        **{
            # A logging policy may be named after its world too: RecSim-v0/max.
            f"training-{policy.replace('/', '-')}-{size}": partial(training_figure, rows)
            for (_, policy, size), rows in training.items()
        },
    }


def by_cell(rows: DataFrame, draw_cell: Callable[[DataFrame], Figure]) -> Figures:
    """Return a figure for each cell, named after it."""
    return {
        f"{experiment}-{policy}-{size}": partial(draw_cell, of_cell)
        for (experiment, policy, size), of_cell in cells_of(rows).items()
    }


def training_figure(rows: DataFrame) -> Figure:
    """Draw everything that training reported more than once, a panel a metric, a thin line a seed.

    Args:
        rows: numbers of training of one cell.
    """
    curves = {
        metric: dict(iter(of.groupby(["agent", "seed"], sort=False)))
        for metric, of in rows.groupby("metric", sort=False)
    }
    shown = [metric for metric, by_job in curves.items() if max(map(len, by_job.values())) > 1] or list(curves)
    look_of = looks(agents_of(rows))
    columns = min(4, len(shown))
    height = -(-len(shown) // columns)
    figure = Figure(figsize=(2.9 * columns, 2.1 * height + 0.5), layout="constrained")
    panels = figure.subplots(height, columns, squeeze=False).ravel()
    lines: dict[str, Artist] = {}
    for axes, metric in zip(panels, shown, strict=False):
        for (agent, _), line in curves[metric].items():
            lines[agent] = plot_line(axes, line["step"], line["value"], look_of[agent], markersize=2, lw=1, alpha=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_title(metric.replace("/", "/\n", 1), fontsize=8)
    for axes in panels[max(0, len(shown) - columns) : len(shown)]:
        axes.set_xlabel("step (epoch or round)", fontsize=8)
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    legend_below(figure, lines)
    return figure
