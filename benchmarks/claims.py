"""Claims of the paper (§7), as data, and verdicts of runs on them.

python -m benchmarks.claims runs/figure-2 runs/online-learning
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import tyro
from pandas import DataFrame
from rich.console import Console

from irecgan_gym.benchmarks.engine.command import SettingsError, command_line
from irecgan_gym.benchmarks.engine.statistics import MIN_SEEDS, paired_interval
from irecgan_gym.benchmarks.engine.tables import read_many
from irecgan_gym.benchmarks.engine.text_table import TextTable, text_table
from irecgan_gym.benchmarks.rerank_features import label
from irecgan_gym.evaluation.metrics import Interval
from irecgan_gym.storage.files import write_atomically

Cell = tuple[str, int]
"""Logging policy and number of logged sessions."""
Side = tuple[str, str]
"""Agent and metric."""
METHODS = ("irecgan", "lstm", "pg", "lstmd")
"""Methods that §7.1 compares."""


class Verdict(Enum):
    """Verdict of a run on a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDECIDED = "undecided"
    UNMEASURED = "not measured"


@dataclass(frozen=True)
class Comparison:
    """One measurement that the paper says is greater than another, in some cells.

    Attributes:
        greater: agent and metric.
        smaller: agent and metric.
        policies: logging policies where it is said; empty for all.
        sizes: numbers of logged sessions where it is said; empty for all.
        except_cells: cells that are excluded.
    """

    greater: Side
    smaller: Side
    policies: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    except_cells: tuple[Cell, ...] = ()

    def is_about(self, cell: Cell) -> bool:
        """Return whether the paper says it of this cell."""
        policy, size = cell
        return (
            (not self.policies or policy in self.policies)
            and (not self.sizes or size in self.sizes)
            and cell not in self.except_cells
        )


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes:
        name: short.
        text: in the paper's words, shortened.
        experiment: the command whose runs can tell.
        comparisons: all must come out as said for the claim to hold.
    """

    name: str
    text: str
    experiment: str
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Evidence:
    """One comparison in one cell: the mean paired difference over seeds, positive as the paper says."""

    comparison: Comparison
    cell: Cell
    difference: Interval

    @property
    def verdict(self) -> Verdict:
        """Verdict by the side of 0 on which the 95% interval lies."""
        if self.difference.low > 0:
            return Verdict.HOLDS
        return Verdict.FAILS if self.difference.high < 0 else Verdict.UNDECIDED


@dataclass(frozen=True)
class Judgement:
    """A claim and all that a run says of it.

    Attributes:
        claim: the claim.
        evidence: comparisons that were measured.
        missing: reason why nothing was measured; empty if something was.
    """

    claim: Claim
    evidence: tuple[Evidence, ...]
    missing: str = ""

    @property
    def verdict(self) -> Verdict:
        """Holds if every comparison does; does not if one came out the other way round; else undecided."""
        verdicts = {evidence.verdict for evidence in self.evidence}
        if not verdicts:
            return Verdict.UNMEASURED
        for verdict in (Verdict.FAILS, Verdict.UNDECIDED):
            if verdict in verdicts:
                return verdict
        return Verdict.HOLDS


def _greater(first: str, second: str, metric: str, **where: tuple[str, ...] | tuple[int, ...]) -> Comparison:
    return Comparison((first, metric), (second, metric), **where)  # type: ignore[arg-type]


def _re_ranks_better(first: str, second: str, *metrics: str) -> tuple[Comparison, ...]:
    """Return comparisons with clicks alone, as in the paper, and with all that the log says beside clicks."""
    return tuple(
        _greater(label(first, features), label(second, features), metric)
        for features in ("none", "all")
        for metric in metrics
    )


CLAIMS = (
    Claim(
        "IRecGAN earns most",
        "IRecGAN has a larger average cumulative reward than other methods under all configurations except "
        "pi_random with 200 offline sequences.",
        "simulated_online",
        tuple(
            Comparison(("irecgan", "reward/top-k"), (other, "reward/top-k"), except_cells=(("random", 200),))
            for other in METHODS[1:]
        ),
    ),
    Claim(
        "LSTM over PG under random logs",
        "LSTM outperforms policy gradient under pi_random (coverage).",
        "simulated_online",
        tuple(_greater("lstm", "pg", f"coverage@{r}/top-k", policies=("random",)) for r in (1, 5, 10)),
    ),
    Claim(
        "LSTMD over IRecGAN's policy under random logs",
        "A similar comparison is observed between our user model and agent model: LSTMD can capture the true reward "
        "even with much fewer data.",
        "simulated_online",
        (_greater("lstmd", "irecgan", "coverage@10/top-k", policies=("random",), sizes=(200,)),),
    ),
    Claim(
        "The best items are easy, all of them are not",
        "Under pi_max and pi_mix it is easy for all models to recognize items with the highest reward. But the low "
        "coverage@10 suggests that they fail to capture the overall preference.",
        "simulated_online",
        tuple(
            Comparison((agent, "coverage@1/top-k"), (agent, "coverage@10/top-k"), policies=("max", "mix"))
            for agent in METHODS
        ),
    ),
    Claim(
        "The discriminator helps",
        "By generating more training data via adversarial training, our model performed better than baselines. "
        "(Control: PG with as many offline updates.)",
        "simulated_online",
        (_greater("irecgan", "pgc", "reward/top-k"),),
    ),
    Claim(
        "LSTM offline is worst online",
        "LSTM-offline performs worse than all RL methods, especially in the later stage.",
        "online_learning",
        tuple(
            _greater(other, "lstm-offline", "coverage@1/last")
            for other in ("irecgan", "pg-online", "pg-online&offline")
        ),
    ),
    Claim(
        "IRecGAN converges best online",
        "Compared with PG-online&offline, IRecGAN has better convergence and coverage.",
        "online_learning",
        tuple(_greater("irecgan", "pg-online&offline", f"coverage@{r}/mean") for r in (1, 10)),
    ),
    Claim(
        "IRecGAN re-ranks best",
        "IRecGAN achieved encouraging improvement against all baselines (p@10).",
        "rerank",
        tuple(
            comparison
            for other in ("lstm", "lstmd", "pg", "pgis", "ac", "pgu", "acu")
            for comparison in _re_ranks_better("irecgan", other, "p@10/top-k")
        ),
    ),
    Claim(
        "LSTMD over LSTM",
        "LSTMD outperformed LSTM, given both of them are for user behavior modeling.",
        "rerank",
        _re_ranks_better("lstmd", "lstm", "p@1/top-k", "p@10/top-k"),
    ),
    Claim(
        "PGIS under PG",
        "PGIS did not perform as well as PG, partially because of the high variance of importance sampling.",
        "rerank",
        _re_ranks_better("pg", "pgis", "p@1/top-k", "p@10/top-k"),
    ),
    Claim(
        "PGU between PG and IRecGAN",
        "PGU was able to fit the given data more accurately than PG. However, PGU performed worse than IRecGAN.",
        "rerank",
        (*_re_ranks_better("pgu", "pg", "p@10/top-k"), *_re_ranks_better("irecgan", "pgu", "p@10/top-k")),
    ),
)


def judge(claim: Claim, results: DataFrame) -> Judgement:
    """Return what some measurements say of a claim."""
    rows = results[results["experiment"] == claim.experiment]
    cells = sorted(set(zip(rows["logging_policy"], rows["num_sessions"], strict=True)))
    metrics = {side[1] for comparison in claim.comparisons for side in (comparison.greater, comparison.smaller)}
    groups = rows[rows["metric"].isin(metrics)].groupby(
        ["logging_policy", "num_sessions", "agent", "metric"], sort=False
    )
    by_seed = {key: of.set_index("seed")["value"] for key, of in groups}
    evidence = []
    for comparison in claim.comparisons:
        for cell in filter(comparison.is_about, cells):
            greater, smaller = by_seed.get((*cell, *comparison.greater)), by_seed.get((*cell, *comparison.smaller))
            difference = None if greater is None or smaller is None else paired_interval(greater, smaller)
            if difference is not None:
                evidence.append(Evidence(comparison, cell, difference))
    return Judgement(claim, tuple(evidence), "" if evidence else _missing(claim, rows, cells))


def _missing(claim: Claim, rows: DataFrame, cells: Sequence[Cell]) -> str:
    """Return why nothing was measured of a claim: no run, other logs, other methods, or too few seeds."""
    if rows.empty:
        return f"no run of {claim.experiment}"
    about = [comparison for comparison in claim.comparisons if any(map(comparison.is_about, cells))]
    if not about:
        policies = {policy for comparison in claim.comparisons for policy in comparison.policies}
        sizes = {size for comparison in claim.comparisons for size in comparison.sizes}
        logs = [" or ".join(sorted(policies)), " or ".join(map(str, sorted(sizes)))]
        return f"no logs that it is about ({', '.join(filter(None, logs)) or 'all but those measured'})"
    measured = set(zip(rows["agent"], rows["metric"], strict=True))
    wanted = [{comparison.greater, comparison.smaller} - measured for comparison in about]
    if all(wanted):
        sides = sorted(min(wanted, key=lambda lacking: len(set(lacking))))
        return f"no results of {', '.join(f'{agent} ({metric})' for agent, metric in sides)}"
    return f"fewer than {MIN_SEEDS} seeds of both sides ({rows['seed'].nunique()} in all)"


def claims_table(judgements: Sequence[Judgement]) -> TextTable:
    """Return a table with a row a claim."""
    rows = [
        (
            judgement.claim.name,
            judgement.verdict.value,
            counts_text(judgement) if judgement.evidence else "-",
            _clearest(judgement) if judgement.evidence else judgement.missing,
        )
        for judgement in judgements
    ]
    headings = (
        "claim",
        "verdict",
        "comparisons that hold / fail / are open",
        "clearest difference, or what is missing",
    )
    return text_table("Claims of the paper", headings, rows)


def claims_markdown(judgements: Sequence[Judgement]) -> str:
    """Return the verdicts with the paper's words and every number in Markdown, for a results page."""
    rows = [
        (
            f"**{judgement.claim.name}.** {judgement.claim.text}",
            judgement.verdict.value + (f": {judgement.missing}" if judgement.missing else ""),
            counts_text(judgement),
        )
        for judgement in judgements
    ]
    parts = [text_table("", ("claim", "verdict", "comparisons that hold / fail / are open"), rows).markdown()]
    for judgement in judgements:
        if judgement.evidence:
            numbers = [
                (
                    cell_name(evidence.cell),
                    sides_text(evidence.comparison),
                    range_text(evidence.difference),
                    evidence.verdict.value,
                )
                for evidence in judgement.evidence
            ]
            headings = ("cell", "difference", "mean (95% interval)", "verdict")
            parts.append(f"{text_table(judgement.claim.name, headings, numbers).section()}\n")
    return "\n".join(parts)


