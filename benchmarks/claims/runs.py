"""Run folders as claims look at them: values by seed, hits by user, doses of training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pandas import DataFrame, Series

from irecgan_gym.benchmarks.claims.claim import Cell
from irecgan_gym.benchmarks.claims.derived import round_rows, with_derived
from irecgan_gym.benchmarks.engine.command import SettingsError
from irecgan_gym.benchmarks.engine.summaries import normalized_rows
from irecgan_gym.benchmarks.engine.tables import JOB, read_many
from irecgan_gym.benchmarks.user_hits import no_user_hits, read_user_hits


@dataclass(frozen=True, eq=False)
class Runs:
    """Everything that some run folders say.

    Attributes:
        results: measurements, rows of ``results.csv``.
        user_hits: hits of each test user by job; see :func:`irecgan_gym.benchmarks.user_hits.read_user_hits`.
    """

    results: DataFrame
    user_hits: DataFrame = field(default_factory=no_user_hits)

    @classmethod
    def read(cls, folders: Iterable[Path]) -> Runs:
        """Read run folders.

        Raises:
            SettingsError: two of them hold measurements of the same job: which of them should be believed?
        """
        places = list(folders)
        results = read_many(places)
        twice = results[results.duplicated([*JOB, "metric"])]
        if len(twice):
            experiment, agent, policy, size, seed = twice[JOB].iloc[0]
            raise SettingsError(
                f"two runs hold measurements of {agent} on {policy}({size}), seed {seed}, {experiment}: "
                "judge them one at a time"
            )
        return cls(results, read_user_hits(places))

    def cells(self, experiment: str) -> list[Cell]:
        """Return the cells that an experiment was run on, sorted."""
        rows = self.results[self.results["experiment"] == experiment]
        return sorted(set(zip(rows["logging_policy"], rows["num_sessions"], strict=True)))

    def values(self, experiment: str, cell: Cell, agent: str, metric: str) -> Series | None:
        """Return a measurement by seed; None if it was not taken."""
        return self._values.get((experiment, *cell, agent, metric))

    @cached_property
    def _values(self) -> dict[tuple[str, str, int, str, str], Series]:
        rows = with_derived(self.results, normalized_rows(self.results), round_rows(self.results))
        keys = ["experiment", "logging_policy", "num_sessions", "agent", "metric"]
        return {key: of.set_index("seed")["value"].sort_index() for key, of in rows.groupby(keys, sort=False)}

    def hits(self, experiment: str, cell: Cell, agent: str) -> DataFrame | None:
        """Return the hits of all test users with an agent, a row a seed and user; None if they were not kept."""
        return self._hits.get((experiment, *cell, agent))

    @cached_property
    def _hits(self) -> dict[tuple[str, str, int, str], DataFrame]:
        keys = ["experiment", "logging_policy", "num_sessions", "agent"]
        return dict(iter(self.user_hits.groupby(keys, sort=False)))
