"""Several estimators side by side, under the names that users of OBP and SCOPE-RL know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from irecgan_gym.ope.estimate import Method, OffPolicyEstimate
from irecgan_gym.ope.estimator import OffPolicyEstimator
from irecgan_gym.ope.off_policy_data import OffPolicyData


class OffPolicyEvaluation:
    """Evaluates a policy by several estimators.

    Args:
        data: the log beside both policies.
        ope_estimators: of different names.

    Raises:
        ValueError: two estimators of one name, or none.
    """

    def __init__(self, data: OffPolicyData, ope_estimators: Sequence[OffPolicyEstimator]) -> None:
        names = [estimator.estimator_name for estimator in ope_estimators]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"estimators of different names are needed, got {names}")
        self.data = data
        self.estimators = dict(zip(names, ope_estimators, strict=True))

    def evaluate(self) -> dict[str, OffPolicyEstimate]:
        """All estimates, by name of the estimator."""
        return {name: estimator.evaluate(self.data) for name, estimator in self.estimators.items()}

    def estimate_policy_values(self) -> dict[str, float]:
        """Expected discounted reward of a session, by name of the estimator."""
        return {name: found.estimate for name, found in self.evaluate().items()}

    def estimate_intervals(
        self, *, alpha: float = 0.05, ci: Method = "bootstrap", n_bootstrap_samples: int = 1000, random_state: int = 0
    ) -> dict[str, dict[str, float]]:
        """Estimates and the ends of their intervals, by name of the estimator."""
        return {
            name: estimator.estimate_interval(
                self.data, alpha=alpha, ci=ci, n_bootstrap_samples=n_bootstrap_samples, random_state=random_state
            )
            for name, estimator in self.estimators.items()
        }

    def evaluate_performance_of_estimators(
        self, ground_truth_policy_value: float, *, metric: Literal["relative-ee", "se"] = "relative-ee"
    ) -> dict[str, float]:
        """Errors against the true value: relative, the absolute value of V' / V - 1, or squared, (V' - V)^2.

        Raises:
            ValueError: an unknown metric, or a relative error to a value of 0.
        """
        values = self.estimate_policy_values()
        if metric == "se":
            return {name: (value - ground_truth_policy_value) ** 2 for name, value in values.items()}
        if metric != "relative-ee":
            raise ValueError(f"metric must be 'relative-ee' or 'se', got {metric!r}")
        if ground_truth_policy_value == 0:
            raise ValueError("there is no relative error to a value of 0: take metric='se'")
        return {name: abs(value / ground_truth_policy_value - 1) for name, value in values.items()}
