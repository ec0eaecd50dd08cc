"""Figures of the simulated online test: one cell in detail, and the grid of the paper's Figure 2."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from irecgan_gym.benchmarks.engine.statistics import MIN_SEEDS
from irecgan_gym.benchmarks.engine.summaries import ONES, ZERO, Summary, normalized_rows, summarize
from irecgan_gym.benchmarks.engine.tables import agents_of, cells_of
from irecgan_gym.benchmarks.figures.bars import bar_entry, grouped_bars
from irecgan_gym.benchmarks.figures.run import Figures, by_cell
from irecgan_gym.benchmarks.figures.style import (
    REWARD,
    SEEING,
    Look,
    fill_entry,
    interval_ends,
    legend_below,
    legend_entries,
    looks,
    plot_line,
    seeds_text,
)

_DEPLOYMENTS = ("top-k", "sampled")
_RANK = "r (number of best items)"
Panels = dict[tuple[str, int], Axes]


def online_figures(rows: DataFrame) -> Figures:
    """Return a figure for each cell and, of several cells, figures of the whole grid, as the paper's Figure 2."""
    figures = dict(by_cell(rows, online_figure))
    if len(figures) < 2:
        return figures
    scaled = normalized_rows(rows)
    figures["figure2-reward"] = partial(reward_grid_figure, rows, "reward", REWARD)
    for scale, reference in ONES.items():
        of_scale = scaled[scaled["metric"].str.startswith(scale)]
        if len(of_scale):
            label = f"reward of a session on the scale {ZERO} = 0, {reference} = 1"
            figures[f"figure2-reward-{reference}"] = partial(reward_grid_figure, of_scale, scale, label)
    for deployment in _DEPLOYMENTS:
        figures[f"figure2-coverage-{deployment}"] = partial(coverage_grid_figure, rows, deployment)
    return figures


