"""Fit of a learned user model to sessions that it has not seen."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from torch import Tensor

from irecgan_gym.collection import play
from irecgan_gym.models.batches import SessionTensors, StepBatch
from irecgan_gym.models.fitting import user_sessions
from irecgan_gym.models.user_model import UserModel
from irecgan_gym.sessions import Sessions

_CALIBRATION_BINS = 10
CALIBRATED = 0.05
"""Rewards are called calibrated up to this mean difference of probabilities."""
RIGHT_LENGTHS = 0.1
"""Lengths are called right up to this Kolmogorov-Smirnov distance."""


@dataclass(frozen=True)
class Fidelity:
    """Fit of a user model to held-out sessions.

    Attributes:
        click_log_likelihood: log p(c_t | s_t, a_t) per step with a click, in nats; higher is better. Where users may
            leave, or click nothing and go on, it is the probability among those who click, so that it compares with
            the next two.
        uniform_log_likelihood: the same for a user who clicks every item of the slate alike.
        popularity_log_likelihood: the same for clicks in proportion to 1 + the item's clicks in these very
            sessions: a strong reference, since it has seen them.
        reward_log_likelihood: log p(r_t | s_t, c_t) per step with a click, in nats.
        reward_calibration_error: mean absolute difference of predicted and observed rewards over ten equally
            filled bins of the prediction.
        mean_length: mean length of the held-out sessions that were not cut, in steps with a click.
        simulated_mean_length: the same of sessions simulated on slates of the log shown at the same step.
        length_distance: largest difference of the two distributions of lengths (Kolmogorov-Smirnov).
    """

    click_log_likelihood: float
    uniform_log_likelihood: float
    popularity_log_likelihood: float
    reward_log_likelihood: float
    reward_calibration_error: float
    mean_length: float
    simulated_mean_length: float
    length_distance: float

    def as_metrics(self) -> dict[str, float]:
        """The numbers under names for a recorder."""
        return {f"fidelity/{name}": value for name, value in asdict(self).items()}

    @property
    def worth_having(self) -> bool:
        """Tell whether held-out clicks are more probable under the model than under both simple references."""
        return self.click_log_likelihood > max(self.uniform_log_likelihood, self.popularity_log_likelihood)

    @property
    def verdict(self) -> str:
        """The numbers in plain sentences: whether the model can stand in for the users of the log."""
        clicks = f"{self.click_log_likelihood:.4f} nats"
        uniform, popularity = self.uniform_log_likelihood, self.popularity_log_likelihood
        if self.worth_having:
            first = f"Clicks are predicted better ({clicks}) than by chance ({uniform:.4f}) and popularity"
            first += f" ({popularity:.4f})."
        elif self.click_log_likelihood > uniform:
            first = f"Clicks are predicted better ({clicks}) than by chance ({uniform:.4f}), but not than by popularity"
            first += f" ({popularity:.4f}): a policy learns from it little more than what is popular."
        else:
            first = f"Clicks are predicted no better ({clicks}) than by chance ({uniform:.4f}): nothing should be"
            first += " trained on this model."
        calibrated = self.reward_calibration_error <= CALIBRATED
        second = f"Rewards are {'' if calibrated else 'not '}calibrated (error {self.reward_calibration_error:.3f})."
        right = self.length_distance <= RIGHT_LENGTHS
        third = f"Sessions are {'as long as' if right else 'not of the lengths of'} logged ones (mean"
        third += f" {self.simulated_mean_length:.2f} and {self.mean_length:.2f}, distance {self.length_distance:.2f})."
        return f"{first} {second} {third}"

    def __str__(self) -> str:
        lines = [f"{name.replace('_', ' '):<28}{value:>10.4f}" for name, value in asdict(self).items()]
        return "\n".join([*lines, *textwrap.wrap(f"verdict: {self.verdict}", 100, subsequent_indent="  ")])


@torch.no_grad()
def fidelity(model: UserModel, sessions: Sessions, *, seed: int, num_simulated: int = 1000) -> Fidelity:
    """Measure a user model on held-out sessions.

    Args:
        model: the fitted model.
        sessions: sessions that it has not learnt from.
        seed: of the simulated sessions.
        num_simulated: how many sessions are simulated to compare lengths.

    Raises:
        ValueError: no sessions, or sessions that do not fit the model.
    """
    if len(sessions) == 0:
        raise ValueError("fidelity needs at least one held-out session")
    model.catalogue.check_agrees(sessions.catalogue, "the user model", "the sessions")
    user_sessions(sessions, model.config)
    clicks_only = SessionTensors(sessions, leave_option=False, device=model.device)
    click, reward, calibration_error = _on_clicks(model, clicks_only)
    clicked = sessions.clicks < sessions.num_items
    clicks = np.add.reduceat(clicked.astype(np.int64), sessions.offsets[:-1])
    whole = clicks if sessions.truncated.all() else clicks[~sessions.truncated]
    simulated = _simulated_lengths(model, sessions, num_simulated, seed)
    return Fidelity(
        click_log_likelihood=click,
        uniform_log_likelihood=float(-np.log(sessions.slate_lengths[clicked]).mean()),
        popularity_log_likelihood=_popularity_log_likelihood(sessions, clicked),
        reward_log_likelihood=reward,
        reward_calibration_error=calibration_error,
        mean_length=float(whole.mean()),
        simulated_mean_length=float(simulated.mean()),
        length_distance=_largest_difference(whole, simulated),
    )


def _popularity_log_likelihood(sessions: Sessions, clicked: NDArray[np.bool_]) -> float:
    counts = 1.0 + np.bincount(sessions.clicks, minlength=sessions.num_items + 1)[: sessions.num_items]
    totals = np.add.reduceat(counts[sessions.slate_items], sessions.slate_offsets[:-1])
    return float(np.log(counts[sessions.clicks[clicked]] / totals[clicked]).mean())


def _on_clicks(model: UserModel, data: SessionTensors) -> tuple[float, float, float]:
    """Log-likelihoods of clicks and rewards, and the calibration error, over the steps with a click."""
    clicks, rewards, predicted, observed = [], [], [], []
    for batch in data.all(256):
        clicked = batch.clicks < model.config.num_items
        likelihood = model.log_likelihood(batch)
        clicks.append((likelihood.click - _log_any_click(model, batch))[clicked])
        rewards.append(likelihood.reward[clicked])
        if model.config.reward_kind == "bernoulli":
            # log p(r) is log p(1) or log(1 - p(1)), so the prediction can be read off the likelihood.
            chance = likelihood.reward[clicked].exp()
            predicted.append(torch.where(batch.rewards[clicked] > 0, chance, 1 - chance))
        else:
            scores = model.reward_scores(model.encoder(batch), batch.clicks)
            predicted.append(model.reward_law.mean(scores)[clicked])
        observed.append(batch.rewards[clicked])
    prediction, reward = torch.cat(predicted).cpu().numpy(), torch.cat(observed).cpu().numpy()
    bins = np.array_split(np.argsort(prediction, kind="stable"), min(_CALIBRATION_BINS, len(prediction)))
    errors = [abs(float(prediction[rows].mean() - reward[rows].mean())) * len(rows) for rows in bins]
    return float(torch.cat(clicks).mean()), float(torch.cat(rewards).mean()), sum(errors) / len(prediction)


def _log_any_click(model: UserModel, batch: StepBatch) -> Tensor | float:
    """Log-probability that a user clicks at all, of every step of a batch in which nobody leaves."""
    if not model.config.outside_option:
        return 0.0
    nobody = replace(batch, skipped=torch.ones_like(batch.clicks, dtype=torch.bool))
    return torch.log(-torch.expm1(model.log_likelihood(nobody).click))


def _simulated_lengths(model: UserModel, sessions: Sessions, num_simulated: int, seed: int) -> NDArray[np.int64]:
    """Clicks in sessions of the model on logged slates: at step t, the t-th slate of a random logged session."""
    rng = np.random.default_rng(seed)
    users = _UsersOfLoggedSlates(model, sessions, num_simulated, int(rng.integers(2**31)))
    played = play(_RandomLoggedSlates(sessions, rng), users, num_simulated, None, deterministic=False, one_each=True)
    clicked = (played.infos["click"] < model.config.num_items).astype(np.int64)
    lengths: NDArray[np.int64] = np.add.reduceat(clicked, np.cumsum(played.lengths) - played.lengths)
    return lengths


class _RandomLoggedSlates:
    """Policy that shows, at step t, the t-th slate of a random logged session that has one, by the step's number."""

    def __init__(self, sessions: Sessions, rng: np.random.Generator) -> None:
        self._sessions, self._rng = sessions, rng

    def predict(
        self, observation: NDArray[np.int64], state: int | None = None, episode_start: Any = None, _: bool = False
    ) -> tuple[NDArray[np.int64], int]:
        step = 0 if state is None else state
        long_enough = np.flatnonzero(self._sessions.lengths > step)
        return self._sessions.offsets[self._rng.choice(long_enough, len(observation))] + step, step + 1

    def select(self, state: int, rows: NDArray[np.int64]) -> int:
        return state


