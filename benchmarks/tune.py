"""Choosing settings of the agents by random search, on environments that no experiment uses.

python -m benchmarks.tune --out runs/tune --dry-run
python -m benchmarks.tune --out runs/tune --write
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import tyro
from pandas import DataFrame
from rich.console import Console

from irecgan_gym.agents import Agent, PresetName
from irecgan_gym.benchmarks.candidate_choice import (
    METRIC,
    Trial,
    choose,
    finalists,
    losses_of_choosing,
    number_of_finalists,
    scores_by_seed,
    try_finalists,
)
from irecgan_gym.benchmarks.engine.command import (
    SettingsError,
    check_at_least,
    check_distinct,
    check_known,
    check_positive,
    command_line,
)
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.engine.summaries import ONES, ZERO, Measure
from irecgan_gym.benchmarks.engine.tables import jobs_of
from irecgan_gym.benchmarks.engine.text_table import text_table
from irecgan_gym.benchmarks.joining import agent_type, as_json
from irecgan_gym.benchmarks.online_test import LoggingPolicy, OnlineTest, Streams
from irecgan_gym.benchmarks.search_space import DEFAULT_PRESET, SEARCH_SPACES, TIED, Candidate, draw_candidates
from irecgan_gym.benchmarks.shared_training import learn_job
from irecgan_gym.benchmarks.tuned_preset import write_tuned_preset
from irecgan_gym.evaluation.metrics import mean_interval
from irecgan_gym.ope.off_policy_selection import CRITERIA, CriterionName, judged_sessions, selection_criterion
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions

FIRST_SEED = 1000
"""Seeds of the search begin here; those of the experiments begin at 0."""
Pool = Mapping[str, Sequence[Candidate]]
"""Candidates by agent."""
Rule = Literal["reward", "likelihood", CriterionName]
_LIKELIHOOD = "held_out/click_log_likelihood"


@dataclass(frozen=True, kw_only=True)
class Tune(OnlineTest):
    """Search settings for agents, with the same budget and rule for each.

    Each agent gets the same number of candidates: its default settings (the preset fast) and random ones. All are
    tried on the first seed; the default and the best of the others, a third in all, on all seeds. Their score is the
    reward of top-k slates in the true environment, random slates 0 and the belief policy 1, averaged over cells and
    seeds. The best replaces the default where it is better by more than the standard error of the difference. Seeds
    are 1000, 1001, ..., other environments than those of the experiments. LSTMD, PGU and PGC take IRecGAN's settings.
    The same command on the same folder goes on where it stopped.

    With --choose-by, nobody has to be shown a slate: candidates learn from a part of the log, and their score is
    what the rest of it says of them. They are deployed all the same, and it is told what such choices lose.
    """

    name = "tune"
    axes = ("candidates", "mdp_seeds")
    measures = (Measure("normalized/top-k", "reward, random 0, belief 1", digits=3),)

    agents: tuple[str, ...] = tuple(SEARCH_SPACES)
    """Agents to tune."""
    logging_policy: tuple[LoggingPolicy, ...] = ("max", "random")
    """Policies that make the logs."""
    sessions: tuple[int, ...] = (1000,)
    """Numbers of logged sessions to learn from."""
    candidates: int = 12
    """Candidates of each agent, the default settings among them."""
    seeds: int = 5
    """Number of seeds; 1000, 1001, ... are used."""
    finalists_number: int | None = None
    """Candidates that go on to all seeds, the default among them; a third if left out."""
    choose_by: Rule = "reward"
    """Score: the reward in the true environment; the likelihood of held-out clicks; or an off-policy estimate."""
    judging_share: float = 0.3
    """Share of each log that candidates are judged by and do not learn from, where that is not the true reward."""
    search_seed: int = 0
    """Seed of the random candidates."""
    write: bool = False
    """Write the chosen settings and where they come from into the preset tuned."""
    preset: tyro.conf.Suppress[PresetName] = DEFAULT_PRESET

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_known(tuple(SEARCH_SPACES), f" ({', '.join(TIED)} take the settings of irecgan)", agents=self.agents)
        check_distinct(logging_policy=self.logging_policy, sessions=self.sessions)
        check_positive(sessions=min(self.sessions))
        check_at_least(2, "for there to be a difference", candidates=self.candidates, seeds=self.seeds)
        check_at_least(0, search_seed=self.search_seed)
        if self.finalists_number is not None and not 2 <= self.finalists_number <= self.candidates:
            raise SettingsError(f"--finalists-number must be from 2 to --candidates, got {self.finalists_number}")
        if not 0 < self.judging_share < 1:
            raise SettingsError(f"--judging-share must be between 0 and 1, got {self.judging_share}")
        super().check()

    @property
    def mdp_seeds(self) -> tuple[int, ...]:
        """Seeds of the search."""
        return tuple(range(FIRST_SEED, FIRST_SEED + self.seeds))

    @cached_property
    def pool(self) -> Pool:
        """All candidates, by agent."""
        return {agent: draw_candidates(agent, self.candidates, seed=self.search_seed) for agent in self.agents}

    def config(self) -> dict[str, Any]:
        """Return all settings that measurements depend on, those of the candidates included."""
        return super().config() | {
            "logging_policy": list(self.logging_policy),
            "sessions": list(self.sessions),
            "mdp_seeds": list(self.mdp_seeds),
            "candidates": {
                candidate.name: as_json(candidate.settings) for of_agent in self.pool.values() for candidate in of_agent
            },
            **(
                {} if self.choose_by == "reward" else {"choose_by": self.choose_by, "judging_share": self.judging_share}
            ),
        }

    def grid(self, results: DataFrame) -> list[Job]:
        """Return all candidates on the first seed and, when these are done, the finalists on the others."""
        screening = self._jobs(self.pool, self.mdp_seeds[:1])
        if not set(screening) <= set(jobs_of(results)):
            return screening
        return screening + self._jobs(self.finalists(results), self.mdp_seeds[1:])

    def forecast(self, results: DataFrame) -> list[Job]:
        """Return all jobs with as many finalists as there will be, whoever they are."""
        jobs = self.grid(results)
        if {job.seed for job in jobs} == set(self.mdp_seeds):
            return jobs
        number = self.finalists_number or number_of_finalists(self.candidates)
        some = {agent: of_agent[:number] for agent, of_agent in self.pool.items()}
        return jobs + self._jobs(some, self.mdp_seeds[1:])

    def _jobs(self, pool: Pool, seeds: Sequence[int]) -> list[Job]:
        names = [ZERO, ONES["normalized"], *(candidate.name for of_agent in pool.values() for candidate in of_agent)]
        return [
            Job(self.name, name, logging_policy, num_sessions, seed)
            for seed in seeds
            for logging_policy in self.logging_policy
            for num_sessions in self.sessions
            for name in names
        ]

    def finalists(self, results: DataFrame) -> Pool:
        """Return who goes on to all seeds, by the results on the first one."""
        scores = scores_by_seed(results[results["seed"] == FIRST_SEED], self.metric)
        number = self.finalists_number
        return {agent: finalists(of_agent, scores, FIRST_SEED, number) for agent, of_agent in self.pool.items()}

    @property
    def metric(self) -> str:
        """The measurement that is the score."""
        return {"reward": METRIC, "likelihood": _LIKELIHOOD}.get(self.choose_by, f"estimate/{self.choose_by}")

    def measure(self, job: Job, recorder: Recorder, folder: RunFolder) -> dict[str, float]:
        """Learn and deploy, and unless candidates are chosen by their reward, judge them by a part of the log."""
        if self.choose_by == "reward" or "/" not in job.agent:
            return super().measure(job, recorder, folder)
        log, _ = self.log(job)
        seed = Streams.of(job.seed).agent
        training, judging = log.split((1 - self.judging_share, self.judging_share), seed=seed)
        judging = judged_sessions(training, judging)
        agent = self.new_agent(job.agent, training, seed)
        treatment = learn_job(agent, job, folder, training, recorder=recorder)
        estimates = {f"estimate/{name}": selection_criterion(name)(agent, judging) for name in CRITERIA}
        clicked = judging.slate_items == judging.clicks[judging.step_of_entry]
        likelihood = float(agent.slate_scores(judging)[clicked].mean(dtype=np.float64))
        return self.deploy(agent, job) | treatment | estimates | {_LIKELIHOOD: likelihood}

    def new_agent(self, name: str, log: Sessions, seed: int) -> Agent:
        """Return the agent of a candidate, which has learned nothing yet."""
        agent = name.partition("/")[0]
        [settings] = [candidate.settings for candidate in self.pool[agent] if candidate.name == name]
        made: Agent = agent_type(agent)(log.num_items, log.slate_size, settings, seed=seed, device=self.device)
        return made

    def conclude(self, folder: RunFolder, results: DataFrame, console: Console) -> None:
        """Print the candidates of each agent and the choice, and write the preset if asked for.

        Nothing is chosen before all jobs are done.
        """
        if not set(self.grid(results)) <= set(jobs_of(results)):
            return
        scores = scores_by_seed(results[results["seed"].isin(self.mdp_seeds)], self.metric)
        trials = {agent: try_finalists(of_agent, scores) for agent, of_agent in self.finalists(results).items()}
        for agent, of_agent in trials.items():
            screened = [(candidate, scores[candidate.name][FIRST_SEED]) for candidate in self.pool[agent]]
            _print_agent(agent, screened, of_agent, self.seeds, console)
        console.print(
            f"\nScores: {self._score}. "
            f"Gains: paired, 95% t intervals over {self.seeds} seeds. The best of several looks better than it is: "
            "the experiments, which have other seeds, tell what it is worth.",
            highlight=False,
        )
        if self.choose_by != "reward":
            self._print_losses(results, console)
        if self.write:
            file = write_tuned_preset(trials, self.provenance())
            console.print("\nwritten:", file, soft_wrap=True)

    @property
    def _score(self) -> str:
        if self.choose_by == "reward":
            return f"reward of top-k slates in {self.env}, random slates 0, the belief policy 1, mean over cells"
        judged = f"of {self.judging_share:.0%} of each log, from which candidates do not learn, mean over cells"
        return f"{'log-likelihood' if self.choose_by == 'likelihood' else f'estimate {self.choose_by}'} {judged}"

    def _print_losses(self, results: DataFrame, console: Console) -> None:
        """Print what is lost by each rule of choosing, and by taking the default; beside the likelihood's, by seed."""
        lost = {rule: losses_of_choosing(results, metric) for rule, metric in self._metrics().items()}
        rows = []
        for cell, usual in lost["likelihood"].items():
            agent, policy, size = cell
            for rule, losses in lost.items():
                of_seed = losses[cell]
                beside = np.array([of_seed[seed] - usual[seed] for seed in sorted(of_seed)])
                values = (np.array(list(of_seed.values())), beside)
                texts = [f"{mean:.3f} ({low:.3f} to {high:.3f})" for mean, low, high in map(mean_interval, values)]
                rows.append((agent, f"{policy}({size})", rule, texts[0], "-" if rule == "likelihood" else texts[1]))
        headings = ("agent", "log", "chosen by", "reward lost, random 0, belief 1", "more than by likelihood, paired")
        text_table("What is lost by choosing by a log, beside the best candidate", headings, rows).print(console)

    def _metrics(self) -> dict[str, str | None]:
        return {
            "nothing: the default": None,
            "likelihood": _LIKELIHOOD,
            **{name: f"estimate/{name}" for name in CRITERIA},
        }

    def provenance(self) -> dict[str, Any]:
        """Return what those who use the choice should know of the search; JSON-compatible."""
        return {
            "command": self._command(),
            "env": self.env,
            "cells": [f"{policy}({number})" for policy in self.logging_policy for number in self.sessions],
            "mdp_seeds": list(self.mdp_seeds),
            "candidates": self.candidates,
            "metric": "reward of top-k slates, random 0, belief 1; mean over cells and seeds"
            if self.choose_by == "reward"
            else self._score,
        }

    def _command(self) -> str:
        """Return the command that makes the same choice, whatever its folder."""
        options = {
            "agents": self.agents,
            "env": [self.env],
            "logging-policy": self.logging_policy,
            "sessions": self.sessions,
            "candidates": [self.candidates],
            "seeds": [self.seeds],
            "search-seed": [self.search_seed],
            **({} if self.choose_by == "reward" else {"choose-by": [self.choose_by]}),
            "eval-sessions": [self.eval_sessions],
        }
        words = [word for name, values in options.items() for word in (f"--{name}", *map(str, values))]
        return shlex.join(["python", "-m", "benchmarks.tune", *words, "--write"])


