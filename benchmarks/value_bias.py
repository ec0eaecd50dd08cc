"""The value that a user model gives a policy beside its true value (§6), over rounds of adversarial training.

python -m benchmarks.value_bias --sessions 1000 --seeds 5 --out runs/value-bias
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame
from rich.console import Console

from irecgan_gym.agents import PresetName, preset
from irecgan_gym.agents.generation import generate_adversarial_sessions
from irecgan_gym.agents.irecgan import IRecGAN, IRecGANConfig
from irecgan_gym.benchmarks.engine.command import check_positive, command_line
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.engine.tables import cells_of
from irecgan_gym.benchmarks.engine.text_table import TextTable, text_table
from irecgan_gym.benchmarks.figures.value_bias import bias_figures
from irecgan_gym.benchmarks.log_grid import LogGrid, log_of, logged_env
from irecgan_gym.benchmarks.online_test import Streams
from irecgan_gym.benchmarks.true_likelihood import overlap_loss, true_log_likelihood
from irecgan_gym.collection import collect
from irecgan_gym.evaluation.metrics import mean_interval
from irecgan_gym.logging_policies import make_logging_policy
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.fitting import user_sessions
from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.models.user_model import UserModel
from irecgan_gym.planning.logged_steps import LoggedSteps
from irecgan_gym.planning.pool_mixture import PoolMixture
from irecgan_gym.recorder import Recorder, Recorders
from irecgan_gym.sessions import Sessions

FloatArray = NDArray[np.float64]
AGENT = "irecgan"
_COLUMNS = {
    "value/true": "true value",
    "bias/model": "bias of U's value",
    "bias/rescaled": "after rescaling by q",
    "bias/rescaled-mean": "by q over its mean",
    "bias/eq-12": "Eq 12, halves",
    "delta/mean": "Delta a step",
    "delta/absolute": "its absolute value",
    "delta-1": "delta_1",
    "delta-2/first-step": "delta_2, first steps",
    "delta-2": "delta_2",
}
_SIGNED = {name for name in _COLUMNS if name.startswith("bias/")} | {"delta/mean"}


@dataclass(frozen=True, kw_only=True)
class ValueBias(LogGrid):
    """Train IRecGAN, and after each round compare the value that its user model gives its policy with the true one.

    The discriminator's scores rescale the value as Eq 12 has it. Biases are those of §6: Delta is the user model's
    expected reward of a click less the true one, over the policy's own true sessions; delta_1 and delta_2 are means of
    absolute values over generated and over logged sessions, twice the total variation between these and the policy's
    own: 0 where they are alike, 2 where they have nothing in common.
    """

    name = "value_bias"
    figures = staticmethod(bias_figures)

    env: tuple[str, ...] = ("RecSim-v0",)
    """Environments."""
    sessions: tuple[int, ...] = (1000,)
    """Numbers of logged sessions to learn from."""
    rounds: int = 12
    """Rounds of adversarial training."""
    simulated: int = 2000
    """Sessions by which each value is measured."""
    preset: PresetName = "fast"
    """Settings of IRecGAN."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            SettingsError: with the option and what it takes.
        """
        super().check()
        check_positive(rounds=self.rounds, simulated=self.simulated)

    def config(self) -> dict[str, Any]:
        """Return all settings that measurements depend on, those of the agent included."""
        return super().config() | {
            "simulated": self.simulated,
            "preset": self.preset,
            "agent": asdict(self._settings),
        }

    @property
    def _settings(self) -> IRecGANConfig:
        settings: IRecGANConfig = preset(AGENT, self.preset)
        return replace(settings, rounds=self.rounds, patience=self.rounds)

    def grid(self, results: DataFrame) -> list[Job]:
        """Return all jobs of the run."""
        return self.jobs_of((AGENT,))

    def measure(self, job: Job, recorder: Recorder, folder: RunFolder) -> Mapping[str, float]:
        """Train, and measure what there is after each round.

        Returns:
            Metrics such as ``bias/model/round-03``; round 0 is the end of pre-training.
        """
        env, policy = job.logging_policy.split("/")
        streams, log = Streams.of(job.seed), log_of(job)
        agent = IRecGAN(log.num_items, log.slate_size, self._settings, seed=streams.agent, device="cpu")
        training = folder.training(job)
        snapshots = Snapshots(agent, training.folder.with_suffix(".snapshots"))
        agent.learn(log, recorder=Recorders(recorder, snapshots), resume=training)
        logger = make_logging_policy(policy, logged_env(job).get_wrapper_attr("mdp"), log.slate_size).mixture
        found: dict[str, float] = {}
        for number, one in enumerate(snapshots.by_round):
            measured = biases(
                one, log, env, mdp_seed=job.seed, logger=logger, number=self.simulated, seed=streams.evaluation
            )
            found |= {f"{name}/round-{number:02}": value for name, value in measured.items()}
        for kept in (training.folder, snapshots.folder):
            shutil.rmtree(kept, ignore_errors=True)
        return found

    def conclude(self, folder: RunFolder, results: DataFrame, console: Console) -> None:
        """Print biases by round, cell by cell."""
        for table in bias_tables(results):
            table.print(console)


class Snapshots:
    """Recorder that keeps the agent as it is after pre-training and after each round, in a folder.

    A training that goes on tells again what it has told before, when the agent is further than that: what is kept
    already stays.

    Args:
        agent: learns.
        folder: for the copies.
    """

    def __init__(self, agent: IRecGAN, folder: Path) -> None:
        self._agent, self.folder = agent, folder
        self._judged = self._rounds = 0
        folder.mkdir(parents=True, exist_ok=True)

    def record(self, values: Mapping[str, float], step: int) -> None:
        """Keep the agent where a round ends, and wherever pre-training may end."""
        if "adversarial/mean_q" in values:
            self._rounds += 1
            self._keep(self._after_round(self._rounds))
        elif "disc/held_out_accuracy" in values and not self._rounds:
            # Pre-training of the discriminator may end at any update; the first round's updates come before the round
            # is known to have begun.
            self._judged += 1
            self._keep(self._after_update(self._judged))
            self._after_update(self._judged - self._agent.config.d_steps - 1).unlink(missing_ok=True)

    def _after_update(self, number: int) -> Path:
        return self.folder / f"update-{number}.safetensors"

    def _after_round(self, number: int) -> Path:
        return self.folder / f"round-{number}.safetensors"

    def _keep(self, path: Path) -> None:
        if not path.exists():
            self._agent.save(path)

    @property
    def by_round(self) -> Iterator[IRecGAN]:
        """The agent after each round, from round 0 on."""
        before = self._after_update(self._judged - self._agent.config.d_steps)
        paths = [before, *map(self._after_round, range(1, self._rounds + 1))]
        return (IRecGAN.load(path, device="cpu") for path in paths)


def biases(
    agent: IRecGAN, log: Sessions, env: str, *, mdp_seed: int, logger: PoolMixture, number: int, seed: int
) -> dict[str, float]:
    """Return the values of an agent's sampled policy by its user model and in truth, and the biases of §6.

    Args:
        agent: policy, user model and discriminator.
        log: what it learned from.
        env: the true environment.
        mdp_seed: of its tables.
        logger: exact probabilities of the logged slates.
        number: of sessions simulated for each value.
        seed: of the users and slates.
    """
    mdp = gym.make(env, mdp_seed=mdp_seed).get_wrapper_attr("mdp")
    steps = agent.config.max_generated_steps(user_sessions(log, agent.user_model.config))
    kwargs = {"mdp_seed": mdp_seed}
    own = collect(agent, env, number, seed, deterministic=False, max_session_steps=steps, env_kwargs=kwargs)
    score = SequenceScore(
        agent.user_model,
        agent.policy,
        agent.discriminator,
        num_rollouts=agent.config.num_rollouts,
        max_session_steps=steps,
    )
    generated = generate_adversarial_sessions(agent.policy, score, number, rewards=agent.config, seed=seed)
    earned = generated.sessions.rewards.astype(np.float64)
    true, of_log = (float(sessions.rewards.sum()) / len(sessions) for sessions in (own, log))
    by_model, rescaled = float(earned.sum()) / number, float((earned * generated.scores).sum()) / number
    assert own.states is not None
    difference = _chances(agent.user_model, own) - mdp.rewards[own.states, own.clicks]
    return {
        "value/true": true,
        "value/model": by_model,
        "value/rescaled": rescaled,
        "score/mean": float(generated.scores.mean()),
        "bias/model": by_model - true,
        "bias/rescaled": rescaled - true,
        "bias/rescaled-mean": rescaled / float(generated.scores.mean()) - true,
        "bias/eq-12": (rescaled + of_log) / 2 - true,
        "delta/mean": float(difference.mean()),
        "delta/absolute": float(np.abs(difference).mean()),
        "delta-1": _against_model(agent.user_model, generated.sessions, mdp),
        **_against_log(agent, log, mdp, logger),
    }


def _chances(model: UserModel, sessions: Sessions) -> FloatArray:
    """Return the user model's probability of a reward of each logged click, [T]."""
    _, reward = _log_likelihoods(model, sessions)
    seen = np.exp(reward)
    return np.where(sessions.rewards > 0, seen, 1 - seen)


