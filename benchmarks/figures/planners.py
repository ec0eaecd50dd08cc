"""The figure of planners: what agents earn by the size of the log, for every world and logging policy."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from irecgan_gym.benchmarks.engine.summaries import summarize
from irecgan_gym.benchmarks.engine.tables import agents_of
from irecgan_gym.benchmarks.figures.run import Figures
from irecgan_gym.benchmarks.figures.style import (
    REFERENCES,
    Look,
    legend_below,
    legend_entries,
    looks,
    plot_line,
    seeds_text,
)

_METRIC = "reward/top-k"
_BETWEEN = 0.03  # Points of different agents stand so far apart, as a share of the range of sizes.


def planner_figures(rows: DataFrame) -> Figures:
    """Return the figure of rewards by size of the log, if there is anything to draw."""
    return {"planners-reward": lambda: rewards_by_size_figure(rows)} if (rows["metric"] == _METRIC).any() else {}


def rewards_by_size_figure(rows: DataFrame) -> Figure:
    """Draw a panel for each world (downwards) and logging policy (to the right): top-k rewards by logged sessions.

    Args:
        rows: measurements whose logging policies are named after their worlds, ``"RecSim-v0/max"``.
    """
    rows = rows[rows["metric"] == _METRIC]
    cells = [name.split("/") for name in rows["logging_policy"].unique()]
    worlds, policies = ([*dict.fromkeys(names)] for names in zip(*cells, strict=True))
    figure = Figure(figsize=(max(5.0, 1.2 + 2.7 * len(policies)), 1.0 + 2.2 * len(worlds)), layout="constrained")
    panels = figure.subplots(len(worlds), len(policies), squeeze=False, sharex=True, sharey="row")
    look_of = looks(agents_of(rows))
    for row, world in enumerate(worlds):
        for column, policy in enumerate(policies):
            axes = panels[row, column]
            axes.set_title(f"{world}, {policy}")
            of_panel = rows[rows["logging_policy"] == f"{world}/{policy}"]
            if len(of_panel):
                _lines(axes, of_panel, look_of)
        panels[row, 0].set_ylabel("reward of a session")
    sizes = sorted(rows["num_sessions"].unique())
    for axes in panels[-1]:
        axes.set_xscale("log")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.set_xlabel("logged sessions")
    legend_below(figure, legend_entries(list(panels.ravel())))
    intervals = seeds_text(rows["seed"].nunique(), "bars: 95% intervals over seeds", "no intervals")
    figure.suptitle(f"reward of a session (successful clicks), top-k, {intervals}", fontsize=10)
    return figure


def _lines(axes: Axes, rows: DataFrame, look_of: dict[str, Look]) -> None:
    by_size = {size: summarize(of) for size, of in sorted(rows.groupby("num_sessions"), key=lambda one: one[0])}
    for place, (agent, look) in enumerate(look_of.items()):
        found = {size: summary[agent, _METRIC] for size, summary in by_size.items() if (agent, _METRIC) in summary}
        if not found:
            continue
        mean, low, high = np.array(list(found.values())).T
        if agent in REFERENCES:  # Lines to read the others by.
            plot_line(axes, list(found), mean, look, label=agent)
            continue
        apart = np.array(list(found)) * (1 + _BETWEEN * (2 * place - len(look_of) + 1))
        plot_line(axes, list(apart), mean, look, label=agent)
        axes.errorbar(apart, mean, yerr=np.nan_to_num([mean - low, high - mean]), color=look.color, fmt="none", lw=0.8)
