"""Doses of training: whether an adversarial treatment has done anything, and whether two sides had as much of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from pandas import DataFrame

from irecgan_gym.benchmarks.claims.claim import Cell

PREFIX = "treatment/"
"""Beginning of the metrics in ``results.csv`` that say how an agent was trained."""
MOVED = 0.01
"""Least total variation between what was pre-trained and what is deployed, mean over held-out histories: one hundredth
of the probability of items (of clicks) has gone elsewhere. What moves less than that cannot matter: a step is worth
about three clicks, and three steps make a session, so it could move a reward by a tenth at most, the margin of
equivalence."""
DISCRIMINATES = 0.55
"""Least accuracy of a discriminator on held-out sessions, half of which are generated: below, it is at chance, and q is
the same number for all sessions."""
SAME_DOSE = 0.05
"""Largest relative difference of two doses that count as equal; early stopping may end an epoch apart."""


class Treatment(NamedTuple):
    """Treatment of an agent after its pre-training.

    Attributes:
        moved: metric that says how far it has moved the agent.
        adversarial: whether a discriminator takes part in it.
    """

    moved: str
    adversarial: bool


TREATMENTS = {
    "irecgan": Treatment("policy_moved", adversarial=True),
    "lstmd": Treatment("user_model_moved", adversarial=True),
    "pgu": Treatment("policy_moved", adversarial=False),
    "acu": Treatment("policy_moved", adversarial=False),
}
"""Agents that are another agent before their treatment: PG, LSTM, PG and AC."""
DOSES = ("policy_updates", "sessions_seen")
"""Metrics that must agree where equal doses are compared."""


@dataclass(frozen=True, eq=False)
class Doses:
    """Doses of every agent that was trained.

    Attributes:
        results: measurements, rows of ``results.csv``; those whose metric begins with ``treatment/`` count.
    """

    results: DataFrame

    @cached_property
    def table(self) -> DataFrame:
        """Doses by experiment, logging policy, number of sessions, agent and seed; a column a metric."""
        rows = self.results[self.results["metric"].str.startswith(PREFIX)]
        rows = rows.assign(metric=rows["metric"].str.removeprefix(PREFIX))
        return rows.pivot_table(
            index=["experiment", "logging_policy", "num_sessions", "agent", "seed"],
            columns="metric",
            values="value",
            sort=False,
        )

    def of(self, experiment: str, cell: Cell, agent: str, seeds: Sequence[int]) -> DataFrame:
        """Return the doses of an agent, a row a seed; no rows where they were not recorded."""
        key = (experiment, *cell, agent)
        if self.table.empty or key not in self._by_agent:
            return DataFrame()
        found = self._by_agent[key]
        return found[found.index.isin(seeds)]

    @cached_property
    def _by_agent(self) -> dict[tuple[str, str, int, str], DataFrame]:
        names = ["experiment", "logging_policy", "num_sessions", "agent"]
        return {key: of.droplevel(names) for key, of in self.table.groupby(level=names, sort=False)}

    def refusal(self, experiment: str, cell: Cell, agent: str, seeds: Sequence[int]) -> str:
        """Return why the treatment of an agent has done nothing in a cell; empty if it has, or nobody knows.

        In a seed it has done nothing if the checkpoint of round 0 was kept, if what is deployed has moved by less than
        :data:`MOVED`, or if a discriminator that takes part is no better than :data:`DISCRIMINATES`. A cell is refused
        if that is so in half of its seeds or more. Else all of its seeds count, those without a dose too: to choose
        seeds by how their training went would bias the comparison.

        Args:
            experiment: the command.
            cell: logging policy and number of logged sessions.
            agent: name of the agent in ``results.csv``.
            seeds: seeds that are compared.
        """
        treatment = TREATMENTS.get(base_name(agent))
        doses = self.of(experiment, cell, agent, seeds)
        if treatment is None or doses.empty:
            return ""
        tests = [("kept_round", "kept round 0", 0.5), (treatment.moved, f"moved by less than {MOVED}", MOVED)]
        if treatment.adversarial:
            tests.append(("discriminator_accuracy", "discriminator at chance", DISCRIMINATES))
        failed = {words: doses[name].to_numpy() < least for name, words, least in tests if name in doses}
        if not failed:
            return ""
        nothing = np.any(list(failed.values()), axis=0)
        if 2 * nothing.sum() < len(doses):
            return ""
        reasons = [f"{words} in {of.sum()}" for words, of in failed.items() if of.any()]
        return f"{agent}: {', '.join(reasons)} of {len(doses)} seeds"

    def unequal(self, experiment: str, cell: Cell, agents: Sequence[str], seeds: Sequence[int]) -> str:
        """Return how the doses of two agents differ, by their means over seeds; empty if they agree or nobody knows."""
        first, second = (self.of(experiment, cell, agent, seeds) for agent in agents)
        words = []
        for name in DOSES:
            if name in first and name in second:
                means = float(first[name].mean()), float(second[name].mean())
                if abs(means[0] - means[1]) > SAME_DOSE * max(*means):
                    words.append(f"{name.replace('_', ' ')} {means[0]:,.0f} and {means[1]:,.0f}")
        return f"{agents[0]} and {agents[1]}: {', '.join(words)}" if words else ""


def base_name(agent: str) -> str:
    """Return the name of an agent without those of its features."""
    return agent.partition("+")[0]
