"""An estimate of the logging policy, where a log does not say with which probability slates were shown."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.ope.policies import PlackettLucePolicy, last_click_scores, slate_matrix
from irecgan_gym.sessions import Sessions

FloatArray = NDArray[np.float64]
_ITERATIONS = 50


def fit_logging_policy(
    sessions: Sessions, *, by: Literal["click", "nothing"] = "click", strength: float = 5.0
) -> PlackettLucePolicy:
    """Fit a law of Plackett and Luce to all slates shown; its propensities are marked as estimated.

    The most probable weights are found by Hunter's iteration (MM algorithms for generalized Bradley-Terry models,
    Annals of Statistics 2004). Probabilities so found are as good as the law is: they are right for slates drawn item
    by item, and say nothing of what the logger saw beyond the click before.

    Args:
        sessions: with slates of one size.
        by: ``"click"``: a law for each click before, drawn towards that of all steps; ``"nothing"``: one law.
        strength: draws' worth of evidence that the common weights have against those of one click, and equal weights
            against the common ones; above 0, as every item must be possible.

    Raises:
        ValueError: slates of different sizes, an unknown ``by``, or a strength that is not positive.
    """
    if by not in ("click", "nothing"):
        raise ValueError(f"by must be 'click' or 'nothing', got {by!r}")
    if not strength > 0:
        raise ValueError(f"strength must be positive, got {strength!r}")
    slates = slate_matrix(sessions, sessions.num_items, int(sessions.slate_lengths[0]))
    num_items, size = sessions.num_items, slates.shape[1]
    common = _fit(slates, np.zeros(len(slates), dtype=np.int64), np.ones((1, num_items)), strength)
    weights = np.repeat(common, num_items + 1, axis=0)
    if by == "click":
        weights = _fit(slates, sessions.previous_clicks.astype(np.int64), weights, strength)
    return PlackettLucePolicy(last_click_scores(np.log(weights)), num_items, size, estimated=True)


def _fit(slates: NDArray[np.int64], contexts: NDArray[np.int64], prior: FloatArray, strength: float) -> FloatArray:
    """Most probable weights [C, n], each row with a mean of 1, under a gamma distribution whose mode is the prior."""
    num_contexts, num_items = prior.shape
    cells = contexts[:, None] * num_items + slates
    wins = np.bincount(cells.reshape(-1), minlength=prior.size).reshape(prior.shape)
    weights = prior.copy()
    for _ in range(_ITERATIONS):
        shown = weights.reshape(-1)[cells]
        before = np.cumsum(shown, axis=1) - shown
        left = 1 / np.maximum(weights.sum(axis=1)[contexts, None] - before, 1e-12)
        # Every item is there to be drawn at all k draws, but those already drawn.
        everywhere = np.bincount(contexts, left.sum(axis=1), minlength=num_contexts)
        missed = left[:, ::-1].cumsum(axis=1)[:, ::-1] - left
        absent = np.bincount(cells.reshape(-1), missed.reshape(-1), minlength=prior.size).reshape(prior.shape)
        exposure = np.maximum(everywhere[:, None] - absent, 0.0)
        weights = (wins + strength) / (exposure + strength / prior)
        weights /= weights.mean(axis=1, keepdims=True)
    return weights
