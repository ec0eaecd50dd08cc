"""Slates drawn near the best one, as softly as may be without losing much."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.planning.planned_slates import PlannedSlates

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Of the items of the best slate before all others, as a share of the range of scores.
_LEAD = 0.01
_HALVINGS = 12
_HIGHEST = 2.0
_LOWEST = 1e-4


def item_scores(chooser: PlannedSlates, beliefs: FloatArray, slates: IntArray) -> FloatArray:
    """Return what an item adds to the worth of the best slates, to first order; the items of the slates come first.

    Args:
        chooser: that chose them.
        beliefs: [B, m].
        slates: the best ones, [B, k].

    Returns:
        [B, n].
    """
    scores = chooser.gains(beliefs, slates)
    rows = np.arange(len(slates))[:, None]
    inside = scores[rows, slates]
    outside = scores.copy()
    outside[rows, slates] = -np.inf
    # Where exchanges found what the first order does not see.
    ceiling = outside.max(axis=1, keepdims=True)
    scores[rows, slates] = np.maximum(inside, ceiling + _LEAD * np.ptp(scores, axis=1, keepdims=True))
    return scores


def draw_slates(scores: FloatArray, temperature: float, slate_size: int, rng: np.random.Generator) -> IntArray:
    """Slates without replacement in proportion to exp(score / temperature), in the order drawn; [B, n] to [B, k].

    By Gumbel's trick.
    """
    # Scores are divided, not the noise multiplied: items that come first by a hair still do when it is cold.
    noisy = scores / temperature + rng.gumbel(size=scores.shape)
    slates = np.argpartition(-noisy, slate_size - 1, axis=1)[:, :slate_size]
    order = np.argsort(-np.take_along_axis(noisy, slates, axis=1), axis=1)
    return np.take_along_axis(slates, order, axis=1)


def choose_temperature(chooser: PlannedSlates, beliefs: FloatArray, *, loss: float, rng: np.random.Generator) -> float:
    """The highest temperature at which drawn slates lose no more than a share of what the best ones earn.

    A step's loss comes again at each step of a session, which has about one step more than it has rewards: so a step
    may lose ``loss`` V / (1 + V).

    Args:
        chooser: values slates.
        beliefs: of users as they come by, [B, m].
        loss: the share.
        rng: of the slates drawn.
    """
    slates = chooser.choose(beliefs)
    best = chooser.scores(beliefs, slates)
    scores = item_scores(chooser, beliefs, slates)
    allowed = loss * float(np.mean(best / (1 + best)))
    low, high = np.log(_LOWEST), np.log(_HIGHEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        drawn = draw_slates(scores, float(np.exp(middle)), chooser.slate_size, rng)
        if float(np.mean(best - chooser.scores(beliefs, drawn))) <= allowed:
            low = middle
        else:
            high = middle
    return float(np.exp(low))
