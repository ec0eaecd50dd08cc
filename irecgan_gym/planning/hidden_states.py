"""Exact inference of hidden states from sessions: the forward and the backward recursion, batched over sessions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.planning.logged_steps import LoggedSteps

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moves:
    """Transitions P(s' | s, a), proportional to source[s, s'] target[a, s'].

    Attributes:
        source: positive or zero, [K, K]; zeros rule moves out.
        target: positive, [n, K].
        totals: sums over s' for each item and state, [n, K].
    """

    source: FloatArray
    target: FloatArray
    totals: FloatArray

    @classmethod
    def of(cls, source: FloatArray, target: FloatArray) -> Moves:
        """The moves with their totals."""
        return cls(source, target, target @ source.T)

    def table(self) -> FloatArray:
        """P(s' | s, a) in full, [K, n, K]."""
        return self.source[:, None, :] * self.target[None] / self.totals.T[:, :, None]

    def expected(self, values: FloatArray) -> FloatArray:
        """Expectation of values [K] of the next state after a click on each item in each state, [K, n]."""
        expected: FloatArray = ((self.target * values) @ self.source.T / self.totals).T
        return expected

    def after(self, weights: FloatArray, clicks: NDArray[np.integer[Any]]) -> FloatArray:
        """Push weights of states through the moves of clicks; [B, K] and items [B] to [B, K]."""
        pushed: FloatArray = ((weights / self.totals[clicks]) @ self.source) * self.target[clicks]
        return pushed


@dataclass(frozen=True, eq=False)
class StatePosterior:
    """Posterior of the states at each step, given whole sessions.

    Attributes:
        log_likelihood: of each session, [S], in the order of the sessions.
        states: posterior of the state at each step, [T, K].
        moved: expected number of moves from s to s' over all steps, [K, K].
        moved_to: expected number of moves to each state after clicks on each item, [n, K].
        moved_from: expected number of moves out of each state after clicks on each item, [n, K].
    """

    log_likelihood: FloatArray
    states: FloatArray
    moved: FloatArray
    moved_to: FloatArray
    moved_from: FloatArray


def filter_states(
    steps: LoggedSteps, start: FloatArray, moves: Moves, evidence: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Filter the states of all sessions together.

    Args:
        steps: the sessions.
        start: distribution of the first state, [K].
        moves: between the steps of a session.
        evidence: log-likelihood of what was seen at each step, given the state, [T, K].

    Returns:
        Probability of each state before what was seen at a step, [T, K]; and log-likelihood of what was seen at each
        step, given the steps before, [T].
    """
    found = _forward(steps, start, moves, evidence)
    predicted, log_likelihood = np.empty_like(evidence), np.empty(len(evidence))
    order = steps.by_round.order
    predicted[order], log_likelihood[order] = found.predicted, found.log_likelihood
    return predicted, log_likelihood


@dataclass(frozen=True, eq=False)
class _Forward:
    """Forward pass, with steps round by round.

    Attributes:
        predicted: probability of each state before what was seen, [T, K].
        filtered: the same after it, [T, K].
        log_likelihood: of what was seen at each step, given the steps before, [T].
        target: of the step's click, [T, K].
        totals: of the step's click, [T, K].
    """

    predicted: FloatArray
    filtered: FloatArray
    log_likelihood: FloatArray
    target: FloatArray
    totals: FloatArray


def _forward(steps: LoggedSteps, start: FloatArray, moves: Moves, evidence: FloatArray) -> _Forward:
    order, bounds = steps.by_round.order, steps.by_round.bounds
    # Nobody moves on from a step at which the user left.
    clicks = np.minimum(steps.clicks[order], steps.num_items - 1)
    target, totals = moves.target[clicks], moves.totals[clicks]
    filtered = evidence[order]
    highest = filtered.max(axis=1)
    filtered -= highest[:, None]
    np.exp(filtered, out=filtered)
    predicted = np.empty_like(filtered)
    predicted[: steps.num_sessions] = start
    likelihood = np.empty(len(filtered))
    ones = np.ones(len(start))
    earlier = 0
    for low, high in pairwise(bounds):
        if low:
            rows = slice(earlier, earlier + high - low)
            predicted[low:high] = ((filtered[rows] / totals[rows]) @ moves.source) * target[rows]
        now = filtered[low:high]
        now *= predicted[low:high]
        # A product with ones: sums over a short axis are slow.
        total = now @ ones
        likelihood[low:high] = total
        now /= total[:, None]
        earlier = low
    return _Forward(predicted, filtered, np.log(likelihood) + highest, target, totals)


def smooth_states(
    steps: LoggedSteps,
    start: FloatArray,
    moves: Moves,
    evidence: FloatArray,
    session_weights: FloatArray | None = None,
) -> StatePosterior:
    """The posterior of states given whole sessions, and the statistics that gradients and EM need.

    Args:
        steps: the sessions.
        start: distribution of the first state, [K].
        moves: between the steps of a session.
        evidence: log-likelihood of what was seen at each step, given the state, [T, K].
        session_weights: how much each session counts in the statistics, [S]; 1 when left out. Likelihoods are those of
            single sessions, whatever their weights.
    """
    found = _forward(steps, start, moves, evidence)
    order, bounds, before = steps.by_round.order, steps.by_round.bounds, steps.by_round.before
    first, states = steps.num_sessions, found.filtered.copy()
    arriving = np.zeros_like(states)
    for (earlier, _), (low, high) in reversed(list(pairwise(pairwise(bounds)))):
        rows = slice(earlier, earlier + high - low)
        # P(later | s') / P(later | earlier) for the next states of those who go on.
        ahead = arriving[low:high]
        np.divide(states[low:high], found.predicted[low:high], out=ahead, where=found.predicted[low:high] > 0)
        ahead *= found.target[rows]
        states[rows] *= (ahead @ moves.source.T) / found.totals[rows]
    leaving = found.filtered[before] / found.totals[before]
    left, reached = states[before], states[first:]
    if session_weights is not None:
        weight = session_weights[steps.session[order[before]]][:, None]
        leaving, left, reached = leaving * weight, left * weight, reached * weight
    clicked = steps.by_round.moved_by
    smoothed = np.empty_like(states)
    smoothed[order] = states
    log_likelihood = np.bincount(steps.session[order], found.log_likelihood, steps.num_sessions).astype(np.float64)
    return StatePosterior(
        log_likelihood,
        smoothed,
        moves.source * (leaving.T @ arriving[first:]),
        np.asarray(clicked @ reached),
        np.asarray(clicked @ left),
    )


def sums_by(groups: NDArray[np.integer[Any]], rows: FloatArray, number: int) -> FloatArray:
    """Sums of rows [T, K] over each of a number of groups [T], [number, K]."""
    flat = (groups[:, None] * rows.shape[1] + np.arange(rows.shape[1])).ravel()
    sums = np.bincount(flat, weights=rows.ravel(), minlength=number * rows.shape[1]).astype(np.float64)
    return sums.reshape(number, -1)
