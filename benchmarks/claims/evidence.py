"""Evidence for a claim: one comparison in one cell, over the seeds that both sides have."""

from __future__ import annotations

from dataclasses import dataclass

from pandas import Series

from irecgan_gym.benchmarks.claims.claim import Cell, Claim, Comparison, Quantity, Setting, Statistic
from irecgan_gym.benchmarks.claims.margins import margin_of
from irecgan_gym.benchmarks.claims.runs import Runs
from irecgan_gym.benchmarks.engine.statistics import MIN_SEEDS
from irecgan_gym.benchmarks.engine.summaries import ONE_TEST_SET
from irecgan_gym.evaluation.clustered import compare_clustered
from irecgan_gym.evaluation.comparisons import PairedComparison, compare_paired
from irecgan_gym.evaluation.spreads import compare_spreads


@dataclass(frozen=True)
class Evidence:
    """One comparison in one cell.

    Attributes:
        comparison: sides that are compared.
        cell: logging policy and number of logged sessions.
        difference: estimate, positive as the paper says, its interval and p-values.
        seeds: seeds that both sides have.
    """

    comparison: Comparison
    cell: Cell
    difference: PairedComparison
    seeds: tuple[int, ...]


def measure(claim: Claim, comparison: Comparison, cell: Cell, setting: Setting, runs: Runs) -> Evidence | None:
    """Return the evidence for one comparison in one cell; None with fewer than ``MIN_SEEDS`` seeds of both sides.

    Means are compared by paired differences with Student's t, spreads by the Pitman-Morgan test; where all seeds have
    the same test users, by differences clustered by user and seed.
    """
    compare = _by_user if claim.experiment in ONE_TEST_SET else _by_seed
    return compare(claim.experiment, comparison, cell, setting, runs)


def _by_seed(experiment: str, comparison: Comparison, cell: Cell, setting: Setting, runs: Runs) -> Evidence | None:
    greater, smaller = (
        runs.values(experiment, _cell_of(side, cell), setting.agent(side), setting.metric(side))
        for side in (comparison.greater, comparison.smaller)
    )
    if greater is None or smaller is None:
        return None
    seeds = tuple(sorted(set(greater.index) & set(smaller.index)))
    if len(seeds) < MIN_SEEDS:
        return None
    first, second = (side.loc[list(seeds)].to_numpy() for side in (greater, smaller))
    margin = margin_of(comparison)
    if comparison.statistic is Statistic.SPREAD:
        difference = compare_spreads(first, second, margin=margin)
    else:
        difference = compare_paired(first - second, margin=margin)
    return None if difference is None else Evidence(comparison, cell, difference, seeds)


def _by_user(experiment: str, comparison: Comparison, cell: Cell, setting: Setting, runs: Runs) -> Evidence | None:
    sides, lists = [], Series(dtype=float)
    for side in (comparison.greater, comparison.smaller):
        hits, metric = runs.hits(experiment, _cell_of(side, cell), setting.agent(side)), setting.metric(side)
        if hits is None or metric not in hits:
            return None
        sides.append(hits.pivot(index="seed", columns="user", values=metric).dropna())
        lists = hits.drop_duplicates("user").set_index("user")["lists"]
    seeds = tuple(sorted(set(sides[0].index) & set(sides[1].index)))
    if len(seeds) < MIN_SEEDS or not sides[0].columns.equals(sides[1].columns):
        return None
    first, second = (side.loc[list(seeds)].to_numpy() for side in sides)
    difference = compare_clustered(first - second, lists.loc[sides[0].columns].to_numpy(), margin=margin_of(comparison))
    return None if difference is None else Evidence(comparison, cell, difference, seeds)


def _cell_of(side: Quantity, cell: Cell) -> Cell:
    return (side.logging_policy or cell[0], cell[1])
