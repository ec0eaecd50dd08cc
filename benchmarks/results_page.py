"""Tables of a page about results, written into it from the run folders that are published with it.

A page asks for a table by a comment, and gets it below, up to the next one that ends it::

    <!-- table: cells figure-2 reward/top-k -->
    <!-- end of table -->

| table | what it shows |
| --- | --- |
| ``cells RUN METRIC [AGENT...]`` | a metric of every agent, by logging policy and number of sessions |
| ``metrics RUN METRIC[*SCALE]...`` | several metrics of every agent of the one cell of a run |
| ``differences RUN A:B...`` | rewards of A less those of B, paired by seed, in both deployments, by cell |
| ``variants RUN METRIC`` | a metric of ``agent+setting=value`` less that of ``agent`` (in brackets), by cell |
| ``folds RUN DEPLOYMENT [METHOD...]`` | shares of all lists of a run of folds, and differences from other methods |
| ``claims RUN...`` | verdicts on the claims of the paper by several runs |
| ``planners RUN AGENT...`` | rewards by world and cell, and by how much and where the first agent leads the others |
| ``biases RUN ROUND...`` | biases of a policy's value (§6) after some rounds, by cell |
| ``doses RUN AGENT...`` | what the training of agents consisted of, and how far it moved them, by cell |

    python -m benchmarks.results_page benchmarks/RESULTS.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from pandas import DataFrame
from rich.console import Console

from irecgan_gym.benchmarks.claims.doses import PREFIX
from irecgan_gym.benchmarks.claims.judgement import judge_all
from irecgan_gym.benchmarks.claims.runs import Runs
from irecgan_gym.benchmarks.claims.tables import verdict_table
from irecgan_gym.benchmarks.engine.command import SettingsError, command_line
from irecgan_gym.benchmarks.engine.summaries import Measure, paired_difference, summarize
from irecgan_gym.benchmarks.engine.tables import agents_of, cells_of, read_results
from irecgan_gym.benchmarks.engine.text_table import text_table
from irecgan_gym.benchmarks.online_test import DEPLOYMENTS, LOGGING_POLICY
from irecgan_gym.benchmarks.planner_tables import planner_tables
from irecgan_gym.benchmarks.rerank_folds import pooled_table
from irecgan_gym.benchmarks.user_hits import read_user_hits
from irecgan_gym.benchmarks.value_bias import bias_tables
from irecgan_gym.storage.files import write_atomically

_REGION = re.compile(r"(<!-- table: (?P<words>[^>]*?) -->\n).*?(?P<end><!-- end of table -->)", re.DOTALL)
_POLICIES = ("random", "max", "mix")
_DOSES = {
    "updates": ("policy_updates", 0),
    "sessions seen": ("sessions_seen", 0),
    "held-out accuracy of D": ("discriminator_accuracy", 2),
    "mean of q": ("mean_q", 2),
    "policy moved": ("policy_moved", 2),
    "user model moved": ("user_model_moved", 2),
}


def fill_tables(page: str, runs: Path) -> str:
    """Return a page whose tables are those of its runs.

    Args:
        page: in Markdown.
        runs: folder of run folders.

    Raises:
        SettingsError: a table that is none of those above, with its words.
        FileNotFoundError: a run folder that is not there.
        RunFolderError: a damaged table of a run.
    """
    read: dict[str, DataFrame] = {}

    def filled(region: re.Match[str]) -> str:
        kind, run, *options = region["words"].split()
        if kind == "claims":
            table = verdict_table(judge_all(Runs.read([runs / name for name in (run, *options)]))).markdown()
        elif kind == "folds":
            [deployment, *others] = options
            table = pooled_table(read_user_hits([runs / run]), deployment, tuple(others)).markdown()
        elif kind in _TABLES:
            if run not in read:
                read[run] = read_results(runs / run)
            table = _TABLES[kind](read[run], options)
        else:
            raise SettingsError(
                f"table: {region['words']}: expected one of claims, folds, {', '.join(_TABLES)}, got {kind}"
            )
        return f"{region[1]}\n{table}\n{region['end']}"

    return _REGION.sub(filled, page)


def _by_cell(rows: DataFrame) -> dict[str, DataFrame]:
    """Return the rows of each cell, logging policies in the paper's order, sizes ascending."""
    cells = cells_of(rows[rows["agent"] != LOGGING_POLICY])
    order = sorted(
        cells, key=lambda cell: (_POLICIES.index(cell[1]) if cell[1] in _POLICIES else len(_POLICIES), cell[1], cell[2])
    )
    return {f"{cell[1]}({cell[2]:,})": cells[cell] for cell in order}


