"""Figures of the simulated online test: one cell in detail, and the grid of the paper's Figure 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from irecgan_gym.benchmarks.bars import grouped_bars
from irecgan_gym.benchmarks.measurements import Measurement, by_cell
from irecgan_gym.benchmarks.plot_style import GREY, SEEING, Look, legend_below, legend_entries, looks
from irecgan_gym.benchmarks.tables import MIN_SEEDS, Summary, agents_of, summarize
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_DEPLOYMENTS = ("top-k", "sampled")
Panels = dict[tuple[str, int], Axes]


def online_figure(rows: Sequence[Measurement]) -> Figure:
    """Coverage@r by r for both deployments, and cumulative rewards: one column of the paper's Figure 2.

    Args:
        rows: measurements of one logging policy and number of sessions.
    """
    summary, agents = summarize(rows, between_seeds=True), agents_of(rows)
    look_of, seeds = looks(agents), len({row.job.seed for row in rows})
    deployed = [agent for agent in agents if (agent, "reward/top-k") in summary]
    figure = Figure(figsize=(10 + 0.3 * max(0, len(deployed) - 4), 3.5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for axes, deployment in zip((left, middle), _DEPLOYMENTS, strict=True):
        _coverage(axes, rows, summary, look_of, deployment)
        axes.set(title=f"coverage@r, {deployment} deployment", xlabel="r", ylim=(0, 1.02))
    grouped_bars(right, summary, deployed, look_of, {"reward/top-k": "top-k", "reward/sampled": "sampled"})
    logged = summary.get(("logging-policy", "reward/logged"))
    # As text: the logging policies see the user's state and may earn several times what any agent does.
    note = "" if logged is None else f" (in the log: {logged.mean:.2f})"
    right.set(title=f"mean reward of a session{note}")
    legend_below(figure, *legend_entries([left]))
    job = rows[0].job
    figure.suptitle(
        f"{job.num_sessions:,} logged sessions of the {job.logging_policy} policy, {_count(seeds)} "
        f"({_spread(seeds, 'bands and bars', 'thin lines: seeds; bars')})",
        fontsize=10,
    )
    return figure


def reward_grid_figure(rows: Sequence[Measurement], measure: str, label: str) -> Figure:
    """A panel for each logging policy and number of sessions: what each agent earns, as points with intervals.

    Args:
        rows: measurements of several cells.
        measure: metric without its deployment, e.g. ``"reward"``; cells that have no such rows stay empty.
        label: of the axis.
    """
    metrics = {f"{measure}/{deployment}" for deployment in _DEPLOYMENTS}
    # What policies earn that see the state is text: as points they would leave the others no room.
    agents = [agent for agent in agents_of([row for row in rows if row.metric in metrics]) if agent not in SEEING]
    look_of, cells = looks(agents), by_cell(rows)
    figure, panels = _panels(rows, panel_height=0.7 + 0.19 * len(agents), share_x=True)
    places = {agent: -place for place, agent in enumerate(agents)}
    for (_, logging_policy, num_sessions), of_cell in cells.items():
        axes, summary = panels[logging_policy, num_sessions], summarize(of_cell, between_seeds=True)
        seeing = {agent: summary.get((agent, f"{measure}/top-k")) for agent in SEEING}
        texts = [f"{agent}: {interval.mean:.1f}" for agent, interval in seeing.items() if interval is not None]
        if texts:
            axes.set_title(f"{axes.get_title()}\n({', '.join(texts)})", fontsize=9)
        for agent, place in places.items():
            for deployment, shift, filled in (("top-k", 0.15, True), ("sampled", -0.15, False)):
                interval = summary.get((agent, f"{measure}/{deployment}"))
                if interval is None:
                    continue
                look = look_of[agent]
                ends = [[interval.mean - interval.low], [interval.high - interval.mean]]
                axes.errorbar(
                    [interval.mean],
                    [place + shift],
                    xerr=np.nan_to_num(ends),
                    color=look.colour,
                    marker=look.marker or "|",
                    markersize=4.5 if look.marker else 6,
                    markerfacecolor=look.colour if filled else "white",
                    linestyle="",
                    elinewidth=1,
                )
    for axes in panels.values():
        axes.set_yticks(list(places.values()), list(places))
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-len(agents) + 0.4, 0.6)
        axes.label_outer()
        if axes.get_subplotspec().is_last_row():  # type: ignore[union-attr]
            axes.set_xlabel(label)
    for face, deployment in zip((GREY, "white"), _DEPLOYMENTS, strict=True):
        # Outside the data, for the legend alone.
        first = next(iter(panels.values()))
        first.plot([], [], "o", color=GREY, markersize=4, markerfacecolor=face, label=f"{deployment} deployment")
    legend_below(figure, *legend_entries(list(panels.values())))
    seeds = len({row.job.seed for row in rows})
    figure.suptitle(f"{label}, {_count(seeds)} ({_spread(seeds, 'bars', 'bars')})", fontsize=10)
    return figure


def coverage_grid_figure(rows: Sequence[Measurement], deployment: str) -> Figure:
    """A panel for each logging policy and number of sessions: coverage@r by r.

    Args:
        rows: measurements of several cells.
        deployment: ``"top-k"`` or ``"sampled"``.
    """
    look_of = looks(agents_of(rows))
    figure, panels = _panels(rows, panel_height=2.1, share_x=False)
    for (_, logging_policy, num_sessions), of_cell in by_cell(rows).items():
        axes = panels[logging_policy, num_sessions]
        _coverage(axes, of_cell, summarize(of_cell, between_seeds=True), look_of, deployment)
    for axes in panels.values():
        axes.set_ylim(0, 1.02)
        axes.label_outer()
        if axes.get_subplotspec().is_last_row():  # type: ignore[union-attr]
            axes.set_xlabel("r")
    legend_below(figure, *legend_entries(list(panels.values())))
    seeds = len({row.job.seed for row in rows})
    spread = "bands: 95% intervals over seeds" if seeds >= MIN_SEEDS else "thin lines: seeds"
    figure.suptitle(f"coverage@r, {deployment} deployment, {_count(seeds)} ({spread})", fontsize=10)
    return figure


def _panels(rows: Sequence[Measurement], panel_height: float, share_x: bool) -> tuple[Figure, Panels]:
    """Logging policies downwards, numbers of sessions to the right; every panel named."""
    policies = list(dict.fromkeys(row.job.logging_policy for row in rows))
    sizes = sorted({row.job.num_sessions for row in rows})
    width = max(5.0, 1.0 + 2.9 * len(sizes))
    figure = Figure(figsize=(width, 0.9 + panel_height * len(policies)), layout="constrained")
    axes = figure.subplots(len(policies), len(sizes), squeeze=False, sharex=share_x, sharey=True)
    panels = {
        (policy, size): axes[row, column] for row, policy in enumerate(policies) for column, size in enumerate(sizes)
    }
    for (policy, size), panel in panels.items():
        panel.set_title(f"{policy}, {size:,} sessions")
    return figure, panels


def _coverage(
    axes: Axes, rows: Sequence[Measurement], summary: Summary, look_of: Mapping[str, Look], deployment: str
) -> None:
    """A line an agent with its band; with too few seeds for a band, a thin line a seed."""
    for agent, look in look_of.items():
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


def _spread(seeds: int, over_seeds: str, over_sessions: str) -> str:
    """What the intervals are over, with how they are drawn."""
    if seeds < MIN_SEEDS:
        return f"{over_sessions}: 95% intervals over sessions"
    return f"{over_seeds}: 95% intervals over seeds"


def _count(seeds: int) -> str:
    return "1 seed" if seeds == 1 else f"{seeds} seeds"
