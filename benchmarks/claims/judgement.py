"""Verdicts: a claim is a family of comparisons, judged at one level in each of its settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from irecgan_gym.benchmarks.claims.claim import Cell, Claim, Comparison, Quantity, Setting
from irecgan_gym.benchmarks.claims.doses import Doses
from irecgan_gym.benchmarks.claims.evidence import Evidence, measure
from irecgan_gym.benchmarks.claims.paper import CLAIMS
from irecgan_gym.benchmarks.claims.runs import Runs
from irecgan_gym.benchmarks.engine.statistics import MIN_SEEDS
from irecgan_gym.benchmarks.engine.summaries import ONE_TEST_SET
from irecgan_gym.evaluation.comparisons import Finding, PairedComparison, judge_each, judge_family

LEVEL = 0.05
"""Probability of a false verdict on a claim in a setting, whatever the number of its comparisons."""


class Verdict(Enum):
    """Verdict of a run on a claim."""

    HOLDS = "holds"
    BEHIND = "does not hold: behind"
    EQUIVALENT = "does not hold: no difference"
    UNDECIDED = "undecided"
    UNMEASURED = "not measured"
    REFUSED = "refused: the treatment did nothing"


@dataclass(frozen=True)
class Refusal:
    """Evidence that says nothing, for a treatment did nothing.

    Attributes:
        evidence: what was measured all the same.
        reason: what was found of the treatment.
    """

    evidence: Evidence
    reason: str


@dataclass(frozen=True)
class Judgement:
    """A claim in one of its settings, and all that runs say of it.

    Attributes:
        claim: the claim.
        setting: the setting.
        verdict: the verdict.
        evidence: comparisons that count.
        findings: finding of each of them, corrected for their number.
        refusals: comparisons that do not count.
        missing: reason why nothing was measured; empty if something was.
        notes: sentences that a reader must know beside the verdict.
    """

    claim: Claim
    setting: Setting
    verdict: Verdict
    evidence: tuple[Evidence, ...] = ()
    findings: tuple[Finding, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    missing: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def is_measured(self) -> bool:
        """Tell whether something was measured, refused or not."""
        return bool(self.evidence or self.refusals)


def judge_all(runs: Runs, claims: Sequence[Claim] = CLAIMS) -> list[Judgement]:
    """Return a judgement of each claim in each of its settings.

    Where a claim was measured with some features, settings with features of which there is nothing are left out.
    """
    doses = Doses(runs.results)
    found = []
    for claim in claims:
        judgements = [judge(claim, setting, runs, doses) for setting in claim.settings]
        known = {one.setting.features for one in judgements if one.verdict != Verdict.UNMEASURED}
        found += [one for one in judgements if not known or one.setting.features in known]
    return found


def judge(claim: Claim, setting: Setting, runs: Runs, doses: Doses | None = None) -> Judgement:
    """Judge a claim in one of its settings.

    Comparisons whose treatment did nothing are refused. The others are one family (see
    :func:`irecgan_gym.evaluation.comparisons.judge_family`). A claim that comes out everywhere as said, or without a
    difference everywhere, is undecided nevertheless where some of its comparisons were refused or not measured.
    """
    doses = Doses(runs.results) if doses is None else doses
    cells = runs.cells(claim.experiment)
    counted: list[Evidence] = []
    refusals: list[Refusal] = []
    lacking: list[Comparison] = []
    unequal: list[str] = []
    unknown: dict[str, None] = {}
    for comparison in claim.comparisons:
        for cell in filter(comparison.is_about, cells):
            found = measure(claim, comparison, cell, setting, runs)
            if found is None:
                lacking.append(comparison)
            elif reason := _refusal(claim, found, setting, doses):
                refusals.append(Refusal(found, reason))
            else:
                counted.append(found)
            if found is not None:
                unknown |= dict.fromkeys(_without_doses(claim, found, setting, doses))
                unequal += _unequal_doses(claim, found, setting, doses)
    if not counted and not refusals:
        return Judgement(claim, setting, Verdict.UNMEASURED, missing=_missing(claim, setting, runs, cells))
    family = [evidence.difference for evidence in counted]
    verdict = Verdict(judge_family(family, level=LEVEL).value) if family else Verdict.REFUSED
    notes = []
    if verdict in (Verdict.HOLDS, Verdict.EQUIVALENT) and (refusals or lacking):
        notes.append(f"{verdict.value} in the {len(counted)} comparisons that count")
        verdict = Verdict.UNDECIDED
    if refusals and counted:
        notes.append(f"{len(refusals)} comparisons refused: the treatment did nothing")
    findings = judge_each(family, level=LEVEL)
    notes += [*_of_small(family, findings), *_of_lacking(lacking), *unequal]
    notes += [f"doses of {', '.join(unknown)} not recorded"] if unknown else []
    return Judgement(claim, setting, verdict, tuple(counted), tuple(findings), tuple(refusals), notes=tuple(notes))


def _of_small(family: Sequence[PairedComparison], findings: Sequence[Finding]) -> list[str]:
    """Return what is to be said of differences that are there, but smaller than the margin."""
    is_small = [
        finding in (Finding.AHEAD, Finding.BEHIND) and difference.p_equivalent <= LEVEL
        for difference, finding in zip(family, findings, strict=True)
    ]
    return [f"{sum(is_small)} of the differences found are below the margin"] if any(is_small) else []


def _refusal(claim: Claim, evidence: Evidence, setting: Setting, doses: Doses) -> str:
    """Return why the treatments that a comparison is about did nothing; empty if they did, or nobody knows."""
    sides = _treated(claim, evidence.comparison)
    reasons = [doses.refusal(claim.experiment, evidence.cell, setting.agent(side), evidence.seeds) for side in sides]
    return "; ".join(filter(None, reasons))


def _treated(claim: Claim, comparison: Comparison) -> list[Quantity]:
    """Return the sides whose treatment a comparison is about: none where an agent is compared with itself."""
    if len(comparison.agents) < 2:
        return []
    return [side for side in (comparison.greater, comparison.smaller) if side.agent in claim.about]


def _without_doses(claim: Claim, evidence: Evidence, setting: Setting, doses: Doses) -> list[str]:
    """Return the agents whose treatment a comparison is about, but whose doses were not recorded."""
    agents = [setting.agent(side) for side in _treated(claim, evidence.comparison)]
    return [agent for agent in agents if doses.of(claim.experiment, evidence.cell, agent, evidence.seeds).empty]


def _unequal_doses(claim: Claim, evidence: Evidence, setting: Setting, doses: Doses) -> list[str]:
    """Return how the doses of both sides differ, where a claim is about equal ones."""
    if not claim.equal_doses:
        return []
    sides = [setting.agent(side) for side in (evidence.comparison.greater, evidence.comparison.smaller)]
    words = doses.unequal(claim.experiment, evidence.cell, sides, evidence.seeds)
    return [f"unequal doses in {evidence.cell[0]}({evidence.cell[1]}), {words}"] if words else []


def _of_lacking(lacking: Sequence[Comparison]) -> list[str]:
    if not lacking:
        return []
    pairs: dict[str, dict[str, None]] = {}
    for one in lacking:
        pairs.setdefault(one.greater.metric, {})[" and ".join(one.agents)] = None
    what = "; ".join(f"{metric} of {', '.join(agents)}" for metric, agents in pairs.items())
    return [f"{len(lacking)} comparisons not measured ({what})"]


def _missing(claim: Claim, setting: Setting, runs: Runs, cells: Sequence[Cell]) -> str:
    """Return why nothing was measured of a claim: no run, other logs, other methods, or too few seeds."""
    rows = runs.results[runs.results["experiment"] == claim.experiment]
    if rows.empty:
        return f"no run of {claim.experiment}"
    about = [comparison for comparison in claim.comparisons if any(map(comparison.is_about, cells))]
    if not about:
        policies = {policy for comparison in claim.comparisons for policy in comparison.policies}
        sizes = {size for comparison in claim.comparisons for size in comparison.sizes}
        logs = [" or ".join(sorted(policies)), " or ".join(map(str, sorted(sizes)))]
        return f"no logs that it is about ({', '.join(filter(None, logs)) or 'all but those measured'})"
    wanted = [
        {
            (setting.agent(side), setting.metric(side))
            for side in (comparison.greater, comparison.smaller)
            if not any(_is_there(claim, side, cell, setting, runs) for cell in cells)
        }
        for comparison in about
    ]
    if all(wanted):
        fewest = sorted(wanted, key=len)[0]
        return f"no results of {', '.join(f'{agent} ({metric})' for agent, metric in sorted(fewest))}"
    if claim.experiment in ONE_TEST_SET and runs.user_hits.empty:
        return "hits of test users were not kept: the run is an older one, whose seeds have overlapping test parts"
    return f"fewer than {MIN_SEEDS} seeds of both sides ({rows['seed'].nunique()} in all)"


def _is_there(claim: Claim, side: Quantity, cell: Cell, setting: Setting, runs: Runs) -> bool:
    place = (side.logging_policy or cell[0], cell[1])
    return runs.values(claim.experiment, place, setting.agent(side), setting.metric(side)) is not None