def _log_likelihoods(model: UserModel, sessions: Sessions) -> tuple[FloatArray, FloatArray]:
    click, reward = np.empty(sessions.num_steps), np.empty(sessions.num_steps)
    for batch in SessionTensors(sessions, leave_option=model.leave_option, device=model.device).all(256):
        found = model.log_likelihood(batch)
        rows = batch.steps.cpu().numpy()
        click[rows], reward[rows] = (part.detach().double().cpu().numpy() for part in found)
    return click, reward


def _against_model(model: UserModel, generated: Sessions, mdp: Any) -> float:
    """Return E_g|delta_1| of whole sessions: the policy's slates are as likely in both, so users alone differ."""
    own = true_log_likelihood(mdp, LoggedSteps.of(generated))
    other = np.add(*_log_likelihoods(model, generated))
    return overlap_loss(*(np.add.reduceat(part, generated.offsets[:-1]) for part in (own, other)))


def _against_log(agent: IRecGAN, log: Sessions, mdp: Any, logger: PoolMixture) -> dict[str, float]:
    """Return E_data|delta_2| of first steps and of whole sessions."""
    steps = LoggedSteps.of(log)
    own = true_log_likelihood(mdp, steps) + agent.slate_log_probability(log)
    data = true_log_likelihood(mdp, steps, logger)
    first = log.offsets[:-1]
    return {
        "delta-2/first-step": overlap_loss(own[first], data[first]),
        "delta-2": overlap_loss(*(np.add.reduceat(part, first) for part in (own, data))),
    }


