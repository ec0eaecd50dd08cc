"""Tables of a comparison of planners: leads of the first agent by cell, and in how many cells it leads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pandas import DataFrame

from irecgan_gym.benchmarks.engine.summaries import paired_difference
from irecgan_gym.benchmarks.engine.tables import agents_of, cells_of
from irecgan_gym.benchmarks.engine.text_table import TextTable, text_table
from irecgan_gym.evaluation.metrics import Interval, mean_interval

_REWARD = "reward/top-k"
_RANDOM, _BELIEF = "random", "belief"


def planner_tables(results: DataFrame, agents: Sequence[str]) -> list[TextTable]:
    """Return the table of cells and the table of counts.

    Args:
        results: measurements of a run.
        agents: the first of them is compared with the others.
    """
    measured = set(agents_of(results))
    agents = [name for name in agents if name in measured]
    if not agents:
        return []
    first, others = agents[0], agents[1:]
    cells = cells_of(results)
    rows = [[f"{policy} ({size:,})", *_cell(of_cell, first, others)] for (_, policy, size), of_cell in cells.items()]
    headings = ["cell", first, *others, f"way of {first} from random to belief", "share kept when sampled"]
    seeds = results["seed"].nunique()
    by_cell = text_table(
        f"Reward of a session, top-k, and by how much {first} leads, paired",
        headings,
        rows,
        f"{seeds} seeds; ± is half of a 95% t interval over seeds.",
    )
    return [by_cell, _counts(list(cells.values()), first, others)] if others else [by_cell]


def _cell(rows: DataFrame, first: str, others: Sequence[str]) -> list[str]:
    texts = [_number(_mean(rows, first, _REWARD))]
    for other in others:
        texts.append(f"{_number(_mean(rows, other, _REWARD))} ({_signed(_lead(rows, first, other))})")
    kept = _mean(rows, first, "reward/sampled") / _mean(rows, first, _REWARD)
    return [*texts, _number(_way(rows, first)), _number(kept)]


def _counts(cells: Sequence[DataFrame], first: str, others: Sequence[str]) -> TextTable:
    """Return in how many cells the first agent leads, over each other one and over the best of them."""
    rows = []
    for other in others:
        leads = [lead for of_cell in cells if (lead := _lead(of_cell, first, other)) is not None]
        rows.append([other, *_tally(leads)])
    best = [lead for of_cell in cells if (lead := _lead_on_best(of_cell, first, others)) is not None]
    rows.append(["the best of them in each cell", *_tally(best)])
    headings = [f"{first} against", "cells", "ahead", "ahead beyond the interval", "behind beyond the interval"]
    return text_table(
        f"In how many cells {first} leads",
        headings,
        rows,
        "Beyond the interval: the paired 95% t interval over seeds excludes zero. The best of a cell is the one of the "
        "highest mean there, which favors it.",
    )


def _tally(leads: Sequence[Interval]) -> list[str]:
    counts = (
        len(leads),
        sum(lead.mean > 0 for lead in leads),
        sum(lead.low > 0 for lead in leads),
        sum(lead.high < 0 for lead in leads),
    )
    return [str(count) for count in counts]


def _lead_on_best(rows: DataFrame, first: str, others: Sequence[str]) -> Interval | None:
    means = {other: _mean(rows, other, _REWARD) for other in others}
    known = {other: mean for other, mean in means.items() if not np.isnan(mean)}
    return _lead(rows, first, max(known, key=known.__getitem__)) if known else None


def _lead(rows: DataFrame, first: str, other: str) -> Interval | None:
    shared = _seeds(rows, first) & _seeds(rows, other)
    return paired_difference(rows, first, other, _REWARD) if shared else None


def _way(rows: DataFrame, first: str) -> float:
    """Return the share of the way from random slates to ``belief``, of means over seeds that all three have."""
    shared = sorted(set.intersection(*(_seeds(rows, name) for name in (first, _RANDOM, _BELIEF))))
    if not shared:
        return float("nan")
    at = rows[rows["seed"].isin(shared)]
    low, high = _mean(at, _RANDOM, _REWARD), _mean(at, _BELIEF, _REWARD)
    return (_mean(at, first, _REWARD) - low) / (high - low)


def _seeds(rows: DataFrame, agent: str) -> set[int]:
    return set(rows[(rows["agent"] == agent) & (rows["metric"] == _REWARD)]["seed"])


def _mean(rows: DataFrame, agent: str, metric: str) -> float:
    values = rows[(rows["agent"] == agent) & (rows["metric"] == metric)]["value"]
    return mean_interval(values).mean if len(values) else float("nan")


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _signed(lead: Interval | None) -> str:
    if lead is None:
        return "-"
    return f"{lead.mean:+.2f}" if np.isnan(lead.half_width) else f"{lead.mean:+.2f} ± {lead.half_width:.2f}"
