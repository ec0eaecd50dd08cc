"""Mass simulation: any number of sessions, played part by part by all processors or a cluster into Parquet.

python -m benchmarks.mass_simulation --out runs/users --sessions 50000000
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pandas import DataFrame
from rich.console import Console

from irecgan_gym.benchmarks.engine.command import SettingsError, check_at_least, check_positive, command_line
from irecgan_gym.benchmarks.engine.experiment import Experiment
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.engine.summaries import Measure
from irecgan_gym.benchmarks.jobs.simulate import Simulate
from irecgan_gym.recorder import Recorder

PARTS = "sessions"
"""Folder of the Parquet files in the run folder."""


@dataclass(frozen=True, kw_only=True)
class MassSimulation(Experiment):
    """Play sessions of an environment or a fitted user model into a folder of Parquet files.

    Sessions come in parts, each a job with a seed of its own, and each a file that `Sessions.load` reads; all of them
    together are what Spark, DuckDB, Polars or Arrow take as one table. What is played depends on the options alone, not
    on where and by how many processes. A simulation that was stopped goes on with the parts that are not there yet, and
    grows with --sessions by whole parts.
    """

    name = "mass_simulation"
    axes: ClassVar[Sequence[str]] = ("sessions",)
    measures: ClassVar[Sequence[Measure]] = (
        Measure("reward", "reward a session"),
        Measure("steps", "steps a session"),
    )

    sessions: int = 1_000_000
    """Sessions to play."""
    part: int = 500_000
    """Sessions in a file. A process holds one part at a time: about 1 kB a session of ten steps."""
    policy: str = "random"
    """Policy: random, max or mix (logging policies; max and mix are RecSim's), or the file of a trained agent."""
    env: str = "RecSim-v0"
    """Environment: RecSim-v0, RecSim-Observable-v0, RecSim-Planning-v0, or any registered one (module:id)."""
    env_kwargs: str = "{}"
    """Arguments of the environment as JSON, or @FILE of JSON, e.g. '{"slate_size": 5}'."""
    user_model: Path | None = None
    """File of a user model, as saved by `irecgan-gym fit`, whose users are played instead."""
    max_session_steps: int = 40
    """Steps after which a session is cut."""
    seed: int = 0
    """Seed of users and slates."""

    def check(self) -> None:
        """See :meth:`~irecgan_gym.benchmarks.engine.experiment.Experiment.check`."""
        check_positive(sessions=self.sessions, part=self.part, max_session_steps=self.max_session_steps)
        check_at_least(0, seed=self.seed)
        if self.sessions % self.part:
            raise SettingsError(f"--sessions {self.sessions:,} must be whole parts of --part {self.part:,}")
        # As small as can be, and wrong where the parts would be.
        self._simulation(0, 1, self.out).play()

    def config(self) -> dict[str, Any]:
        """See :meth:`~irecgan_gym.benchmarks.engine.experiment.Experiment.config`."""
        names = ("part", "policy", "env", "env_kwargs", "max_session_steps", "seed")
        user_model = None if self.user_model is None else str(self.user_model)
        return {"sessions": self.sessions, "user_model": user_model, **{name: getattr(self, name) for name in names}}

    def grid(self, results: DataFrame) -> list[Job]:
        """See :meth:`~irecgan_gym.benchmarks.engine.experiment.Experiment.grid`."""
        policy = Path(self.policy).stem
        return [Job(self.name, policy, "played", self.part, number) for number in range(self.sessions // self.part)]

    def measure(self, job: Job, recorder: Recorder, folder: RunFolder) -> Mapping[str, float]:
        """Play a part and write its file; return the mean reward and the mean length of its sessions."""
        folder.check_there()
        file = folder.path / PARTS / f"part-{job.seed:05d}.parquet"
        played = self._simulation(job.seed, job.num_sessions, file).play()
        played.save(file)
        return {"reward": float(played.rewards.sum()) / len(played), "steps": played.num_steps / len(played)}

    def conclude(self, folder: RunFolder, results: DataFrame, console: Console) -> None:
        """See :meth:`~irecgan_gym.benchmarks.engine.experiment.Experiment.conclude`."""
        steps = results[results["metric"] == "steps"]
        total = round(float((steps["value"] * steps["num_sessions"]).sum()))
        files = sorted((folder.path / PARTS).glob("*.parquet"))
        size = sum(file.stat().st_size for file in files) / 1e9
        console.print(
            f"{int(steps['num_sessions'].sum()):,} sessions of {total:,} steps in {len(files)} files, {size:.2f} GB: "
            f"{folder.path / PARTS}",
            highlight=False,
            soft_wrap=True,
        )

    def _simulation(self, number: int, sessions: int, file: Path) -> Simulate:
        return Simulate(
            out=file,
            policy=self.policy,
            env=self.env,
            env_kwargs=self.env_kwargs,
            user_model=self.user_model,
            sessions=sessions,
            max_session_steps=self.max_session_steps,
            # Of the simulation's seed and the part alone, and different for all of them.
            seed=int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0]),
            device="cpu",
        )


if __name__ == "__main__":
    sys.exit(command_line(MassSimulation, prog="python -m benchmarks.mass_simulation"))
