"""A small user model that is fitted in a moment: Luce's choice within a slate, by the click before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.ope.off_policy_data import OffPolicyData
from irecgan_gym.ope.policies import slate_matrix
from irecgan_gym.ope.value_model import ValueColumns
from irecgan_gym.sessions import Sessions

FloatArray = NDArray[np.float64]
Ids = NDArray[np.int64]

_ITERATIONS = 50
_MAX_ENTRIES = 2**22


@dataclass(frozen=True, eq=False)
class LuceUserModel:
    """Users click an item of the slate in proportion to its weight, earn, and go on, all by the click before.

    Items are 0..n-1; the alternative n is "no click", whose weight is 0 where logs hold none. x is the click before,
    n at the start of a session.

    Attributes:
        weights: of alternatives, float64 [n + 1, n + 1], by x and alternative.
        rewards: expected reward of a click, float64 [n + 1, n + 1].
        going_on: probability that there is another step after it, float64 [n + 1, n + 1].
        draws: slates drawn from the policy to be judged for each logged step.
        seed: of these draws.
    """

    weights: FloatArray
    rewards: FloatArray
    going_on: FloatArray
    draws: int = 20
    seed: int = 0

    @classmethod
    def fit(cls, sessions: Sessions, *, strength: float = 20.0, draws: int = 20, seed: int = 0) -> LuceUserModel:
        """Fit to logged sessions.

        Weights are the most probable ones, found by Hunter's iteration (MM algorithms for generalized Bradley-Terry
        models, Annals of Statistics 2004); rewards and continuations are frequencies. All are drawn towards what holds
        after any click.

        Args:
            sessions: with slates of one size.
            strength: clicks' worth of evidence that what holds after any click has against what was seen after this
                one.
            draws: see the attributes.
            seed: see the attributes.
        """
        if not strength > 0:
            raise ValueError(f"strength must be positive, got {strength!r}")
        size = sessions.num_items + 1
        slates = _alternatives(slate_matrix(sessions, sessions.num_items, int(sessions.slate_lengths[0])), sessions)
        clicks, before = sessions.clicks.astype(np.int64), sessions.previous_clicks.astype(np.int64)
        shape, anything = (size, size), np.zeros_like(before)
        # What holds after any click is drawn towards equal weights, by one click.
        overall = _luce_weights(slates, clicks, anything, np.ones((1, size)), 1.0)
        weights = _luce_weights(slates, clicks, before, np.repeat(overall, size, axis=0), strength)
        if not (clicks == sessions.num_items).any():
            weights[:, -1] = 0.0

        last = np.zeros(sessions.num_steps, dtype=bool)
        last[sessions.offsets[1:] - 1] = True
        cut = np.zeros(sessions.num_steps, dtype=bool)
        cut[sessions.offsets[1:] - 1] = sessions.truncated
        rewards = _means(before, clicks, sessions.rewards.astype(np.float64), np.ones(len(clicks)), shape, strength)
        going_on = _means(before, clicks, (~last).astype(np.float64), (~cut).astype(np.float64), shape, strength)
        rewards[:, -1] = going_on[:, -1] = 0.0
        return cls(weights, rewards, going_on, draws, seed)

    def values(self, data: OffPolicyData) -> ValueColumns:
        """See :class:`irecgan_gym.ope.value_model.ValueModel`.

        The model's own value of the policy after each click is found from the slates that the policy would show at the
        logged steps after that click.

        Raises:
            ValueError: the policy to be judged is not at hand.
        """
        if data.target_policy is None:
            raise ValueError("a model needs the policy to be judged itself, not only its propensities")
        sessions = data.sessions
        before = sessions.previous_clicks.astype(np.int64)
        shown = slate_matrix(sessions, data.target_policy.num_items, data.target_policy.slate_size)
        chosen = data.target_policy.sample(sessions, self.draws, np.random.default_rng(self.seed))
        worth = self._worth(before, chosen, data.gamma)
        logged = self._one_step(before, shown, worth)
        proposed = self._one_step(np.repeat(before, self.draws), chosen.reshape(-1, shown.shape[1]), worth).reshape(
            -1, self.draws
        )
        return ValueColumns(logged, proposed.mean(axis=1))

    def _one_step(self, before: Ids, slates: Ids, worth: FloatArray) -> FloatArray:
        """Expected worth of the click on each slate, [M]."""
        values = np.empty(len(slates))
        at_once = max(1, _MAX_ENTRIES // (slates.shape[1] + 1))
        for first in range(0, len(slates), at_once):
            chunk = slice(first, first + at_once)
            rows, alternatives = before[chunk, None], self._with_leaving(slates[chunk])
            weights = self.weights[rows, alternatives]
            values[chunk] = (weights * worth[rows, alternatives]).sum(axis=1) / weights.sum(axis=1)
        return values

    def _worth(self, before: Ids, chosen: Ids, gamma: float) -> FloatArray:
        """Return the value of every click: its reward, and what follows under the policy; [n + 1, n + 1]."""
        size = len(self.weights)
        moves, earned, visits = np.zeros((size, size)), np.zeros(size), np.bincount(before, minlength=size)
        for draw in range(chosen.shape[1]):
            alternatives = self._with_leaving(chosen[:, draw])
            weights = self.weights[before[:, None], alternatives]
            clicks = weights / weights.sum(axis=1, keepdims=True)
            cells = before[:, None] * size + alternatives
            mass = np.bincount(cells.reshape(-1), clicks.reshape(-1), minlength=size**2).reshape(size, size)
            moves += mass * self.going_on
            earned += (mass * self.rewards).sum(axis=1)
        seen = visits > 0
        number = np.where(seen, visits, 1) * chosen.shape[1]
        moves /= number[:, None]
        # After clicks that the log does not hold, what happens on average happens.
        moves[~seen] = (visits @ moves) / visits.sum()
        earned = np.where(seen, earned / number, earned.sum() / (visits.sum() * chosen.shape[1]))
        # A session that never ended in the log has a bounded value nevertheless.
        moves *= np.minimum(1.0, 0.999 / np.maximum(moves.sum(axis=1, keepdims=True), 1e-9))
        following = np.linalg.solve(np.eye(size) - gamma * moves, earned)
        worth: FloatArray = self.rewards + gamma * self.going_on * following[None, :]
        return worth

    def _with_leaving(self, slates: Ids) -> Ids:
        return np.pad(slates, ((0, 0), (0, 1)), constant_values=len(self.weights) - 1)


def _alternatives(slates: Ids, sessions: Sessions) -> Ids:
    """Slates, and "no click" beside them where the log holds such steps."""
    if not (sessions.clicks == sessions.num_items).any():
        return slates
    return np.pad(slates, ((0, 0), (0, 1)), constant_values=sessions.num_items)


def _luce_weights(slates: Ids, clicks: Ids, contexts: Ids, prior: FloatArray, strength: float) -> FloatArray:
    """Most probable weights [C, n + 1] under a gamma distribution whose mode is the prior."""
    shape, weights = prior.shape, prior.copy()
    wins = np.bincount(contexts * shape[1] + clicks, minlength=prior.size).reshape(shape)
    cells = contexts[:, None] * shape[1] + slates
    for _ in range(_ITERATIONS):
        totals = weights.reshape(-1)[cells].sum(axis=1)
        exposure = np.bincount(cells.reshape(-1), np.repeat(1 / totals, slates.shape[1]), minlength=prior.size).reshape(
            shape
        )
        weights = (wins + strength) / (exposure + strength / prior)
    return weights


def _means(
    before: Ids, clicks: Ids, values: FloatArray, counted: FloatArray, shape: tuple[int, int], strength: float
) -> FloatArray:
    """Mean value by click before and click, drawn towards that by click, which is drawn towards that of all."""
    size = shape[1]
    cells = before * size + clicks
    sums, counts = (
        np.bincount(cells, weights * counted, minlength=size**2).reshape(shape)
        for weights in (values, np.ones_like(values))
    )
    total = sums.sum() / max(1.0, counts.sum())
    by_click = (sums.sum(axis=0) + strength * total) / (counts.sum(axis=0) + strength)
    means: FloatArray = (sums + strength * by_click) / (counts + strength)
    return means
