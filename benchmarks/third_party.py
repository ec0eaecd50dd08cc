"""Agents of other libraries in this project's envs: trained in three worlds, deployed in the true one, beside ours.

python -m benchmarks.third_party --out runs/third-party
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import gymnasium as gym
from irecgan_gym.agents import PresetName, preset
from irecgan_gym.benchmarks.command import (
    GridSettings,
    SettingsError,
    check_agents,
    check_distinct,
    check_positive,
    choose_processes,
    grid_command,
)
from irecgan_gym.benchmarks.dry_run import print_plan
from irecgan_gym.benchmarks.durations import DefaultSeconds, unknown
from irecgan_gym.benchmarks.job_loop import JobsFailedError, run_jobs
from irecgan_gym.benchmarks.measurements import Job, Measurement, by_cell
from irecgan_gym.benchmarks.normalised import normalized_rows
from irecgan_gym.benchmarks.online_costs import fast_preset_seconds
from irecgan_gym.benchmarks.online_job import REFERENCES, OnlineWork
from irecgan_gym.benchmarks.plots import draw_run
from irecgan_gym.benchmarks.run_folder import RunFolder
from irecgan_gym.benchmarks.shared_training import seconds_where_shared
from irecgan_gym.benchmarks.tables import MIN_SEEDS, summary_table
from irecgan_gym.benchmarks.third_party_algorithms import ALGORITHMS
from irecgan_gym.benchmarks.third_party_job import METHODS, WORLDS, ThirdPartyWork, World, method_name
from irecgan_gym.benchmarks.third_party_training import ThirdPartyConfig
from rich.console import Console

import irecgan_gym  # noqa: F401 (registers the envs)

EXPERIMENT = "third_party"


@dataclass(frozen=True, kw_only=True)
class ThirdParty(GridSettings):
    """Train algorithms of Stable-Baselines3 and sb3-contrib, deploy them, and compare what they earn with our agents.

    Each algorithm learns in up to three worlds: `env`, the true environment; `model`, UserModel-v0 fitted to a log of
    it; `adversarial`, the same under the adversarial reward, rolled out by the algorithm's own policy. Each seed is
    another environment, another log and other users; all methods share them. The same command on the same folder goes
    on where it stopped, and tries again what failed.
    """

    algorithms: tuple[str, ...] = tuple(ALGORITHMS)
    """Algorithms of the other libraries."""
    worlds: tuple[World, ...] = WORLDS
    """What they learn in."""
    agents: tuple[str, ...] = ("irecgan",)
    """Agents of this project, which learn from the log."""
    env: str = "RecSim-v0"
    """Environment: RecSim-v0, RecSim-Observable-v0 or RecSim-Planning-v0."""
    logging_policy: Literal["random", "max", "mix"] = "max"
    """Policy that makes the log."""
    sessions: int = 1000
    """Logged sessions."""
    seeds: int = 3
    """How many seeds; 0, 1, 2, ... are used."""
    timesteps: int = ThirdPartyConfig.timesteps
    """Slates that each algorithm learns from."""
    history: int = ThirdPartyConfig.history
    """Clicks that the algorithms see, the last one included."""
    eval_sessions: int = 1000
    """Sessions that each method is deployed for."""
    preset: PresetName = "fast"
    """Settings of the agents of this project, of the user model and of the discriminator."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_agents(self.agents)
        check_distinct(algorithms=self.algorithms, worlds=self.worlds)
        if not set(self.algorithms) <= set(ALGORITHMS):
            raise SettingsError(
                f"--algorithms takes one or more of {', '.join(ALGORITHMS)}, got: {' '.join(self.algorithms)}"
            )
        check_positive(
            seeds=self.seeds,
            timesteps=self.timesteps,
            history=self.history,
            eval_sessions=self.eval_sessions,
        )
        if self.sessions < 10:
            raise SettingsError(f"--sessions must be at least 10 (a tenth is held out), got {self.sessions}")
        self.check_processes()
        if self.env not in gym.registry:
            raise SettingsError(f"--env: no environment {self.env!r} is registered")

    @property
    def training(self) -> ThirdPartyConfig:
        """How algorithms of other libraries learn."""
        return ThirdPartyConfig(timesteps=self.timesteps, history=self.history)

    def config(self) -> dict[str, Any]:
        """All settings that measurements depend on, those of the agents and algorithms included."""
        return {
            "experiment": EXPERIMENT,
            "env": self.env,
            "logging_policy": self.logging_policy,
            "sessions": self.sessions,
            "seeds": self.seeds,
            "preset": self.preset,
            "eval_sessions": self.eval_sessions,
            "worlds": list(self.worlds),
            "training": asdict(self.training),
            "algorithms": {name: ALGORITHMS[name].as_settings() for name in self.algorithms},
            "agents": {name: asdict(preset(name, self.preset)) for name in self.agents},
        }

    def grid(self) -> list[Job]:
        """All jobs of the run, in the order of their rows."""
        methods = [method_name(algorithm, world) for algorithm in self.algorithms for world in self.worlds]
        return [
            Job(EXPERIMENT, name, self.logging_policy, self.sessions, seed)
            for seed in range(self.seeds)
            for name in (*REFERENCES, *self.agents, *methods)
        ]

    def default_seconds(self) -> DefaultSeconds:
        """What jobs take as long as none of their kind is done, within a factor of two or so.

        Measured on one core of a two-core virtual machine, with one thread.
        """
        slates = self.timesteps / 20_000
        ours = unknown if self.preset == "paper" else seconds_where_shared(fast_preset_seconds, self.agents)

        def seconds(job: Job) -> float | None:
            if job.agent not in METHODS:
                return ours(job)
            algorithm, world = METHODS[job.agent]
            return slates * _SECONDS[world][algorithm]

        return seconds