def online_figure(rows: DataFrame) -> Figure:
    """Draw coverage@r by r for both deployments, and cumulative rewards: one column of the paper's Figure 2.

    Args:
        rows: measurements of one logging policy and number of sessions.
    """
    summary, agents, seeds = summarize(rows), agents_of(rows), rows["seed"].nunique()
    look_of = looks(agents)
    deployed = [agent for agent in agents if (agent, "reward/top-k") in summary]
    figure = Figure(figsize=(10 + 0.3 * max(0, len(deployed) - 4), 3.5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for axes, deployment in zip((left, middle), _DEPLOYMENTS, strict=True):
        _coverage(axes, rows, summary, look_of, deployment)
        axes.set(title=f"coverage@r, {deployment} deployment", xlabel=_RANK, ylabel="share found", ylim=(0, 1.02))
    grouped_bars(right, summary, deployed, look_of, {"reward/top-k": "top-k", "reward/sampled": "sampled"})
    logged = summary.get(("logging-policy", "reward/logged"))
    # As text: the logging policies see the user's state and may earn several times what any agent does.
    note = "" if logged is None else f" (in the log: {logged.mean:.2f})"
    right.set(title=f"mean reward of a session{note}", xlabel="deployment", ylabel="successful clicks")
    lines = legend_entries([left])
    legend_below(
        figure,
        {agent: (lines[agent], bar_entry(look_of[agent])) if agent in deployed else lines[agent] for agent in lines},
    )
    [(_, policy, size)] = cells_of(rows)
    intervals = seeds_text(
        seeds,
        "bands and bars: 95% intervals over seeds",
        "thin lines: seeds; bars: 95% intervals over sessions",
    )
    figure.suptitle(f"{size:,} logged sessions of the {policy} policy, {intervals}", fontsize=10)
    return figure


def reward_grid_figure(rows: DataFrame, measure: str, label: str) -> Figure:
    """Draw a panel for each logging policy and number of sessions: rewards of the agents, as points with intervals.

    Args:
        rows: measurements of several cells.
        measure: metric without its deployment, e.g. ``"reward"``; cells that have no such rows stay empty.
        label: label of the axis.
    """
    shown = rows[rows["metric"].isin([f"{measure}/{deployment}" for deployment in _DEPLOYMENTS])]
    # Rewards of policies that see the state are text: as points they would leave the others no room.
    agents = [agent for agent in agents_of(shown) if agent not in SEEING]
    look_of = looks(agents)
    figure, panels = _panels(rows, panel_height=0.7 + 0.19 * len(agents), share_x=True)
    for (_, policy, size), of_cell in cells_of(rows).items():
        axes, summary = panels[policy, size], summarize(of_cell)
        seeing = {agent: summary.get((agent, f"{measure}/top-k")) for agent in SEEING}
        texts = [f"{agent}: {interval.mean:.1f}" for agent, interval in seeing.items() if interval is not None]
        if texts:
            axes.set_title(f"{axes.get_title()}\n({', '.join(texts)})", fontsize=9)
        for place, agent in enumerate(agents):
            for deployment, shift, fill in (("top-k", 0.15, "full"), ("sampled", -0.15, "none")):
                interval = summary.get((agent, f"{measure}/{deployment}"))
                if interval is not None:
                    look = look_of[agent]
                    axes.errorbar(
                        [interval.mean],
                        [shift - place],
                        xerr=interval_ends(interval),
                        color=look.color,
                        marker=look.marker or "d",
                        markersize=4.5,
                        fillstyle=fill,
                        linestyle="",
                        elinewidth=1,
                    )
    for axes in panels.values():
        axes.set_yticks([-place for place in range(len(agents))], agents)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-len(agents) + 0.4, 0.6)
    _label_outer(panels, label)
    fills = zip(_DEPLOYMENTS, ("full", "none"), strict=True)
    legend_below(figure, {f"{deployment} deployment": fill_entry(fill) for deployment, fill in fills})
    intervals = seeds_text(
        rows["seed"].nunique(), "bars: 95% intervals over seeds", "bars: 95% intervals over sessions"
    )
    figure.suptitle(f"{label}, {intervals}", fontsize=10)
    return figure


def coverage_grid_figure(rows: DataFrame, deployment: str) -> Figure:
    """Draw a panel for each logging policy and number of sessions: coverage@r by r.

    Args:
        rows: measurements of several cells.
        deployment: ``"top-k"`` or ``"sampled"``.
    """
    look_of = looks(agents_of(rows))
    figure, panels = _panels(rows, panel_height=2.1, share_x=False)
    for (_, policy, size), of_cell in cells_of(rows).items():
        _coverage(panels[policy, size], of_cell, summarize(of_cell), look_of, deployment)
    for axes in panels.values():
        axes.set(ylim=(0, 1.02), ylabel="share found")
    _label_outer(panels, _RANK)
    legend_below(figure, legend_entries(list(panels.values())))
    intervals = seeds_text(rows["seed"].nunique(), "bands: 95% intervals over seeds", "thin lines: seeds")
    figure.suptitle(f"coverage@r, {deployment} deployment, {intervals}", fontsize=10)
    return figure


def _panels(rows: DataFrame, panel_height: float, share_x: bool) -> tuple[Figure, Panels]:
    """Make a named panel a cell: logging policies downwards, numbers of sessions to the right."""
    policies, sizes = list(rows["logging_policy"].unique()), sorted(rows["num_sessions"].unique())
    width = max(5.0, 1.0 + 2.9 * len(sizes))
    figure = Figure(figsize=(width, 0.9 + panel_height * len(policies)), layout="constrained")
    axes = figure.subplots(len(policies), len(sizes), squeeze=False, sharex=share_x, sharey=True)
    panels = {
        (policy, size): axes[row, column] for row, policy in enumerate(policies) for column, size in enumerate(sizes)
    }
    for (policy, size), panel in panels.items():
        panel.set_title(f"{policy}, {size:,} sessions")
    return figure, panels


def _label_outer(panels: Panels, label: str) -> None:
    """Label the axes on the outer sides of the grid alone."""
    for axes in panels.values():
        axes.label_outer()
        if axes.get_subplotspec().is_last_row():  # type: ignore[union-attr]
            axes.set_xlabel(label)


def _coverage(axes: Axes, rows: DataFrame, summary: Summary, look_of: Mapping[str, Look], deployment: str) -> None:
    """Draw a line an agent with its band; with too few seeds for a band, a thin line a seed."""
    for agent, look in look_of.items():
        metrics: dict[int, str] = {}
        for name, metric in summary:
            measure, _, kind = metric.partition("/")
            if name == agent and measure.startswith("coverage@") and kind in (deployment, "logged"):
                metrics[int(measure.removeprefix("coverage@"))] = metric
        if metrics:
            axes.set_xticks(sorted(metrics))
            curve(axes, rows[rows["agent"] == agent], summary, dict(sorted(metrics.items())), agent, look)


def curve(axes: Axes, rows: DataFrame, summary: Summary, metrics: Mapping[int, str], agent: str, look: Look) -> None:
    """Draw an agent's mean by place with its 95% band; with fewer than five seeds, a thin line a seed.

    Args:
        axes: panel to draw on.
        rows: measurements of the agent.
        summary: means and intervals.
        metrics: metric at each place, in the order of places.
        agent: name of the agent.
        look: look of the agent.
    """
    places = list(metrics)
    mean, low, high = np.array([summary[agent, metric] for metric in metrics.values()]).T
    plot_line(axes, places, mean, look, label=agent)
    if not np.isnan(low).any():
        axes.fill_between(places, low, high, color=look.color, alpha=0.15, linewidth=0)
        return
    by_seed = rows.pivot(index="seed", columns="metric", values="value")
    for _, values in by_seed.iterrows() if 1 < len(by_seed) < MIN_SEEDS else ():
        axes.plot(places, [values[metric] for metric in metrics.values()], color=look.color, lw=0.6, alpha=0.6)
