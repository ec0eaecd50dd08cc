"""The rule by which settings are chosen: scores of candidates, who goes on to more seeds, and who replaces the default.

The rule is the same for all agents (successive halving in one step, Jamieson & Talwalkar, 2016): all candidates on the
first seed; the default and the best of the others on all seeds; the best of these replaces the default only when it is
better by more than the standard error of the difference, paired by seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pandas import DataFrame

from irecgan_gym.benchmarks.engine.summaries import normalized_rows
from irecgan_gym.benchmarks.search_space import Candidate
from irecgan_gym.evaluation.metrics import Interval, mean_interval

METRIC = "normalized/top-k"
SeedScores = Mapping[int, float]


def scores_by_seed(results: DataFrame, metric: str = METRIC) -> dict[str, dict[int, float]]:
    """Return the scores of all candidates by name and seed: reward with random as 0 and belief as 1, mean over cells.

    Seeds for which a candidate lacks a cell that others have are left out.

    Args:
        results: measurements.
        metric: another one that was measured, the greater the better.
    """
    rows = normalized_rows(results) if metric == METRIC else results
    rows = rows[rows["metric"] == metric]
    cells = len(rows[["logging_policy", "num_sessions"]].drop_duplicates())
    scores: dict[str, dict[int, float]] = {name: {} for name in rows["agent"].unique()}
    for (name, seed), values in rows.groupby(["agent", "seed"], sort=False)["value"]:
        if len(values) == cells:
            scores[name][seed] = float(values.mean())
    return scores


def number_of_finalists(number: int) -> int:
    """Return the number of candidates that go on to all seeds, the default among them: a third, but two at least."""
    return max(2, math.ceil(number / 3))


def finalists(
    candidates: Sequence[Candidate], scores: Mapping[str, SeedScores], seed: int, number: int | None = None
) -> list[Candidate]:
    """Return the default and the best of the other candidates on one seed, the better ones first.

    Args:
        candidates: of one agent, the default first.
        scores: of all of them on the seed, see :func:`scores_by_seed`.
        seed: which.
        number: how many go on; :func:`number_of_finalists` when None.
    """
    default, *others = candidates
    others.sort(key=lambda candidate: scores[candidate.name][seed], reverse=True)
    return [default, *others[: (number_of_finalists(len(candidates)) if number is None else number) - 1]]


def losses_of_choosing(results: DataFrame, metric: str | None) -> dict[tuple[str, str, int], dict[int, float]]:
    """Return what is lost by choosing the candidate of the greatest metric: :data:`METRIC` of the best less its own.

    Every cell and seed is a choice of its own, among the candidates that were tried there.

    Args:
        results: measurements.
        metric: by which it is chosen; None takes the default.

    Returns:
        Losses by agent, logging policy and number of sessions, and then by seed.
    """
    keys = ["agent", "logging_policy", "num_sessions", "seed"]
    truths = normalized_rows(results)
    truth = truths[truths["metric"] == METRIC].set_index(keys)["value"]
    rule = truth if metric is None else results[results["metric"] == metric].set_index(keys)["value"]
    both = DataFrame({"truth": truth, "rule": rule}).dropna().reset_index()
    parts = both["agent"].str.partition("/")
    both = both.assign(agent=parts[0], rule=parts[2].eq("0").astype(float) if metric is None else both["rule"])
    both = both[parts[1] == "/"]
    losses: dict[tuple[str, str, int], dict[int, float]] = {}
    for (agent, policy, size, seed), rows in both.groupby(keys, sort=False):
        lost = rows["truth"].max() - rows["truth"].loc[rows["rule"].idxmax()]
        losses.setdefault((str(agent), str(policy), int(size)), {})[int(seed)] = float(lost)
    return losses


@dataclass(frozen=True)
class Trial:
    """Result of a finalist.

    Attributes:
        candidate: which.
        score: mean over seeds.
        gain: over the default, with its 95% t interval over seeds.
        standard_error: of the gain.
    """

    candidate: Candidate
    score: float
    gain: Interval
    standard_error: float

    @property
    def beats_default(self) -> bool:
        """Tell whether the gain is more than its standard error."""
        return self.gain.mean > self.standard_error


def try_finalists(finalists: Sequence[Candidate], scores: Mapping[str, SeedScores]) -> list[Trial]:
    """Return the results of all finalists of an agent, in their order.

    Args:
        finalists: the default first.
        scores: of all of them on the same seeds, two at least.
    """
    default = scores[finalists[0].name]
    trials = []
    for candidate in finalists:
        of_seed = scores[candidate.name]
        gains = np.array([of_seed[seed] - default[seed] for seed in sorted(default)])
        standard_error = float(gains.std(ddof=1)) / math.sqrt(len(gains))
        score = float(np.mean([of_seed[seed] for seed in default]))
        trials.append(Trial(candidate, score, mean_interval(gains), standard_error))
    return trials


def choose(trials: Sequence[Trial]) -> Trial:
    """Return the best finalist, or the default where that is no better by more than its standard error.

    Args:
        trials: of one agent, the default first.
    """
    best = max(trials, key=lambda trial: trial.score)
    return best if best.beats_default else trials[0]
