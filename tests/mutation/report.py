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

_HEAD = """# Mutants

Written by `make mutants` (`python -m tests.mutation --help`); do not edit, explanations belong to `explained.toml`.

A mutant is the code with one small change: another operator or number, a missing argument or call, a condition turned
round, a loop that never runs (`operators.py`). It is *killed* if a test of its folder fails or does not come to an end,
and *survives* otherwise. Texts of errors and help, annotations and module constants are left alone. A survivor is
*equivalent* if nothing that a caller can see has changed, for the reason given below; the last column leaves those out.

| Folder | Mutants | Run | Killed | Score | Equivalent | Score of the others |
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


def _key(survivor: dict[str, Any]) -> tuple[str, str, str, str]:
    return survivor["file"], survivor["function"], survivor["before"], survivor["after"]


def write_report() -> int:
    """Write the report; the number of survivors that nobody has explained."""
    explained = {}
    for entry in tomllib.loads(EXPLAINED.read_text()).get("survivor", []) if EXPLAINED.exists() else []:
        explained[_key(entry)] = entry
    scores = read_scores()
    lines, sections, open_ones = [], [], 0
    for folder, result in scores.items():
        run, killed = result["run"], result["killed"]
        reasons = [explained.get(_key(survivor)) for survivor in result["survivors"]]
        equivalent = sum(reason is not None and reason.get("equivalent", True) for reason in reasons)
        score = f"{killed / run:.1%}"
        if run < result["total"]:
            low, high = wilson(killed, run)
            score += f" ({low:.1%} to {high:.1%})"
        lines.append(
            f"| {folder} | {result['total']} | {run} | {killed} | {score} | {equivalent} "
            f"| {killed / (run - equivalent):.1%} |\n"
        )
        open_ones += sum(reason is None for reason in reasons)
        sections.append(f"\n## {folder}\n\n" + "".join(_paragraphs(result["survivors"], reasons)))
    REPORT.write_text(_HEAD + "".join(lines) + "".join(sections))
    return open_ones


def _paragraphs(survivors: list[dict[str, Any]], reasons: Iterable[dict[str, Any] | None]) -> list[str]:
    if not survivors:
        return ["None survives.\n"]
    rows = []
    for survivor, reason in zip(survivors, reasons, strict=True):
        why = "not explained yet" if reason is None else reason["why"]
        after = survivor["after"] or "(nothing)"
        rows.append(
            f"- `{survivor['file']}`, `{survivor['function']}`: {why}\n\n  ```diff\n  - {survivor['before']}\n"
            f"  + {after}\n  ```\n"
        )
    return rows
