"""Counts of random events against their probabilities, with a false alarm rate that can be stated."""

import numpy as np

FALSE_ALARMS = 1e-7
"""Bound on the probability that one right count is refused; tests look at under 20,000 counts, with fixed seeds."""


def assert_counts(counts, num_draws, probabilities):
    """Numbers of events in ``num_draws`` independent draws each agree with their probabilities.

    The tolerance is Bernstein's inequality, which holds for small expectations too; an event of probability 0 must not
    have happened. Arguments broadcast.
    """
    expected = num_draws * probabilities
    variance = expected * (1 - probabilities)
    log = np.log(2 / FALSE_ALARMS)
    tolerance = log / 3 + np.sqrt(log**2 / 9 + 2 * log * variance)
    assert (np.abs(counts - expected) <= tolerance).all()
    assert (counts[np.broadcast_to(probabilities == 0, counts.shape)] == 0).all()
