"""The simulated online test (§7.1, Figure 2): learn from logged sessions, deploy, count what is earned.

python -m benchmarks.simulated_online --agents irecgan pg --logging-policy max --sessions 1000 --seeds 2 --out runs/demo
python -m benchmarks.simulated_online --agents irecgan pg --logging-policy random max mix --sessions 200 1000 10000 \
    --seeds 10 --out runs/figure2
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import gymnasium as gym
from irecgan_gym.agents import AGENT_NAMES, PresetName, preset
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
from irecgan_gym.benchmarks.online_job import DEPLOYMENTS, LOGGING_POLICY, REFERENCES, OnlineWork, Streams
from irecgan_gym.benchmarks.plots import draw_run
from irecgan_gym.benchmarks.run_folder import RunFolder
from irecgan_gym.benchmarks.shared_training import seconds_where_shared
from irecgan_gym.benchmarks.slate_view import show_session
from irecgan_gym.benchmarks.tables import MIN_SEEDS, paired_difference, summarize, summary_table
from rich.console import Console

import irecgan_gym  # noqa: F401 (registers the envs)

EXPERIMENT = "simulated_online"


@dataclass(frozen=True, kw_only=True)
class SimulatedOnline(GridSettings):
    """Train agents on logged sessions of a simulated environment, deploy them in it, and compare what they earn.

    Each seed is another environment (its tables are drawn anew), another log and other users; all agents share them.
    Every logging policy is combined with every number of sessions. The same command on the same folder goes on where
    it stopped, and tries again what failed.
    """

    agents: tuple[str, ...] = AGENT_NAMES
    """Agents to train."""
    env: str = "RecSim-v0"
    """Environment: RecSim-v0, RecSim-Observable-v0 or RecSim-Planning-v0."""
    logging_policy: tuple[Literal["random", "max", "mix"], ...] = ("max",)
    """Policies that make the logs."""
    sessions: tuple[int, ...] = (1000,)
    """Numbers of logged sessions to learn from."""
    seeds: int = 2
    """How many seeds; 0, 1, 2, ... are used."""
    preset: PresetName = "fast"
    """Settings of the agents: fast (1x64 LSTM), tuned (by benchmarks.tune), or paper (2x512 LSTM, for a GPU)."""
    eval_sessions: int = 1000
    """Sessions that each trained agent is deployed for."""
    device: str = "auto"
    """Where agents are trained: auto, cpu, cuda."""
    show_slate: bool = False
    """Print, at the end, the slates that the first agent shows to one user."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_agents(self.agents)
        check_distinct(logging_policy=self.logging_policy, sessions=self.sessions)
        check_positive(sessions=min(self.sessions), seeds=self.seeds, eval_sessions=self.eval_sessions)
        self.check_processes()
        if self.env not in gym.registry:
            raise SettingsError(f"--env: no environment {self.env!r} is registered")

    def config(self) -> dict[str, Any]:
        """All settings that measurements depend on, those of the agents included."""
        return {
            "experiment": EXPERIMENT,
            "env": self.env,
            "logging_policy": list(self.logging_policy),
            "sessions": list(self.sessions),
            "seeds": self.seeds,
            "preset": self.preset,
            "eval_sessions": self.eval_sessions,
            "agents": {name: asdict(preset(name, self.preset)) for name in self.agents},
        }

    def grid(self) -> list[Job]:
        """All jobs of the run, cell by cell, in the order of their rows."""
        names = (LOGGING_POLICY, *REFERENCES, *self.agents)
        return [
            Job(EXPERIMENT, name, logging_policy, num_sessions, seed)
            for logging_policy in self.logging_policy
            for num_sessions in self.sessions
            for seed in range(self.seeds)
            for name in names
        ]

    def default_seconds(self) -> DefaultSeconds:
        """What jobs take as long as none of their kind is done."""
        return unknown if self.preset == "paper" else seconds_where_shared(fast_preset_seconds, self.agents)


def run(settings: SimulatedOnline, console: Console) -> RunFolder:
    """Run or continue the experiment; tables, plots and slates come at the end.

    Raises:
        JobsFailedError: some jobs failed; the others are finished and reported.
    """
    settings.check()
    processes = choose_processes(settings.jobs, settings.threads, console)
    folder = RunFolder(settings.out, settings.config())
    work = OnlineWork(settings.env, settings.preset, settings.eval_sessions, settings.device, folder)
    failures = run_jobs(folder, settings.grid(), work, console, processes, settings.default_seconds())
    if settings.show_slate:
        _show_slates(settings, work, console)
    _report(settings, folder, console)
    if failures:
        raise JobsFailedError(failures, folder)
    return folder


