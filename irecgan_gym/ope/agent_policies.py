"""Agents that act by a softmax over the catalogue (Eq 4), as policies to be judged; loads torch."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.slate_policy import CataloguePolicy
from irecgan_gym.ope.policies import ContextScores, EvaluationPolicy, PlaceTable, PlackettLucePolicy, TopKPolicy
from irecgan_gym.sessions import Sessions

Deployment = Literal["sampled", "top-k"]
_SESSIONS_AT_ONCE = 256


class ActsByPolicy(Protocol):
    """Any agent with a policy over the catalogue, as the suite's agents have."""

    @property
    def policy(self) -> CataloguePolicy:
        """The policy by which the agent acts."""


class PolicyScores:
    """Logits of all items at each logged step, by a recurrent policy that reads the clicks before.

    Those of the sessions asked for last are kept, as all that is asked of a log needs them.

    Args:
        policy: as it is when asked; not copied.
    """

    def __init__(self, policy: CataloguePolicy) -> None:
        self._policy = policy
        self._last: tuple[Sessions, ContextScores] | None = None

    def __call__(self, sessions: Sessions) -> ContextScores:
        """Return the logits, a row a step."""
        if self._last is None or self._last[0] is not sessions:
            self._last = (sessions, ContextScores(self._logits(sessions), np.arange(sessions.num_steps)))
        return self._last[1]

    @torch.no_grad()
    def _logits(self, sessions: Sessions) -> NDArray[np.float64]:
        logits = np.empty((sessions.num_steps, self._policy.num_items))
        device = self._policy.encoder.embedding.weight.device
        for batch in SessionTensors(sessions, leave_option=False, device=device).all(_SESSIONS_AT_ONCE):
            rows = self._policy.log_probabilities(self._policy.encoder(batch))
            logits[batch.steps.cpu().numpy()] = rows.double().cpu().numpy()
        return logits


def as_evaluation_policy(
    agent: ActsByPolicy | CataloguePolicy,
    deployment: Deployment = "sampled",
    *,
    epsilon: float = 0.0,
    places: bool = True,
) -> EvaluationPolicy:
    """An agent, or its policy, deployed in one of two ways.

    Args:
        agent: what acts by a softmax over the catalogue.
        deployment: ``"sampled"``: slates drawn without replacement, with exact probabilities. ``"top-k"``: the k most
            probable items.
        epsilon: with ``"top-k"``, the probability of a uniformly random slate instead.
        places: whether probabilities of single places are worked out with those of whole slates; with ``"sampled"``
            they take n k^2 times longer than the rest.

    Raises:
        ValueError: an unknown deployment, or an epsilon that cannot be.
    """
    policy = agent if isinstance(agent, CataloguePolicy) else agent.policy
    if deployment == "top-k":
        return TopKPolicy(PolicyScores(policy), policy.num_items, policy.slate_size, epsilon=epsilon)
    if deployment != "sampled":
        raise ValueError(f"deployment must be 'sampled' or 'top-k', got {deployment!r}")
    if epsilon:
        raise ValueError("epsilon softens the deployment 'top-k'; sampled slates need none")
    return PlackettLucePolicy(PolicyScores(policy), policy.num_items, policy.slate_size, places=places)


def slate_log_probability(
    agent: ActsByPolicy | CataloguePolicy,
    sessions: Sessions,
    deployment: Deployment = "sampled",
    *,
    epsilon: float = 0.0,
) -> NDArray[np.float64]:
    """Log-probability with which an agent would show each logged slate, in its order, given the clicks before; [T].

    See :func:`as_evaluation_policy` for the arguments. -inf for slates that it never shows.
    """
    policy = agent if isinstance(agent, CataloguePolicy) else agent.policy
    if deployment == "sampled" and not epsilon:
        quick = PlackettLucePolicy(PolicyScores(policy), policy.num_items, policy.slate_size, places=False)
        return quick.propensities(sessions).slates
    return as_evaluation_policy(policy, deployment, epsilon=epsilon).propensities(sessions).slates


def slot_probabilities(
    agent: ActsByPolicy | CataloguePolicy,
    sessions: Sessions,
    deployment: Deployment = "sampled",
    *,
    epsilon: float = 0.0,
) -> PlaceTable:
    """Probability with which an agent puts each item at each place, at each logged step.

    See :func:`as_evaluation_policy` for the arguments.
    """
    return as_evaluation_policy(agent, deployment, epsilon=epsilon).place_table(sessions)
