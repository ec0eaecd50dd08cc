"""Failure of some jobs of a run, apart from the machinery that runs them: every command line knows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from irecgan_gym.benchmarks.engine.job import Job
    from irecgan_gym.benchmarks.engine.run_folder import RunFolder


class JobsFailedError(RuntimeError):
    """Some jobs of a run have failed; the others are finished. The message lists them and says where to look."""

    def __init__(self, failures: Mapping[Job, str], folder: RunFolder) -> None:
        shown = [f"  {job.name}: {reason}" for job, reason in list(failures.items())[:10]]
        if len(failures) > len(shown):
            shown.append(f"  and {len(failures) - len(shown)} more")
        count = "1 job has" if len(failures) == 1 else f"{len(failures)} jobs have"
        lines = [f"{count} failed:", *shown, f"tracebacks: {folder.failures}; the same command tries again"]
        super().__init__("\n".join(lines))
