"""Slates drawn item by item from a softmax without replacement (Plackett and Luce): exact probabilities.

Most sums over orders have no closed form. They have one as an integral: give item i a clock that rings after a time of
the exponential distribution with rate w_i = exp(logit_i). The order in which clocks ring is the law of Plackett and
Luce. What is asked of the order is then an integral over one time, which the trapezoidal rule in log t takes exactly
but for rounding, as the integrand is analytic and falls off at both ends.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import loggamma, logsumexp

FloatArray = NDArray[np.float64]
Ids = NDArray[np.integer]

# The integral is cut where less than about exp(-_TAIL) of it is left.
_TAIL = 28.0
# Of the arrays held at a time: 32 MiB.
_MAX_ENTRIES = 2**22


def prefix_log_probabilities(logits: FloatArray, slates: Ids) -> FloatArray:
    """Log-probability that a slate begins with the first l items, for l = 1..k.

    log p(a_1..a_l) = sum over j up to l of (logit of a_j - log sum of exp(logit) over what is left before draw j).

    Args:
        logits: unnormalised log-probabilities of all items, [M, n]; -inf for what is never shown.
        slates: different items, in the order shown, [M, k].

    Returns:
        float64 [M, k].
    """
    chosen = np.take_along_axis(logits, slates, axis=1)
    others = logits.copy()
    np.put_along_axis(others, slates, -np.inf, axis=1)
    left = np.empty_like(chosen)
    # Summed from the last draw backwards: nothing is subtracted, so that nothing cancels.
    with np.errstate(divide="ignore"):
        rest = logsumexp(others, axis=1) if others.shape[1] else np.full(len(chosen), -np.inf)
    for draw in reversed(range(chosen.shape[1])):
        rest = np.logaddexp(rest, chosen[:, draw])
        left[:, draw] = rest
    steps = np.where(np.isneginf(chosen), -np.inf, chosen - np.where(np.isneginf(left), 0.0, left))
    log_probabilities: FloatArray = np.minimum(np.cumsum(steps, axis=1), 0.0)
    return log_probabilities


def place_probabilities(logits: FloatArray, slate_size: int) -> FloatArray:
    """Probability that each item stands at each place of the slate.

    Item a is at place l if its clock is the l-th to ring: the integral over t of w_a exp(-w_a t) times the probability
    that l - 1 of the other clocks have rung by t. The time taken grows with n k^2.

    Args:
        logits: of all items, [M, n].
        slate_size: k.

    Returns:
        float64 [M, k, n]; add up to 1 over the items, and over the places to the probability to be shown.

    Raises:
        ValueError: a row has fewer than k items above -inf.
    """
    number, num_items = logits.shape
    probabilities = np.empty((number, slate_size, num_items))
    if not number:
        return probabilities
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    kth = np.partition(weights, num_items - slate_size, axis=1)[:, num_items - slate_size]
    if not (kth > 0).all():
        raise ValueError("there are fewer items to show than asked for: the others have logits of -inf")
    step = _step(slate_size)
    first = float(-np.log(weights.sum(axis=1).max()) - _TAIL)
    last = float(np.log(_TAIL) - np.log(kth.min()) + 1)
    times = np.exp(np.arange(first, last, step))
    at_once = max(1, _MAX_ENTRIES // (len(times) * num_items * slate_size))
    for start in range(0, number, at_once):
        chunk = slice(start, start + at_once)
        probabilities[chunk] = step * _summed_places(weights[chunk], times, slate_size)
    return np.minimum(probabilities, 1.0)


def _summed_places(weights: FloatArray, times: FloatArray, slate_size: int) -> FloatArray:
    number, num_items = weights.shape
    shape = (slate_size, number, len(times))
    exponents = weights.T[:, :, None] * times
    rung, silent = -np.expm1(-exponents), np.exp(-exponents)
    # after[i][l]: probability that l of the clocks behind item i have rung; before: the same for those in front.
    after = np.zeros((num_items, *shape))
    after[-1, 0] = 1.0
    for item in reversed(range(1, num_items)):
        after[item - 1] = after[item] * silent[item]
        after[item - 1, 1:] += after[item, :-1] * rung[item]
    before = np.zeros(shape)
    before[0] = 1.0
    sums = np.empty((number, slate_size, num_items))
    for item in range(num_items):
        own = exponents[item] * silent[item]
        for place in range(slate_size):
            others = (before[: place + 1] * after[item, place::-1]).sum(axis=0)
            sums[:, place, item] = (own * others).sum(axis=1)
        moved = before[:-1] * rung[item]
        before *= silent[item]
        before[1:] += moved
    return sums


def _step(order: int) -> float:
    """Step in log t at which the rule's relative error is about 1e-11 for integrands such as t^order exp(-t)."""
    step = 0.4
    while (loggamma(order + 2j * np.pi / step).real - loggamma(order)) > -25:
        step *= 0.9
    return step


