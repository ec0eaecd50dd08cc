"""Weights by how often a state is visited, in place of products over all steps before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.ope.estimate import OffPolicyEstimate
from irecgan_gym.ope.estimator import OffPolicyEstimator
from irecgan_gym.ope.off_policy_data import OffPolicyData
from irecgan_gym.ope.slate_weights import SlateWeights, WholeSlate
from irecgan_gym.sessions import Sessions

FloatArray = NDArray[np.float64]
Labels = NDArray[np.int64]


class StateMarginalIS(OffPolicyEstimator):
    r"""(1/S) sum over sessions and t of gamma^t rho_t(x_t) w_t r_t (sm_is), rho_t(x) = d_pi,t(x) / d_beta,t(x).

    d_pi,0 = d_beta,0, and d_pi,t+1(x') is estimated by (1/S) sum over sessions of rho_t(x_t) w_t 1{x_{t+1} = x'}: what
    came before a state does not matter any more, so that weights multiply over one step only. Unbiased as S grows.

    Xie, Ma and Wang: Towards optimal off-policy evaluation for reinforcement learning with marginalized importance
    sampling, NeurIPS 2019.

    Args:
        slate_weights: what is taken of a slate; the whole slate when None.
        states: what is taken for the state x: ``"state"``, the column of the sessions; ``"click"``, the click before.
    """

    estimator_name: ClassVar[str] = "sm_is"
    assumption: ClassVar[str] = "what follows depends on the state alone, not on how it was reached"

    def __init__(
        self, slate_weights: SlateWeights | None = None, *, states: Literal["state", "click"] = "click"
    ) -> None:
        if states not in ("state", "click"):
            raise ValueError(f"states must be 'state' or 'click', got {states!r}")
        self.slate_weights = WholeSlate() if slate_weights is None else slate_weights
        self.states: Literal["state", "click"] = states

    def evaluate(self, data: OffPolicyData) -> OffPolicyEstimate:
        """See :class:`irecgan_gym.ope.estimator.OffPolicyEstimator`."""
        statistic = self._statistic(data)
        rho = statistic.ratios_of_steps(np.ones(data.num_sessions))
        weights = data.of_steps(rho) * self.slate_weights.steps(data)
        means = data.sum_of_steps(weights) / data.sessions.lengths
        return OffPolicyEstimate(self.estimator_name, statistic, means)

    def _statistic(self, data: OffPolicyData) -> MarginalStatistic:
        entries = self.slate_weights.entries(data)
        earned = data.discounts * data.sum_of_entries(entries * data.slot_rewards)
        labels = np.unique(self._labels(data.sessions), return_inverse=True)[1]
        return MarginalStatistic(
            data.by_time(labels.astype(np.float64), -1.0).astype(np.int64),
            data.by_time(self.slate_weights.steps(data), 0.0),
            data.by_time(earned, 0.0),
        )

    def _labels(self, sessions: Sessions) -> Labels:
        if self.states == "click":
            return sessions.previous_clicks.astype(np.int64)
        if sessions.states is None:
            raise ValueError("states='state' needs sessions with their true states")
        return sessions.states.astype(np.int64)


@dataclass(frozen=True, eq=False)
class MarginalStatistic:
    """The estimate as a function of how often each session counts.

    Attributes:
        labels: state of each step, -1 behind a session's end; [S, longest].
        weights: of each step; [S, longest].
        earned: weighed and discounted reward of each step; [S, longest].
    """

    labels: Labels
    weights: FloatArray
    earned: FloatArray

    def resampled(self, counts: FloatArray) -> FloatArray:
        """See :class:`irecgan_gym.ope.estimate.SessionStatistic`."""
        values = np.zeros(len(counts))
        for step, (present, ratios) in enumerate(self._ratios(counts)):
            values += (counts[:, present] * ratios) @ self.earned[present, step]
        means: FloatArray = values / counts.sum(axis=1)
        return means

    def influences(self) -> FloatArray | None:
        """See :class:`irecgan_gym.ope.estimate.SessionStatistic`; the ratios are estimated too, so there are none."""
        return None

    def ratios_of_steps(self, counts: FloatArray) -> FloatArray:
        """rho_t(x_t) of each step, with each session counted so many times; [S] to [S, longest]."""
        table = np.zeros(self.labels.shape)
        for step, (present, ratios) in enumerate(self._ratios(counts[None])):
            table[present, step] = ratios[0]
        return table

    def _ratios(self, counts: FloatArray) -> Iterator[tuple[NDArray[np.int64], FloatArray]]:
        """Of each step in turn: the sessions that have it, and their ratios; [P] and [R, P]."""
        before = np.arange(len(self.labels))
        ratios = np.ones(counts.shape)
        yield before, ratios
        for step in range(1, self.labels.shape[1]):
            going_on = self.labels[before, step] >= 0
            present = before[going_on]
            groups, members = np.unique(self.labels[present, step], return_inverse=True)
            indicator = np.zeros((len(present), len(groups)))
            indicator[np.arange(len(present)), members] = 1.0
            seen = counts[:, present]
            arriving = (seen * ratios[:, going_on] * self.weights[present, step - 1]) @ indicator
            there = seen @ indicator
            share = np.divide(arriving, there, out=np.zeros_like(arriving), where=there > 0)
            before, ratios = present, share[:, members]
            yield before, ratios