def counts_text(judgement: Judgement) -> str:
    """Return the numbers of comparisons that hold / fail / are open."""
    verdicts = [evidence.verdict for evidence in judgement.evidence]
    return " / ".join(str(verdicts.count(kind)) for kind in (Verdict.HOLDS, Verdict.FAILS, Verdict.UNDECIDED))


def _clearest(judgement: Judgement) -> str:
    """Return the comparison whose interval is farthest from 0, of those that decide the verdict."""
    deciding = [evidence for evidence in judgement.evidence if evidence.verdict == judgement.verdict]
    if not deciding:
        return "-"
    best = max(deciding, key=lambda evidence: abs(evidence.difference.mean) / (evidence.difference.half_width + 1e-12))
    return f"{cell_name(best.cell)}: {sides_text(best.comparison)} {range_text(best.difference)}"


def cell_name(cell: Cell) -> str:
    """Return ``policy(size)``, as the paper writes it."""
    return f"{cell[0]}({cell[1]})"


def sides_text(comparison: Comparison) -> str:
    """Return which side is subtracted from which."""
    (agent, metric), (other, other_metric) = comparison.greater, comparison.smaller
    if metric == other_metric:
        return f"{metric}: {agent} - {other}"
    return f"{agent}: {metric} - {other_metric}"


def range_text(interval: Interval) -> str:
    """Return a difference with both ends of its interval."""
    return f"{interval.mean:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"


@dataclass(frozen=True)
class Claims:
    """Turn run folders into verdicts on the claims of the paper."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders, of one or more experiments."""
    markdown: Path | None = None
    """File for the verdicts with all numbers, in Markdown."""

    def execute(self, console: Console) -> None:
        """Judge all claims that the runs have something to say about.

        Raises:
            SettingsError: no run folder was given.
        """
        if not self.runs:
            raise SettingsError("give one or more run folders")
        results = read_many(self.runs)
        judgements = [judge(claim, results) for claim in CLAIMS]
        claims_table(judgements).print(console)
        if self.markdown is not None:
            write_atomically(self.markdown, claims_markdown(judgements).encode())
            console.print("written:", self.markdown, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(command_line(Claims))