def _cells(rows: DataFrame, options: Sequence[str]) -> str:
    [metric, *agents] = options
    by_cell = {name: summarize(of[of["metric"].str.startswith(metric)]) for name, of in _by_cell(rows).items()}
    measure = Measure(metric, metric)
    shown = agents or [agent for agent in agents_of(rows) if any((agent, metric) in of for of in by_cell.values())]
    return _markdown(
        ("agent", *by_cell),
        [(agent, *(measure.text(of.get((agent, metric))) for of in by_cell.values())) for agent in shown],
    )


def _metrics(rows: DataFrame, options: Sequence[str]) -> str:
    [cell] = _by_cell(rows).values()
    summary = summarize(cell)
    measures = []
    for option in options:
        metric, _, scale = option.partition("*")
        measures.append(Measure(metric, metric, scale=float(scale or 1), digits=1 if scale else 2))
    shown = [agent for agent in agents_of(cell) if any((agent, of.metric) in summary for of in measures)]
    return _markdown(
        ("agent", *(of.heading for of in measures)),
        [(agent, *(of.text(summary.get((agent, of.metric))) for of in measures)) for agent in shown],
    )


def _differences(rows: DataFrame, options: Sequence[str]) -> str:
    by_cell = _by_cell(rows)
    return _markdown(
        ("difference", *by_cell),
        [
            (
                f"{one} less {other}, {deployment}",
                *(_difference(of, one, other, f"reward/{deployment}") for of in by_cell.values()),
            )
            for one, _, other in (pair.partition(":") for pair in options)
            for deployment in DEPLOYMENTS
        ],
    )


def _variants(rows: DataFrame, options: Sequence[str]) -> str:
    [metric] = options
    by_cell = _by_cell(rows[rows["metric"] == metric])
    agents = [agent for agent in agents_of(rows) if agent != LOGGING_POLICY]
    changed = [agent for agent in agents if "=" in agent]
    known = {agent.partition("+")[0] for agent in changed}
    table = []
    for base in (agent for agent in agents if agent in known):
        means = [of.loc[of["agent"] == base, "value"].mean() for of in by_cell.values()]
        table.append((f"`{base}`", *(f"({mean:.2f})" for mean in means)))
        for agent in changed:
            if agent.partition("+")[0] == base:
                cells = (_difference(of, agent, base, metric) for of in by_cell.values())
                table.append((f"`{agent}`", *cells))
    return _markdown(("agent", *by_cell), table)


def _doses(rows: DataFrame, options: Sequence[str]) -> str:
    table = []
    for name, of in _by_cell(rows).items():
        means = of.groupby(["agent", "metric"], sort=False)["value"].mean()
        for agent in options:
            found = [(means.get((agent, PREFIX + metric)), digits) for metric, digits in _DOSES.values()]
            cells = ("-" if value is None else f"{value:,.{digits}f}" for value, digits in found)
            table.append((f"{agent}, {name}", *cells))
    return _markdown(("agent", *_DOSES), table)


def _planners(rows: DataFrame, options: Sequence[str]) -> str:
    return "\n\n".join(table.markdown() for table in planner_tables(rows, options))


def _biases(rows: DataFrame, options: Sequence[str]) -> str:
    tables = bias_tables(rows, [int(option) for option in options])
    lines = [(table.caption, *cells) for table in tables for cells in table.rows]
    return _markdown(("cell", *tables[0].headings), lines)


def _difference(cell: DataFrame, agent: str, other: str, metric: str) -> str:
    of = cell[cell["metric"] == metric].pivot(index="seed", columns="agent", values="value")
    if not {agent, other} <= set(of.columns) or of[[agent, other]].dropna().empty:
        return "-"
    difference = paired_difference(cell, agent, other, metric)
    return f"{difference.mean:+.2f} ± {difference.half_width:.2f}"


def _markdown(headings: Sequence[str], table: Sequence[Sequence[str]]) -> str:
    return text_table("", tuple(headings), [tuple(row) for row in table]).markdown()


_TABLES: Mapping[str, Callable[[DataFrame, Sequence[str]], str]] = {
    "cells": _cells,
    "metrics": _metrics,
    "differences": _differences,
    "variants": _variants,
    "doses": _doses,
    "planners": _planners,
    "biases": _biases,
}


@dataclass(frozen=True)
class ResultsPage:
    """Write the tables of a page from the run folders that are published with it."""

    page: tyro.conf.Positional[Path]
    """Page in Markdown."""
    runs: Path | None = None
    """Folder of run folders; published, beside the page, if left out."""

    def execute(self, console: Console) -> None:
        """Write the tables into the page."""
        runs = self.page.parent / "published" if self.runs is None else self.runs
        old = self.page.read_text(encoding="utf-8")
        new = fill_tables(old, runs)
        if new != old:
            write_atomically(self.page, new.encode())
        console.print("written:" if new != old else "as it was:", self.page, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(command_line(ResultsPage))
