"""Doubly robust estimation over the steps of sessions: weights times what a model leaves unexplained."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.ope.estimate import OffPolicyEstimate, SessionTerms
from irecgan_gym.ope.estimator import OffPolicyEstimator
from irecgan_gym.ope.off_policy_data import OffPolicyData
from irecgan_gym.ope.slate_weights import SlateWeights, WholeSlate
from irecgan_gym.ope.value_model import ValueModel

FloatArray = NDArray[np.float64]


class DoublyRobust(OffPolicyEstimator):
    r"""(1/S) sum over sessions and t of gamma^t [rho_{t-1} V(h_t) + rho_t (r_t - Q(h_t, A_t))] (dr), rho_t = w_0..w_t.

    Unbiased whatever the model says, as long as the propensities are right; the better the model, the smaller the
    variance.

    Jiang and Li: Doubly robust off-policy value evaluation for reinforcement learning, ICML 2016.

    Args:
        model: Q and V; best one that has not seen the sessions
            (:class:`irecgan_gym.ope.value_model.CrossFitted`).
        slate_weights: what is taken of a slate; the whole slate when None. With any other kind, Q must be of that kind
            too: with an abstraction, for one, it must not tell slates apart that the abstraction does not.
    """

    estimator_name: ClassVar[str] = "dr"

    def __init__(self, model: ValueModel, slate_weights: SlateWeights | None = None) -> None:
        self.model = model
        self.slate_weights = WholeSlate() if slate_weights is None else slate_weights

    def evaluate(self, data: OffPolicyData) -> OffPolicyEstimate:
        """See :class:`irecgan_gym.ope.estimator.OffPolicyEstimator`."""
        running = data.running_products(self._weights(data))
        before = data.shifted(running, 1.0)
        shown, chosen = self.model.values(data)
        values = data.sum_of_steps(data.discounts * (before * chosen + running * (data.rewards - shown)))
        means = data.sum_of_steps(running) / data.sessions.lengths
        return OffPolicyEstimate(self.estimator_name, SessionTerms(values), means)

    def _weights(self, data: OffPolicyData) -> FloatArray:
        return self.slate_weights.steps(data)


class SelfNormalizedDR(DoublyRobust):
    """The same, with the weights of each step over their mean (sndr): biased, but consistent."""

    estimator_name: ClassVar[str] = "sndr"

    def evaluate(self, data: OffPolicyData) -> OffPolicyEstimate:
        """See :class:`irecgan_gym.ope.estimator.OffPolicyEstimator`."""
        running = data.running_products(self._weights(data))
        before = data.shifted(running, 1.0)
        shown, chosen = self.model.values(data)
        numerators = (
            data.by_time(data.discounts * before * chosen, 0.0),
            data.by_time(data.discounts * running * (data.rewards - shown), 0.0),
        )
        # A session that is over keeps its last weight.
        weights = data.by_time(running, np.nan)
        last = weights[np.arange(len(weights)), data.sessions.lengths - 1]
        weights = np.where(np.isnan(weights), last[:, None], weights)
        of_before = np.concatenate([np.ones((len(weights), 1)), weights[:, :-1]], axis=1)
        terms = SessionTerms(
            np.zeros(len(weights)),
            np.concatenate(numerators, axis=1),
            np.concatenate([of_before, weights], axis=1),
        )
        means = data.sum_of_steps(running) / data.sessions.lengths
        return OffPolicyEstimate(self.estimator_name, terms, means)


class SwitchDoublyRobust(DoublyRobust):
    r"""Doubly robust where the step's weight is at most tau; the model's word beyond (switch-dr).

    The weights w_t of :class:`DoublyRobust` are replaced by w_t 1{w_t <= tau}. tau = 0 is the direct method, infinity
    is doubly robust.

    Wang, Agarwal and Dudik: Optimal and adaptive off-policy evaluation in contextual bandits, ICML 2017.

    Args:
        model: see :class:`DoublyRobust`.
        slate_weights: see there.
        tau: the largest weight of a single step that is trusted.
    """

    estimator_name: ClassVar[str] = "switch-dr"
    assumption: ClassVar[str] = "the model is right where weights are above tau"

    def __init__(self, model: ValueModel, slate_weights: SlateWeights | None = None, *, tau: float = 10.0) -> None:
        if not tau >= 0:
            raise ValueError(f"tau must be at least 0, got {tau!r}")
        super().__init__(model, slate_weights)
        self.tau = tau

    def _weights(self, data: OffPolicyData) -> FloatArray:
        weights = self.slate_weights.steps(data)
        return np.where(weights <= self.tau, weights, 0.0)
