"""Base class of all estimators: one method to fill in, and the calls that users of OBP and SCOPE-RL know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from irecgan_gym.ope.estimate import Method, OffPolicyEstimate
from irecgan_gym.ope.off_policy_data import OffPolicyData


class OffPolicyEstimator(ABC):
    """Estimates what a policy would earn in a session, from sessions of another.

    Attributes:
        estimator_name: short, as in OBP and SCOPE-RL.
        assumption: what must hold beside right propensities and overlap for the estimate to be unbiased; empty if
            nothing.
    """

    estimator_name: ClassVar[str]
    assumption: ClassVar[str] = ""

    @abstractmethod
    def evaluate(self, data: OffPolicyData) -> OffPolicyEstimate:
        """Estimate with everything that is needed to say how sure it is."""

    def estimate_policy_value(self, data: OffPolicyData) -> float:
        """Expected discounted reward of a session."""
        return self.evaluate(data).estimate

    def estimate_interval(
        self,
        data: OffPolicyData,
        *,
        alpha: float = 0.05,
        ci: Method = "bootstrap",
        n_bootstrap_samples: int = 1000,
        random_state: int = 0,
    ) -> dict[str, float]:
        """The estimate and the ends of its interval, under the names that OBP and SCOPE-RL give them."""
        interval = self.evaluate(data).interval(
            ci, alpha=alpha, n_bootstrap_samples=n_bootstrap_samples, random_state=random_state
        )
        level = f"{100 * (1 - alpha):.6g}"
        if "." not in level:
            level += ".0"
        return {"mean": interval.mean, f"{level}% CI (lower)": interval.low, f"{level}% CI (upper)": interval.high}

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
