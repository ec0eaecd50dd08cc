"""Figures of a run, as PNG and SVG, drawn from its tables alone.

python -m benchmarks.plots runs/demo
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import tyro
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from benchmarks.measurements import Measurement, TrainingRecord, read_rows
from benchmarks.tables import MIN_SEEDS, Summary, agents_of, summarise
from irecgan_gym.atomic_file import write_atomically

# Okabe and Ito's colours, which stay apart for colour-blind readers; markers and hatches repeat the distinction.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_GREY = "#8c8c8c"
_REFERENCES = ("random", "popularity", "logging-policy")
_STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "font.size": 9,
    "axes.titlesize": 9,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "irecgan-gym",
}


@dataclass(frozen=True)
class _Look:
    colour: str
    marker: str
    line: str


def _looks(agents: Sequence[str]) -> dict[str, _Look]:
    """Colours for the learned agents, grey for what they are compared with."""
    lines = {"random": ":", "popularity": "-.", "logging-policy": "--"}
    learned = [agent for agent in agents if agent not in _REFERENCES]
    looks = {
        agent: _Look(_COLOURS[i % len(_COLOURS)], _MARKERS[i % len(_MARKERS)], "-") for i, agent in enumerate(learned)
    }
    return looks | {agent: _Look(_GREY, "", lines[agent]) for agent in agents if agent in _REFERENCES}


def draw_run(folder: Path) -> list[Path]:
    """Draw all figures that the tables of a run folder allow, into ``plots/``.

    Args:
        folder: holds ``results.csv`` and perhaps ``training.csv``.

    Returns:
        The PNG files written; each has an SVG twin.

    Raises:
        FileNotFoundError: the folder has no ``results.csv``.
    """
    file = folder / "results.csv"
    if not file.exists():
        raise FileNotFoundError(f"no such file: {file}")
    results, training = read_rows(Measurement, file), read_rows(TrainingRecord, folder / "training.csv")
    written = []
    with mpl.rc_context(_STYLE):
        for cell in dict.fromkeys(
            (row.job.experiment, row.job.logging_policy, row.job.num_sessions) for row in results
        ):
            rows = [row for row in results if _cell(row) == cell]
            records = [row for row in training if _cell(row) == cell]
            experiment, logging_policy, num_sessions = cell
            name = f"{logging_policy}-{num_sessions}"
            figures = {experiment: rerank_figure(rows) if experiment == "rerank" else online_figure(rows)}
            if records:
                figures["training"] = training_figure(records)
            written += [_save(figure, folder / "plots" / f"{kind}-{name}") for kind, figure in figures.items()]
    return written


def online_figure(rows: Sequence[Measurement]) -> Figure:
    """Coverage@r by r for both deployments, and cumulative rewards: one column of the paper's Figure 2.

    Args:
        rows: measurements of one logging policy and number of sessions.
    """
    summary, agents = summarise(rows, between_seeds=True), agents_of(rows)
    looks, seeds = _looks(agents), len({row.job.seed for row in rows})
    figure = Figure(figsize=(10, 3.3), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for axes, deployment, title in ((left, "top-k", "top-k deployment"), (middle, "sampled", "sampled deployment")):
        _coverage(axes, rows, summary, looks, deployment)
        axes.set(title=f"coverage@r, {title}", xlabel="r", ylim=(0, 1.02))
    deployed = [agent for agent in agents if (agent, "reward/top-k") in summary]
    _grouped_bars(right, summary, deployed, looks, {"reward/top-k": "top-k", "reward/sampled": "sampled"})
    logged = summary.get(("logging-policy", "reward/logged"))
    # As text: the logging policies see the user's state and may earn several times what any agent does.
    note = "" if logged is None else f" (in the log: {logged.mean:.2f})"
    right.set(title=f"mean reward of a session{note}")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    job = rows[0].job
    spread = "bands and bars: 95% intervals over seeds"
    if seeds < MIN_SEEDS:
        spread = "thin lines: seeds; bars: 95% intervals over sessions"
    figure.suptitle(
        f"{job.num_sessions:,} logged sessions of the {job.logging_policy} policy, {seeds} seeds ({spread})",
        fontsize=10,
    )
    return figure


def _coverage(
    axes: Axes, rows: Sequence[Measurement], summary: Summary, looks: dict[str, _Look], deployment: str
) -> None:
    """A line an agent with its band; with too few seeds for a band, a thin line a seed."""
    for agent, look in looks.items():
        metrics: dict[int, str] = {}
        for name, metric in summary:
            measure, _, kind = metric.partition("/")
            if name == agent and measure.startswith("coverage@") and kind in (deployment, "logged"):
                metrics[int(measure.removeprefix("coverage@"))] = metric
        if not metrics:
            continue
        ranks = sorted(metrics)
        means, low, high = (np.array([summary[agent, metrics[r]][end] for r in ranks]) for end in range(3))
        axes.plot(ranks, means, color=look.colour, marker=look.marker, linestyle=look.line, markersize=3.5, label=agent)
        axes.set_xticks(ranks)
        if not np.isnan(low).any():
            axes.fill_between(ranks, low.clip(0, 1), high.clip(0, 1), color=look.colour, alpha=0.15, linewidth=0)
            continue
        by_seed: dict[int, dict[str, float]] = {}
        for row in rows:
            if row.job.agent == agent:
                by_seed.setdefault(row.job.seed, {})[row.metric] = row.value
        for values in by_seed.values():
            axes.plot(ranks, [values.get(metrics[r], np.nan) for r in ranks], color=look.colour, lw=0.6, alpha=0.6)


def rerank_figure(rows: Sequence[Measurement]) -> Figure:
    """p@1 and p@10 of every method, both deployments, with intervals over the test users.

    Args:
        rows: measurements of one data set.
    """
    # Seeds share the test users, whose number limits what can be said.
    summary, agents = summarise(rows, between_seeds=False), agents_of(rows)
    looks = _looks(agents)
    measures = sorted(
        {row.metric.partition("/")[0] for row in rows if row.metric.startswith("p@") and "_" not in row.metric},
        key=lambda measure: int(measure.removeprefix("p@")),
    )
    figure = Figure(figsize=(4 * len(measures), 3.3), layout="constrained")
    for axes, measure in zip(figure.subplots(1, len(measures), squeeze=False)[0], measures, strict=True):
        metrics = {f"{measure}/top-k": "top-k", f"{measure}/sampled": "sampled"}
        _grouped_bars(axes, summary, agents, looks, metrics, scale=100.0)
        axes.set(title=f"{measure} (%)")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    figure.suptitle("re-ranking of logged lists (bars: 95% intervals over test users)", fontsize=10)
    return figure


def _grouped_bars(
    axes: Axes,
    summary: Summary,
    agents: Sequence[str],
    looks: dict[str, _Look],
    metrics: dict[str, str],
    scale: float = 1.0,
) -> None:
    """A group of bars a metric, a bar an agent."""
    width = 0.8 / max(len(agents), 1)
    hatches = {"random": "///", "popularity": "..."}
    for place, agent in enumerate(agents):
        intervals = [summary[agent, metric] for metric in metrics]
        heights = np.array([interval.mean for interval in intervals]) * scale
        errors = np.array([[i.mean - i.low for i in intervals], [i.high - i.mean for i in intervals]]) * scale
        positions = np.arange(len(metrics)) + (place - (len(agents) - 1) / 2) * width
        axes.bar(
            positions,
            heights,
            width * 0.92,
            color=looks[agent].colour if agent not in hatches else "white",
            edgecolor=looks[agent].colour,
            hatch=hatches.get(agent),
            label=agent,
            yerr=np.nan_to_num(errors),
            error_kw={"elinewidth": 1, "capsize": 2, "ecolor": "#333333"},
        )
    axes.set_xticks(range(len(metrics)), list(metrics.values()))
    axes.grid(visible=False, axis="x")
    axes.set_ylim(bottom=0)


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
    looks = _looks(list(dict.fromkeys(record.job.agent for record in records)))
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(2.9 * columns, 2.1 * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    lines: dict[str, Line2D] = {}
    for axes, metric in zip(panels, shown, strict=False):
        for (agent, _), line in curves[metric].items():
            steps, values = [record.step for record in line], [record.value for record in line]
            lines[agent] = axes.plot(steps, values, color=looks[agent].colour, linewidth=1, alpha=0.8)[0]
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_title(metric.replace("/", "/\n", 1), fontsize=8)
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    figure.legend(list(lines.values()), list(lines), loc="outside lower center", ncols=len(lines))
    return figure


def _cell(row: Measurement | TrainingRecord) -> tuple[str, str, int]:
    return row.job.experiment, row.job.logging_policy, row.job.num_sessions


def _save(figure: Figure, stem: Path) -> Path:
    """Write a figure as PNG and SVG; equal tables give equal files."""
    for kind in ("png", "svg"):
        data = io.BytesIO()
        if kind == "png":
            FigureCanvasAgg(figure)
            figure.savefig(data, format="png", dpi=150)
        else:
            figure.savefig(data, format="svg", metadata={"Date": None})
        write_atomically(stem.with_name(f"{stem.name}.{kind}"), data.getvalue())
    return stem.with_name(f"{stem.name}.png")


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
