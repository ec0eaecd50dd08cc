"""Fit of the small user model behind doubly robust estimates, to sessions that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.ope.luce_user_model import LuceUserModel
from irecgan_gym.sessions import Sessions

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class LuceFidelity:
    """Held-out log-likelihoods of clicks, and calibration of rewards; each half of a log judged by the other's model.

    Attributes:
        click_log_likelihood: per step, in nats; higher is better.
        uniform_log_likelihood: the same for users who choose every item of the slate alike.
        popularity_log_likelihood: the same for choices in proportion to 1 + the item's clicks in the other half.
        predicted_reward: mean reward that the model expects of the logged clicks.
        mean_reward: mean reward of these clicks.
    """

    click_log_likelihood: float
    uniform_log_likelihood: float
    popularity_log_likelihood: float
    predicted_reward: float
    mean_reward: float

    @property
    def worth_having(self) -> bool:
        """Tell whether held-out clicks are more probable under the model than under both simple references."""
        return self.click_log_likelihood > max(self.uniform_log_likelihood, self.popularity_log_likelihood)

    @property
    def verdict(self) -> str:
        """The numbers in plain sentences."""
        ours, chance, popular = (
            f"{value:.3f}"
            for value in (self.click_log_likelihood, self.uniform_log_likelihood, self.popularity_log_likelihood)
        )
        if self.worth_having:
            first = f"Clicks are predicted better ({ours} nats) than by chance ({chance}) and popularity ({popular})."
        else:
            first = (
                f"Clicks are predicted no better ({ours} nats) than by chance ({chance}) or popularity ({popular}): "
                "the model makes estimates hardly surer, and its own word should not be taken."
            )
        return f"{first} It expects {self.predicted_reward:.3f} of a click; clicks earned {self.mean_reward:.3f}."


def luce_fidelity(sessions: Sessions, *, seed: int = 0) -> LuceFidelity:
    """Fit :class:`irecgan_gym.ope.luce_user_model.LuceUserModel` to each half of a log and judge the other half.

    Args:
        sessions: with slates of one size, two at least, and clicks in them.
        seed: of the halves.

    Raises:
        ValueError: fewer than two sessions, or no click.
    """
    clicked = sessions.clicks < sessions.num_items
    if len(sessions) < 2 or not clicked.any():
        raise ValueError("fidelity needs two sessions at least, and a click")
    order = np.random.default_rng(seed).permutation(len(sessions))
    halves = np.array_split(order, 2)
    columns: list[FloatArray] = []
    for half, other in (halves, halves[::-1]):
        columns.append(_judged(sessions.select(half), sessions.select(other)))
    rows = np.concatenate(columns, axis=1)
    means = rows.mean(axis=1)
    with_click = rows[:, ~np.isnan(rows[3])]
    return LuceFidelity(
        float(means[0]), float(means[1]), float(means[2]), float(with_click[3].mean()), float(with_click[4].mean())
    )


def _judged(sessions: Sessions, taught: Sessions) -> FloatArray:
    """Of each step: three log-likelihoods, the reward expected and that earned (NaN without a click); [5, T]."""
    model = LuceUserModel.fit(taught)
    size, leave = int(sessions.slate_lengths[0]), sessions.num_items
    alternatives = np.pad(sessions.slate_items.reshape(-1, size), ((0, 0), (0, 1)), constant_values=leave)
    before, clicks = sessions.previous_clicks, sessions.clicks
    if not (sessions.clicks == leave).any() and not (taught.clicks == leave).any():
        alternatives = alternatives[:, :size]
    popular = 1.0 + np.bincount(taught.clicks, minlength=leave + 1)
    # Where the other half holds no click that leaves, the model gives it no weight at all.
    weights = np.maximum(model.weights, np.finfo(np.float64).tiny)
    ours = weights[before, clicks] / weights[before[:, None], alternatives].sum(axis=1)
    by_popularity = popular[clicks] / popular[alternatives].sum(axis=1)
    chance = np.full(len(clicks), 1 / alternatives.shape[1])
    clicked = clicks < leave
    expected = np.where(clicked, model.rewards[before, clicks], np.nan)
    earned = np.where(clicked, sessions.rewards, np.nan)
    return np.stack([np.log(ours), np.log(chance), np.log(by_popularity), expected, earned])
