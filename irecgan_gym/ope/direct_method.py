"""The direct method: a model's word for it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from irecgan_gym.ope.estimate import OffPolicyEstimate, SessionTerms
from irecgan_gym.ope.estimator import OffPolicyEstimator
from irecgan_gym.ope.off_policy_data import OffPolicyData
from irecgan_gym.ope.value_model import ValueModel


class DirectMethod(OffPolicyEstimator):
    """(1/S) sum over sessions of V(h_0) of a model (dm).

    Its error is that of the model, which no interval shows: what is stated covers the sessions' starts alone.
    Beygelzimer and Langford: The offset tree for learning with partial labels, KDD 2009.

    Args:
        model: any that gives values to steps.
    """

    estimator_name: ClassVar[str] = "dm"
    assumption: ClassVar[str] = "the model is right"

    def __init__(self, model: ValueModel) -> None:
        self.model = model

    def evaluate(self, data: OffPolicyData) -> OffPolicyEstimate:
        """See :class:`irecgan_gym.ope.estimator.OffPolicyEstimator`."""
        values = self.model.values(data).chosen[data.sessions.offsets[:-1]]
        return OffPolicyEstimate(self.estimator_name, SessionTerms(values), np.ones(data.num_sessions), unweighted=True)
