"""Deploy a trained agent in an environment, or let it re-rank logged lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import isnan
from pathlib import Path

import tyro
from rich.console import Console

from irecgan_gym.benchmarks.engine.command import SettingsError, check_at_least, check_known, check_positive
from irecgan_gym.benchmarks.engine.experiment import check_device
from irecgan_gym.benchmarks.engine.text_table import text_table
from irecgan_gym.benchmarks.jobs.options import load_agent
from irecgan_gym.benchmarks.joining import check_env, read_env_kwargs, read_metrics
from irecgan_gym.benchmarks.log_data import FORMATS, read_log
from irecgan_gym.benchmarks.online_test import DEPLOYMENTS
from irecgan_gym.evaluation import OnlineResult, RerankResult, evaluate_online, evaluate_reranking


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Say what a trained agent earns in an environment, or with --data how well it re-ranks logged lists."""

    agent: tyro.conf.Positional[Path]
    """File of the agent, as saved by `irecgan-gym train`."""
    agent_class: str | None = None
    """Class of an agent that is not of the suite, as module:Class."""
    env: str = "RecSim-v0"
    """Environment: RecSim-v0, RecSim-Observable-v0, RecSim-Planning-v0, or any registered one (module:id)."""
    env_kwargs: str = "{}"
    """Arguments of the environment as JSON, or @FILE of JSON, e.g. '{"mdp_seed": 3}'."""
    sessions: int = 1000
    """Sessions to play in the environment."""
    data: Path | None = None
    """Logs whose lists are re-ranked instead of playing."""
    format: str = "sessions"
    """Format of the logs."""
    metrics: tuple[str, ...] = ()
    """Further metrics: ndcg@10, recall@5, catalogue_coverage@10, or module:function."""
    min_list_length: int = 11
    """Shorter lists do not count in re-ranking."""
    seed: int = 0
    """Seed of everything that is random."""
    device: str = "auto"
    """Device to compute on: auto, cpu, cuda."""

    def execute(self, console: Console) -> None:
        """Load, evaluate and print a table."""
        check_positive(sessions=self.sessions, min_list_length=self.min_list_length)
        check_at_least(0, seed=self.seed)
        check_known(FORMATS, format=(self.format,))
        check_device(self.device)
        evaluate = self._in_env() if self.data is None else self._on_logs(self.data)
        options = {"seed": self.seed, "metrics": read_metrics(self.metrics)}
        measured: dict[str, float] = {}
        for deployment, deterministic in DEPLOYMENTS.items():
            measured |= evaluate(deterministic=deterministic, **options).as_metrics(deployment)
        names = dict.fromkeys(name.partition("/")[0] for name in measured)
        rows = [
            (name, *(_text(measured, name, deployment) for deployment in DEPLOYMENTS))
            for name in names
            if not name.endswith(("_low", "_high"))
        ]
        text_table(str(self.agent), ("measure", *DEPLOYMENTS), rows).print(console)

    def _in_env(self) -> Callable[..., OnlineResult]:
        kwargs = read_env_kwargs(self.env_kwargs)
        check_env(self.env, kwargs)
        agent = load_agent(self.agent, self.device, self.agent_class)
        return partial(evaluate_online, agent, self.env, self.sessions, env_kwargs=kwargs)

    def _on_logs(self, data: Path) -> Callable[..., RerankResult]:
        agent = load_agent(self.agent, self.device, self.agent_class)
        sessions, _ = read_log(data, self.format, "raise")
        if not (sessions.slate_lengths[sessions.clicks < sessions.num_items] >= self.min_list_length).any():
            raise SettingsError(f"--min-list-length {self.min_list_length}: no list with a click is as long")
        return partial(evaluate_reranking, agent, sessions, min_list_length=self.min_list_length)


def _text(measured: Mapping[str, float], name: str, deployment: str) -> str:
    """Return a measurement with its interval, where it has one."""
    mean, low, high = (measured.get(f"{name}{end}/{deployment}", float("nan")) for end in ("", "_low", "_high"))
    return f"{mean:.4g}" if isnan(low) else f"{mean:.4g} ({low:.4g} to {high:.4g})"
