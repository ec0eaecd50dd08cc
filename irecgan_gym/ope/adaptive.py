"""Weights that differ from context to context, as users do: what is taken of a slate is learned from the log (AIPS)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.ope.estimate import OffPolicyEstimate, SessionTerms
from irecgan_gym.ope.importance_sampling import PerDecisionImportanceSampling
from irecgan_gym.ope.off_policy_data import OffPolicyData
from irecgan_gym.ope.slate_weights import FromTheTop, SinglePlace, SlateWeights, WholeSlate

FloatArray = NDArray[np.float64]

_FEWEST_STEPS = 30
"""Of a context, below which the choice for all contexts together is taken."""


class AdaptiveWeights(SlateWeights):
    """Weights of the kind that goes with the context of each step.

    The context is the click before: users who look at one place alone after some clicks may read from the top down
    after others.

    Args:
        kinds: to choose from; the first assumes nothing, and the others are measured by it.
        choices: number of the kind for each click before.
        otherwise: number of the kind for the others.
    """

    assumption = "users act as the kind of weights chosen for the click before says"

    def __init__(self, kinds: Sequence[SlateWeights], choices: Mapping[int, int], otherwise: int = 0) -> None:
        if not kinds or not all(0 <= number < len(kinds) for number in (*choices.values(), otherwise)):
            raise ValueError(f"choices must be numbers of {len(kinds)} kinds of weights")
        self.kinds = tuple(kinds)
        self.choices = dict(choices)
        self.otherwise = otherwise

    @classmethod
    def fit(cls, data: OffPolicyData, kinds: Sequence[SlateWeights]) -> AdaptiveWeights:
        """Choose the kind with the smallest estimated error of a step's mean reward, in each context.

        The error is the variance of the mean, and the square of the difference to the first kind as far as chance does
        not explain it, which stands for the bias.

        Args:
            data: sessions that are not judged by the choice.
            kinds: see the class.
        """
        earned = np.stack([data.sum_of_entries(kind.entries(data) * data.slot_rewards) for kind in kinds])
        contexts = data.sessions.previous_clicks
        choices = {}
        for context in np.unique(contexts):
            rows = np.flatnonzero(contexts == context)
            if len(rows) >= _FEWEST_STEPS:
                choices[int(context)] = _smallest_error(earned[:, rows])
        return cls(kinds, choices, _smallest_error(earned))

    def entries(self, data: OffPolicyData) -> FloatArray:
        """See :class:`irecgan_gym.ope.slate_weights.SlateWeights`."""
        chosen = self._chosen(data)[data.sessions.step_of_entry]
        weights: FloatArray = np.choose(chosen, [kind.entries(data) for kind in self.kinds])
        return weights

    def steps(self, data: OffPolicyData) -> FloatArray:
        """See :class:`irecgan_gym.ope.slate_weights.SlateWeights`."""
        weights: FloatArray = np.choose(self._chosen(data), [kind.steps(data) for kind in self.kinds])
        return weights

    def _chosen(self, data: OffPolicyData) -> NDArray[np.int64]:
        table = np.full(data.sessions.num_items + 1, self.otherwise)
        table[list(self.choices)] = list(self.choices.values())
        return table[data.sessions.previous_clicks]


class AdaptiveIPS(PerDecisionImportanceSampling):
    """Per decision, by weights of a kind that is chosen for each click before (aips).

    The kinds are chosen by one half of the sessions for the other half, so that no session is judged by a choice that
    its own rewards have made.

    Kiyohara, Uehara, Narita, Shimizu, Yamamoto and Saito: Off-policy evaluation of ranking policies under diverse user
    behavior, KDD 2023. There, contexts are grouped by a tree.

    Args:
        kinds: to choose from; when None, whole slates, from the top down, and single places.
        seed: of the halves.
        max_weight: see :class:`PerDecisionImportanceSampling`.
    """

    estimator_name: ClassVar[str] = "aips"
    assumption: ClassVar[str] = AdaptiveWeights.assumption

    def __init__(
        self, kinds: Sequence[SlateWeights] | None = None, *, seed: int = 0, max_weight: float | None = None
    ) -> None:
        super().__init__(WholeSlate(), max_weight=max_weight)
        self.kinds = (WholeSlate(), FromTheTop(), SinglePlace()) if kinds is None else tuple(kinds)
        self._seed = seed

    def evaluate(self, data: OffPolicyData) -> OffPolicyEstimate:
        """See :class:`irecgan_gym.ope.estimator.OffPolicyEstimator`.

        Raises:
            ValueError: fewer than two sessions.
        """
        if data.num_sessions < 2:
            raise ValueError("kinds of weights are chosen by one half of the sessions for the other: two at least")
        values, means = np.empty(data.num_sessions), np.empty(data.num_sessions)
        halves = np.array_split(np.random.default_rng(self._seed).permutation(data.num_sessions), 2)
        for half, other in (halves, halves[::-1]):
            part = data.select(half)
            weighing = PerDecisionImportanceSampling(
                AdaptiveWeights.fit(data.select(other), self.kinds), max_weight=self.max_weight
            ).evaluate(part)
            influences = weighing.statistic.influences()
            assert influences is not None
            values[half], means[half] = influences, weighing.weights
        return OffPolicyEstimate(self.estimator_name, SessionTerms(values), means)


def _smallest_error(earned: FloatArray) -> int:
    """Number of the kind of the smallest estimated error of its mean; weighed rewards of each kind, [K, M]."""
    number = earned.shape[1]
    if number < 2:
        return 0
    variances = earned.var(axis=1, ddof=1) / number
    apart = earned - earned[0]
    squares = np.maximum(apart.mean(axis=1) ** 2 - apart.var(axis=1, ddof=1) / number, 0.0)
    return int(np.argmin(variances + squares))
