"""Which learned users to trust: values of policies in the model and in truth, and what held-out sessions say.

python -m benchmarks.simulators --sessions 200 1000 --seeds 5 --out runs/simulators
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame
from rich.console import Console
from scipy.stats import kendalltau, spearmanr

from irecgan_gym.agents import Agent, Belief, MaxLogBelief, PresetName, preset
from irecgan_gym.agents.auto_planner import AutoPlanner, AutoPlannerConfig
from irecgan_gym.agents.choice_planner import ChoicePlanner, ChoicePlannerConfig
from irecgan_gym.agents.irecgan import IRecGAN
from irecgan_gym.agents.latent_planner import LatentPlanner, LatentPlannerConfig
from irecgan_gym.agents.references.simple import PopularityPolicy, RandomPolicy
from irecgan_gym.agents.tabular_pg import TabularPG, TabularPGConfig
from irecgan_gym.benchmarks.engine.command import check_known, check_positive, command_line
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.engine.summaries import Measure
from irecgan_gym.benchmarks.engine.tables import cells_of
from irecgan_gym.benchmarks.engine.text_table import TextTable, text_table
from irecgan_gym.benchmarks.log_grid import LogGrid, env_of, log_of, logged_env
from irecgan_gym.benchmarks.online_test import Streams
from irecgan_gym.benchmarks.shared_training import fit_checkpointed
from irecgan_gym.benchmarks.two_sample import two_sample_test
from irecgan_gym.evaluation.online import evaluate_online
from irecgan_gym.evaluation.user_model_fidelity import fidelity
from irecgan_gym.models.belief_user_model import BeliefUserModel
from irecgan_gym.models.choice_model import ChoiceModelConfig
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions
from irecgan_gym.storage.checkpoints import Checkpoints

PLANNERS: dict[str, tuple[type[Any], Any]] = {
    "choice": (ChoicePlanner, ChoicePlannerConfig(least=None)),
    "choice-last-click": (ChoicePlanner, ChoicePlannerConfig(model=ChoiceModelConfig("last-click"), least=None)),
    "latent": (LatentPlanner, LatentPlannerConfig(least=None)),
    "auto": (AutoPlanner, AutoPlannerConfig()),
}
"""Agents of which the learned user is the model; ``auto`` takes exposure into account."""
NETWORKS = ("lstm", "lstmd")
"""Recurrent models: by likelihood, and that of IRecGAN."""
_HELD_OUT = 1000
_MAX_STEPS = 200


@dataclass(frozen=True, kw_only=True)
class Simulators(LogGrid):
    """Fit user models to logs, and find out which of them can stand in for the users.

    Measured are the likelihoods of fresh sessions of the logging policy, a fresh discriminator's two-sample test on
    them, and how the values of a dozen policies in the model agree with their true values: policies that another log
    has taught more or less, and references. Each seed is another environment and another log.
    """

    name = "simulators"
    axes = ("models", *LogGrid.axes)
    measures = (
        Measure("rank/spearman", "rank correlation of policies' values"),
        Measure("rank/regret", "true reward lost by choosing the policy in the model"),
        Measure("rank/error", "mean absolute error of values"),
        Measure("two-sample/told-apart", "told apart by a fresh discriminator"),
        Measure("fidelity/click_log_likelihood", "log-likelihood of a click", digits=3),
        Measure("fidelity/reward_log_likelihood", "log-likelihood of a reward", digits=3),
        Measure("fidelity/length_distance", "distance of lengths"),
    )

    models: tuple[str, ...] = ("lstm", *PLANNERS)
    """User models: lstm, lstmd, choice, choice-last-click, latent, auto."""
    eval_sessions: int = 2000
    """Sessions by which a policy is valued, in the model and in truth."""
    preset: PresetName = "fast"
    """Settings of the recurrent models."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        super().check()
        check_known((*NETWORKS, *PLANNERS), models=self.models)
        check_positive(eval_sessions=self.eval_sessions)

    def config(self) -> dict[str, Any]:
        """Return all settings that measurements depend on, those of the models included."""
        settings = {name: config for name, (_, config) in PLANNERS.items()}
        settings |= {name: preset("irecgan", self.preset) for name in NETWORKS}
        return super().config() | {
            "eval_sessions": self.eval_sessions,
            "preset": self.preset,
            "models": {name: asdict(settings[name]) for name in self.models},
        }

    def grid(self, results: DataFrame) -> list[Job]:
        """Return all jobs of the run."""
        return self.jobs_of(self.models)

    def measure(self, job: Job, recorder: Recorder, folder: RunFolder) -> Mapping[str, float]:
        """Fit a model to the log of a job, and judge it."""
        env, streams = env_of(job), Streams.of(job.seed)
        log = log_of(job)
        held_out = logged_env(job).get_wrapper_attr("collect")(_HELD_OUT, seed=streams.evaluation)
        training = folder.training(job)
        model = self._fitted(job.agent, log, streams.agent, recorder, training)
        truth = true_values(env, job.seed, self.eval_sessions)
        in_model = np.array(
            [
                evaluate_online(
                    one,
                    "UserModel-v0",
                    self.eval_sessions,
                    deterministic=True,
                    seed=streams.evaluation,
                    max_session_steps=_MAX_STEPS,
                    env_kwargs={"user_model": model},
                ).reward.mean
                for one in policies(env, job.seed).values()
            ]
        )
        test = two_sample_test(model, held_out, seed=streams.agent)
        shutil.rmtree(training.folder, ignore_errors=True)
        return {
            **agreement(in_model, np.array(truth)),
            "two-sample/told-apart": test.told_apart,
            "two-sample/p-value": test.p_value,
            **fidelity(model, held_out, seed=streams.agent).as_metrics(),
        }

    def _fitted(self, name: str, log: Sessions, seed: int, recorder: Recorder, resume: Checkpoints) -> UserModel:
        if name in PLANNERS:
            kind, config = PLANNERS[name]
            planner = kind(log.num_items, log.slate_size, config, seed=seed)
            planner.learn(log, recorder=recorder, resume=resume)
            return BeliefUserModel(planner.world, log.slate_size)
        settings = preset("irecgan", self.preset)
        if name == "lstmd":
            agent = IRecGAN(log.num_items, log.slate_size, settings, seed=seed, device="cpu")
            return agent.learn(log, recorder=recorder, resume=resume).user_model
        shape = UserModelConfig(log.num_items, log.slate_size, "reward", settings.encoder)
        model = UserModel.create(shape, seed=seed, device="cpu")
        fit_checkpointed(model, settings.user_model_fit, log, None, seed=seed, recorder=recorder, resume=resume)
        return model

    def conclude(self, folder: RunFolder, results: DataFrame, console: Console) -> None:
        """Print which model is best by each measure, cell by cell."""
        if len(self.models) > 1:
            choice_table(results).print(console)


