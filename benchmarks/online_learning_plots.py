"""The figure of online learning (the paper's Figure 3, with rewards besides), drawn from results.csv alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from irecgan_gym.benchmarks.measurements import Measurement
from irecgan_gym.benchmarks.plot_style import Look, legend_below, legend_entries, looks
from irecgan_gym.benchmarks.tables import MIN_SEEDS, agents_of, summarize
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

EXPERIMENT = "online_learning"
_ROUND = re.compile(r"(?P<measure>.+)/round-(?P<number>\d+)")
Curves = dict[str, dict[int, str]]
"""Metrics by measure and round."""


def rounds_figure(rows: Sequence[Measurement]) -> Figure:
    """Coverage@1, coverage@10 and reward by round: a line a method, with its 95% band over seeds.

    With fewer than five seeds, which say next to nothing about their spread, thin lines for the seeds take the place of
    bands.

    Args:
        rows: measurements of one number of sessions a round.
    """
    curves = _curves(rows)
    figure = Figure(figsize=(3.4 * len(curves), 3.3), layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    look_of = looks(agents_of(rows))
    for axes, (measure, metrics) in zip(panels, curves.items(), strict=True):
        _draw_measure(axes, rows, metrics, look_of)
        axes.set(title="reward of a session" if measure == "reward" else measure, xlabel="round")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    legend_below(figure, *legend_entries(list(panels)))
    seeds = len({row.job.seed for row in rows})
    spread = "bands: 95% intervals over seeds" if seeds >= MIN_SEEDS else "thin lines: seeds"
    count = "1 seed" if seeds == 1 else f"{seeds} seeds ({spread})"
    figure.suptitle(f"online learning, rounds of {rows[0].job.num_sessions:,} sessions, {count}", fontsize=10)
    return figure


def _curves(rows: Sequence[Measurement]) -> Curves:
    curves: Curves = {}
    for metric in dict.fromkeys(row.metric for row in rows):
        found = _ROUND.fullmatch(metric)
        if found is not None:
            curves.setdefault(found["measure"], {})[int(found["number"])] = metric
    return curves


def _draw_measure(
    axes: Axes, rows: Sequence[Measurement], metrics: Mapping[int, str], look_of: Mapping[str, Look]
) -> None:
    summary = summarize(rows, between_seeds=True)
    by_seed: dict[tuple[str, int], dict[str, float]] = {}
    for row in rows:
        by_seed.setdefault((row.job.agent, row.job.seed), {})[row.metric] = row.value
    for agent, look in look_of.items():
        rounds = [number for number in sorted(metrics) if (agent, metrics[number]) in summary]
        if not rounds:
            continue
        mean, low, high = np.array([summary[agent, metrics[number]] for number in rounds]).T
        axes.plot(
            rounds,
            mean,
            color=look.colour,
            marker=look.marker,
            linestyle=look.line,
            markersize=3,
            linewidth=1.3,
            label=agent,
        )
        if not np.isnan(low).any():
            axes.fill_between(rounds, low, high, color=look.colour, alpha=0.15, linewidth=0)
            continue
        seeds = [values for (name, _), values in by_seed.items() if name == agent]
        for values in seeds if len(seeds) > 1 else []:
            line = [values.get(metrics[number], np.nan) for number in rounds]
            axes.plot(rounds, line, color=look.colour, linewidth=0.5, alpha=0.5)