def _print_agent(
    agent: str, screened: Sequence[tuple[Candidate, float]], trials: Sequence[Trial], seeds: int, console: Console
) -> None:
    """Print the candidates of an agent and their scores, finalists first, and what is different in the finalists."""
    chosen = choose(trials).candidate
    by_name = {trial.candidate.name: trial for trial in trials}
    verdict = "the default stays" if chosen.number == 0 else f"candidate {chosen.number} replaces the default"
    rows = []
    for candidate, score in sorted(screened, key=lambda pair: (pair[0].name not in by_name, -pair[1])):
        trial = by_name.get(candidate.name)
        name = str(candidate.number) + (" (chosen)" if candidate is chosen else "")
        more = ("", "") if trial is None else (f"{trial.score:.3f}", _gain(trial))
        rows.append((name, f"{score:.3f}", *more))
    headings = ("candidate", f"seed {FIRST_SEED}", f"{seeds} seeds", "gain over the default")
    text_table(f"{agent}: {verdict}", headings, rows).print(console)
    for trial in trials[1:]:
        values = " ".join(f"{name}={value}" for name, value in trial.candidate.values.items())
        console.print(f"candidate {trial.candidate.number}: {values}", highlight=False, soft_wrap=True)


def _gain(trial: Trial) -> str:
    if trial.candidate.number == 0:
        return "-"
    return f"{trial.gain.mean:+.3f} ({trial.gain.low:+.3f} to {trial.gain.high:+.3f})"


if __name__ == "__main__":
    sys.exit(command_line(Tune))
