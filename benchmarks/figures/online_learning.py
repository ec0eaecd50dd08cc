"""The figure of online learning (the paper's Figure 3, with rewards besides)."""

from __future__ import annotations

import re

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame

from irecgan_gym.benchmarks.engine.summaries import summarize
from irecgan_gym.benchmarks.engine.tables import agents_of
from irecgan_gym.benchmarks.figures.online import curve
from irecgan_gym.benchmarks.figures.style import legend_below, legend_entries, looks, seeds_text

_ROUND = re.compile(r"(?P<measure>.+)/round-(?P<number>\d+)")


def rounds_figure(rows: DataFrame) -> Figure:
    """Draw coverage@1, coverage@10 and reward by round: a line a method, with its 95% band over seeds.

    With fewer than five seeds, which say next to nothing about their spread, thin lines for the seeds take the place of
    bands.

    Args:
        rows: measurements of one number of sessions a round.
    """
    curves = metrics_by_round(rows)
    figure = Figure(figsize=(3.4 * len(curves), 3.3), layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    look_of, summary = looks(agents_of(rows)), summarize(rows)
    for axes, (measure, metrics) in zip(panels, curves.items(), strict=True):
        for agent, look in look_of.items():
            shown = {number: metrics[number] for number in sorted(metrics) if (agent, metrics[number]) in summary}
            if shown:
                curve(axes, rows[rows["agent"] == agent], summary, shown, agent, look)
        is_reward = measure == "reward"
        axes.set(
            title="reward of a session" if is_reward else measure,
            xlabel="round",
            ylabel="successful clicks" if is_reward else "share found",
        )
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    legend_below(figure, legend_entries(list(panels)))
    intervals = seeds_text(rows["seed"].nunique(), "bands: 95% intervals over seeds", "thin lines: seeds")
    size = rows["num_sessions"].iloc[0]
    figure.suptitle(f"online learning, rounds of {size:,} sessions, {intervals}", fontsize=10)
    return figure


def metrics_by_round(rows: DataFrame) -> dict[str, dict[int, str]]:
    """Return the metrics that are measured in rounds: those of ``"reward"`` are ``{3: "reward/round-3", ...}``."""
    found: dict[str, dict[int, str]] = {}
    for metric in rows["metric"].unique():
        if parts := _ROUND.fullmatch(metric):
            found.setdefault(parts["measure"], {})[int(parts["number"])] = metric
    return found
