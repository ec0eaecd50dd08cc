"""Re-ranking of real logs (§7.2, Table 1): is the item that was clicked ranked first, or among the first ten?

python -m benchmarks.rerank --data FILE --format recsys-challenge-2019 --features none all --out runs/rerank
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pandas import DataFrame
from rich.console import Console

from irecgan_gym.agents import AGENT_NAMES, PresetName
from irecgan_gym.benchmarks.engine.command import (
    SettingsError,
    check_at_least,
    check_known,
    check_positive,
    command_line,
)
from irecgan_gym.benchmarks.engine.experiment import Experiment, check_device
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.engine.summaries import Measure
from irecgan_gym.benchmarks.figures.rerank import rerank_figure
from irecgan_gym.benchmarks.figures.run import Figures, by_cell
from irecgan_gym.benchmarks.joining import agent_type, as_json, check_agents, read_metrics
from irecgan_gym.benchmarks.lightgbm_ranker import INSTALL, LightGBMRanker, is_installed
from irecgan_gym.benchmarks.log_data import FORMATS, read_log
from irecgan_gym.benchmarks.online_test import DEPLOYMENTS, SIMPLE
from irecgan_gym.benchmarks.rerank_features import FEATURES, agent_config, label, of_label, with_entries
from irecgan_gym.benchmarks.shared_training import learn_job, stage_of
from irecgan_gym.benchmarks.user_hits import user_of_list, write_user_hits
from irecgan_gym.evaluation.examination import ExaminedScorer
from irecgan_gym.evaluation.rankings import CoClick, LastInteraction, LoggedOrder
from irecgan_gym.evaluation.reranking import SlateScorer, evaluate_reranking
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.listwise import with_listwise_features

BASELINES: dict[str, Callable[[Sessions, int, int], SlateScorer]] = {
    **SIMPLE,
    "co-click": lambda training, slate_size, seed: CoClick().learn(training),
    "logged-order": lambda training, slate_size, seed: LoggedOrder(),
    "last-interaction": lambda training, slate_size, seed: LastInteraction(),
}
"""Rankings without learning by gradient, made from the training part, the longest list and a seed."""
REFERENCES: dict[str, Callable[[Sessions, Sessions, int], SlateScorer]] = {
    "lightgbm": lambda training, validation, seed: LightGBMRanker(seed=seed).learn(training, validation),
}
"""Rankers of other libraries, made from the training part, the validation part and a seed."""


@dataclass(frozen=True, kw_only=True)
class Rerank(Experiment):
    """Train agents on a part of real logs and let them re-rank the lists of the rest.

    All seeds and methods are tested on one test part, so that intervals can be clustered by its users. Each seed is
    another split of the rest into training and validation, which all methods share; all sessions of a user are in one
    part where users are known. The validation part decides when training stops and what the places of a list are
    worth; the test part is looked at once by each job. The same command on the same folder goes on where it stopped;
    with further agents, features or seeds the run grows.
    """

    name = "rerank"
    axes: ClassVar[Sequence[str]] = ("agents", "seeds")
    measures = tuple(
        Measure(f"{measure}/{deployment}", f"{heading} (%), {deployment}", scale=100, digits=1)
        for deployment in DEPLOYMENTS
        for measure, heading in (("p@1", "p@1"), ("p@10", "p@10"), ("mrr", "MRR"))
    )

    data: Path
    """The logs: a file, or a folder for formats of several files."""
    format: str = "recsys-challenge-2019"
    """Format of the logs: recsys-challenge-2019, cikm-cup-2016, irecgan-text, table, or sessions (saved ones)."""
    agents: tuple[str, ...] = AGENT_NAMES
    """Agents to train, by name or as module:Class."""
    features: tuple[str, ...] = ("none", "all")
    """Features that agents use beside clicks: none, events, recall, positions, events-recall, all, listwise,
    events-recall-listwise. Each agent is trained with each."""
    references: tuple[str, ...] = ()
    """Rankers of other libraries to compare with: lightgbm, trees on listwise features (the extra lightgbm)."""
    seeds: int = 5
    """Number of seeds; 0, 1, 2, ... are used."""
    preset: PresetName = "fast"
    """Settings of the agents: fast (1x64 LSTM), tuned (by benchmarks.tune), or paper (2x512 LSTM, for a GPU)."""
    learning_rate: float | None = 5e-4
    """Learning rate of policies and user models before adversarial rounds; None leaves the preset's."""
    split: tuple[float, float, float] = (0.8, 0.1, 0.1)
    """Shares of training, validation and test, by user where users are known."""
    split_by: Literal["user", "time"] = "user"
    """Training, validation and test by user at random (by session where users are not known), or by time: validation
    after training, the test part last."""
    split_seed: int = 0
    """Seed of the test part and, with the seed of a job, of the split of the rest."""
    min_list_length: int = 11
    """Shorter lists do not count in p@k; the paper's authors count lists of more than 10 items."""
    metrics: tuple[str, ...] = ()
    """Further metrics of the ranked lists: ndcg@10, recall@5, catalogue_coverage@10, or module:function."""
    on_error: Literal["repair", "skip", "raise"] = "skip"
    """Effect of a malformed row: it ends the run, or is skipped and counted in the read report."""
    device: str = "auto"
    """Device on which agents are trained: auto, cpu, cuda."""

    def check(self) -> None:
        """Refuse settings that make no sense; the logs are read, but nothing is trained.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_agents(self.agents)
        check_known(tuple(FEATURES), features=self.features)
        if self.references:
            check_known(tuple(REFERENCES), references=self.references)
        if "lightgbm" in self.references and not is_installed():
            raise SettingsError(f"--references lightgbm needs more: {INSTALL}")
        check_positive(seeds=self.seeds, min_list_length=self.min_list_length)
        check_at_least(0, split_seed=self.split_seed)
        check_device(self.device)
        read_metrics(self.metrics)
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise SettingsError(f"--learning-rate must be positive, got {self.learning_rate}")
        if min(self.split) <= 0 or not np.isclose(sum(self.split), 1):
            raise SettingsError(f"--split takes three positive shares that add up to 1, got {self.split}")
        check_known(FORMATS, format=(self.format,))
        if self.split_by == "time" and self.sessions.times is None:
            raise SettingsError("--split-by time: these logs have no times")
        for seed in range(self.seeds):
            self.parts(seed)
        self._check_lists(self.parts(0).test)

    def _check_lists(self, test: Sessions) -> None:
        """Refuse a minimum that no list of the test part with a click reaches."""
        lengths = test.slate_lengths[test.clicks < test.num_items]
        if not len(lengths) or lengths.max() < self.min_list_length:
            longest = f"the longest has {lengths.max()}" if len(lengths) else "no list has a click"
            raise SettingsError(f"--min-list-length {self.min_list_length}: no list of the test part counts, {longest}")

    @cached_property
    def _log(self) -> tuple[Sessions, str]:
        sessions, account = read_log(self.data, self.format, self.on_error)
        if any(FEATURES[chosen].listwise for chosen in self.features):
            sessions = with_listwise_features(sessions)
        return sessions, account

    @property
    def sessions(self) -> Sessions:
        """All of the log."""
        return self._log[0]

    def config(self) -> dict[str, Any]:
        """Return all settings that measurements depend on; data are told by content, not by place."""
        return {
            "experiment": self.name,
            "format": self.format,
            "data": fingerprint(self.sessions),
            "seeds": self.seeds,
            "preset": self.preset,
            "split": list(self.split),
            "split_seed": self.split_seed,
            "test_part": "one for all seeds",
            "min_list_length": self.min_list_length,
            "on_error": self.on_error,
            **({"metrics": list(self.metrics)} if self.metrics else {}),
            **({"split_by": self.split_by} if self.split_by != "user" else {}),
            "agents": {
                label(agent, features): as_json(self._agent_config(label(agent, features)))
                for features in self.features
                for agent in self.agents
            },
        }

    def grid(self, results: DataFrame) -> list[Job]:
        """Return all jobs of the run, in the order of their rows."""
        names = (
            *BASELINES,
            *self.references,
            *(label(agent, features) for features in self.features for agent in self.agents),
        )
        return [
            Job(self.name, name, "logged", len(self.sessions), seed) for seed in range(self.seeds) for name in names
        ]

    def stage(self, job: Job) -> int:
        """Return the stage of a job: agents that others begin with come first."""
        return stage_of(job)

    def measure(self, job: Job, recorder: Recorder, folder: RunFolder) -> dict[str, float]:
        """Train a method on the split of a seed and let it re-rank; returns measurements such as ``p@1/top-k``."""
        agent_seed, evaluation_seed = (int(word) for word in np.random.SeedSequence(job.seed).generate_state(2))
        parts = self.parts(job.seed)
        scorer, treatment = self._scorer(job, parts, agent_seed, recorder, folder)
        results = {
            deployment: evaluate_reranking(
                scorer,
                parts.test,
                deterministic=deterministic,
                seed=evaluation_seed,
                min_list_length=self.min_list_length,
                metrics=read_metrics(self.metrics),
            )
            for deployment, deterministic in DEPLOYMENTS.items()
        }
        write_user_hits(folder.path, job, user_of_list(parts.test), results)
        measured = {
            name: value
            for deployment, result in results.items()
            for name, value in result.as_metrics(deployment).items()
        }
        return measured | treatment

    def _scorer(
        self, job: Job, parts: Parts, seed: int, recorder: Recorder, folder: RunFolder
    ) -> tuple[SlateScorer, dict[str, float]]:
        """Return what re-ranks, and the treatment that it has had."""
        # The longest list is the slate that the agent would have to fill.
        num_items, slate_size = self.sessions.num_items, self.sessions.slate_size
        if job.agent in BASELINES:
            return BASELINES[job.agent](parts.training, slate_size, seed), {}
        if job.agent in REFERENCES:
            return REFERENCES[job.agent](parts.training, parts.validation, seed), {}
        name, chosen = of_label(job.agent)
        features = FEATURES[chosen]
        config = self._agent_config(job.agent)
        if features.listwise:
            config = with_entries(config, parts.training)
        agent = agent_type(name)(num_items, slate_size, config, seed=seed, device=self.device)
        treatment = learn_job(agent, job, folder, parts.training, parts.validation, recorder=recorder)
        return (ExaminedScorer.fit(agent, parts.validation) if features.positions else agent), treatment

    def _agent_config(self, name: str) -> Any:
        agent, features = of_label(name)
        return agent_config(agent, self.preset, FEATURES[features], self.learning_rate)

    def parts(self, seed: int) -> Parts:
        """Return the parts of the log for a seed of the run.

        Raises:
            SettingsError: a part without sessions.
        """
        by: Literal["session", "user", "time"] = "session" if self.sessions.users is None else "user"
        if self.split_by == "time":
            by = "time"
        training, validation, test = self.split
        rest, held_out = self.sessions.split((training + validation, test), seed=self.split_seed, by=by)
        return self.cut(rest, held_out, seed, by)

    def cut(self, rest: Sessions, test: Sessions, seed: int, by: Literal["session", "user", "time"]) -> Parts:
        """Return the test part and what is left, cut in two.

        Raises:
            SettingsError: a part without sessions.
        """
        training, validation, _ = self.split
        shares = (training / (training + validation), validation / (training + validation))
        # Another stream than that of the test part, for the seed may be the same.
        split_seed = int(np.random.SeedSequence((self.split_seed, seed)).generate_state(1)[0])
        learned_from, stopped_by = rest.split(shares, seed=split_seed, by=by)
        parts = Parts(learned_from, stopped_by, test)
        for name, part in parts._asdict().items():
            if len(part) == 0:
                raise SettingsError(f"--split {self.split} of {len(self.sessions)} sessions leaves none for {name}")
        return parts

    def describe(self, console: Console) -> None:
        """Print what was read and what there is to say about the split of the first seed."""
        console.print(self._log[1], markup=False, highlight=False, soft_wrap=True)
        parts = self.parts(0)
        for name, part in parts._asdict().items():
            console.print(f"{name}, seed 0: {len(part):,} sessions, {part.num_steps:,} lists")
        known, repeated = click_history(parts.training, parts.test)
        console.print(
            f"clicks of the test part: {known:.1%} on items clicked in training, "
            f"{repeated:.1%} on items that their own session has clicked before"
        )

    def prepare(self, folder: RunFolder) -> None:
        """Keep the report of what was read in the run folder."""
        folder.write_text("read_report.txt", f"{self._log[1]}\n")

    @staticmethod
    def figures(rows: DataFrame) -> Figures:
        """Return a figure for each log."""
        return by_cell(rows, rerank_figure)


class Parts(NamedTuple):
    """A log cut into three."""

    training: Sessions
    validation: Sessions
    test: Sessions


def fingerprint(sessions: Sessions) -> str:
    """Return a hash of what agents learn from and are tested on, to tell one log from another."""
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


def click_history(training: Sessions, test: Sessions) -> tuple[float, float]:
    """Return how much item ids alone can tell about the test clicks.

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


if __name__ == "__main__":
    sys.exit(command_line(Rerank))