def bias_tables(results: DataFrame, rounds: Sequence[int] | None = None) -> list[TextTable]:
    """Return a table of biases by round for each cell.

    Args:
        results: measurements of a run.
        rounds: those to show; all if left out.
    """
    tables = []
    for (_, policy, size), rows in cells_of(results).items():
        split = rows["metric"].str.extract(r"^(?P<name>.*)/round-(?P<round>\d+)$")
        values = rows.assign(**split)
        lines = []
        for number, of_round in values.groupby(values["round"].astype(int)):
            if rounds is None or number in rounds:
                by_name = {name: of["value"] for name, of in of_round.groupby("name")}
                lines.append([str(number), *(_text(name, by_name[name]) for name in _COLUMNS)])
        seeds = rows["seed"].nunique()
        note = f"{seeds} seeds; ± is half of a 95% t interval over seeds. Round 0: after pre-training."
        tables.append(text_table(f"{policy} ({size:,})", ["round", *_COLUMNS.values()], lines, note))
    return tables


def _text(name: str, values: Any) -> str:
    mean, low, high = mean_interval(values)
    text = f"{mean:+.2f}" if name in _SIGNED else f"{mean:.2f}"
    return text if np.isnan(low) else f"{text} ± {(high - low) / 2:.2f}"


if __name__ == "__main__":
    sys.exit(command_line(ValueBias))