def set_log_probabilities(logits: FloatArray, slates: Ids) -> FloatArray:
    """Log-probability that a slate holds these items, in any order.

    All clocks of the slate ring before the first of the others, whose rates add up to R: the integral over t of
    R exp(-R t) times the product over the slate of 1 - exp(-w_i t).

    Args:
        logits: of all items, [M, n].
        slates: different items, [M, k].

    Returns:
        float64 [M].
    """
    chosen = np.take_along_axis(logits, slates, axis=1)
    others = logits.copy()
    np.put_along_axis(others, slates, -np.inf, axis=1)
    with np.errstate(divide="ignore"):
        rest = logsumexp(others, axis=1)
    step = _step(slates.shape[1] + 1)
    log_times = np.arange(-_TAIL - 4, np.log(2 * _TAIL + 2 * slates.shape[1]), step)
    certain = np.isneginf(rest)
    result = np.zeros(len(logits))
    result[certain & np.isneginf(chosen).any(axis=1)] = -np.inf
    rows = np.flatnonzero(~certain)
    at_once = max(1, _MAX_ENTRIES // (len(log_times) * slates.shape[1]))
    for start in range(0, len(rows), at_once):
        chunk = rows[start : start + at_once]
        # Times are counted in units of 1 / R.
        rates = np.exp(np.minimum(chosen[chunk] - rest[chunk, None], 700.0))
        with np.errstate(divide="ignore"):
            rung = np.log(-np.expm1(-rates[:, :, None] * np.exp(log_times))).sum(axis=1)
        result[chunk] = logsumexp(rung + log_times - np.exp(log_times), axis=1) + np.log(step)
    return np.minimum(result, 0.0)


def expected_next(logits: FloatArray, slates: Ids, table: FloatArray) -> FloatArray:
    """Expectation of a table's entry for the item at each place, given the items that were shown before it.

    Args:
        logits: of all items, [M, n].
        slates: different items, [M, k].
        table: a number for each place and item, [k, n].

    Returns:
        float64 [M, k]; for place l the sum over items a of p(a | a_1..a_{l-1}) table[l, a].
    """
    left = logits.copy()
    expectations = np.empty(slates.shape)
    rows = np.arange(len(slates))
    for place in range(slates.shape[1]):
        top = left.max(axis=1, keepdims=True)
        weights = np.exp(left - np.where(np.isneginf(top), 0.0, top))
        total = weights.sum(axis=1)
        expectations[:, place] = weights @ table[place] / np.where(total > 0, total, 1.0)
        left[rows, slates[:, place]] = -np.inf
    return expectations


def sample_slates(logits: FloatArray, slate_size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a slate for each row: the items of the k largest logits after adding Gumbel noise; int64 [M, k]."""
    noisy = logits + rng.gumbel(size=logits.shape)
    if slate_size < logits.shape[1]:
        top = np.argpartition(-noisy, slate_size - 1, axis=1)[:, :slate_size]
    else:
        top = np.tile(np.arange(slate_size), (len(logits), 1))
    order = np.argsort(-np.take_along_axis(noisy, top, axis=1), axis=1)
    return np.take_along_axis(top, order, axis=1).astype(np.int64)
