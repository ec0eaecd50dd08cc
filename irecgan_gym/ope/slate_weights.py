r"""Importance weights within one slate: what is taken of it, and what is assumed of users for that.

Each kind gives a weight to every entry of a slate, by which that entry's reward is multiplied, and one to the step,
which is carried to the steps after it: that of the clicked entry, as what follows depends on the slate through the
click; where nothing was clicked, that of the whole slate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.ope.off_policy_data import OffPolicyData
from irecgan_gym.ope.pseudo_inverse import pseudo_inverse_weights

FloatArray = NDArray[np.float64]


class SlateWeights(ABC):
    """A kind of weights.

    Attributes:
        assumption: what must hold of users for estimates by these weights to be unbiased; empty if nothing.
    """

    assumption: ClassVar[str]

    @abstractmethod
    def entries(self, data: OffPolicyData) -> FloatArray:
        """Weight of each slate entry, [L]."""

    def steps(self, data: OffPolicyData) -> FloatArray:
        """Weight of each step, [T]."""
        clicked = data.clicked_entries
        return np.where(clicked >= 0, self.entries(data)[clicked], whole_slate_ratios(data))


class WholeSlate(SlateWeights):
    """w(A) = pi(A | h) / beta(A | h): nothing is assumed (standard, SIPS)."""

    assumption = ""

    def entries(self, data: OffPolicyData) -> FloatArray:
        """See :class:`SlateWeights`."""
        return np.repeat(whole_slate_ratios(data), data.sessions.slate_lengths)


class SinglePlace(SlateWeights):
    """w_l = pi(a_l at place l | h) / beta(a_l at place l | h): each entry by itself (independent, IIPS).

    Li, Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay and Wen: Offline evaluation of ranking policies with click models,
    KDD 2018.
    """

    assumption = "whether an item is clicked depends on the item and its place alone"

    def entries(self, data: OffPolicyData) -> FloatArray:
        """See :class:`SlateWeights`."""
        return _ratios(data.target.places, data.logging.places, "places")


class AnyPlace(SlateWeights):
    """w_l = pi(a_l in slate | h) / beta(a_l in slate | h): each item by itself, wherever it stands."""

    assumption = "whether an item is clicked depends on the item alone"

    def entries(self, data: OffPolicyData) -> FloatArray:
        """See :class:`SlateWeights`."""
        return _ratios(data.target.inclusions, data.logging.inclusions, "inclusions")


class FromTheTop(SlateWeights):
    """w_l = pi(a_1..a_l | h) / beta(a_1..a_l | h): each entry with those above it (reward interaction, RIPS).

    McInerney, Brost, Chandar, Mehrotra and Carterette: Counterfactual evaluation of slate recommendations with
    sequential reward interactions, KDD 2020.
    """

    assumption = "whether an item is clicked depends on the item and those above it alone (a cascade)"

    def entries(self, data: OffPolicyData) -> FloatArray:
        """See :class:`SlateWeights`."""
        return _log_ratios(data.target.prefixes, data.logging.prefixes)


class PseudoInverse(SlateWeights):
    """w(A) = q_pi^T Gamma^+ 1_A, the pseudo-inverse weight (PI).

    q_pi[l, a] is the probability that the evaluation policy puts item a at place l, and Gamma the second moments of
    1_A under the logging policy (:mod:`irecgan_gym.ope.pseudo_inverse`). Weights may be negative.

    Swaminathan, Krishnamurthy, Agarwal, Dudik, Langford, Jose and Zitouni: Off-policy evaluation for slate
    recommendation, NeurIPS 2017.
    """

    assumption = "what a slate earns is a sum over its places of what each item earns there"

    def entries(self, data: OffPolicyData) -> FloatArray:
        """See :class:`SlateWeights`."""
        if data.logging_policy is None or data.target_policy is None:
            raise ValueError("the pseudo-inverse needs both policies themselves, not only their propensities")
        weights = pseudo_inverse_weights(data.sessions, data.logging_policy, data.target_policy)
        return np.repeat(weights, data.sessions.slate_lengths)


class Abstraction(SlateWeights):
    """w(A) = pi(phi(A) | h) / beta(phi(A) | h), where phi says what of a slate users act upon (latent, LIPS).

    With a deterministic phi the weight has the same mean as that of the whole slate and never a larger variance.

    Kiyohara, Nomura and Saito: Off-policy evaluation of slate bandit policies via optimizing abstraction, WWW 2024.

    Args:
        phi: ``"set"``: the items in any order; or the number m of places from the top that users look at.
    """

    assumption = "users act upon the abstraction of the slate alone"

    def __init__(self, phi: Literal["set"] | int = "set") -> None:
        if phi != "set" and (isinstance(phi, bool) or not isinstance(phi, int) or phi < 1):
            raise ValueError(f"phi must be 'set' or a number of places from 1 on, got {phi!r}")
        self.phi = phi

    def entries(self, data: OffPolicyData) -> FloatArray:
        """See :class:`SlateWeights`."""
        return np.repeat(self.steps(data), data.sessions.slate_lengths)

    def steps(self, data: OffPolicyData) -> FloatArray:
        """See :class:`SlateWeights`; the abstraction's, whatever was clicked."""
        if isinstance(self.phi, str):
            if data.target.sets is None or data.logging.sets is None:
                raise ValueError("the propensities do not say how probable the items are in any order (sets)")
            return _log_ratios(data.target.sets, data.logging.sets)
        offsets = data.sessions.slate_offsets
        last = np.minimum(offsets[:-1] + self.phi, offsets[1:]) - 1
        return _log_ratios(data.target.prefixes[last], data.logging.prefixes[last])


def whole_slate_ratios(data: OffPolicyData) -> FloatArray:
    """pi(A | h) / beta(A | h) of each step, [T]."""
    return _log_ratios(data.target.slates, data.logging.slates)


def _log_ratios(target: FloatArray, logging: FloatArray) -> FloatArray:
    ratios: FloatArray = np.exp(target - logging)
    return ratios


def _ratios(target: FloatArray | None, logging: FloatArray | None, name: str) -> FloatArray:
    if target is None or logging is None:
        raise ValueError(f"the propensities do not hold the probabilities of single items ({name})")
    # The trapezoidal rule may leave a probability that is nearly 0 at 0: such an item was shown nevertheless.
    ratios: FloatArray = target / np.maximum(logging, np.finfo(np.float64).tiny)
    return ratios
