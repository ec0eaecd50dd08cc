"""Which off-policy estimator is right, and when none is: bias, variance, error and interval coverage, and selection."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console

from irecgan_gym.benchmarks.engine.command import SettingsError, check_distinct, check_positive, command_line
from irecgan_gym.benchmarks.ope_replications import METHODS, Cell, Replications, replicate
from irecgan_gym.benchmarks.ope_worlds import World, WorldName, make_targets, make_world, true_value
from irecgan_gym.ope.selection import rank_correlation, regret
from irecgan_gym.sessions.slate_propensities import Given
from irecgan_gym.storage.files import write_atomically

LogName = Literal["random", "max", "mix", "max-state", "mix-state", "max-explore", "mix-explore"]
"""Who made a log, and what its propensities are conditional on: the clicks before, or with ``-state`` the true state.
With ``-state`` and ``-explore`` 30% of the slates are random, so that every slate can be in the log."""
EXPLORATION = 0.3
COLUMNS = (
    "cell",
    "target",
    "truth",
    "estimator",
    "bias",
    "deviation",
    "error",
    *(f"coverage_{method}" for method in METHODS),
    "effective_sample_size",
)
SELECTION_COLUMNS = ("cell", "estimator", "rank_correlation", "regret")
ADVICE_COLUMNS = ("cell", "target", "trust", "conditional", "refuse", "coverage_of_trusted", "coverage_of_conditional")


@dataclass(frozen=True, kw_only=True)
class OffPolicy:
    """Compare off-policy estimators with the true value of policies, over many small logs."""

    out: Path
    """Folder of estimators.csv, selection.csv, advice.csv and report.md, replaced at the end of each kind of logs."""
    worlds: tuple[WorldName, ...] = ("small",)
    """small: 5 states, 10 items, slates of 3; paper: 10, 50, 10; -observable: each item leads to one state."""
    logs: tuple[LogName, ...] = ("random", "max-explore", "mix-explore")
    """Who made the log; -explore mixes in random slates, -state does too and lets the propensities know the state."""
    strengths: tuple[float, ...] = (0.25, 0.5, 1.0)
    """Policies to be judged: factors of their scores; 0 would be random slates."""
    sessions: tuple[int, ...] = (500, 2000)
    """Sessions of a log."""
    replications: int = 200
    """Logs of each kind."""
    recommendations: int = 20
    """For how many of them it is said which estimator to use."""
    truth_sessions: int = 400_000
    """Sessions of each policy itself, for its true value."""
    gamma: float = 1.0
    """Discount factor."""
    seed: int = 0
    """Of worlds, policies and logs."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option.
        """
        check_distinct(worlds=self.worlds, logs=self.logs, strengths=self.strengths, sessions=self.sessions)
        check_positive(replications=self.replications - 1, truth_sessions=self.truth_sessions)
        if len(self.strengths) < 2:
            raise SettingsError("--strengths takes two or more, to choose between")
        if not 0 <= self.gamma <= 1:
            raise SettingsError(f"--gamma must be from 0 to 1, got {self.gamma}")
        if not 0 <= self.recommendations <= self.replications:
            raise SettingsError(f"--recommendations must be from 0 to --replications, got {self.recommendations}")

    def execute(self, console: Console) -> None:
        """Run all kinds of logs; tables are written after each.

        Raises:
            SettingsError: settings that make no sense.
        """
        self.check()
        run(self, console)


def make_cell(world: World, log: LogName, num_sessions: int) -> Cell:
    """A kind of logs from its name."""
    logger, _, kind = log.partition("-")
    given: Given = "state" if kind else "clicks"
    if kind == "explore":
        given = "clicks"
    return Cell(world, logger, EXPLORATION if kind else 0.0, given, num_sessions)


def run(settings: OffPolicy, console: Console) -> None:
    """Run all kinds of logs; tables are written after each."""
    rows: list[Sequence[object]] = []
    selection: list[Sequence[object]] = []
    advice: list[Sequence[object]] = []
    report: list[str] = []
    for world_name in settings.worlds:
        world = make_world(world_name, settings.seed)
        targets = make_targets(world, settings.strengths, settings.seed)
        truths = np.array(
            [
                true_value(world, target, settings.gamma, settings.truth_sessions, settings.seed + 1)[0]
                for target in targets
            ]
        )
        for log in settings.logs:
            for num_sessions in settings.sessions:
                cell = make_cell(world, log, num_sessions)
                found = replicate(
                    cell,
                    targets,
                    truths,
                    gamma=settings.gamma,
                    replications=settings.replications,
                    recommendations=settings.recommendations,
                    seed=settings.seed + 2,
                    show=lambda text: console.print(text, highlight=False, soft_wrap=True),
                )
                rows += estimator_rows(cell.name, found)
                selection += selection_rows(cell.name, found)
                advice += advice_rows(cell.name, found)
                report.append(markdown(cell.name, found))
                _write(settings.out / "estimators.csv", COLUMNS, rows)
                _write(settings.out / "selection.csv", SELECTION_COLUMNS, selection)
                _write(settings.out / "advice.csv", ADVICE_COLUMNS, advice)
                write_atomically(settings.out / "report.md", "\n".join(report).encode())
                console.print(report[-1], highlight=False, markup=False, soft_wrap=True)


def estimator_rows(name: str, found: Replications) -> list[Sequence[object]]:
    """Mean error, standard deviation, root mean squared error and coverage of each estimator for each policy."""
    rows: list[Sequence[object]] = []
    for place, (target, truth) in enumerate(zip(found.targets, found.truths, strict=True)):
        for column, estimator in enumerate(found.estimators):
            values = found.estimates[:, place, column]
            rows.append(
                (
                    name,
                    target,
                    truth,
                    estimator,
                    values.mean() - truth,
                    values.std(ddof=1),
                    np.sqrt(((values - truth) ** 2).mean()),
                    *found.covered[:, place, column].mean(axis=0),
                    np.median(found.effective[:, place, column]),
                )
            )
    return rows


def selection_rows(name: str, found: Replications) -> list[Sequence[object]]:
    """Mean rank correlation and regret of choosing between the policies by each estimator."""
    rows: list[Sequence[object]] = []
    for column, estimator in enumerate(found.estimators):
        estimates = found.estimates[:, :, column]
        correlations = [rank_correlation(values, found.truths) for values in estimates]
        regrets = [regret(values, found.truths) for values in estimates]
        rows.append((name, estimator, np.nanmean(correlations), np.mean(regrets)))
    return rows


def advice_rows(name: str, found: Replications) -> list[Sequence[object]]:
    """Return how often the recommendation was to trust, and how often its interval then held the truth."""
    rows: list[Sequence[object]] = []
    for place, target in enumerate(found.targets):
        verdicts = found.verdicts[:, place]
        if not len(verdicts):
            continue
        shares = [(verdicts == verdict).mean() for verdict in ("trust", "conditional", "refuse")]
        coverages = [
            found.advised[verdicts == verdict, place].mean() if (verdicts == verdict).any() else np.nan
            for verdict in ("trust", "conditional")
        ]
        rows.append((name, target, *shares, *coverages))
    return rows


def markdown(name: str, found: Replications) -> str:
    """One table of a kind of logs: relative bias, deviation and error in percent, coverage, and what it chooses."""
    lines = [f"### {name}", ""]
    truths = ", ".join(f"{target}: {truth:.3f}" for target, truth in zip(found.targets, found.truths, strict=True))
    lines += [f"True values by strength: {truths}. Bias ± deviation and [coverage of t intervals], in %.", ""]
    columns = [f"strength {target}" for target in found.targets]
    lines.append("| estimator | " + " | ".join(columns) + " | effective | rank corr. | regret |")
    lines.append("| --- |" + " --- |" * (len(columns) + 3))
    chosen = {row[1]: row[2:] for row in selection_rows(name, found)}
    for column, estimator in enumerate(found.estimators):
        cells = []
        for place, truth in enumerate(found.truths):
            values = found.estimates[:, place, column]
            bias, deviation = values.mean() / truth - 1, values.std(ddof=1) / truth
            coverage = found.covered[:, place, column, 0].mean()
            if np.isnan(coverage):
                coverage = found.covered[:, place, column, 1].mean()
            cells.append(f"{100 * bias:+.1f} ± {100 * deviation:.1f} [{100 * coverage:.0f}]")
        correlation, lost = chosen[estimator]
        effective = " / ".join(f"{value:,.0f}" for value in np.median(found.effective[:, :, column], axis=0))
        lines.append(f"| {estimator} | " + " | ".join(cells) + f" | {effective} | {correlation:.2f} | {lost:.3f} |")
    verdicts = advice_rows(name, found)
    if verdicts:
        said = "; ".join(
            f"strength {row[1]}: trust {row[2]:.0%}, conditional {row[3]:.0%}, refuse {row[4]:.0%}"
            + ("" if np.isnan(float(str(row[5]))) else f", trusted intervals right {row[5]:.0%}")
            for row in verdicts
        )
        lines += ["", f"Advice: {said}.", ""]
    return "\n".join(lines)


def _write(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


if __name__ == "__main__":
    sys.exit(command_line(OffPolicy))