class _UsersOfLoggedSlates(VectorEnv[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]):
    """Users of the model, shown slates of a log whatever their sizes; an action is the number of a logged step."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, model: UserModel, sessions: Sessions, number: int, seed: int) -> None:
        self.num_envs = number
        self.num_items = sessions.num_items
        self.single_action_space = Discrete(sessions.num_steps)
        self._model, self._sessions = model, sessions
        self._generator = torch.Generator(model.device).manual_seed(seed)
        self._state = model.encoder.start(number)
        self._elapsed, self._longest = 0, int(sessions.lengths.max())
        self._clicks: Tensor | None = None
        self._shown = np.zeros(0, dtype=np.int64)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[NDArray[np.int64], dict[str, Any]]:
        return np.full(self.num_envs, self.num_items), {}

    def step(self, actions: NDArray[np.int64]) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        if self._clicks is not None:
            self._state = self._advanced()
        self._clicks, rewards, ended = self._respond(actions)
        self._shown = actions
        self._elapsed += 1
        clicks = self._clicks.cpu().numpy()
        cut = np.full(len(clicks), self._elapsed == self._longest)
        return clicks, rewards.cpu().numpy(), ended.cpu().numpy(), cut, {"click": clicks}

    def _respond(self, steps: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Clicks, rewards and ends."""
        model = self._model
        clicks = torch.empty(len(steps), dtype=torch.int64, device=model.device)
        rewards = torch.empty(len(steps), dtype=torch.float32, device=model.device)
        ended = torch.empty(len(steps), dtype=torch.bool, device=model.device)
        for index, slates in self._slates(steps):
            clicks[index], rewards[index], ended[index] = model.respond(self._state[index], slates, self._generator)
        return clicks, rewards, ended

    def _advanced(self) -> Tensor:
        """States after the steps last shown."""
        assert self._clicks is not None
        state = torch.empty_like(self._state)
        for index, slates in self._slates(self._shown):
            state[index] = self._model.advance(self._state[index], slates, self._clicks[index])
        return state

    def _slates(self, steps: NDArray[np.int64]) -> Iterator[tuple[Tensor, Tensor]]:
        """Numbers of users and the slates of their logged steps, one size of slates after the other."""
        sizes = self._sessions.slate_lengths[steps]
        for size in np.unique(sizes):
            rows = np.flatnonzero(sizes == size)
            entries = self._sessions.slate_offsets[steps[rows]][:, None] + np.arange(size)
            slates = torch.tensor(self._sessions.slate_items[entries], dtype=torch.int64, device=self._model.device)
            yield torch.from_numpy(rows).to(self._model.device), slates

    def branch(self, rows: NDArray[np.int64]) -> _UsersOfLoggedSlates:
        """The users whose sessions go on; the others are gone."""
        assert self._clicks is not None
        index = torch.from_numpy(rows).to(self._model.device)
        self._state, self._clicks, self.num_envs = self._state[index], self._clicks[index], len(rows)
        self._shown = self._shown[rows]
        return self


def _largest_difference(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    values = np.union1d(first, second)
    shares = [np.searchsorted(np.sort(sample), values, side="right") / len(sample) for sample in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())