@lru_cache(maxsize=8)
def policies(env: str, seed: int) -> dict[str, Agent]:
    """Policies of many kinds for an environment: what logs of random slates have taught, and references."""
    made = gym.make(env, logging_policy="random", mdp_seed=seed)
    mdp, size = made.get_wrapper_attr("mdp"), made.get_wrapper_attr("slate_size")
    found: dict[str, Agent] = {"random": RandomPolicy(mdp.num_items, size, seed=0)}
    for number in (30, 200, 2000):
        # Seeds that no log of a job has.
        log = made.get_wrapper_attr("collect")(number, seed=seed + 1_000_003)
        found[f"popularity ({number})"] = PopularityPolicy(mdp.num_items, size, seed=0).learn(log)
        for context in ("place", "last-click"):
            config = TabularPGConfig(context=context)
            found[f"tabular-pg {context} ({number})"] = TabularPG(mdp.num_items, size, config, seed=0).learn(log)
    return found | {"max-log-belief": MaxLogBelief(mdp, size), "belief": Belief(mdp, size)}


@lru_cache(maxsize=8)
def true_values(env: str, seed: int, number: int) -> tuple[float, ...]:
    """Mean rewards of the policies in the true environment."""
    users = Streams.of(seed).evaluation
    return tuple(
        evaluate_online(one, env, number, deterministic=True, seed=users, env_kwargs={"mdp_seed": seed}).reward.mean
        for one in policies(env, seed).values()
    )


def agreement(in_model: NDArray[np.float64], truth: NDArray[np.float64]) -> dict[str, float]:
    """Return how values of policies in a model agree with the true ones, both [P].

    Returns:
        ``rank/spearman`` and ``rank/kendall``; ``rank/regret``, what the truly best policy earns more than the one
        that is best in the model; ``rank/error``, the mean absolute difference.
    """
    return {
        "rank/spearman": float(spearmanr(in_model, truth).statistic),
        "rank/kendall": float(kendalltau(in_model, truth).statistic),
        "rank/regret": float(truth.max() - truth[in_model.argmax()]),
        "rank/error": float(np.abs(in_model - truth).mean()),
    }


def choice_table(results: DataFrame) -> TextTable:
    """Return the best model of each cell by what truth says, and by what held-out sessions say."""
    best = {
        "rank/spearman": (True, "highest rank correlation"),
        "rank/error": (False, "least error of values"),
        "fidelity/click_log_likelihood": (True, "likeliest clicks"),
        "two-sample/told-apart": (False, "least told apart"),
    }
    lines = []
    for (_, policy, size), rows in cells_of(results).items():
        means = rows.groupby(["metric", "agent"])["value"].mean()
        line = [f"{policy} ({size:,})"]
        for metric, (highest, _) in best.items():
            of_metric = means[metric]
            line.append(f"{of_metric.idxmax() if highest else of_metric.idxmin()}")
        lines.append(line)
    headings = ["cell", *(words for _, words in best.values())]
    return text_table("Which model to trust", headings, lines, f"Means over {results['seed'].nunique()} seeds.")


if __name__ == "__main__":
    sys.exit(command_line(Simulators))
