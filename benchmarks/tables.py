"""Summaries of measurements: means over seeds with intervals, and tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from irecgan_gym.benchmarks.measurements import Measurement
from rich.table import Table

from irecgan_gym.evaluation.metrics import Interval, mean_interval

Summary = dict[tuple[str, str], Interval]

# Fewer seeds say next to nothing about the spread between seeds: with two, Student's t multiplies it by 12.7.
MIN_SEEDS = 5


def summarize(results: Sequence[Measurement], *, between_seeds: bool) -> Summary:
    """Mean of each (agent, metric) over seeds, with a 95% interval.

    The interval is Student's t over seeds when asked for and where there are at least ``MIN_SEEDS`` of them. Else it
    is the interval measured within each seed (metrics such as ``reward_low/top-k``), averaged over seeds; where
    nothing like it was measured, its ends are NaN.

    Args:
        results: measurements of one experiment and one cell (logging policy, number of sessions).
        between_seeds: whether seeds differ in all that the result should hold for; False where they share the test
            users, whose number then limits what can be said.
    """
    values: dict[tuple[str, str], list[float]] = {}
    for row in results:
        values.setdefault((row.job.agent, row.metric), []).append(row.value)
    summary: Summary = {}
    for (agent, metric), numbers in values.items():
        if between_seeds and len(numbers) >= MIN_SEEDS:
            summary[agent, metric] = mean_interval(numbers)
        else:
            measure, _, deployment = metric.partition("/")
            low, high = (values.get((agent, f"{measure}_{end}/{deployment}"), [np.nan]) for end in ("low", "high"))
            summary[agent, metric] = Interval(*(float(np.mean(column)) for column in (numbers, low, high)))
    return summary


def paired_difference(results: Sequence[Measurement], agent: str, other: str, metric: str) -> Interval:
    """Mean over the seeds that both have of one agent's metric less another's, with its 95% t interval.

    Seeds are environments, logs and users, which differ far more than agents do; differences within a seed do not
    suffer from that. The ends are NaN with fewer than two seeds.
    """
    of, against = (
        {row.job.seed: row.value for row in results if (row.job.agent, row.metric) == (name, metric)}
        for name in (agent, other)
    )
    return mean_interval([of[seed] - against[seed] for seed in sorted(of.keys() & against.keys())])


def agents_of(results: Sequence[Measurement]) -> list[str]:
    """Agents in the order of their first measurement."""
    return list(dict.fromkeys(row.job.agent for row in results))


def summary_table(
    results: Sequence[Measurement],
    metrics: Mapping[str, str],
    *,
    title: str,
    caption: str,
    between_seeds: bool,
    scale: float = 1.0,
    digits: int = 2,
) -> Table:
    """A table with a row an agent and a column a metric.

    Args:
        results: measurements of one experiment and one cell.
        metrics: heading of each column, by metric.
        title: over the table.
        caption: under the table.
        between_seeds: see :func:`summarize`.
        scale: numbers are multiplied by this.
        digits: after the point.
    """
    summary = summarize(results, between_seeds=between_seeds)
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left", pad_edge=False)
    table.add_column("agent")
    for heading in metrics.values():
        table.add_column(heading, justify="right")
    for agent in agents_of(results):
        if any((agent, metric) in summary for metric in metrics):
            cells = [interval_text(summary.get((agent, metric)), scale, digits) for metric in metrics]
            table.add_row(agent, *cells)
    return table


def interval_text(interval: Interval | None, scale: float, digits: int) -> str:
    """``mean ± half width``, the mean alone where there is no interval, ``-`` for nothing."""
    if interval is None:
        return "-"
    mean = f"{interval.mean * scale:.{digits}f}"
    return mean if np.isnan(interval.half_width) else f"{mean} ± {interval.half_width * scale:.{digits}f}"
