"""Choosing settings of the agents by random search, on environments that no experiment uses.

python -m benchmarks.tune --out runs/tune --dry-run
python -m benchmarks.tune --out runs/tune --write
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import gymnasium as gym
from irecgan_gym.agents import make_agent
from irecgan_gym.agents.policy_agent import PolicyAgent
from irecgan_gym.benchmarks.candidate_choice import (
    Trial,
    choose,
    finalists,
    number_of_finalists,
    scores_by_seed,
    try_finalists,
)
from irecgan_gym.benchmarks.command import (
    GridSettings,
    SettingsError,
    check_distinct,
    check_positive,
    choose_processes,
    grid_command,
)
from irecgan_gym.benchmarks.dry_run import print_plan
from irecgan_gym.benchmarks.job_loop import JobsFailedError, run_jobs
from irecgan_gym.benchmarks.measurements import Job, Measurement, read_rows
from irecgan_gym.benchmarks.normalised import ONES, ZERO
from irecgan_gym.benchmarks.online_costs import fast_preset_seconds
from irecgan_gym.benchmarks.online_job import OnlineWork
from irecgan_gym.benchmarks.run_folder import RunFolder
from irecgan_gym.benchmarks.search_space import DEFAULT_PRESET, SEARCH_SPACES, TIED, Candidate, draw_candidates
from irecgan_gym.benchmarks.tuned_preset import write_tuned_preset
from rich.console import Console
from rich.table import Table

from irecgan_gym.sessions import Sessions

EXPERIMENT = "tune"
FIRST_SEED = 1000
"""Seeds of the search begin here; those of the experiments begin at 0."""
REFERENCES = (ZERO, ONES["normalised"])
Pool = Mapping[str, Sequence[Candidate]]
"""Candidates by agent."""


@dataclass(frozen=True, kw_only=True)
class Tune(GridSettings):
    """Search settings for agents, with the same budget and rule for each.

    Each agent gets the same number of candidates: its default settings (the preset fast) and random ones. All are
    tried on the first seed; the default and the best of the others, a third in all, on all seeds. Their score is the
    reward of top-k slates in the true environment, random slates 0 and the belief policy 1, averaged over cells and
    seeds. The best replaces the default where it is better by more than the standard error of the difference. Seeds
    are 1000, 1001, ..., other environments than those of the experiments. LSTMD, PGU and PGC take IRecGAN's settings.
    The same command on the same folder goes on where it stopped.
    """

    agents: tuple[str, ...] = tuple(SEARCH_SPACES)
    """Agents to tune."""
    env: str = "RecSim-v0"
    """Environment: RecSim-v0, RecSim-Observable-v0 or RecSim-Planning-v0."""
    logging_policy: tuple[Literal["random", "max", "mix"], ...] = ("max", "random")
    """Policies that make the logs."""
    sessions: tuple[int, ...] = (1000,)
    """Numbers of logged sessions to learn from."""
    candidates: int = 12
    """Candidates of each agent, the default settings among them."""
    seeds: int = 5
    """How many seeds; 1000, 1001, ... are used."""
    search_seed: int = 0
    """Seed of the random candidates."""
    eval_sessions: int = 1000
    """Sessions that each trained agent is deployed for."""
    write: bool = False
    """Write the chosen settings and where they come from into the preset tuned."""
    device: str = "auto"
    """Where agents are trained: auto, cpu, cuda."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_distinct(agents=self.agents, logging_policy=self.logging_policy, sessions=self.sessions)
        if not set(self.agents) <= set(SEARCH_SPACES):
            raise SettingsError(
                f"--agents takes one or more of {', '.join(SEARCH_SPACES)} ({', '.join(TIED)} take the settings of "
                f"irecgan), got: {' '.join(self.agents)}"
            )
        check_positive(sessions=min(self.sessions), eval_sessions=self.eval_sessions)
        self.check_processes()
        for name, value in (("candidates", self.candidates), ("seeds", self.seeds)):
            if value < 2:
                raise SettingsError(f"--{name} must be at least 2, for there to be a difference, got {value}")
        if self.env not in gym.registry:
            raise SettingsError(f"--env: no environment {self.env!r} is registered")

    @property
    def mdp_seeds(self) -> tuple[int, ...]:
        """Seeds of the search."""
        return tuple(range(FIRST_SEED, FIRST_SEED + self.seeds))

    def pool(self) -> Pool:
        """All candidates."""
        return {agent: draw_candidates(agent, self.candidates, seed=self.search_seed) for agent in self.agents}

    def config(self, pool: Pool) -> dict[str, Any]:
        """All settings that measurements depend on, those of the candidates included."""
        return {
            "experiment": EXPERIMENT,
            "env": self.env,
            "logging_policy": list(self.logging_policy),
            "sessions": list(self.sessions),
            "mdp_seeds": list(self.mdp_seeds),
            "eval_sessions": self.eval_sessions,
            "candidates": {
                candidate.name: asdict(candidate.settings) for of_agent in pool.values() for candidate in of_agent
            },
        }

    def screening(self, pool: Pool) -> list[Job]:
        """All candidates on the first seed."""
        return self._jobs(pool, self.mdp_seeds[:1])

    def grid(self, pool: Pool, finalists: Pool) -> list[Job]:
        """All jobs of the run, once it is known who goes on."""
        return self.screening(pool) + self._jobs(finalists, self.mdp_seeds[1:])

    def _jobs(self, pool: Pool, seeds: Sequence[int]) -> list[Job]:
        names = [*REFERENCES, *(candidate.name for of_agent in pool.values() for candidate in of_agent)]
        return [
            Job(EXPERIMENT, name, logging_policy, num_sessions, seed)
            for seed in seeds
            for logging_policy in self.logging_policy
            for num_sessions in self.sessions
            for name in names
        ]

    def finalists(self, pool: Pool, results: Sequence[Measurement]) -> Pool:
        """Who goes on to all seeds, by the results on the first one."""
        scores = scores_by_seed([row for row in results if row.job.seed == FIRST_SEED])
        return {agent: finalists(of_agent, scores, FIRST_SEED) for agent, of_agent in pool.items()}

    def provenance(self) -> dict[str, Any]:
        """What there is to say of the search to those who use what it chose; JSON-compatible."""
        return {
            "command": self._command(),
            "env": self.env,
            "cells": [f"{policy}({number})" for policy in self.logging_policy for number in self.sessions],
            "mdp_seeds": list(self.mdp_seeds),
            "candidates": self.candidates,
            "metric": "reward of top-k slates, random 0, belief 1; mean over cells and seeds",
        }

    def _command(self) -> str:
        """The command that makes the same choice, whatever its folder."""
        options = {
            "agents": self.agents,
            "env": [self.env],
            "logging-policy": self.logging_policy,
            "sessions": self.sessions,
            "candidates": [self.candidates],
            "seeds": [self.seeds],
            "search-seed": [self.search_seed],
            "eval-sessions": [self.eval_sessions],
        }
        words = [word for name, values in options.items() for word in (f"--{name}", *map(str, values))]
        return shlex.join(["python", "-m", "benchmarks.tune", *words, "--write"])


