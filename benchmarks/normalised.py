"""Rewards on the scales between what random slates earn and what reference policies earn."""

from __future__ import annotations

from collections.abc import Sequence

from irecgan_gym.benchmarks.measurements import Job, Measurement

ZERO = "random"
# Reference policy that is 1 on the scale, by the scale's name: what an agent that sees only clicks can hope for, and
# the best there is for one that sees the state.
ONES = {"normalised": "belief", "of_optimum": "optimal"}
_MEASURES = {"reward": "", "reward_low": "_low", "reward_high": "_high"}


def normalized_rows(results: Sequence[Measurement]) -> list[Measurement]:
    """Rows such as ``normalised/top-k`` and ``of_optimum/sampled`` for all agents, beside the references of their own.

    0 is what random slates earn and 1 what the reference policy earns, in the same environment (seed), cell and
    deployment. Rows for which a reference is missing, or no better than random slates, are left out.

    Args:
        results: measurements of any number of cells.
    """
    rewards: dict[tuple[Job, str], float] = {
        (row.job, row.metric): row.value for row in results if row.metric.startswith("reward/")
    }
    rows = []
    for row in results:
        measure, _, deployment = row.metric.partition("/")
        if measure not in _MEASURES:
            continue
        for scale, reference in ONES.items():
            zero, one = (rewards.get((_same(row.job, name), f"reward/{deployment}")) for name in (ZERO, reference))
            if zero is not None and one is not None and one > zero:
                value = (row.value - zero) / (one - zero)
                rows.append(Measurement(row.job, f"{scale}{_MEASURES[measure]}/{deployment}", value))
    return rows


def _same(job: Job, agent: str) -> Job:
    """The job of another agent in the same cell with the same seed."""
    return Job(job.experiment, agent, job.logging_policy, job.num_sessions, job.seed)
