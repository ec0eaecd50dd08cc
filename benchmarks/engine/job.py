"""The smallest piece of work of a run."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Job:
    """One method on one cell of an experiment with one seed.

    Attributes:
        experiment: name of the experiment.
        agent: name of the method.
        logging_policy: policy that made the log, ``"logged"`` for a real one.
        num_sessions: number of logged sessions learned from.
        seed: seed of everything that is random in the job.
    """

    experiment: str
    agent: str
    logging_policy: str
    num_sessions: int
    seed: int

    @property
    def name(self) -> str:
        """Name of the job's files."""
        parts = (self.agent, self.logging_policy, str(self.num_sessions), f"seed{self.seed}")
        return re.sub(r"[^A-Za-z0-9.-]+", "-", "-".join(parts))
