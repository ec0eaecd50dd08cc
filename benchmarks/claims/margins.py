"""Margins of equivalence: differences that are too small to matter, by the kind of metric."""

from __future__ import annotations

import math

from irecgan_gym.benchmarks.claims.claim import Comparison, Statistic

REWARD = 0.1
"""Successful clicks of a session. Random slates earn 1.8 of them and a user who knows the tables, but sees clicks only,
makes it 3.7: a tenth is 5% of what there is to gain. It is also about the noise of evaluating one policy on 1,000
sessions, and what a search of settings is worth; the paper's Figure 2 shows nothing smaller."""
COVERAGE = 0.05
"""Share of a state's best items that are shown: half an item of ten for coverage@10."""
PRECISION = 0.01
"""Share of lists whose click is ranked high: one list in a hundred. The differences of Table 1 that the paper speaks of
are 0.3 to 7 hundredths."""
SPREAD = math.log(1.25)
"""Logarithm of a ratio of standard deviations: a quarter more, as for means in tests of bioequivalence."""


def margin_of(comparison: Comparison) -> float:
    """Return the difference below which two sides of a comparison count as equal, in the unit of its metric.

    Raises:
        ValueError: a metric of an unknown kind.
    """
    if is_ratio(comparison):
        return SPREAD
    metric = comparison.greater.metric
    for kind, margin in (("reward", REWARD), ("coverage@", COVERAGE), ("p@", PRECISION)):
        if metric.startswith(kind):
            return margin
    raise ValueError(f"no margin of equivalence for the metric {metric!r}")


def is_ratio(comparison: Comparison) -> bool:
    """Return whether a comparison is one of spreads, whose differences are logarithms of ratios."""
    return comparison.statistic is Statistic.SPREAD or comparison.greater.metric.endswith("/roughness")
