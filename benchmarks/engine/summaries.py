"""Summaries of measurements: means over seeds with intervals, scales between references, and tables of both."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from pandas import DataFrame

from irecgan_gym.benchmarks.engine.statistics import (
    MIN_SEEDS,
    interquartile_means,
    probability_of_improvement,
    score_matrices,
)
from irecgan_gym.benchmarks.engine.tables import CELL, RESULTS, agents_of, cells_of, frame
from irecgan_gym.benchmarks.engine.text_table import TextTable, text_table
from irecgan_gym.evaluation.metrics import Interval, mean_interval

Summary = dict[tuple[str, str], Interval]
"""Intervals by agent and metric."""

ZERO = "random"
"""Reference policy that is 0 on the scales."""
ONES = {"normalized": "belief", "of_optimum": "optimal"}
"""Reference policy that is 1 on a scale, by the scale's name: what an agent that sees only clicks can hope for, and the
best there is for one that sees the state."""
ONE_TEST_SET = ("rerank",)
"""Experiments whose seeds are all tested on the same users: what differs between seeds leaves out what differs between
users, so that intervals are those over users."""
_REWARDS = {"reward": "", "reward_low": "_low", "reward_high": "_high"}


@dataclass(frozen=True)
class Measure:
    """A metric as tables show it.

    Attributes:
        metric: name of the metric, e.g. ``"reward/top-k"``.
        heading: its name for people.
        scale: factor by which numbers are multiplied.
        digits: number of digits after the point.
    """

    metric: str
    heading: str
    scale: float = 1.0
    digits: int = 2

    def text(self, interval: Interval | None) -> str:
        """Return ``mean ± half width``, the mean alone where there is no interval, ``-`` for nothing."""
        if interval is None:
            return "-"
        mean = f"{interval.mean * self.scale:.{self.digits}f}"
        if np.isnan(interval.half_width):
            return mean
        return f"{mean} ± {interval.half_width * self.scale:.{self.digits}f}"


def summarize(rows: DataFrame) -> Summary:
    """Return the mean of each agent's metrics over seeds, with a 95% interval.

    The interval is Student's t over seeds where there are at least ``MIN_SEEDS`` of them. Else, and in an experiment of
    one test set, it is the interval measured within each seed (metrics such as ``reward_low/top-k``), averaged over
    seeds; where nothing like it was measured, its ends are NaN.

    Args:
        rows: measurements of one experiment and one cell (logging policy, number of sessions).
    """
    values = {key: of.to_numpy() for key, of in rows.groupby(["agent", "metric"], sort=False)["value"]}
    within = bool(rows["experiment"].isin(ONE_TEST_SET).any())
    summary: Summary = {}
    for (agent, metric), numbers in values.items():
        if len(numbers) >= MIN_SEEDS and not within:
            summary[agent, metric] = mean_interval(numbers)
        else:
            measure, _, deployment = metric.partition("/")
            low, high = (values.get((agent, f"{measure}_{end}/{deployment}"), [np.nan]) for end in ("low", "high"))
            summary[agent, metric] = Interval(*(float(np.mean(column)) for column in (numbers, low, high)))
    return summary


def paired_difference(rows: DataFrame, agent: str, other: str, metric: str) -> Interval:
    """Return the mean of one agent's metric less another's over the seeds that both have, with its 95% t interval.

    Seeds are environments, logs and users, which differ far more than agents do; differences within a seed do not
    suffer from that. The ends are NaN with fewer than two seeds.
    """
    of, against = (
        rows[(rows["agent"] == name) & (rows["metric"] == metric)].set_index("seed")["value"] for name in (agent, other)
    )
    return mean_interval((of - against).dropna().sort_index())


def normalized_rows(rows: DataFrame) -> DataFrame:
    """Return rows such as ``normalized/top-k`` and ``of_optimum/sampled`` for all agents, beside the references.

    0 is what random slates earn and 1 what the reference policy earns, in the same environment (seed), cell and
    deployment. Rows for which a reference is missing, or no better than random slates, are left out.

    Args:
        rows: measurements of any number of cells.
    """
    split = rows["metric"].str.extract(r"^(?P<measure>[^/]*)/?(?P<deployment>.*)$")
    rewards = rows.assign(**split)[split["measure"].isin(_REWARDS)]
    keys = [*CELL, "seed", "deployment"]
    plain = rewards[rewards["measure"] == "reward"].set_index(keys)
    zero = plain.loc[plain["agent"] == ZERO, "value"].rename("zero")
    found = [frame([])]
    for scale, reference in ONES.items():
        one = plain.loc[plain["agent"] == reference, "value"].rename("one")
        both = rewards.join(zero, on=keys).join(one, on=keys)
        both = both[both["one"] > both["zero"]]
        metric = scale + both["measure"].map(_REWARDS) + "/" + both["deployment"]
        value = (both["value"] - both["zero"]) / (both["one"] - both["zero"])
        found.append(both.assign(metric=metric, value=value)[RESULTS])
    return pd.concat([part for part in found if len(part)] or found[:1], ignore_index=True)


def measurement_tables(rows: DataFrame, measures: Sequence[Measure] = ()) -> list[TextTable]:
    """Return the tables of one experiment.

    With a single cell, one table of agents by metrics; with several, for each metric a table of agents by cells; then,
    where there are five seeds and references, interquartile means over all cells.

    Args:
        rows: measurements of one experiment.
        measures: metrics to show; all but ends of intervals and single rounds when empty.
    """
    rows = pd.concat([rows, normalized_rows(rows)], ignore_index=True)
    measured = list(rows["metric"].unique())
    shown = [measure for measure in measures if measure.metric in measured]
    if measures:  # And metrics that have joined.
        known = {"length", *(_kind(measure.metric) for measure in measures)}
        joined = [name for name in measured if re.search("(?<!_low)(?<!_high)/top-k$", name)]
        joined = [name for name in joined if _kind(name) not in known]
        shown += [Measure(name, name.replace("/", ", "), digits=3) for name in joined]
    if not measures:
        hidden = rows["metric"].str.fullmatch(r".*_(low|high)(/.*)?|.*/round-\d+")
        shown = [Measure(metric, metric, digits=3) for metric in rows["metric"][~hidden].unique()]
    cells = cells_of(rows)
    if len(cells) == 1:
        [(_, policy, size)] = cells
        summary = summarize(rows)
        columns = {at.heading: {a: at.text(summary.get((a, at.metric))) for a in agents_of(rows)} for at in shown}
        tables = [_by_agent(f"Every agent: {policy}, {size:,} sessions", columns, _spread(cells))]
    else:
        summaries = {f"{policy} ({size:,})": summarize(of) for (_, policy, size), of in cells.items()}
        tables = [
            _by_agent(
                f"{at.heading[:1].upper()}{at.heading[1:]}: every agent by log",
                {
                    name: {a: at.text(summary.get((a, at.metric))) for a in agents_of(rows)}
                    for name, summary in summaries.items()
                },
                _spread(cells),
            )
            for at in shown
        ]
    return tables + _overall(rows)


def _kind(metric: str) -> str:
    """Return the kind of a metric: ``coverage`` for ``coverage@10/top-k``; ends of intervals are of the same kind."""
    return re.sub(r"(@\d+)?(_low|_high)?(/.*)?$", "", metric)


def _by_agent(caption: str, columns: Mapping[str, Mapping[str, str]], note: str) -> TextTable:
    """Return a table with a row an agent, without agents of which nothing was measured."""
    table = DataFrame(columns, dtype=object)
    table = table[(table != "-").any(axis=1)]
    return TextTable(caption, table.rename_axis("agent").reset_index(), note)


def _overall(rows: DataFrame) -> list[TextTable]:
    scores = score_matrices(rows, "normalized/top-k")
    if len(scores) < 2 or min(map(len, scores.values())) < MIN_SEEDS:
        return []
    means = sorted(interquartile_means(scores).items(), key=lambda found: -found[1].mean)
    seeds, cells = next(iter(scores.values())).shape
    names = [agent for agent, _ in means]
    ahead = [probability_of_improvement(scores[one], scores[other]) for one, other in pairwise(names)]
    return [
        text_table(
            "Normalized reward over all cells",
            ("agent", "interquartile mean of the reward", "95% interval", "ahead of the next agent"),
            [
                (agent, f"{mean:.2f}", f"{low:.2f} to {high:.2f}", share)
                for (agent, (mean, low, high)), share in zip(means, [*map(_share, ahead), "-"], strict=True)
            ],
            f"Rewards on the scale where random slates are 0 and belief is 1, over {seeds} seeds and {cells} "
            f"{'cell' if cells == 1 else 'cells'} that all agents have: mean over seeds of the interquartile mean over "
            "cells, and share of cells and seeds in which an agent earns more than the next one below, with "
            "Student's t intervals over seeds, each with all of its cells.",
        )
    ]


def _share(interval: Interval) -> str:
    return f"{interval.mean:.0%} ({interval.low:.0%} to {interval.high:.0%})"


def _spread(cells: Mapping[tuple[str, str, int], DataFrame]) -> str:
    sizes = [of["seed"].nunique() for of in cells.values()]
    few, many = min(sizes), max(sizes)
    count = f"{many} seeds" if few == many else f"{few} to {many} seeds"
    if any(experiment in ONE_TEST_SET for experiment, _, _ in cells):
        return f"{count}; ± is half of a 95% interval over test users, mean over seeds."
    within = "the sessions or users of a seed"
    over = "seeds" if few >= MIN_SEEDS else within
    if few < MIN_SEEDS <= many:
        over = f"seeds where there are {MIN_SEEDS}, else over {within}"
    return f"{count}; ± is half of a 95% interval over {over}."
