"""Exact inference of hidden states from sessions: the forward and the backward recursion, batched over sessions."""

from __future__ import annotations

from dataclasses import dataclass
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
    predicted = np.empty_like(evidence)
    log_likelihood = np.empty(len(evidence))
    highest = evidence.max(axis=1)
    likelihood = np.exp(evidence - highest[:, None])
    now = filtered = np.broadcast_to(start, (steps.num_sessions, len(start)))
    for place, rows in enumerate(steps.rounds):
        if place:
            before = steps.rounds[place - 1][: len(rows)]
            now = moves.after(filtered[: len(rows)], steps.clicks[before])
        predicted[rows] = now
        filtered = now * likelihood[rows]
        total = filtered.sum(axis=1)
        log_likelihood[rows] = np.log(total) + highest[rows]
        filtered /= total[:, None]
    return predicted, log_likelihood


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
    predicted, log_likelihood = filter_states(steps, start, moves, evidence)
    filtered = predicted * np.exp(evidence - log_likelihood[:, None])
    # Ratio of the smoothed to the filtered posterior, times the likelihood: the backward recursion, normalised.
    states = np.empty_like(filtered)
    clicks = steps.clicks
    from_weights, to_weights, next_states, rows_moved = [], [], [], []
    ahead = np.empty((0, len(start)))
    for place in reversed(range(len(steps.rounds))):
        rows = steps.rounds[place]
        smoothed = filtered[rows]
        if len(ahead):
            moving = rows[: len(ahead)]
            clicked = clicks[moving]
            # ahead is P(later | s') / P(later | earlier) for the next states of those who go on.
            arriving = moves.target[clicked] * ahead
            smoothed = smoothed.copy()
            back = arriving @ moves.source.T / moves.totals[clicked]
            smoothed[: len(ahead)] *= back
            rows_moved.append(moving)
            from_weights.append(filtered[moving] / moves.totals[clicked])
            to_weights.append(arriving)
            next_states.append(steps.rounds[place + 1])
        states[rows] = smoothed
        with np.errstate(divide="ignore", invalid="ignore"):
            ahead = np.where(predicted[rows] > 0, smoothed / predicted[rows], 0.0)
    number, size = len(start), steps.num_items
    moved, moved_to, moved_from = np.zeros((number, number)), np.zeros((size, number)), np.zeros((size, number))
    weights = np.ones(steps.num_sessions) if session_weights is None else session_weights
    if rows_moved:
        moving = np.concatenate(rows_moved)
        weight = weights[steps.session[moving]][:, None]
        moved = moves.source * ((np.concatenate(from_weights) * weight).T @ np.concatenate(to_weights))
        moved_to = sums_by(clicks[moving], states[np.concatenate(next_states)] * weight, size)
        moved_from = sums_by(clicks[moving], states[moving] * weight, size)
    by_session = sums_by(steps.session, log_likelihood[:, None], steps.num_sessions)[:, 0]
    return StatePosterior(by_session, states, moved, moved_to, moved_from)


def sums_by(groups: NDArray[np.integer[Any]], rows: FloatArray, number: int) -> FloatArray:
    """Sums of rows [T, K] over each of a number of groups [T], [number, K]."""
    flat = (groups[:, None] * rows.shape[1] + np.arange(rows.shape[1])).ravel()
    sums = np.bincount(flat, weights=rows.ravel(), minlength=number * rows.shape[1]).astype(np.float64)
    return sums.reshape(number, -1)
