r"""Weights of the pseudo-inverse estimator: q_pi^T Gamma^+ 1_A.

1_A is the indicator of the slate, x[l, a] = 1 where item a is at place l; Gamma = E_beta[1_A 1_A^T]. If the expected
reward of a slate is linear in 1_A, the weight times the reward has the expectation of the reward under the evaluation
policy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.ope.known_logger import KnownLogger
from irecgan_gym.ope.policies import EvaluationPolicy, PlaceTable, slate_matrix
from irecgan_gym.sessions import Sessions

FloatArray = NDArray[np.float64]


def pseudo_inverse_weights(sessions: Sessions, logging: EvaluationPolicy, target: EvaluationPolicy) -> FloatArray:
    """Weight of each logged slate, [T]; may be negative.

    Exact for uniformly random slates, by a closed form, and for the suite's logging policies given the state. For
    others, places are taken to be filled independently: 1 + sum over l of (pi(a_l at l) / beta(a_l at l) - 1), the
    form that the weight has then (its section 3.1); a policy that shows different items only is nearly so where the
    catalogue is much larger than a slate.
    """
    slates = slate_matrix(sessions, target.num_items, target.slate_size)
    wanted = target.place_table(sessions)
    if isinstance(logging, KnownLogger):
        if logging.mixture.is_uniform:
            return uniform_weights(wanted, slates)
        if logging.given == "state" and sessions.states is not None:
            return _weights_by_state(wanted, slates, logging, sessions.states.astype(np.int64))
    shown = logging.place_table(sessions)
    places = np.arange(slates.shape[1])
    ratios = wanted.table[wanted.contexts[:, None], places, slates]
    ratios = ratios / np.maximum(shown.table[shown.contexts[:, None], places, slates], np.finfo(np.float64).tiny)
    weights: FloatArray = 1 + (ratios - 1).sum(axis=1)
    return weights


def uniform_weights(wanted: PlaceTable, slates: NDArray[np.int64]) -> FloatArray:
    """Weights if every ordered list of k different items of n was as probable as any other, [T].

    Gamma is then I (x) I / n + (J - I) (x) (J - I) / (n (n - 1)) over places and items, with J all ones. Its
    eigenvalues are k / n where both are constant, (n - k) / (n (n - 1)) where only places are, 0 where only items are,
    and 1 / (n - 1) elsewhere.
    """
    table, contexts = wanted
    size, num_items = table.shape[1:]
    # 1_A is centered over places by 1 / k for each item of the slate, over items by 1 / n for each place.
    inclusion = table.sum(axis=1)
    own = table[contexts[:, None], np.arange(size), slates].sum(axis=1)
    shown = inclusion[contexts[:, None], slates].sum(axis=1) / size
    constant = size / num_items
    weights: FloatArray = constant * num_items / size + (num_items - 1) * (own - shown)
    if num_items > size:
        weights += (shown - constant) * num_items * (num_items - 1) / (num_items - size)
    return weights


def moment_weights(wanted: FloatArray, moments: FloatArray, slates: NDArray[np.int64]) -> FloatArray:
    """Weights of slates [M, k] from the wanted places [k, n] and the second moments [k n, k n] of those logged, [M]."""
    size, num_items = wanted.shape
    solved = (np.linalg.pinv(moments, hermitian=True) @ wanted.reshape(-1)).reshape(size, num_items)
    weights: FloatArray = solved[np.arange(size), slates].sum(axis=1)
    return weights


def _weights_by_state(
    wanted: PlaceTable, slates: NDArray[np.int64], logging: KnownLogger, states: NDArray[np.int64]
) -> FloatArray:
    weights = np.empty(len(slates))
    size, num_items = wanted.table.shape[1:]
    for state in np.unique(states):
        rows = np.flatnonzero(states == state)
        inverse = np.linalg.pinv(logging.mixture.second_moments(int(state)), hermitian=True)
        # All slates at this state at once: what each context wants, through the same inverse.
        solved = (wanted.table.reshape(-1, size * num_items) @ inverse).reshape(-1, size, num_items)
        weights[rows] = solved[wanted.contexts[rows, None], np.arange(size), slates[rows]].sum(axis=1)
    return weights
