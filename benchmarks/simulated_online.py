"""The simulated online test (§7.1, Figure 2): learn from logged sessions, deploy, count what is earned.

python -m benchmarks.simulated_online --agents irecgan pg --logging-policy max --sessions 1000 --seeds 2 --out runs/demo
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import tyro
from rich.console import Console

import irecgan_gym  # noqa: F401 (registers the envs)
from agents import AGENT_NAMES, Agent, make_agent, preset
from agents.evaluation import evaluate_online
from agents.reference import RandomPolicy
from benchmarks.command import SettingsError, check_agents, check_positive, run_command
from benchmarks.job_loop import run_jobs
from benchmarks.measurements import Job, Measurement
from benchmarks.plots import draw_run
from benchmarks.run_folder import RunFolder
from benchmarks.slate_view import show_session
from benchmarks.tables import MIN_SEEDS, paired_difference, summarise, summary_table
from irecgan_gym.metrics import coverage_at_r, mean_interval
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions

EXPERIMENT = "simulated_online"
DEPLOYMENTS = {"top-k": True, "sampled": False}
# Beside the agents in results.csv: a policy that shows random slates, and what the log itself earned.
RANDOM, LOGGING_POLICY = "random", "logging-policy"


@dataclass(frozen=True)
class SimulatedOnline:
    """Train agents on logged sessions of a simulated environment, deploy them in it, and compare what they earn.

    Each seed is another environment (its tables are drawn anew), another log and other users; all agents share them.
    The same command on the same folder goes on where it stopped.
    """

    out: Path
    """Run folder: settings, results.csv, checkpoints, plots."""
    agents: tuple[str, ...] = AGENT_NAMES
    """Agents to train."""
    env: str = "RecSim-v0"
    """Environment: RecSim-v0, RecSim-Observable-v0 or RecSim-Planning-v0."""
    logging_policy: Literal["random", "max", "mix"] = "max"
    """Policy that makes the log."""
    sessions: int = 1000
    """Logged sessions to learn from."""
    seeds: int = 2
    """How many seeds; 0, 1, 2, ... are used."""
    preset: Literal["fast", "paper"] = "fast"
    """Settings of the agents: fast (1x64 LSTM) or paper (2x512 LSTM, for a GPU or patience)."""
    eval_sessions: int = 1000
    """Sessions that each trained agent is deployed for."""
    device: str = "auto"
    """Where agents are trained: auto, cpu, cuda."""
    show_slate: bool = False
    """Print, at the end, the slates that the first agent shows to one user."""
    threads: int = 1
    """CPU threads for training. More than one makes small networks slower, and much slower on busy processors."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_agents(self.agents)
        check_positive(sessions=self.sessions, seeds=self.seeds, eval_sessions=self.eval_sessions, threads=self.threads)
        if self.env not in gym.registry:
            raise SettingsError(f"--env: no environment {self.env!r} is registered")

    def config(self) -> dict[str, Any]:
        """All settings that measurements depend on, those of the agents included."""
        return {
            "experiment": EXPERIMENT,
            "env": self.env,
            "logging_policy": self.logging_policy,
            "sessions": self.sessions,
            "seeds": self.seeds,
            "preset": self.preset,
            "eval_sessions": self.eval_sessions,
            "agents": {name: asdict(preset(name, self.preset)) for name in self.agents},
        }

    def jobs(self) -> list[Job]:
        """What there is to do, seed by seed, so that a run stopped early still compares all agents."""
        names = (LOGGING_POLICY, RANDOM, *self.agents)
        return [
            Job(EXPERIMENT, name, self.logging_policy, self.sessions, seed)
            for seed in range(self.seeds)
            for name in names
        ]


@dataclass(frozen=True)
class _Seeds:
    """Streams that one seed of the run stands for; no two uses of randomness share one."""

    log: int
    agent: int
    evaluation: int

    @classmethod
    def of(cls, seed: int) -> _Seeds:
        return cls(*(int(word) for word in np.random.SeedSequence(seed).generate_state(3)))


def run(settings: SimulatedOnline, console: Console) -> RunFolder:
    """Run or continue the experiment; the table, the plots and the slates come at the end."""
    settings.check()
    folder = RunFolder(settings.out, settings.config())

    def work(job: Job, recorder: Recorder) -> Mapping[str, float]:
        return _measure(job, settings, folder, recorder)

    run_jobs(folder, settings.jobs(), work, console)
    if settings.show_slate:
        _show_slates(settings, folder, console)
    _report(settings, folder, console)
    return folder


def _log(settings: SimulatedOnline, seed: int) -> tuple[Sessions, np.ndarray[Any, Any]]:
    """The logged sessions of a seed, and the true rewards [m, n] of its environment."""
    env = gym.make(settings.env, logging_policy=settings.logging_policy, mdp_seed=seed)
    collect, mdp = env.get_wrapper_attr("collect"), env.get_wrapper_attr("mdp")
    return collect(settings.sessions, seed=_Seeds.of(seed).log), mdp.rewards