def plan(settings: SimulatedOnline, console: Console) -> None:
    """Print what :func:`run` would do and what it should take."""
    settings.check()
    processes = choose_processes(settings.jobs, settings.threads, console)
    print_plan(settings.out, settings.config(), settings.grid(), processes, console, settings.default_seconds())


def _report(settings: SimulatedOnline, folder: RunFolder, console: Console) -> None:
    results = folder.results()
    if not results:
        return
    for (_, logging_policy, num_sessions), rows in by_cell(results).items():
        title = f"{settings.env}, {num_sessions} logged sessions of the {logging_policy} policy"
        console.print()
        _print_cell(rows, title, settings.eval_sessions, console)
        _print_differences(settings.agents, rows, console)
    console.print("measurements:", folder.results_file, soft_wrap=True)
    for path in draw_run(folder.path):
        console.print("plot:", path, soft_wrap=True)


def _print_cell(rows: Sequence[Measurement], title: str, eval_sessions: int, console: Console) -> None:
    """The table of one logging policy and number of sessions."""
    rows = [*rows, *normalized_rows(rows)]
    measured = {row.metric for row in rows}
    size = max(int(metric.split("@")[1].split("/")[0]) for metric in measured if metric.startswith("coverage@"))
    metrics = {
        "reward/top-k": "reward,\ntop-k",
        "reward/sampled": "reward,\nsampled",
        "normalised/top-k": "random 0,\nbelief 1",
        "of_optimum/top-k": "random 0,\noptimal 1",
        "length/top-k": "length,\ntop-k",
        "coverage@1/top-k": "cover-\nage@1",
        f"coverage@{size}/top-k": f"cover-\nage@{size}",
    }
    # The scales of the references are there where the references are.
    scales = {metric for metric in metrics if metric.startswith(("normalised/", "of_optimum/"))}
    metrics = {metric: heading for metric, heading in metrics.items() if metric in measured or metric not in scales}
    seeds = len({row.job.seed for row in rows})
    spread = "over seeds" if seeds >= MIN_SEEDS else "over sessions, within these environments"
    caption = (
        f"Environments (seeds): {seeds}, with {eval_sessions} sessions in each; ± is half of a 95% interval {spread}."
    )
    logged = summarize(rows, between_seeds=True).get((LOGGING_POLICY, "reward/logged"))
    if logged is not None:
        sees = "" if rows[0].job.logging_policy == "random" else ", which sees the user's state,"
        caption += f" The logging policy itself{sees} earned {logged.mean:.2f} a session."
    console.print(summary_table(rows, metrics, title=title, caption=caption, between_seeds=True))


def _print_differences(agents: Sequence[str], rows: Sequence[Measurement], console: Console) -> None:
    """What the first agent earns more than each other one in the same environments."""
    seeds = {agent: {row.job.seed for row in rows if row.job.agent == agent} for agent in agents}
    first = agents[0]
    for other in agents[1:]:
        if len(seeds[first] & seeds[other]) < MIN_SEEDS:
            continue
        for deployment in DEPLOYMENTS:
            mean, low, high = paired_difference(rows, first, other, f"reward/{deployment}")
            console.print(
                f"reward of {first} less that of {other}, {deployment}: {mean:+.2f} ({low:+.2f} to {high:+.2f}, paired)"
            )


def _show_slates(settings: SimulatedOnline, work: OnlineWork, console: Console) -> None:
    name, seed = settings.agents[0], 0
    job = Job(EXPERIMENT, name, settings.logging_policy[0], settings.sessions[0], seed)
    log, _ = work.log(job)
    checkpoint = work.folder.checkpoint(job)
    if not checkpoint.exists():  # Its job has failed.
        return
    agent = type(work.new_agent(name, log, seed)).load(checkpoint, device=settings.device)
    console.print(f"\n[bold]One user of {settings.env}, served by {name} with the top {log.slate_size} items[/bold]\n")
    show_session(agent, settings.env, mdp_seed=seed, seed=Streams.of(seed).evaluation, console=console)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    return grid_command(SimulatedOnline, run, plan, arguments)


if __name__ == "__main__":
    sys.exit(main())
