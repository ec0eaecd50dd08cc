"""Re-ranking of real logs by folds: every user is tested once, by agents that have not seen them.

python -m benchmarks.rerank_folds --data FILE --format recsys-challenge-2019 --out runs/rerank-folds
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pandas import DataFrame
from rich.console import Console

from irecgan_gym.benchmarks.engine.command import SettingsError, command_line
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.engine.summaries import Measure
from irecgan_gym.benchmarks.engine.text_table import TextTable, text_table
from irecgan_gym.benchmarks.online_test import DEPLOYMENTS
from irecgan_gym.benchmarks.rerank import Parts, Rerank
from irecgan_gym.benchmarks.user_hits import read_user_hits
from irecgan_gym.evaluation.clustered import share_interval
from irecgan_gym.evaluation.metrics import Interval
from irecgan_gym.sessions.splitting import part_of_sessions

RULE = "last-interaction"
"""The rule that methods are compared with: the item touched last, then the order of the list."""
_METRICS = {"p@1": "p@1", "p@10": "p@10", "mrr": "MRR"}


@dataclass(frozen=True, kw_only=True)
class RerankFolds(Rerank):
    """Train agents on all folds of real logs but one, let them re-rank the lists of that one, and so for each fold.

    Folds are disjoint by user (by session where users are not known), so that all of the log is tested, each user by
    one training of each method; numbers are of all lists together, with intervals over users. The rest of a fold is
    split into training and validation in the proportion of --split, whose last share does not count.
    """

    name = "rerank_folds"
    axes = ("agents",)

    features: tuple[str, ...] = ("listwise",)
    """Features that agents use beside clicks: none, events, recall, positions, events-recall, all, listwise,
    events-recall-listwise. Each agent is trained with each."""
    references: tuple[str, ...] = ("lightgbm",)
    """Rankers of other libraries to compare with: lightgbm, trees on listwise features (the extra lightgbm)."""
    seeds: int = 5
    """Number of folds, at least 2; each is a seed of its own."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        if self.seeds < 2:
            raise SettingsError(f"--seeds must be at least 2 folds, got {self.seeds}")
        if self.split_by == "time":
            raise SettingsError("--split-by time: folds are of users; benchmarks.rerank splits by time")
        super().check()

    def config(self) -> dict[str, Any]:
        """Return all settings that measurements depend on."""
        return super().config() | {"test_part": "a fold a seed"}

    def parts(self, seed: int) -> Parts:
        """Return the parts of the log for a fold.

        Raises:
            SettingsError: a part without sessions.
        """
        sessions = self.sessions
        by: Literal["session", "user"] = "session" if sessions.users is None else "user"
        fold = part_of_sessions(
            len(sessions),
            [1 / self.seeds] * self.seeds,
            self.split_seed,
            by,
            lambda: None if sessions.users is None else sessions.user_groups,
            lambda: None,
        )
        rest, test = (sessions.select(np.flatnonzero(chosen)) for chosen in (fold != seed, fold == seed))
        return self.cut(rest, test, seed, by)

    def conclude(self, folder: RunFolder, results: DataFrame, console: Console) -> None:
        """Print shares of all lists, and differences from the rule and from other libraries' rankers."""
        hits = read_user_hits([folder.path])
        for deployment in DEPLOYMENTS:
            pooled_table(hits, deployment, (RULE, *self.references)).print(console)


def pooled_table(hits: DataFrame, deployment: str, others: tuple[str, ...]) -> TextTable:
    """Return shares of the lists of all folds by method, and how much they are more than those of other methods.

    Args:
        hits: of test users by job (:func:`~irecgan_gym.benchmarks.user_hits.read_user_hits`).
        deployment: ``"top-k"`` or ``"sampled"``.
        others: methods to compare with; those that were not measured are left out.
    """
    by_method = {name: of.set_index(["seed", "user"]) for name, of in hits.groupby("agent", sort=False)}
    others = tuple(other for other in others if other in by_method)
    rows = []
    for name, own in by_method.items():
        cells = [name]
        for metric in _METRICS:
            column = f"{metric}/{deployment}"
            cells.append(Measure(metric, metric, scale=100, digits=1).text(share_interval(own[column], own["lists"])))
            for other in others:
                cells.append("-" if other == name else _difference(own, by_method[other], column))
        rows.append(cells)
    headings = ["method"]
    for heading in _METRICS.values():
        headings += [f"{heading} (%)", *(f"less {other}" for other in others)]
    users, lists = next(iter(by_method.values()))["lists"].agg(["size", "sum"]) if by_method else (0, 0)
    return text_table(
        f"Shares of all lists, {deployment}",
        headings,
        rows,
        f"{lists:,} lists of {users:,} users, each tested once; ± is half of a 95% interval over users, of differences "
        "paired by list.",
    )


def _difference(own: DataFrame, other: DataFrame, column: str) -> str:
    shared = own.index.intersection(other.index)
    difference: Interval = share_interval(own.loc[shared, column] - other.loc[shared, column], own.loc[shared, "lists"])
    return f"{100 * difference.mean:+.1f} ± {100 * difference.half_width:.1f}"


if __name__ == "__main__":
    sys.exit(command_line(RerankFolds))