@dataclass(frozen=True)
class CandidateWork(OnlineWork):
    """Does jobs of the simulated online test for candidates in the place of agents.

    Attributes:
        candidates: by name.
    """

    candidates: Mapping[str, Candidate]

    def new_agent(self, name: str, log: Sessions, seed: int) -> PolicyAgent[Any]:
        """The candidate's agent, which has learnt nothing yet."""
        candidate = self.candidates[name]
        return make_agent(
            candidate.agent,
            num_items=log.num_items,
            slate_size=log.slate_size,
            config=candidate.settings,
            seed=seed,
            device=self.device,
        )


def run(settings: Tune, console: Console) -> RunFolder:
    """Run or continue the search; the tables come at the end, and then the preset is written if asked for.

    Raises:
        JobsFailedError: some jobs failed; nothing is chosen before all have been done.
    """
    settings.check()
    processes = choose_processes(settings.jobs, settings.threads, console)
    pool = settings.pool()
    folder = RunFolder(settings.out, settings.config(pool))
    candidates = {candidate.name: candidate for of_agent in pool.values() for candidate in of_agent}
    work = CandidateWork(settings.env, DEFAULT_PRESET, settings.eval_sessions, settings.device, folder, candidates)

    def do(jobs: Sequence[Job]) -> None:
        failures = run_jobs(folder, jobs, work, console, processes, expected_seconds)
        if failures:
            raise JobsFailedError(failures, folder)

    do(settings.screening(pool))
    going_on = settings.finalists(pool, folder.results())
    do(settings.grid(pool, going_on))
    scores = scores_by_seed(folder.results())
    trials = {agent: try_finalists(of_agent, scores) for agent, of_agent in going_on.items()}
    for agent, of_agent in trials.items():
        screened = [(candidate, scores[candidate.name][FIRST_SEED]) for candidate in pool[agent]]
        _print_agent(agent, screened, of_agent, settings.seeds, console)
    console.print(
        f"\nScores: reward of top-k slates in {settings.env}, random slates 0, the belief policy 1, mean over cells. "
        f"Gains: paired, 95% t intervals over {settings.seeds} seeds. The best of several looks better than it is: "
        "the experiments, which have other seeds, tell what it is worth.",
        highlight=False,
    )
    if settings.write:
        file = write_tuned_preset(trials, settings.provenance())
        console.print("\nwritten:", file, soft_wrap=True)
    return folder


