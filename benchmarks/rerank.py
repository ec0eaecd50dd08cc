"""Re-ranking of real logs (§7.2, Table 1): is the item that was clicked ranked first, or among the first ten?

python -m benchmarks.rerank --data FILE --format recsys-challenge-2019 --features none all --out runs/rerank
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from irecgan_gym.agents import AGENT_NAMES, PresetName, make_agent
from irecgan_gym.agents.references.simple import PopularityPolicy, RandomPolicy
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
from irecgan_gym.benchmarks.job_loop import JobsFailedError, run_jobs
from irecgan_gym.benchmarks.log_data import FORMATS, read_log
from irecgan_gym.benchmarks.measurements import Job
from irecgan_gym.benchmarks.plots import draw_run
from irecgan_gym.benchmarks.rerank_features import FEATURES, Features, agent_config, label, of_label
from irecgan_gym.benchmarks.run_folder import RunFolder
from irecgan_gym.benchmarks.shared_training import learn_job
from irecgan_gym.benchmarks.tables import MIN_SEEDS, summary_table
from rich.console import Console

from irecgan_gym.evaluation.examination import ExaminedScorer
from irecgan_gym.evaluation.rankings import CoClick, LastInteraction, LoggedOrder
from irecgan_gym.evaluation.reranking import SlateScorer, evaluate_reranking
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions

EXPERIMENT = "rerank"
DEPLOYMENTS = {"top-k": True, "sampled": False}
BASELINES: dict[str, Callable[[Sessions, int, int], SlateScorer]] = {
    "random": lambda training, slate_size, seed: RandomPolicy(training.num_items, slate_size, seed=seed),
    "popularity": lambda training, slate_size, seed: PopularityPolicy(training.num_items, slate_size, seed=seed).learn(
        training
    ),
    "co-click": lambda training, slate_size, seed: CoClick().learn(training),
    "logged-order": lambda training, slate_size, seed: LoggedOrder(),
    "last-interaction": lambda training, slate_size, seed: LastInteraction(),
}
"""Rankings without learning by gradient, made from the training part, the longest list and a seed."""


@dataclass(frozen=True, kw_only=True)
class Rerank(GridSettings):
    """Train agents on a part of real logs and let them re-rank the lists of the rest.

    Each seed is another split, which all methods share; all sessions of a user are in one part where users are known.
    The validation part decides when training stops and what the places of a list are worth; the test part is looked at
    once by each job. The same command on the same folder goes on where it stopped.
    """

    data: Path
    """The logs: a file, or a folder for formats of several files."""
    format: str = "recsys-challenge-2019"
    """Format of the logs: recsys-challenge-2019, cikm-cup-2016, irecgan-text, table, or sessions (saved ones)."""
    agents: tuple[str, ...] = AGENT_NAMES
    """Agents to train."""
    features: tuple[str, ...] = ("none", "all")
    """What agents use beside clicks: none, events, recall, positions, events-recall, all. Each agent is trained with
    each."""
    seeds: int = 5
    """How many seeds; 0, 1, 2, ... are used."""
    preset: PresetName = "fast"
    """Settings of the agents: fast (1x64 LSTM), tuned (by benchmarks.tune), or paper (2x512 LSTM, for a GPU)."""
    learning_rate: float | None = 5e-4
    """Learning rate of policies and user models before adversarial rounds; None leaves the preset's."""
    split: tuple[float, float, float] = (0.8, 0.1, 0.1)
    """Shares of training, validation and test, by user where users are known."""
    split_seed: int = 0
    """Seed of the split of seed 0; the others count on from it."""
    min_list_length: int = 11
    """Shorter lists do not count in p@k; the paper's authors count lists of more than 10 items."""
    on_error: Literal["raise", "skip"] = "skip"
    """What a malformed row does: end the run, or be skipped and counted in the read report."""
    device: str = "auto"
    """Where agents are trained: auto, cpu, cuda."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_agents(self.agents)
        check_distinct(features=self.features)
        if not set(self.features) <= set(FEATURES):
            raise SettingsError(
                f"--features takes one or more of {', '.join(FEATURES)}, got: {' '.join(self.features)}"
            )
        check_positive(seeds=self.seeds, min_list_length=self.min_list_length)
        self.check_processes()
        if min(self.split) <= 0 or not np.isclose(sum(self.split), 1):
            raise SettingsError(f"--split takes three positive shares that add up to 1, got {self.split}")
        if self.format not in FORMATS:
            raise SettingsError(f"--format takes one of {', '.join(FORMATS)}, got {self.format}")

    def config(self, sessions: Sessions) -> dict[str, Any]:
        """All settings that measurements depend on; the data are told by their content, not by where they lie."""
        return {
            "experiment": EXPERIMENT,
            "format": self.format,
            "data": fingerprint(sessions),
            "seeds": self.seeds,
            "preset": self.preset,
            "split": list(self.split),
            "split_seed": self.split_seed,
            "min_list_length": self.min_list_length,
            "on_error": self.on_error,
            "agents": {
                name: asdict(agent_config(agent, self.preset, used, self.learning_rate))
                for name, agent, used in self.methods()
            },
        }

    def methods(self) -> list[tuple[str, str, Features]]:
        """Name in ``results.csv``, agent and features of everything that is trained."""
        names = [label(agent, features) for features in self.features for agent in self.agents]
        return [(name, *of_label(name)) for name in names]


class Parts(NamedTuple):
    """A log cut into three."""

    training: Sessions
    validation: Sessions
    test: Sessions


def fingerprint(sessions: Sessions) -> str:
    """A hash of what agents learn from and are tested on, to tell one log from another."""
    digest = hashlib.sha256(str(sessions.num_items).encode())
    for column in (
        sessions.offsets,
        sessions.slate_offsets,
        sessions.slate_items,
        sessions.clicks,
        sessions.rewards,
        sessions.truncated,
        sessions.users,
        sessions.event_offsets,
        sessions.event_items,
    ):
        # A column that is missing must not hash like one that is empty.
        digest.update(b"-" if column is None else np.ascontiguousarray(column).tobytes() + b"|")
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class RerankWork:
    """Does jobs of the re-ranking test.

    Attributes:
        settings: of the run.
        sessions: all of the log.
        folder: takes the agents' checkpoints.
    """

    settings: Rerank
    sessions: Sessions
    folder: RunFolder

    def __call__(self, job: Job, recorder: Recorder) -> dict[str, float]:
        """Do a job; returns measurements such as ``p@1/top-k``."""
        parts = split(self.sessions, self.settings, job.seed)
        scorer = self._scorer(job, parts, recorder)
        evaluation_seed = _seeds(job)[1]
        metrics: dict[str, float] = {}
        for deployment, deterministic in DEPLOYMENTS.items():
            result = evaluate_reranking(
                scorer,
                parts.test,
                deterministic=deterministic,
                seed=evaluation_seed,
                min_list_length=self.settings.min_list_length,
            )
            metrics |= result.as_metrics(deployment)
        return metrics

    def _scorer(self, job: Job, parts: Parts, recorder: Recorder) -> SlateScorer:
        seed = _seeds(job)[0]
        # The longest list is the slate that the agent would have to fill.
        num_items, slate_size = self.sessions.num_items, self.sessions.slate_size
        if job.agent in BASELINES:
            return BASELINES[job.agent](parts.training, slate_size, seed)
        name, features = of_label(job.agent)
        agent = make_agent(
            name,
            num_items=num_items,
            slate_size=slate_size,
            config=agent_config(name, self.settings.preset, features, self.settings.learning_rate),
            seed=seed,
            device=self.settings.device,
        )
        learn_job(agent, job, self.folder, parts.training, parts.validation, recorder=recorder)
        return ExaminedScorer.fit(agent, parts.validation) if features.positions else agent


def _seeds(job: Job) -> tuple[int, int]:
    """Seeds of the agent and of its evaluation."""
    agent, evaluation = np.random.SeedSequence(job.seed).generate_state(2)
    return int(agent), int(evaluation)


def run(settings: Rerank, console: Console) -> RunFolder:
    """Read the logs, and run or continue the experiment on them."""
    settings.check()
    sessions, report = read_log(settings.data, settings.format, settings.on_error)
    return run_on(sessions, report, settings, console)


def run_on(sessions: Sessions, report: str, settings: Rerank, console: Console) -> RunFolder:
    """Run or continue the experiment on sessions at hand; the table and the plots come at the end.

    Args:
        sessions: all of the log.
        report: what was read and what was not, kept in the run folder.
        settings: see :class:`Rerank`; ``data`` is not read.
        console: shows progress and results.

    Raises:
        SettingsError: a split that leaves a part empty.
        RunFolderError: the folder belongs to another run.
        JobsFailedError: some jobs failed; the others are finished and reported.
    """
    processes = choose_processes(settings.jobs, settings.threads, console)
    _describe(sessions, report, settings, console)
    folder = RunFolder(settings.out, settings.config(sessions))
    folder.write_text("read_report.txt", f"{report}\n")
    failures = run_jobs(folder, _grid(settings, sessions), RerankWork(settings, sessions, folder), console, processes)
    _report(settings, folder, console)
    if failures:
        raise JobsFailedError(failures, folder)
    return folder


def plan(settings: Rerank, console: Console) -> None:
    """Read the logs and print what :func:`run` would do and what it should take."""
    settings.check()
    processes = choose_processes(settings.jobs, settings.threads, console)
    sessions, report = read_log(settings.data, settings.format, settings.on_error)
    _describe(sessions, report, settings, console)
    print_plan(settings.out, settings.config(sessions), _grid(settings, sessions), processes, console)


def _grid(settings: Rerank, sessions: Sessions) -> list[Job]:
    names = (*BASELINES, *(name for name, _, _ in settings.methods()))
    return [Job(EXPERIMENT, name, "logged", len(sessions), seed) for seed in range(settings.seeds) for name in names]


def split(sessions: Sessions, settings: Rerank, seed: int) -> Parts:
    """The parts of a log for a seed of the run.

    Raises:
        SettingsError: a part without sessions.
    """
    by = "session" if sessions.users is None else "user"
    parts = Parts(*sessions.split(settings.split, seed=settings.split_seed + seed, by=by))
    for name, part in parts._asdict().items():
        if len(part) == 0:
            raise SettingsError(f"--split {settings.split} of {len(sessions)} sessions leaves none for {name}")
    return parts


def _describe(sessions: Sessions, report: str, settings: Rerank, console: Console) -> None:
    """Print what was read and what there is to say about the split of the first seed."""
    console.print(report, markup=False, highlight=False, soft_wrap=True)
    parts = split(sessions, settings, 0)
    for name, part in parts._asdict().items():
        console.print(f"{name}, seed 0: {len(part):,} sessions, {part.num_steps:,} lists")
    known, repeated = click_history(parts.training, parts.test)
    console.print(
        f"clicks of the test part: {known:.1%} on items clicked in training, "
        f"{repeated:.1%} on items that their own session has clicked before"
    )


def click_history(training: Sessions, test: Sessions) -> tuple[float, float]:
    """How much item ids alone can tell about the test clicks.

    Returns:
        Share of the test clicks on items that were clicked in training, and on items that were clicked before in
        their own session.
    """
    clicked = test.clicks < test.num_items
    known = np.isin(test.clicks[clicked], training.clicks)
    keys = test.session_of_step * (test.num_items + 1) + test.clicks
    first = np.zeros(test.num_steps, dtype=bool)
    first[np.unique(keys, return_index=True)[1]] = True
    return float(known.mean()), float((~first[clicked]).mean())


def _report(settings: Rerank, folder: RunFolder, console: Console) -> None:
    metrics = {
        "p@1/top-k": "p@1 (%),\ntop-k",
        "p@10/top-k": "p@10 (%),\ntop-k",
        "mrr/top-k": "MRR (%),\ntop-k",
        "p@1/sampled": "p@1 (%),\nsampled",
        "p@10/sampled": "p@10 (%),\nsampled",
    }
    between_seeds = settings.seeds >= MIN_SEEDS
    spread = "seeds" if between_seeds else "the test part's users"
    caption = (
        f"Clicks found by re-ranking the logged lists of at least {settings.min_list_length} items of the test part, "
        f"ties at random; seeds (splits): {settings.seeds}. ± is half of a 95% interval over {spread}."
    )
    results = folder.results()
    if not results:
        return
    console.print()
    console.print(
        summary_table(
            results,
            metrics,
            title=f"re-ranking, {settings.format}",
            caption=caption,
            between_seeds=between_seeds,
            scale=100,
            digits=1,
        )
    )
    console.print("measurements:", folder.results_file, soft_wrap=True)
    for path in draw_run(folder.path):
        console.print("plot:", path, soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    return grid_command(Rerank, run, plan, arguments)


if __name__ == "__main__":
    sys.exit(main())