_SECONDS: dict[World, dict[str, float]] = {
    "env": {"ppo": 3, "a2c": 1, "recurrent-ppo": 13, "maskable-ppo": 20, "dqn": 3, "sac": 10},
    "model": {"ppo": 6, "a2c": 4, "recurrent-ppo": 16, "maskable-ppo": 23, "dqn": 6, "sac": 13},
    "adversarial": {"ppo": 30, "a2c": 30, "recurrent-ppo": 100, "maskable-ppo": 150, "dqn": 30, "sac": 40},
}


def run(settings: ThirdParty, console: Console) -> RunFolder:
    """Run or continue the experiment; the table and the figure come at the end.

    Raises:
        JobsFailedError: some jobs failed; the others are finished and reported.
    """
    settings.check()
    processes = choose_processes(settings.jobs, settings.threads, console)
    folder = RunFolder(settings.out, settings.config())
    ours = OnlineWork(settings.env, settings.preset, settings.eval_sessions, "cpu", folder)
    work = ThirdPartyWork(settings.training, ours)
    failures = run_jobs(folder, settings.grid(), work, console, processes, settings.default_seconds())
    _report(settings, folder, console)
    if failures:
        raise JobsFailedError(failures, folder)
    return folder


def plan(settings: ThirdParty, console: Console) -> None:
    """Print what :func:`run` would do and what it should take."""
    settings.check()
    processes = choose_processes(settings.jobs, settings.threads, console)
    print_plan(settings.out, settings.config(), settings.grid(), processes, console, settings.default_seconds())


def _report(settings: ThirdParty, folder: RunFolder, console: Console) -> None:
    results = folder.results()
    for (_, logging_policy, num_sessions), rows in by_cell(results).items():
        title = (
            f"{settings.env}: {settings.timesteps:,} slates to learn from; a log of {num_sessions:,} "
            f"{logging_policy} sessions"
        )
        console.print()
        _print_table(rows, title, settings.eval_sessions, console)
    if results:
        console.print("measurements:", folder.results_file, soft_wrap=True)
        for path in draw_run(folder.path):
            console.print("plot:", path, soft_wrap=True)


def _print_table(rows: Sequence[Measurement], title: str, eval_sessions: int, console: Console) -> None:
    metrics = {
        "reward/top-k": "reward,\ntop-k",
        "reward/sampled": "reward,\nsampled",
        "normalised/top-k": "random 0,\nbelief 1",
        "coverage@1/top-k": "cover-\nage@1",
    }
    seeds = len({row.job.seed for row in rows})
    spread = "over seeds" if seeds >= MIN_SEEDS else "over sessions, within these environments"
    caption = (
        f"Environments (seeds): {seeds}, with {eval_sessions} sessions in each; ± is half of a 95% interval {spread}."
    )
    rows = [*rows, *normalized_rows(rows)]
    console.print(summary_table(rows, metrics, title=title, caption=caption, between_seeds=True))


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    return grid_command(ThirdParty, run, plan, arguments)


if __name__ == "__main__":
    sys.exit(main())