def _measure(job: Job, settings: SimulatedOnline, folder: RunFolder, recorder: Recorder) -> dict[str, float]:
    log, rewards = _log(settings, job.seed)
    if job.agent == LOGGING_POLICY:
        return _measure_log(log, rewards)
    seeds = _Seeds.of(job.seed)
    policy: Agent
    if job.agent == RANDOM:
        policy = RandomPolicy(log.num_items, log.slate_size, seed=seeds.agent)
    else:
        policy = _new_agent(job.agent, settings, log, seeds.agent).learn(log, recorder=recorder)
        policy.save(folder.checkpoint(job))
    metrics: dict[str, float] = {}
    for deployment, deterministic in DEPLOYMENTS.items():
        result = evaluate_online(
            policy,
            settings.env,
            settings.eval_sessions,
            deterministic=deterministic,
            seed=seeds.evaluation,
            env_kwargs={"mdp_seed": job.seed},
        )
        metrics |= result.as_metrics(deployment)
    return metrics


def _new_agent(name: str, settings: SimulatedOnline, log: Sessions, seed: int) -> Agent:
    return make_agent(
        name,
        num_items=log.num_items,
        slate_size=log.slate_size,
        config=preset(name, settings.preset),
        seed=seed,
        device=settings.device,
    )


def _measure_log(log: Sessions, rewards: np.ndarray[Any, Any]) -> dict[str, float]:
    """What the logging policy earned in the very sessions that were logged (cut at 40 steps)."""
    reward = mean_interval(np.add.reduceat(log.rewards.astype(np.float64), log.offsets[:-1]))
    assert log.states is not None
    slates = log.slate_items.reshape(log.num_steps, -1)
    coverage = coverage_at_r(slates, log.states, rewards)
    return {
        "reward/logged": reward.mean,
        "reward_low/logged": reward.low,
        "reward_high/logged": reward.high,
        "length/logged": float(log.lengths.mean()),
        **{f"coverage@{r}/logged": float(share) for r, share in enumerate(coverage, start=1)},
    }


def _report(settings: SimulatedOnline, folder: RunFolder, console: Console) -> None:
    results = folder.results()
    size = max(int(row.metric.split("@")[1].split("/")[0]) for row in results if row.metric.startswith("coverage@"))
    metrics = {
        "reward/top-k": "reward,\ntop-k",
        "reward/sampled": "reward,\nsampled",
        "length/top-k": "session length,\ntop-k",
        "coverage@1/top-k": "coverage@1,\ntop-k",
        f"coverage@{size}/top-k": f"coverage@{size},\ntop-k",
    }
    logged = summarise(results, between_seeds=True)[LOGGING_POLICY, "reward/logged"].mean
    spread = "over seeds" if settings.seeds >= MIN_SEEDS else "over sessions, within these environments"
    sees = "" if settings.logging_policy == "random" else ", which sees the user's state,"
    caption = (
        f"Environments (seeds): {settings.seeds}, with {settings.eval_sessions} sessions in each; ± is half of a 95% "
        f"interval {spread}. The logging policy itself{sees} earned {logged:.2f} a session."
    )
    title = f"{settings.env}, {settings.sessions} logged sessions of the {settings.logging_policy} policy"
    console.print()
    console.print(summary_table(results, metrics, title=title, caption=caption, between_seeds=True))
    _print_differences(settings, results, console)
    console.print("measurements:", folder.results_file, soft_wrap=True)
    for path in draw_run(folder.path):
        console.print("plot:", path, soft_wrap=True)


def _print_differences(settings: SimulatedOnline, results: Sequence[Measurement], console: Console) -> None:
    """What the first agent earns more than each other one in the same environments."""
    if settings.seeds < MIN_SEEDS:
        return
    first = settings.agents[0]
    for other in settings.agents[1:]:
        for deployment in DEPLOYMENTS:
            mean, low, high = paired_difference(results, first, other, f"reward/{deployment}")
            console.print(
                f"reward of {first} less that of {other}, {deployment}: {mean:+.2f} ({low:+.2f} to {high:+.2f}, paired)"
            )


def _show_slates(settings: SimulatedOnline, folder: RunFolder, console: Console) -> None:
    name, seed = settings.agents[0], 0
    log, _ = _log(settings, seed)
    checkpoint = folder.checkpoint(Job(EXPERIMENT, name, settings.logging_policy, settings.sessions, seed))
    agent = type(_new_agent(name, settings, log, seed)).load(checkpoint, device=settings.device)
    console.print(f"\n[bold]One user of {settings.env}, served by {name} with the top {log.slate_size} items[/bold]\n")
    show_session(agent, settings.env, mdp_seed=seed, seed=_Seeds.of(seed).evaluation, console=console)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    settings = tyro.cli(SimulatedOnline, args=arguments)
    return run_command(lambda console: run(settings, console), threads=settings.threads)


if __name__ == "__main__":
    sys.exit(main())
