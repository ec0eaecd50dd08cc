"""Values that a model gives logged steps under a policy: the control variate of doubly robust estimators."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.ope.off_policy_data import OffPolicyData
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.ragged import gather

FloatArray = NDArray[np.float64]


class ValueColumns(NamedTuple):
    """Expected discounted reward from each logged step on, if the policy to be judged goes on from there.

    Attributes:
        shown: Q(h_t, A_t), with the logged slate shown at this step; float64 [T].
        chosen: V(h_t), the mean of Q(h_t, A) over slates A of the policy to be judged; float64 [T].
    """

    shown: FloatArray
    chosen: FloatArray


class ValueModel(Protocol):
    """Anything that gives values to logged steps."""

    def values(self, data: OffPolicyData) -> ValueColumns:
        """Values of all steps, under ``data.target_policy``."""


class CrossFitted:
    """A model for every fold of the sessions, fitted to the other folds: no session is judged by what it taught.

    Chernozhukov et al.: Double/debiased machine learning, The Econometrics Journal, 2018.

    Args:
        fit: fits a model to sessions.
        folds: into how many parts the sessions are cut, 2 at least.
        seed: of the cut.
    """

    def __init__(self, fit: Callable[[Sessions], ValueModel], *, folds: int = 2, seed: int = 0) -> None:
        if folds < 2:
            raise ValueError(f"folds must be 2 at least, got {folds}")
        self._fit = fit
        self._folds = folds
        self._seed = seed

    def values(self, data: OffPolicyData) -> ValueColumns:
        """See :class:`ValueModel`.

        Raises:
            ValueError: fewer sessions than folds.
        """
        if data.num_sessions < self._folds:
            raise ValueError(f"{data.num_sessions} sessions cannot be cut into {self._folds} folds")
        columns = ValueColumns(np.empty(data.sessions.num_steps), np.empty(data.sessions.num_steps))
        order = np.random.default_rng(self._seed).permutation(data.num_sessions)
        for held_out in np.array_split(order, self._folds):
            others = np.setdiff1d(order, held_out)
            model = self._fit(data.sessions.select(others))
            steps, _ = gather(data.sessions.offsets, held_out)
            for column, part in zip(columns, model.values(data.select(held_out)), strict=True):
                column[steps] = part
        return columns


class LastValues:
    """Model that remembers what it said of the log asked about last, which several estimators ask about.

    Args:
        model: any.
    """

    def __init__(self, model: ValueModel) -> None:
        self._model = model
        self._last: tuple[OffPolicyData, ValueColumns] | None = None

    def values(self, data: OffPolicyData) -> ValueColumns:
        """See :class:`ValueModel`."""
        if self._last is None or self._last[0] is not data:
            self._last = (data, self._model.values(data))
        return self._last[1]
