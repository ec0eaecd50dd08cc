"""Blends of a model's word and weighed rewards: how many steps to weigh before the model is believed (MAGIC)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from irecgan_gym.ope.doubly_robust import DoublyRobust
from irecgan_gym.ope.estimate import OffPolicyEstimate, SessionTerms
from irecgan_gym.ope.off_policy_data import OffPolicyData
from irecgan_gym.ope.slate_weights import SlateWeights
from irecgan_gym.ope.value_model import ValueModel

FloatArray = NDArray[np.float64]

_PENALTY = 1e3
"""Of blends whose shares do not add up to 1, against blends of variance 1."""


class MAGIC(DoublyRobust):
    r"""sum over j of x_j g_j, where g_j weighs j steps as :class:`SelfNormalizedDR` does, and believes the model then.

    g_0 is the direct method, g_H with H the longest session the self-normalized doubly robust estimate:
    g_j = sum over t < j of gamma^t mean[rho_t (r_t - Q_t)] / mean[rho_t]
    + sum over t <= j of gamma^t mean[rho_{t-1} V_t] / mean[rho_{t-1}].
    The shares x add up to 1, are not negative, and minimize x^T (C + b b^T) x: C is the covariance of the g_j, and b_j
    how far g_j lies outside an interval of g_H, which stands for its bias. Consistent, as b tends to the true bias.
    Intervals take the shares for given.

    Thomas and Brunskill: Data-efficient off-policy policy evaluation for reinforcement learning, ICML 2016.

    Args:
        model: Q and V, see :class:`DoublyRobust`.
        slate_weights: see there.
        alpha: how often the interval of g_H that bias is measured by may be wrong.
        seed: of that interval's bootstrap.
    """

    estimator_name: ClassVar[str] = "magic"
    assumption: ClassVar[str] = "the model is right, or the log is large"

    def __init__(
        self, model: ValueModel, slate_weights: SlateWeights | None = None, *, alpha: float = 0.1, seed: int = 0
    ) -> None:
        if not 0 < alpha < 1:
            raise ValueError(f"alpha must be between 0 and 1, got {alpha!r}")
        super().__init__(model, slate_weights)
        self.alpha = alpha
        self._seed = seed

    def evaluate(self, data: OffPolicyData) -> OffPolicyEstimate:
        """See :class:`irecgan_gym.ope.estimator.OffPolicyEstimator`."""
        terms, means = self._terms(data)
        return OffPolicyEstimate(self.estimator_name, _blended(terms, self._shares(terms)), means)

    def shares(self, data: OffPolicyData) -> FloatArray:
        """The shares x_0..x_H of a log."""
        return self._shares(self._terms(data)[0])

    def _terms(self, data: OffPolicyData) -> tuple[SessionTerms, FloatArray]:
        """Return V_0..V_{H-1} and then r_0 - Q_0, ... as ratios, [S, 2 H], and the sessions' mean weights, [S]."""
        running = data.running_products(self._weights(data))
        before = data.shifted(running, 1.0)
        shown, chosen = self.model.values(data)
        weights = data.by_time(running, np.nan)
        # A session that is over keeps its last weight.
        last = weights[np.arange(len(weights)), data.sessions.lengths - 1]
        weights = np.where(np.isnan(weights), last[:, None], weights)
        of_before = np.concatenate([np.ones((len(weights), 1)), weights[:, :-1]], axis=1)
        numerators = np.concatenate(
            [
                data.by_time(data.discounts * before * chosen, 0.0),
                data.by_time(data.discounts * running * (data.rewards - shown), 0.0),
            ],
            axis=1,
        )
        terms = SessionTerms(np.zeros(len(weights)), numerators, np.concatenate([of_before, weights], axis=1))
        return terms, data.sum_of_steps(running) / data.sessions.lengths

    def _shares(self, terms: SessionTerms) -> FloatArray:
        assert terms.numerators is not None
        number, columns = terms.numerators.shape
        steps = [_blended(terms, np.eye(columns // 2 + 1)[j]) for j in range(columns // 2 + 1)]
        values = np.array([float(step.resampled(np.ones((1, number)))[0]) for step in steps])
        influences = np.stack([_influences(step) for step in steps])
        covariance = np.atleast_2d(np.cov(influences)) / number
        whole = OffPolicyEstimate("whole", steps[-1], np.ones(number))
        interval = whole.interval("bootstrap", alpha=self.alpha, n_bootstrap_samples=200, random_state=self._seed)
        bias = values - np.clip(values, min(interval.low, values[-1]), max(interval.high, values[-1]))
        return smallest_blend(covariance + np.outer(bias, bias))


def smallest_blend(matrix: FloatArray) -> FloatArray:
    """Shares x that are not negative, add up to 1 and minimize x^T M x for a positive semidefinite M [J, J]."""
    values, vectors = np.linalg.eigh(matrix)
    scale = np.sqrt(max(float(values.max()), np.finfo(np.float64).tiny))
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T / scale
    size = len(matrix)
    # Where several blends are as good as can be, the one with the most equal shares: a tiny weight on their squares.
    rows = np.concatenate([root, 1e-6 * np.eye(size), np.full((1, size), _PENALTY)])
    shares, _ = nnls(rows, np.append(np.zeros(2 * size), _PENALTY))
    blend: FloatArray = shares / shares.sum()
    return blend


def _blended(terms: SessionTerms, shares: FloatArray) -> SessionTerms:
    """Return the blend of j-step estimates as ratios: each column counts in all estimates that reach it."""
    assert terms.numerators is not None
    from_here = np.cumsum(shares[::-1])[::-1]
    # V_t is in g_j from j = t on, r_t - Q_t from j = t + 1 on.
    counted = np.concatenate([from_here[:-1], from_here[1:]])
    return SessionTerms(terms.plain, terms.numerators * counted, terms.denominators)


def _influences(terms: SessionTerms) -> FloatArray:
    influences = terms.influences()
    assert influences is not None
    return influences
