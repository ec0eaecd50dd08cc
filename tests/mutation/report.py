"""The report on mutants: scores per folder, and each survivor with the reason why no test can or should notice it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tomllib

HERE = Path(__file__).parent
SCORES, EXPLAINED, REPORT = HERE / "scores.json", HERE / "explained.toml", HERE / "REPORT.md"
_CUT = "\nCut short: {run} of the {chosen} mutants chosen were run, those of the quickest tests first.\n"
UNEXPLAINED = "**Not explained yet.**"

_HEAD = """# Mutants

Written by `make mutants` (`python -m tests.mutation --help`); do not edit, explanations belong to `explained.toml`.

A mutant is the code with one small change: another operator or number, a missing argument or call, a condition turned
round, a loop that never runs (`operators.py`). It is *killed* if a test of its folder fails or does not come to an end,
and *survives* otherwise. Texts of errors and help, annotations and module constants are left alone. Where not all
mutants were run, those that were are a random sample, and the score is given with its 95% interval (Wilson).

Survivors are *explained* where no caller can see the change, or where a test of it would prove nothing: the reasons are
below, each above the changes that it holds for.

| Folder | Mutants | Run | Killed | Score | Explained | Open |
|---|---:|---:|---:|---|---:|---:|
"""


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Bounds of the 95% interval of a proportion (Wilson)."""
    z = 1.959964
    center = (successes + z**2 / 2) / (trials + z**2)
    half = z / (trials + z**2) * math.sqrt(successes * (trials - successes) / trials + z**2 / 4)
    return center - half, center + half


def add_result(folder: str, result: dict[str, Any]) -> None:
    """Replace the folder's part of the scores."""
    scores = read_scores()
    scores[folder] = result
    SCORES.write_text(json.dumps(scores, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def read_scores() -> dict[str, Any]:
    """Return what was last measured, by folder."""
    return json.loads(SCORES.read_text()) if SCORES.exists() else {}


def read_reasons() -> dict[tuple[str, str, str], str]:
    """Return why survivors survive, by file, function and changed code."""
    entries = tomllib.loads(EXPLAINED.read_text())["survivors"] if EXPLAINED.exists() else []
    return {(entry["file"], entry["function"], after): entry["why"] for entry in entries for after in entry["changed"]}


def write_report() -> int:
    """Write the report; the number of survivors without an explanation."""
    known, scores = read_reasons(), read_scores()
    lines, sections, open_ones = [], [], 0
    for folder, result in scores.items():
        total, run, killed = result["total"], result["run"], result["killed"]
        score = f"{killed / run:.1%}"
        if run < total:
            low, high = wilson(killed, run)
            score += f" ({low:.1%} to {high:.1%})"
        by_reason: dict[str, list[dict[str, Any]]] = {}
        for survivor in result["survivors"]:
            reason = known.get((survivor["file"], survivor["function"], survivor["after"]), UNEXPLAINED)
            by_reason.setdefault(reason, []).append(survivor)
        unexplained = len(by_reason.get(UNEXPLAINED, []))
        open_ones += unexplained
        lines.append(
            f"| {folder} | {result['total']} | {run} | {killed} | {score} "
            f"| {run - killed - unexplained} | {unexplained} |\n"
        )
        cut = _CUT.format(run=run, chosen=result["chosen"]) if run < result["chosen"] else ""
        sections.append(f"\n## {folder}\n{cut}" + "".join(_paragraphs(by_reason)))
    REPORT.write_text(_HEAD + "".join(lines) + "".join(sections))
    return open_ones


def _paragraphs(by_reason: dict[str, list[dict[str, Any]]]) -> Iterable[str]:
    if not by_reason:
        yield "\nNone survives.\n"
    for reason, survivors in sorted(by_reason.items()):
        yield f"\n{reason}\n\n```diff\n"
        place = ""
        for survivor in survivors:
            if place != (place := f"{survivor['file']}, {survivor['function']}"):
                yield f"@@ {place}\n"
            yield f"- {survivor['before']}\n+ {survivor['after']}\n"
        yield "```\n"
