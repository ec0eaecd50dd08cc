"""Exposure as a signal: tables completed where a logger that knew better showed none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.models.appeal import AppealTables
from irecgan_gym.models.appeal_deviations import lowered

FloatArray = NDArray[np.float64]

# Impressions after which the log's own estimate counts as much as the default.
_IMPRESSIONS = 2.0
# An item is among those shown in a state if its exposure is at least this.
_SHOWN = 0.5


@dataclass(frozen=True, eq=False)
class CompletedAppeal:
    """Weights and successes of items where exposure has been taken into account, both [G, n]."""

    weights: FloatArray
    successes: FloatArray


def exposure_of_counts(impressions: FloatArray) -> FloatArray:
    """Return how far a logger could have shown an item in a state, from its impressions there; [G, n]."""
    exposure: FloatArray = impressions / (impressions + _IMPRESSIONS)
    return exposure


def exposure_of_shares(impressions: FloatArray, steps: FloatArray) -> FloatArray:
    """The same in contexts that stand for several states: the share of like steps in which an item could be shown.

    A context mixes states. Where an item is shown as often as any item ever is, it could be shown in all of them;
    where it is shown half as often, in half of them.

    Args:
        impressions: of each item in each context, [G, n].
        steps: of each context, [G].
    """
    base = impressions.sum() / max(steps.sum(), 1) / impressions.shape[1]
    share = (impressions + base) / (steps[:, None] + 1)
    # Contexts of few steps have shares by chance; they do not say how often an item can be shown.
    most = share[steps >= min(50, steps.max())].max()
    return np.asarray(np.minimum(share / most, 1.0))


def complete(appeal: AppealTables, exposure: FloatArray, *, least: float = 0.5) -> CompletedAppeal:
    """Mix each item's estimate with a default by its exposure: e r + (1 - e) d.

    A logger that sees the state shows what is good there: of an item that it never shows, it tells that the item is
    below the least one shown, and nothing else. A uniform number below r has the mean r / 2 and the mean square
    r^2 / 3: so is the default weight half the least weight shown in the group, and the default success two thirds of
    the least success (clicks fall on an item in proportion to its weight, and succeed more often where it is large).

    Args:
        appeal: estimates of G groups.
        exposure: e, from 0 to 1, [G, n].
        least: the default weight as a share of the least weight shown.
    """
    weights, successes = appeal.weights, appeal.successes
    shown = exposure >= np.minimum(_SHOWN, exposure.max(axis=1, keepdims=True))
    default_weight = least * np.where(shown, weights, np.inf).min(axis=1, keepdims=True)
    default_success = 4 / 3 * least * np.where(shown, successes, np.inf).min(axis=1, keepdims=True)
    mixed = exposure * weights + (1 - exposure) * default_weight
    worth = exposure * weights * successes + (1 - exposure) * default_weight * default_success
    return CompletedAppeal(mixed, worth / mixed)


def cautious_chances(
    appeal: AppealTables, deviations: FloatArray, caution: float, exposure: FloatArray | None, least: float | None
) -> FloatArray:
    """Chances of success that plans go by, lower by some standard deviations, and then completed; [G, n].

    Args:
        appeal: estimates of G groups.
        deviations: of their log-odds of success, [G, n].
        caution: number of standard deviations.
        exposure: see :func:`complete`; None completes nothing.
        least: see there.
    """
    pessimistic = lowered(appeal, deviations, caution)
    if exposure is None or least is None:
        return pessimistic.successes
    return complete(pessimistic, exposure, least=least).successes
