"""Groups of bars with intervals: a group a metric, a bar an agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from irecgan_gym.benchmarks.engine.summaries import Summary
from irecgan_gym.benchmarks.figures.style import Look


def grouped_bars(
    axes: Axes, summary: Summary, agents: Sequence[str], look_of: Mapping[str, Look], metrics: Mapping[str, str]
) -> None:
    """Draw a group of bars for each metric.

    Args:
        axes: panel to draw on.
        summary: means and intervals; a bar is left out where there are none.
        agents: methods with a bar each, from left to right.
        look_of: looks of the methods.
        metrics: names of the groups, by metric.
    """
    width = 0.8 / max(len(agents), 1)
    for place, agent in enumerate(agents):
        groups = [group for group, metric in enumerate(metrics) if (agent, metric) in summary]
        intervals = np.array([summary[agent, metric] for metric in metrics if (agent, metric) in summary])
        if not groups:
            continue
        means, low, high = intervals.T
        axes.bar(
            np.array(groups) + (place - (len(agents) - 1) / 2) * width,
            means,
            width * 0.92,
            label=agent,
            yerr=np.nan_to_num([means - low, high - means]),
            error_kw={"elinewidth": 1, "capsize": 2, "ecolor": "#333333"},
            **_style(look_of[agent]),
        )
    axes.set_xticks(range(len(metrics)), list(metrics.values()))
    axes.grid(visible=False, axis="x")
    axes.set_ylim(bottom=0)


def bar_entry(look: Look) -> Patch:
    """Return a handle for a bar of a method in a legend."""
    return Patch(**_style(look))


def _style(look: Look) -> dict[str, Any]:
    if look.hatch:
        return {"facecolor": "white", "edgecolor": look.color, "hatch": look.hatch}
    return {"facecolor": look.color, "edgecolor": look.color if look.line == "-" else "black"}
