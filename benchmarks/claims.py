"""What the paper claims (§7), as data, and what a run says of each claim.

python -m benchmarks.claims runs/figure-2 runs/online-learning
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import tyro
from irecgan_gym.benchmarks.command import run_command
from irecgan_gym.benchmarks.measurements import Measurement, read_rows
from irecgan_gym.benchmarks.rerank_features import label
from irecgan_gym.benchmarks.statistics import Cell, Side, paired_interval
from rich.console import Console
from rich.table import Table

from irecgan_gym.evaluation.metrics import Interval

METHODS = ("irecgan", "lstm", "pg", "lstmd")
"""What §7.1 compares."""


class Verdict(Enum):
    """What a run says of a claim."""

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
        """Whether the paper says it of this cell."""
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
        """Whether the 95% interval lies on one side of 0."""
        if self.difference.low > 0:
            return Verdict.HOLDS
        return Verdict.FAILS if self.difference.high < 0 else Verdict.UNDECIDED


@dataclass(frozen=True)
class Judgement:
    """A claim and all that a run says of it."""

    claim: Claim
    evidence: tuple[Evidence, ...]

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
    """Comparisons with clicks alone, as in the paper, and with all that the log says beside clicks."""
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


def judge(claim: Claim, results: Sequence[Measurement]) -> Judgement:
    """What some measurements say of a claim."""
    rows = [row for row in results if row.job.experiment == claim.experiment]
    cells = sorted({(row.job.logging_policy, row.job.num_sessions) for row in rows})
    evidence = []
    for comparison in claim.comparisons:
        for cell in filter(comparison.is_about, cells):
            difference = paired_interval(rows, cell, comparison.greater, comparison.smaller)
            if difference is not None:
                evidence.append(Evidence(comparison, cell, difference))
    return Judgement(claim, tuple(evidence))


def claims_table(judgements: Sequence[Judgement]) -> Table:
    """A row a claim, for the terminal."""
    table = Table(title="Claims of the paper", title_justify="left", pad_edge=False, show_lines=True)
    for heading in ("claim", "verdict", "comparisons that hold / fail / are open", "clearest difference"):
        table.add_column(heading)
    for judgement in judgements:
        table.add_row(judgement.claim.name, judgement.verdict.value, counts_text(judgement), _clearest(judgement))
    return table


def claims_markdown(judgements: Sequence[Judgement]) -> str:
    """The same with the paper's words and every number, for a results page."""
    lines = ["| claim | verdict | comparisons that hold / fail / are open |", "| --- | --- | --- |"]
    lines += [
        f"| **{judgement.claim.name}.** {judgement.claim.text} | {judgement.verdict.value} | {counts_text(judgement)} |"
        for judgement in judgements
    ]
    for judgement in judgements:
        if judgement.evidence:
            lines += ["", f"**{judgement.claim.name}**", ""]
            lines += ["| cell | difference | mean (95% interval) | |", "| --- | --- | --- | --- |"]
            lines += [
                f"| {cell_name(evidence.cell)} | {sides_text(evidence.comparison)} | {range_text(evidence.difference)} "
                f"| {evidence.verdict.value} |"
                for evidence in judgement.evidence
            ]
    return "\n".join(lines) + "\n"


def counts_text(judgement: Judgement) -> str:
    """How many comparisons hold / fail / are open."""
    verdicts = [evidence.verdict for evidence in judgement.evidence]
    return " / ".join(str(verdicts.count(kind)) for kind in (Verdict.HOLDS, Verdict.FAILS, Verdict.UNDECIDED))


def _clearest(judgement: Judgement) -> str:
    """The comparison whose interval is farthest from 0, of those that decide the verdict."""
    deciding = [evidence for evidence in judgement.evidence if evidence.verdict == judgement.verdict]
    if not deciding:
        return "-"
    best = max(deciding, key=lambda evidence: abs(evidence.difference.mean) / (evidence.difference.half_width + 1e-12))
    return f"{cell_name(best.cell)}: {sides_text(best.comparison)} {range_text(best.difference)}"


def cell_name(cell: Cell) -> str:
    """``policy(size)``, as the paper writes it."""
    return f"{cell[0]}({cell[1]})"


def sides_text(comparison: Comparison) -> str:
    """What is subtracted from what."""
    (agent, metric), (other, other_metric) = comparison.greater, comparison.smaller
    if metric == other_metric:
        return f"{metric}: {agent} - {other}"
    return f"{agent}: {metric} - {other_metric}"


def range_text(interval: Interval) -> str:
    """A difference with both ends of its interval."""
    return f"{interval.mean:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"


@dataclass(frozen=True)
class Claims:
    """Turn run folders into verdicts on the claims of the paper."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders, of one or more experiments."""
    markdown: Path | None = None
    """File for the verdicts with all numbers, in Markdown."""


def run(settings: Claims, console: Console) -> list[Judgement]:
    """Judge all claims that the runs have something to say about."""
    results = []
    for folder in settings.runs:
        file = folder / "results.csv"
        if not file.exists():
            raise FileNotFoundError(f"{folder} is no run folder: there is no {file.name}")
        results += read_rows(Measurement, file)
    judgements = [judge(claim, results) for claim in CLAIMS]
    console.print(claims_table(judgements))
    if settings.markdown is not None:
        settings.markdown.write_text(claims_markdown(judgements), encoding="utf-8")
        console.print("written:", settings.markdown, soft_wrap=True)
    return judgements


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    settings = tyro.cli(Claims, args=arguments)
    return run_command(lambda console: run(settings, console))


if __name__ == "__main__":
    sys.exit(main())
