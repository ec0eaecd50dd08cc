"""Summaries of measurements: means over seeds with intervals, and tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from rich.table import Table

from benchmarks.measurements import Measurement
from irecgan_gym.metrics import Interval, mean_interval

Summary = dict[tuple[str, str], Interval]


def over_seeds(results: Sequence[Measurement]) -> Summary:
    """Mean of each (agent, metric) over seeds, with its 95% t interval (NaN ends for a single seed).

    Args:
        results: measurements of one experiment and one cell (logging policy, number of sessions).
    """
    values: dict[tuple[str, str], list[float]] = {}
    for row in results:
        values.setdefault((row.job.agent, row.metric), []).append(row.value)
    return {key: mean_interval(numbers) for key, numbers in values.items()}


def agents_of(results: Sequence[Measurement]) -> list[str]:
    """Agents in the order of their first measurement."""
    return list(dict.fromkeys(row.job.agent for row in results))


def summary_table(
    results: Sequence[Measurement],
    metrics: Mapping[str, str],
    *,
    title: str,
    caption: str,
    scale: float = 1.0,
    digits: int = 2,
) -> Table:
    """A table with a row an agent and a column a metric.

    Args:
        results: measurements of one experiment and one cell.
        metrics: heading of each column, by metric.
        title: over the table.
        caption: under the table.
        scale: numbers are multiplied by this.
        digits: after the point.
    """
    summary = over_seeds(results)
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left", pad_edge=False)
    table.add_column("agent")
    for heading in metrics.values():
        table.add_column(heading, justify="right")
    for agent in agents_of(results):
        if any((agent, metric) in summary for metric in metrics):
            cells = [_cell(summary.get((agent, metric)), scale, digits) for metric in metrics]
            table.add_row(agent, *cells)
    return table


def _cell(interval: Interval | None, scale: float, digits: int) -> str:
    if interval is None:
        return "-"
    mean = f"{interval.mean * scale:.{digits}f}"
    return mean if np.isnan(interval.low) else f"{mean} ± {interval.half_width * scale:.{digits}f}"
