"""Figures of a run, as PNG and SVG, drawn from its tables alone.

python -m benchmarks.plots runs/demo
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import matplotlib as mpl
import tyro
from irecgan_gym.benchmarks.measurements import Measurement, TrainingRecord, by_cell, read_rows
from irecgan_gym.benchmarks.normalised import ONES, ZERO, normalized_rows
from irecgan_gym.benchmarks.online_learning_plots import rounds_figure
from irecgan_gym.benchmarks.online_plots import coverage_grid_figure, online_figure, reward_grid_figure
from irecgan_gym.benchmarks.plot_style import (
    REFERENCES,
    STYLE,
    legend_below,
    looks,
    save_figure,
)
from irecgan_gym.benchmarks.rerank_plots import rerank_figure
from irecgan_gym.benchmarks.third_party_plots import third_party_figure
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator


def draw_run(folder: Path) -> list[Path]:
    """Draw all figures that the tables of a run folder allow, into ``plots/``.

    Args:
        folder: holds ``results.csv`` and perhaps ``training.csv``.

    Returns:
        The PNG files written; each has an SVG twin.

    Raises:
        FileNotFoundError: the folder has no ``results.csv``.
    """
    with mpl.rc_context(STYLE):
        return [save_figure(draw(), folder / "plots" / name) for name, draw in run_figures(folder).items()]


def run_figures(folder: Path) -> dict[str, Callable[[], Figure]]:
    """What draws each figure that the tables of a run folder allow, by the figure's name.

    Args:
        folder: see :func:`draw_run`.

    Raises:
        FileNotFoundError: the folder has no ``results.csv``.
    """
    file = folder / "results.csv"
    if not file.exists():
        raise FileNotFoundError(f"no such file: {file}")
    results, training = read_rows(Measurement, file), read_rows(TrainingRecord, folder / "training.csv")
    records = by_cell(training)
    figures: dict[str, Callable[[], Figure]] = {}
    draw_cell = {
        "simulated_online": online_figure,
        "online_learning": rounds_figure,
        "rerank": rerank_figure,
        "third_party": third_party_figure,
    }
    for cell, rows in by_cell(results).items():
        experiment, logging_policy, num_sessions = cell
        if experiment in draw_cell:
            figures[f"{experiment}-{logging_policy}-{num_sessions}"] = partial(draw_cell[experiment], rows)
        if cell in records:
            figures[f"training-{logging_policy}-{num_sessions}"] = partial(training_figure, records[cell])
    return figures | _grid_figures([row for row in results if row.job.experiment == "simulated_online"])


def _grid_figures(results: Sequence[Measurement]) -> dict[str, Callable[[], Figure]]:
    """Figures over all cells, as the paper's Figure 2; none for a single cell."""
    if len(by_cell(results)) < 2:
        return {}
    scaled = normalized_rows(results)
    figures: dict[str, Callable[[], Figure]] = {
        "figure2-reward": partial(reward_grid_figure, results, "reward", "mean reward of a session")
    }
    for scale, reference in ONES.items():
        rows = [row for row in scaled if row.metric.startswith(f"{scale}")]
        if rows:
            label = f"reward (0: {ZERO}, 1: {reference})"
            figures[f"figure2-reward-{reference}"] = partial(reward_grid_figure, rows, scale, label)
    for deployment in ("top-k", "sampled"):
        figures[f"figure2-coverage-{deployment}"] = partial(coverage_grid_figure, results, deployment)
    return figures


def training_figure(records: Sequence[TrainingRecord]) -> Figure:
    """Everything that training reported more than once, a panel a metric, a thin line a seed.

    Args:
        records: training records of one cell.
    """
    curves: dict[str, dict[tuple[str, int], list[TrainingRecord]]] = {}
    for record in records:
        key = (record.job.agent, record.job.seed)
        curves.setdefault(record.metric, {}).setdefault(key, []).append(record)
    shown = [metric for metric, by_job in curves.items() if max(map(len, by_job.values())) > 1] or list(curves)
    look_of = looks(list(dict.fromkeys(record.job.agent for record in records)))
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(2.9 * columns, 2.1 * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    lines: dict[str, Line2D] = {}
    for axes, metric in zip(panels, shown, strict=False):
        for (agent, _), line in curves[metric].items():
            steps, values = [record.step for record in line], [record.value for record in line]
            look = look_of[agent]
            line_style = "-" if agent in REFERENCES else look.line
            [lines[agent]] = axes.plot(steps, values, color=look.colour, linestyle=line_style, lw=1, alpha=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_title(metric.replace("/", "/\n", 1), fontsize=8)
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    legend_below(figure, list(lines.values()), list(lines))
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: draw the figures of a run folder again."""

    def draw(folder: tyro.conf.Positional[Path]) -> None:
        """Draw the figures of a run again, from its tables alone.

        Args:
            folder: the run folder.
        """
        for path in draw_run(folder):
            print(path)

    tyro.cli(draw, args=arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