def plan(settings: Tune, console: Console) -> None:
    """Print what :func:`run` would do and what it should take."""
    settings.check()
    processes = choose_processes(settings.jobs, settings.threads, console)
    pool = settings.pool()
    results = read_rows(Measurement, settings.out / "results.csv")
    if set(settings.screening(pool)) <= {row.job for row in results}:
        going_on = settings.finalists(pool, results)
    else:  # As many as will go on; which ones is not known yet.
        going_on = {agent: of_agent[: number_of_finalists(len(of_agent))] for agent, of_agent in pool.items()}
    print_plan(
        settings.out,
        settings.config(pool),
        settings.grid(pool, going_on),
        processes,
        console,
        expected_seconds,
        lambda job: _agent_of(job.agent),
    )


def expected_seconds(job: Job) -> float | None:
    """What a job takes with the default settings."""
    return fast_preset_seconds(replace(job, agent=_agent_of(job.agent)))


def _agent_of(name: str) -> str:
    """The agent of a candidate's name; a reference is its own."""
    return name.partition("/")[0]


def _print_agent(
    agent: str, screened: Sequence[tuple[Candidate, float]], trials: Sequence[Trial], seeds: int, console: Console
) -> None:
    """The candidates of an agent and their scores, finalists first, and what is different in the finalists."""
    chosen = choose(trials).candidate
    by_name = {trial.candidate.name: trial for trial in trials}
    verdict = "the default stays" if chosen.number == 0 else f"candidate {chosen.number} replaces the default"
    table = Table(title=f"{agent}: {verdict}", title_justify="left", pad_edge=False)
    table.add_column("candidate")
    for heading in (f"seed {FIRST_SEED}", f"{seeds} seeds", "gain over the default"):
        table.add_column(heading, justify="right")
    for candidate, score in sorted(screened, key=lambda pair: (pair[0].name not in by_name, -pair[1])):
        cells = [str(candidate.number) + (" (chosen)" if candidate is chosen else ""), f"{score:.3f}"]
        if trial := by_name.get(candidate.name):
            cells += [f"{trial.score:.3f}", _gain(trial)]
        table.add_row(*cells)
    console.print()
    console.print(table)
    for trial in trials[1:]:
        values = " ".join(f"{name}={value}" for name, value in trial.candidate.values.items())
        console.print(f"candidate {trial.candidate.number}: {values}", highlight=False, soft_wrap=True)


def _gain(trial: Trial) -> str:
    if trial.candidate.number == 0:
        return "-"
    return f"{trial.gain.mean:+.3f} ({trial.gain.low:+.3f} to {trial.gain.high:+.3f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    return grid_command(Tune, run, plan, arguments)


if __name__ == "__main__":
    sys.exit(main())
