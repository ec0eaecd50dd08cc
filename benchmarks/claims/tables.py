"""Verdicts as tables: on the console, in Markdown, and for pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pandas import DataFrame

from irecgan_gym.benchmarks.claims.claim import Cell, Comparison, Quantity, Setting, Statistic
from irecgan_gym.benchmarks.claims.doses import Doses
from irecgan_gym.benchmarks.claims.evidence import Evidence
from irecgan_gym.benchmarks.claims.judgement import LEVEL, Judgement, Verdict
from irecgan_gym.benchmarks.claims.margins import is_ratio, margin_of
from irecgan_gym.benchmarks.claims.runs import Runs
from irecgan_gym.benchmarks.engine.text_table import TextTable, text_table
from irecgan_gym.evaluation.comparisons import Finding

COUNTS = "as said / other way / no difference / open / refused"
"""Heading of the numbers of comparisons by what was found."""
FINDINGS = {
    Finding.AHEAD: "as said",
    Finding.BEHIND: "the other way",
    Finding.EQUIVALENT: "no difference",
    Finding.UNDECIDED: "open",
}
"""Findings of single comparisons in words."""
NOTE = (
    "Each claim is judged in each deployment by all of its comparisons together, with a probability of a false verdict "
    f"of at most {LEVEL:.0%}: it holds where every comparison comes out as said, it is contradicted where one comes "
    "out the other way after Holm's correction, and there is no difference where all are within the margin of "
    "equivalence (two one-sided tests). Intervals are 95%, Student's t over shared seeds (of ratios of spreads: "
    "Pitman-Morgan; of re-ranking: clustered by test user and seed), not corrected; findings of single comparisons are "
    "corrected within their claim. A comparison is refused where the treatment that it is about did nothing in half of "
    "the seeds or more."
)
"""Rules of the verdicts, for readers of the tables."""
_DOSES: dict[str, Callable[[float], str]] = {
    "kept_round": "{:.1f}".format,
    "rounds": "{:.1f}".format,
    "policy_updates": "{:,.0f}".format,
    "sessions_seen": "{:,.0f}".format,
    "discriminator_accuracy": "{:.2f}".format,
    "mean_q": "{:.3f}".format,
    "std_q": "{:.3f}".format,
    "policy_moved": "{:.3f}".format,
    "user_model_moved": "{:.3f}".format,
}


def claims_tables(judgements: Sequence[Judgement]) -> list[TextTable]:
    """Return a table a setting, with a row a claim that was measured; then one of those that were not."""
    headings = ("claim", "verdict", COUNTS, "clearest difference")
    tables = []
    for setting in dict.fromkeys(judgement.setting.name for judgement in judgements):
        rows = [
            (judgement.claim.name, judgement.verdict.value, counts_text(judgement), _clearest(judgement))
            for judgement in judgements
            if judgement.setting.name == setting and judgement.is_measured
        ]
        if rows:
            tables.append(text_table(", ".join(filter(None, ("Claims of the paper", setting))), headings, rows))
    absent = [(group[0].claim.name, place, group[0].missing) for place, group in _unmeasured(judgements)]
    if absent:
        tables.append(text_table("Claims that were not measured", ("claim", "deployment", "what is missing"), absent))
    return tables


def _unmeasured(judgements: Sequence[Judgement]) -> list[tuple[str, list[Judgement]]]:
    """Return the judgements of which nothing was measured, those of a claim together if that is so in all settings."""
    groups: list[tuple[str, list[Judgement]]] = []
    for claim in dict.fromkeys(judgement.claim for judgement in judgements):
        of_claim = [judgement for judgement in judgements if judgement.claim == claim]
        absent = [judgement for judgement in of_claim if not judgement.is_measured]
        if len(absent) == len(of_claim):
            groups.append(("all", absent))
        else:
            groups += [(judgement.setting.name, [judgement]) for judgement in absent]
    return groups


def verdict_table(judgements: Sequence[Judgement]) -> TextTable:
    """Return the verdicts beside the paper's words: a row a claim and setting, one a claim that was not measured."""
    alone = {id(group[0]): place for place, group in _unmeasured(judgements)}
    rows: list[tuple[str, ...]] = []
    told = None
    for judgement in judgements:
        if not judgement.is_measured and id(judgement) not in alone:
            continue
        words = f"**{judgement.claim.name}.**" + ("" if judgement.claim is told else f" {judgement.claim.text}")
        told = judgement.claim
        counts = counts_text(judgement) if judgement.is_measured else "-"
        place = alone.get(id(judgement), judgement.setting.name) or "-"
        rows.append((words, place, verdict_text(judgement), counts))
    return text_table("", ("claim", "deployment", "verdict", COUNTS), rows)


def claims_markdown(judgements: Sequence[Judgement], runs: Runs) -> str:
    """Return verdicts, the paper's words, every number and the doses in Markdown, for a results page."""
    parts = [verdict_table(judgements).markdown(), f"{NOTE}\n"]
    for judgement in judgements:
        if judgement.is_measured:
            parts.append(f"{evidence_table(judgement).section()}\n")
    parts += [f"{table.section()}\n" for table in dose_tables(judgements, runs)]
    return "\n".join(parts)


def name_of(judgement: Judgement) -> str:
    """Return the name of the claim with that of the setting."""
    return ", ".join(filter(None, (judgement.claim.name, judgement.setting.name)))


def verdict_text(judgement: Judgement) -> str:
    """Return the verdict with all that a reader must know beside it."""
    text = judgement.verdict.value + (f": {judgement.missing}" if judgement.missing else "")
    return "; ".join((text, *judgement.notes))


