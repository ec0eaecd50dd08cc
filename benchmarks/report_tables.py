"""The tables of a report: what was measured, by agent and cell, ready to be shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from irecgan_gym.benchmarks.measurements import Measurement, by_cell
from irecgan_gym.benchmarks.normalised import normalized_rows
from irecgan_gym.benchmarks.statistics import interquartile_means, score_matrices
from irecgan_gym.benchmarks.tables import MIN_SEEDS, agents_of, interval_text, summarize


@dataclass(frozen=True)
class PageTable:
    """A table of text.

    Attributes:
        caption: what it shows.
        headings: of the columns; the first is that of the rows' names.
        rows: their names and cells.
        note: what a reader must know besides.
    """

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Measure:
    """A metric as tables show it.

    Attributes:
        metric: e.g. ``"reward/top-k"``.
        heading: in words.
        scale: numbers are multiplied by this.
        digits: after the point.
    """

    metric: str
    heading: str
    scale: float = 1.0
    digits: int = 2


_ONLINE = (
    Measure("reward/top-k", "reward of a session, top-k"),
    Measure("reward/sampled", "reward of a session, sampled"),
    Measure("normalised/top-k", "reward, random 0, belief 1"),
    Measure("of_optimum/top-k", "reward, random 0, optimal 1"),
    Measure("length/top-k", "steps of a session, top-k"),
    Measure("coverage@1/top-k", "coverage@1, top-k"),
    Measure("coverage@10/top-k", "coverage@10, top-k"),
)
_ROUNDS = (
    Measure("coverage@1/mean", "coverage@1, all rounds", digits=3),
    Measure("coverage@10/mean", "coverage@10, all rounds", digits=3),
    Measure("reward/mean", "reward, all rounds"),
    Measure("coverage@1/last", "coverage@1, last rounds", digits=3),
    Measure("coverage@10/last", "coverage@10, last rounds", digits=3),
    Measure("reward/last", "reward, last rounds"),
    Measure("reward/top-k", "reward after, top-k"),
)
_RERANK = tuple(
    Measure(f"{measure}/{deployment}", f"{name} (%), {deployment}", scale=100, digits=1)
    for deployment in ("top-k", "sampled")
    for measure, name in (("p@1", "p@1"), ("p@10", "p@10"), ("mrr", "MRR"))
)
_MEASURES = {"simulated_online": _ONLINE, "online_learning": _ROUNDS, "rerank": _RERANK}
# Ends of intervals, and the rounds one by one: figures show them.
_NOT_SHOWN = re.compile(r".*_(low|high)(/.*)?|.*/round-\d+")


def measurement_tables(results: Sequence[Measurement]) -> list[PageTable]:
    """Tables of one experiment.

    With a single cell, one table of agents by metrics; with several, for each metric a table of agents by cells; then,
    where there are five seeds and references, what rliable says over all cells.

    Args:
        results: measurements of one experiment.
    """
    rows = [*results, *normalized_rows(results)]
    measures = _shown_measures(rows)
    cells = by_cell(rows)
    tables = [_cell_table(rows, measures)] if len(cells) == 1 else [_grid_table(cells, measure) for measure in measures]
    return tables + _overall_tables(rows)


def _shown_measures(rows: Sequence[Measurement]) -> list[Measure]:
    measured = list(dict.fromkeys(row.metric for row in rows))
    known = _MEASURES.get(rows[0].job.experiment)
    if known is None:
        return [Measure(metric, metric, digits=3) for metric in measured if not _NOT_SHOWN.fullmatch(metric)]
    return [measure for measure in known if measure.metric in measured]


def _cell_table(rows: Sequence[Measurement], measures: Sequence[Measure]) -> PageTable:
    summary = summarize(rows, between_seeds=True)
    body = [
        (agent, *(interval_text(summary.get((agent, at.metric)), at.scale, at.digits) for at in measures))
        for agent in agents_of(rows)
        if any((agent, measure.metric) in summary for measure in measures)
    ]
    headings = ("agent", *(measure.heading for measure in measures))
    return PageTable(f"Every agent: {_cell_name(rows)}", headings, tuple(body), _spread(rows))


def _grid_table(cells: dict[tuple[str, str, int], list[Measurement]], measure: Measure) -> PageTable:
    everything = [row for of_cell in cells.values() for row in of_cell]
    summaries = [summarize(of_cell, between_seeds=True) for of_cell in cells.values()]
    body = [
        (
            agent,
            *(interval_text(found.get((agent, measure.metric)), measure.scale, measure.digits) for found in summaries),
        )
        for agent in agents_of(everything)
        if any((agent, measure.metric) in found for found in summaries)
    ]
    headings = ("agent", *(f"{policy} ({size:,})" for _, policy, size in cells))
    caption = f"{measure.heading[0].upper()}{measure.heading[1:]}: every agent by log"
    return PageTable(caption, headings, tuple(body), _spread(everything))


def _overall_tables(rows: Sequence[Measurement]) -> list[PageTable]:
    scores = score_matrices(rows, "normalised/top-k")
    if len(scores) < 2 or min(map(len, scores.values())) < MIN_SEEDS:
        return []
    means = interquartile_means(scores)
    body = [
        (agent, f"{mean:.2f}", f"{low:.2f} to {high:.2f}")
        for agent, (mean, low, high) in sorted(means.items(), key=lambda found: -found[1].mean)
    ]
    headings = ("agent", "interquartile mean of the reward", "95% interval")
    seeds, cells = next(iter(scores.values())).shape
    note = (
        f"Rewards on the scale where random slates are 0 and belief is 1, over {seeds} seeds and {cells} "
        f"{'cell' if cells == 1 else 'cells'} that all agents have, with stratified bootstrap intervals (rliable)."
    )
    return [PageTable("Normalised reward over all cells", headings, tuple(body), note)]


def _cell_name(rows: Sequence[Measurement]) -> str:
    job = rows[0].job
    return f"{job.logging_policy}, {job.num_sessions:,} sessions"


def _spread(rows: Sequence[Measurement]) -> str:
    by_size = [len({row.job.seed for row in of_cell}) for of_cell in by_cell(rows).values()]
    few, many = min(by_size), max(by_size)
    count = f"{many} seeds" if few == many else f"{few} to {many} seeds"
    within = "the sessions or users of a seed"
    over = "seeds" if few >= MIN_SEEDS else within
    if few < MIN_SEEDS <= many:
        over = f"seeds where there are {MIN_SEEDS}, else over {within}"
    return f"{count}; ± is half of a 95% interval over {over}."
