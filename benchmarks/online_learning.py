"""Online learning (§7.1, Figure 3): rounds in which agents first act and then learn from all that they have seen.

python -m benchmarks.online_learning --out runs/online-learning
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium as gym
from irecgan_gym.agents.online import ONLINE_METHODS, online_preset
from irecgan_gym.agents.presets import PresetName
from irecgan_gym.benchmarks.claims import CLAIMS, claims_table, judge
from irecgan_gym.benchmarks.command import (
    GridSettings,
    SettingsError,
    check_distinct,
    check_positive,
    choose_processes,
    grid_command,
)
from irecgan_gym.benchmarks.dry_run import print_plan
from irecgan_gym.benchmarks.durations import DefaultSeconds, unknown
from irecgan_gym.benchmarks.job_loop import JobsFailedError, run_jobs
from irecgan_gym.benchmarks.measurements import Job, Measurement
from irecgan_gym.benchmarks.online_learning_job import LAST_ROUNDS, RANDOM, OnlineLearningWork
from irecgan_gym.benchmarks.online_learning_plots import EXPERIMENT
from irecgan_gym.benchmarks.plots import draw_run
from irecgan_gym.benchmarks.run_folder import RunFolder
from irecgan_gym.benchmarks.tables import MIN_SEEDS, summary_table
from rich.console import Console

import irecgan_gym  # noqa: F401 (registers the envs)

LOGGING_POLICY = "online"
"""In place of a logging policy: the methods make their own logs."""


@dataclass(frozen=True, kw_only=True)
class OnlineLearning(GridSettings):
    """Let methods learn from scratch in rounds, and compare what they earn on the way.

    In a round, a method first acts in the environment (and may learn on the way), then learns offline from all the
    sessions that it has played so far. Measured are the sessions of the first stage, whose slates are sampled from the
    method's policy. Each seed is another environment with other users; all methods share them. The same command on the
    same folder goes on where it stopped, and tries again what failed.
    """

    methods: tuple[str, ...] = ONLINE_METHODS
    """Methods to train; the random policy comes besides."""
    env: str = "RecSim-v0"
    """Environment: RecSim-v0, RecSim-Observable-v0 or RecSim-Planning-v0."""
    rounds: int = 20
    """Rounds of an online and an offline stage."""
    sessions: int = 200
    """Sessions of each online stage."""
    seeds: int = 5
    """How many seeds; 0, 1, 2, ... are used."""
    preset: PresetName = "fast"
    """Settings of the agents: fast (1x64 LSTM), tuned (by benchmarks.tune), or paper (2x512 LSTM, for a GPU)."""
    eval_sessions: int = 1000
    """Sessions that each method's last policy is deployed for, with its top items."""
    device: str = "auto"
    """Where agents are trained: auto, cpu, cuda."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_distinct(methods=self.methods)
        if not set(self.methods) <= set(ONLINE_METHODS):
            raise SettingsError(
                f"--methods takes one or more of {', '.join(ONLINE_METHODS)}, got: {' '.join(self.methods)}"
            )
        check_positive(rounds=self.rounds, seeds=self.seeds, eval_sessions=self.eval_sessions)
        if self.sessions < 2:
            raise SettingsError(f"--sessions must be at least 2 (some are held out), got {self.sessions}")
        self.check_processes()
        if self.env not in gym.registry:
            raise SettingsError(f"--env: no environment {self.env!r} is registered")

    def config(self) -> dict[str, Any]:
        """All settings that measurements depend on, those of the methods included."""
        return {
            "experiment": EXPERIMENT,
            "env": self.env,
            "rounds": self.rounds,
            "sessions": self.sessions,
            "seeds": self.seeds,
            "preset": self.preset,
            "eval_sessions": self.eval_sessions,
            "methods": {name: asdict(online_preset(name, self.preset)) for name in self.methods},
        }

    def grid(self) -> list[Job]:
        """All jobs of the run, in the order of their rows."""
        return [
            Job(EXPERIMENT, name, LOGGING_POLICY, self.sessions, seed)
            for seed in range(self.seeds)
            for name in (RANDOM, *self.methods)
        ]

    def default_seconds(self) -> DefaultSeconds:
        """What jobs take as long as none of their kind is done, within a factor of two or so.

        Measured on one core of a two-core virtual machine, with one thread, 20 rounds of 200 sessions.
        """
        if self.preset == "paper":
            return unknown
        online = self.rounds * self.sessions / 4000
        # Each offline stage goes over all sessions so far.
        offline = online * self.rounds / 20

        def seconds(job: Job) -> float | None:
            return {
                RANDOM: 0.3 * online,
                "pg-online": 3.5 * online,
                "pg-online&offline": 3.5 * online + 7 * offline,
                "lstm-offline": 2.5 * online + 6.5 * offline,
                "irecgan": 5 * online + 40 * offline,
            }.get(job.agent)

        return seconds


def run(settings: OnlineLearning, console: Console) -> RunFolder:
    """Run or continue the experiment; the table and the figure come at the end.

    Raises:
        JobsFailedError: some jobs failed; the others are finished and reported.
    """
    settings.check()
    processes = choose_processes(settings.jobs, settings.threads, console)
    folder = RunFolder(settings.out, settings.config())
    work = OnlineLearningWork(
        settings.env, settings.rounds, settings.preset, settings.eval_sessions, settings.device, folder
    )
    failures = run_jobs(folder, settings.grid(), work, console, processes, settings.default_seconds())
    _report(settings, folder, console)
    if failures:
        raise JobsFailedError(failures, folder)
    return folder


def plan(settings: OnlineLearning, console: Console) -> None:
    """Print what :func:`run` would do and what it should take."""
    settings.check()
    processes = choose_processes(settings.jobs, settings.threads, console)
    print_plan(settings.out, settings.config(), settings.grid(), processes, console, settings.default_seconds())


def _report(settings: OnlineLearning, folder: RunFolder, console: Console) -> None:
    results = folder.results()
    if not results:
        return
    console.print()
    _print_tables(settings, results, console)
    seeds = len({row.job.seed for row in results})
    if seeds >= MIN_SEEDS:
        console.print(claims_table([judge(claim, results) for claim in CLAIMS if claim.experiment == EXPERIMENT]))
    console.print("measurements:", folder.results_file, soft_wrap=True)
    for path in draw_run(folder.path):
        console.print("plot:", path, soft_wrap=True)


def _print_tables(settings: OnlineLearning, rows: Sequence[Measurement], console: Console) -> None:
    """The rounds at the end, with the last policy deployed by its top items; then the mean of all rounds."""
    measures = [row.metric.removesuffix("/last") for row in rows if row.metric.endswith("/last")]
    at_the_end = {f"{measure}/last": measure for measure in measures} | {"reward/top-k": "reward after,\ntop-k"}
    overall = {f"{measure}/mean": measure for measure in measures}
    title = f"{settings.env}, {settings.rounds} rounds of {settings.sessions} sessions"
    seeds = len({row.job.seed for row in rows})
    caption = f"Environments (seeds): {seeds}. Slates are sampled in the rounds."
    if seeds >= MIN_SEEDS:
        caption += " ± is half of a 95% interval over seeds."
    for metrics, about in (
        (at_the_end, f"last {min(LAST_ROUNDS, settings.rounds)} rounds"),
        (overall, "all rounds"),
    ):
        # Without the ends of intervals within a seed, which only the deployment measures.
        measured = [row for row in rows if row.metric in metrics]
        console.print(
            summary_table(measured, metrics, title=f"{title}: {about}", caption=caption, between_seeds=True, digits=3)
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    return grid_command(OnlineLearning, run, plan, arguments)


if __name__ == "__main__":
    sys.exit(main())
