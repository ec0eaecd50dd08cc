"""The experiments by the name that they have in ``results.csv``; each is loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pandas import DataFrame

from irecgan_gym.benchmarks.engine.experiment import Experiment
from irecgan_gym.benchmarks.engine.summaries import Measure
from irecgan_gym.benchmarks.figures.run import Figures
from irecgan_gym.benchmarks.joining import load_object

EXPERIMENTS = {
    "simulated_online": "irecgan_gym.benchmarks.simulated_online:SimulatedOnline",
    "online_learning": "irecgan_gym.benchmarks.online_learning:OnlineLearning",
    "planners": "irecgan_gym.benchmarks.planners:Planners",
    "rerank": "irecgan_gym.benchmarks.rerank:Rerank",
    "rerank_folds": "irecgan_gym.benchmarks.rerank_folds:RerankFolds",
    "third_party": "irecgan_gym.benchmarks.third_party.experiment:ThirdParty",
    "tune": "irecgan_gym.benchmarks.tune:Tune",
}


def measures_of(rows: DataFrame) -> Sequence[Measure]:
    """Return the metrics that tables of an experiment show; all of an unknown one."""
    experiment = _experiment(rows["experiment"].iloc[0])
    return () if experiment is None else experiment.measures


def figures_of(rows: DataFrame) -> Figures:
    """Return the figures of some measurements, whatever their experiments; none of unknown ones."""
    found: dict[str, Any] = {}
    for name, of_experiment in rows.groupby("experiment", sort=False):
        experiment = _experiment(name)
        found |= {} if experiment is None else experiment.figures(of_experiment)
    return found


def _experiment(name: str) -> type[Experiment] | None:
    experiment: type[Experiment] | None = load_object(EXPERIMENTS[name]) if name in EXPERIMENTS else None
    return experiment
