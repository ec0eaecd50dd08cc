"""Standard deviations of the chances of success that a fit has found, from the curvature of its posterior (Laplace)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.models.appeal import AppealConfig, AppealTables

FloatArray = NDArray[np.float64]


def success_information(
    config: AppealConfig, tables: AppealTables, clicks: FloatArray, expected: FloatArray, squares: FloatArray
) -> FloatArray:
    """Return the curvature of the log-likelihood in each log-odds of success, others given, [G, n].

    Every click on an item tells of its success. Where the weight of choice is the chance of success itself, so does
    every slate that held it. (A learned link is too loose to count: there, clicks alone do.)

    Args:
        config: of the appeals.
        tables: found.
        clicks: on each item in each group, [G, n].
        expected: the sum over slates of the probability of a click on the item, [G, n].
        squares: the sum of its squares, [G, n].
    """
    chances = tables.successes
    information: FloatArray = clicks * chances * (1 - chances)
    if config.link == "tied":
        # Of a multinomial choice, p (1 - p); the weight's logarithm rises by 1 - r where the log-odds rise by 1.
        information = information + (expected - squares) * (1 - chances) ** 2
    return information


def success_deviations(config: AppealConfig, information: FloatArray) -> FloatArray:
    """Standard deviations of the log-odds of success, given what is known of the item in all groups.

    The prior is a star: the item's mean, and a deviation from it in each group. With a Gaussian likelihood of this
    curvature the result is exact but for the mean of all items and the levels of groups, which count as known.

    Args:
        config: the spreads.
        information: see :func:`success_information`, [G, n].

    Returns:
        [G, n].
    """
    own, shared = config.group_spread**2, config.item_spread**-2
    # What a group tells of the item's mean, through its own deviation.
    told = information / (1 + own * information)
    others = told.sum(axis=0) - told
    before = 1 / (shared + others) + own
    return np.asarray(1 / np.sqrt(1 / before + information))


def lowered(tables: AppealTables, deviations: FloatArray, caution: float) -> AppealTables:
    """Return the tables with log-odds of success that are lower by so many standard deviations.

    Weights of choice stay: an item that is thought to draw fewer clicks would look harmless, not bad.

    Args:
        tables: found.
        deviations: of their log-odds of success, [G, n].
        caution: number of standard deviations.
    """
    return AppealTables(tables.log_weights, tables.success_logits - caution * deviations)
