"""Groups of bars with intervals: a group a metric, a bar an agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from irecgan_gym.benchmarks.plot_style import Look
from irecgan_gym.benchmarks.tables import Summary
from matplotlib.axes import Axes

_HATCHES = {"random": "///", "popularity": "...", "belief": "\\\\\\", "optimal": "xxx"}


def grouped_bars(
    axes: Axes,
    summary: Summary,
    agents: Sequence[str],
    look_of: Mapping[str, Look],
    metrics: Mapping[str, str],
    scale: float = 1.0,
) -> None:
    """Draw a group of bars for each metric.

    Args:
        axes: where.
        summary: means and intervals; a bar is left out where there are none.
        agents: a bar each, from left to right.
        look_of: their colours.
        metrics: the groups' names, by metric.
        scale: numbers are multiplied by this.
    """
    width = 0.8 / max(len(agents), 1)
    for place, agent in enumerate(agents):
        positions, heights, below, above = [], [], [], []
        for group, metric in enumerate(metrics):
            interval = summary.get((agent, metric))
            if interval is not None:
                positions.append(group + (place - (len(agents) - 1) / 2) * width)
                heights.append(interval.mean * scale)
                below.append((interval.mean - interval.low) * scale)
                above.append((interval.high - interval.mean) * scale)
        axes.bar(
            positions,
            heights,
            width * 0.92,
            color=look_of[agent].colour if agent not in _HATCHES else "white",
            edgecolor=look_of[agent].colour if agent in _HATCHES or look_of[agent].line == "-" else "black",
            hatch=_HATCHES.get(agent),
            label=agent,
            yerr=np.nan_to_num([below, above]),
            error_kw={"elinewidth": 1, "capsize": 2, "ecolor": "#333333"},
        )
    axes.set_xticks(range(len(metrics)), list(metrics.values()))
    axes.grid(visible=False, axis="x")
    axes.set_ylim(bottom=0)
