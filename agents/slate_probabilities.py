"""Probabilities with which an agent shows slates: what off-policy evaluation asks of it, for both deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.ope.policies import EvaluationPolicy, PlaceTable, PointMassPolicy
from irecgan_gym.sessions import Sessions

if TYPE_CHECKING:
    from irecgan_gym.agents.base import Agent

Deployment = Literal["sampled", "top-k"]
DEPLOYMENTS: tuple[Deployment, ...] = ("sampled", "top-k")


class SlateProbabilities:
    """The part of an agent that says how probable its slates are.

    An agent of your own overrides :meth:`_sampled_policy`, and :meth:`_top_policy` where the slates it shows depend on
    more than the clicks before.
    """

    num_items: int
    slate_size: int

    def evaluation_policy(
        self, deployment: Deployment = "sampled", *, epsilon: float = 0.0, places: bool = True
    ) -> EvaluationPolicy:
        """The agent in one of its deployments, as :mod:`irecgan_gym.ope` takes policies.

        Args:
            deployment: ``"sampled"``: slates drawn as ``predict`` draws them, with exact probabilities. ``"top-k"``:
                the slates of ``predict(deterministic=True)``, a point mass.
            epsilon: with ``"top-k"``, the probability of a uniformly random slate instead, from 0 to 1.
            places: whether probabilities of single places are worked out with those of whole slates; with ``"sampled"``
                they take n k^2 times longer than the rest.

        Raises:
            ValueError: an unknown deployment, or an epsilon that cannot be.
            NotImplementedError: sampled slates of an agent that does not say how it draws them.
        """
        if deployment not in DEPLOYMENTS:
            raise ValueError(f"deployment must be 'sampled' or 'top-k', got {deployment!r}")
        if deployment == "top-k":
            return self._top_policy(epsilon)
        if epsilon:
            raise ValueError("epsilon softens the deployment 'top-k'; sampled slates need none")
        return self._sampled_policy(places)

    def slate_log_probability(
        self, sessions: Sessions, deployment: Deployment = "sampled", *, epsilon: float = 0.0
    ) -> NDArray[np.float64]:
        """Log-probability with which the agent shows each logged slate, in its order, given what came before; [T].

        Args:
            sessions: over the agent's own catalogue, with slates of its size.
            deployment: see :meth:`evaluation_policy`.
            epsilon: see there.

        Returns:
            float64 [T]; -inf for slates that it never shows.
        """
        return self.evaluation_policy(deployment, epsilon=epsilon, places=False).propensities(sessions).slates

    def slot_probabilities(
        self, sessions: Sessions, deployment: Deployment = "sampled", *, epsilon: float = 0.0
    ) -> PlaceTable:
        """Probability with which the agent puts each item at each place, at each logged step.

        Args:
            sessions: see :meth:`slate_log_probability`.
            deployment: see :meth:`evaluation_policy`.
            epsilon: see there.
        """
        return self.evaluation_policy(deployment, epsilon=epsilon).place_table(sessions)

    def _sampled_policy(self, places: bool) -> EvaluationPolicy:
        raise NotImplementedError(
            f"{type(self).__name__} does not say with which probabilities it draws slates: take deployment='top-k', or "
            "give it a method _sampled_policy"
        )

    def _top_policy(self, epsilon: float) -> EvaluationPolicy:
        agent = cast("Agent", self)
        return PointMassPolicy(
            lambda sessions: replayed_slates(agent, sessions), self.num_items, self.slate_size, epsilon=epsilon
        )


def replayed_slates(agent: Agent, sessions: Sessions) -> NDArray[np.int64]:
    """Slates that an agent shows at each logged step if its users click as logged; int64 [T, k].

    Args:
        agent: its slates and what it remembers depend on the clicks alone.
        sessions: the log.
    """
    slates = np.empty((sessions.num_steps, agent.slate_size), dtype=np.int64)
    observed = sessions.previous_clicks.astype(np.int64)
    rows = np.arange(len(sessions))
    state: tuple[NDArray[Any], ...] | None = None
    starts = np.ones(len(rows), dtype=bool)
    for step in range(int(sessions.lengths.max(initial=0))):
        going_on = sessions.lengths[rows] > step
        rows, starts = rows[going_on], starts[going_on]
        state = None if state is None else tuple(part[going_on] for part in state)
        places = sessions.offsets[rows] + step
        slates[places], state = agent.predict(observed[places], state, starts, True)
        starts = np.zeros(len(rows), dtype=bool)
    return slates