def counts_text(judgement: Judgement) -> str:
    """Return the numbers of comparisons by what was found, in the order of :data:`COUNTS`."""
    numbers = [judgement.findings.count(finding) for finding in FINDINGS]
    return " / ".join(map(str, (*numbers, len(judgement.refusals))))


def evidence_table(judgement: Judgement) -> TextTable:
    """Return every comparison of a judgement, those that were refused last."""
    setting = judgement.setting
    found = [
        (evidence, FINDINGS[finding]) for evidence, finding in zip(judgement.evidence, judgement.findings, strict=True)
    ]
    found += [(refusal.evidence, f"refused ({refusal.reason})") for refusal in judgement.refusals]
    rows = [
        (
            cell_name(evidence.cell),
            sides_text(evidence.comparison, setting),
            range_text(evidence),
            margin_text(evidence.comparison),
            str(len(evidence.seeds)),
            words,
        )
        for evidence, words in found
    ]
    headings = ("cell", "difference", "mean (95% interval)", "margin", "seeds", "finding")
    return text_table(f"{name_of(judgement)}: {judgement.verdict.value}", headings, rows)


def dose_tables(judgements: Sequence[Judgement], runs: Runs) -> list[TextTable]:
    """Return, for each experiment, the doses of the agents that claims speak of: means over seeds, a row an agent."""
    doses = Doses(runs.results)
    tables = []
    for experiment in dict.fromkeys(judgement.claim.experiment for judgement in judgements):
        of = [judgement for judgement in judgements if judgement.claim.experiment == experiment]
        agents = list(
            dict.fromkeys(
                judgement.setting.agent(side)
                for judgement in of
                if judgement.is_measured
                for comparison in judgement.claim.comparisons
                for side in (comparison.greater, comparison.smaller)
            )
        )
        rows = [
            row
            for cell in runs.cells(experiment)
            for agent in agents
            if (row := _dose_row(doses, runs, experiment, cell, agent))
        ]
        if rows:
            headings = ("cell", "agent", "seeds", "round 0 kept in", *(name.replace("_", " ") for name in _DOSES))
            tables.append(text_table(f"Doses, {experiment}: means over seeds", headings, rows))
        elif agents:
            tables.append(text_table(f"Doses, {experiment}: not recorded", ("agent",), [(a,) for a in agents]))
    return tables


def _dose_row(doses: Doses, runs: Runs, experiment: str, cell: Cell, agent: str) -> tuple[str, ...] | None:
    rows = runs.results
    seeds = rows[(rows["experiment"] == experiment) & (rows["agent"] == agent)]["seed"].unique()
    found: DataFrame = doses.of(experiment, cell, agent, list(seeds))
    if found.empty:
        return None
    zero = f"{(found['kept_round'] < 0.5).sum()}" if "kept_round" in found else "-"
    means = [show(found[name].mean()) if name in found else "-" for name, show in _DOSES.items()]
    return (cell_name(cell), agent, str(len(found)), zero, *("-" if text == "nan" else text for text in means))


def _clearest(judgement: Judgement) -> str:
    """Return the comparison whose interval is farthest from 0, of those that decide the verdict."""
    deciding = {
        Verdict.HOLDS: (Finding.AHEAD,),
        Verdict.BEHIND: (Finding.BEHIND,),
        Verdict.EQUIVALENT: (Finding.EQUIVALENT,),
    }.get(judgement.verdict, tuple(Finding))
    found = [
        evidence
        for evidence, finding in zip(judgement.evidence, judgement.findings, strict=True)
        if finding in deciding
    ]
    if not found:
        return judgement.refusals[0].reason if judgement.refusals else "-"

    def clarity(evidence: Evidence) -> float:
        width = evidence.difference.high - evidence.difference.low
        return abs(evidence.difference.mean) / (width + 1e-12)

    best = max(found, key=clarity)
    return f"{cell_name(best.cell)}: {sides_text(best.comparison, judgement.setting)} {range_text(best)}"


def cell_name(cell: Cell) -> str:
    """Return ``policy(size)``, as the paper writes it."""
    return f"{cell[0]}({cell[1]})"


def sides_text(comparison: Comparison, setting: Setting) -> str:
    """Return which side is subtracted from (or, of spreads, divided by) which."""
    greater, smaller = comparison.greater, comparison.smaller
    sign = "/" if is_ratio(comparison) else "-"
    what = f"{comparison.statistic.value} of " if comparison.statistic is Statistic.SPREAD else ""
    if greater.agent != smaller.agent:
        return f"{what}{setting.metric(greater)}: {setting.agent(greater)} {sign} {setting.agent(smaller)}"
    return f"{what}{setting.agent(greater)}: {_metric(greater, setting)} {sign} {_metric(smaller, setting)}"


def _metric(side: Quantity, setting: Setting) -> str:
    return setting.metric(side) + (f" after {side.logging_policy}" if side.logging_policy else "")


def range_text(evidence: Evidence) -> str:
    """Return a difference with both ends of its interval; a ratio, of spreads."""
    numbers = (evidence.difference.mean, evidence.difference.low, evidence.difference.high)
    if is_ratio(evidence.comparison):
        mean, low, high = (f"{math.exp(min(number, 50.0)):.2f}" for number in numbers)
        return f"x {mean} ({low} to {high})"
    mean, low, high = (f"{number:+.3f}" for number in numbers)
    return f"{mean} ({low} to {high})"


def margin_text(comparison: Comparison) -> str:
    """Return the margin of equivalence of a comparison."""
    margin = margin_of(comparison)
    return f"x {math.exp(margin):.2f}" if is_ratio(comparison) else f"{margin:g}"
