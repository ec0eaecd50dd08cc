"""Clicks under uniformly random slates, without drawing or listing any slate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# Of the trapezoidal rule in log t. Its relative error on the integral of c exp(-c t) is about exp(-pi^2 / step).
_STEP = 0.25
# The integral is cut where less than about exp(-_TAIL) of it is left.
_TAIL = 36.0
# Of the table of partial products that is held at a time: bounds the memory taken, 32 MiB.
_MAX_ENTRIES = 2**22


def uniform_click_probabilities(rewards: FloatArray, slate_size: int) -> FloatArray:
    r"""Probability that the user clicks each item when all slates are shown with the same probability.

    The expectation over all slates S of 1{a in S} r_a / sum_S r has no closed form, but 1 / c is the integral of
    exp(-c t) over t > 0, and the expectation of 1{a in S} prod_S exp(-r_j t) is a recursion over the items. The
    integral is taken by the trapezoidal rule in log t, which converges so fast for each of the exponentials that
    the result is exact but for rounding (about 1e-14), whatever the rewards.

    Args:
        rewards: r(s, a) > 0, [m, n].
        slate_size: k.

    Returns:
        [m, n]; rows add up to 1.
    """
    ordered = np.sort(rewards, axis=1)
    least, most = ordered[:, :slate_size].sum(axis=1).min(), ordered[:, -slate_size:].sum(axis=1).max()
    log_t = np.arange(-np.log(most) - _TAIL, np.log(_TAIL) - np.log(least) + _STEP, _STEP)
    num_states, num_items = rewards.shape
    probabilities = np.zeros_like(rewards)
    at_once = max(1, _MAX_ENTRIES // (num_states * num_items * (slate_size + 1)))
    for start in range(0, len(log_t), at_once):
        times = np.exp(log_t[start : start + at_once])[:, None, None]
        factors = np.exp(-rewards * times).reshape(-1, num_items)
        shown = _shown_products(factors, slate_size).reshape(-1, num_states, num_items)
        probabilities += _STEP * rewards * (times * shown).sum(axis=0)
    return probabilities


def _shown_products(factors: FloatArray, slate_size: int) -> FloatArray:
    """E[1{a in S} prod over j in S of x_j] over uniform slates S, for each item a.

    A uniform slate is drawn item by item: with c items taken before item a, a is taken with probability
    (k - c) / (n - a). All terms are products and sums of positive numbers up to 1, so nothing cancels or overflows.

    Args:
        factors: x, [m, n].
        slate_size: k.

    Returns:
        [m, n].
    """
    num_states, num_items = factors.shape
    counts = np.arange(slate_size + 1)
    # Probability to take item a after c others. Counts that cannot be are multiplied by a `before` of 0.
    take = np.clip((slate_size - counts) / (num_items - np.arange(num_items))[:, None], 0, 1)
    # before[a][s, c] = E[prod over the items taken before a; 1{c of them}].
    before = np.zeros((num_items, num_states, slate_size + 1))
    before[0, :, 0] = 1
    for item in range(num_items - 1):
        before[item + 1] = before[item] * (1 - take[item])
        before[item + 1, :, 1:] += (before[item] * take[item] * factors[:, item, None])[:, :-1]
    # after[s, c] = E[prod over the items taken from here on | c were taken before].
    after = np.ones((num_states, slate_size + 1))
    shown = np.empty_like(factors)
    for item in reversed(range(num_items)):
        taken = np.zeros_like(after)
        taken[:, :-1] = take[item, :-1] * factors[:, item, None] * after[:, 1:]
        shown[:, item] = (before[item] * taken).sum(axis=1)
        after = (1 - take[item]) * after + taken
    return shown
