"""Policies that know the tables and see clicks alone: Bayes's rule over the state, and slates by QMDP."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.agents.base import Array, State
from irecgan_gym.agents.references.mdp_policy import DeterministicMDPPolicy
from irecgan_gym.mdp import RecommendationMDP
from irecgan_gym.planning.belief_filter import BeliefFilter
from irecgan_gym.planning.belief_slates import BeliefSlates
from irecgan_gym.planning.max_log_slates import max_log_knowledge
from irecgan_gym.planning.optimal_slates import optimal_slates
from irecgan_gym.planning.values import item_values
from irecgan_gym.sessions import Sessions


class Belief(DeterministicMDPPolicy):
    """Policy that knows the tables and sees clicks only: an exact filter over the state, acting by QMDP.

    Of a session it keeps the probability of each state (:class:`irecgan_gym.planning.belief_filter.BeliefFilter`),
    which is exact, and shows the slate of the largest expected value if the state became known afterwards (Littman,
    Cassandra and Kaelbling, ICML 1995; :class:`irecgan_gym.planning.belief_slates.BeliefSlates`), as far as a search
    finds it that ends where no exchange of one item improves the slate. QMDP does not choose slates for what their
    clicks would tell: it is not the best policy of one who sees clicks, and no upper bound on what such a one earns.
    Where transitions depend on the item alone, up to noise, there is little that it could miss.

    The state that :meth:`predict` carries is the beliefs [B, m] and the slates shown [B, k]. Every step of a session
    must be observed: a click on an item that was not in the last slate is a ``ValueError``.

    Args:
        mdp: the true tables, e.g. ``env.unwrapped.mdp``.
        slate_size: items to show at a time, k.

    Raises:
        UnboundedValueError: the expected reward has no bound.
    """

    kind = "belief"

    def __init__(self, mdp: RecommendationMDP, slate_size: int) -> None:
        super().__init__(mdp, slate_size)
        self._filter = BeliefFilter(mdp)
        self._slates = self._chooser()

    def _chooser(self) -> BeliefSlates:
        values = optimal_slates(self.mdp, self.slate_size).values
        return BeliefSlates(self.mdp.rewards, item_values(self.mdp, values), self.slate_size)

    def _choose(
        self, observed: Array, state: State | None, starts: NDArray[np.bool_], deterministic: bool
    ) -> tuple[NDArray[np.int64], State | None]:
        fresh = starts | (observed == self.num_items) if state is not None else np.ones(len(observed), dtype=bool)
        beliefs = self._filter.start(len(observed))
        going_on = np.flatnonzero(~fresh)
        if state is not None and len(going_on):
            before, shown = (part[going_on] for part in state)
            clicked = observed[going_on]
            strange = np.flatnonzero((shown != clicked[:, None]).all(axis=1))
            if len(strange):
                raise ValueError(
                    f"click {clicked[strange[0]]} of session {going_on[strange[0]]} is not in the last slate "
                    f"{shown[strange[0]].tolist()}: pass the state that the last call returned, and episode_start"
                )
            beliefs[going_on] = self._filter.update(before, self._filter.slate_totals(shown), clicked)
        slates = self._slates.choose(beliefs)
        return slates, (beliefs, slates)

    def _slates_in(self, sessions: Sessions) -> NDArray[np.int64]:
        entries = self.mdp.rewards[:, sessions.slate_items]
        totals = np.add.reduceat(entries, sessions.slate_offsets[:-1], axis=1).T
        slates = np.empty((sessions.num_steps, self.slate_size), dtype=np.int64)
        rows = np.arange(len(sessions))
        beliefs = self._filter.start(len(rows))
        for step in range(int(sessions.lengths.max(initial=0))):
            places = sessions.offsets[rows] + step
            slates[places] = self._slates.choose(beliefs)
            going_on = sessions.lengths[rows] > step + 1
            rows, places = rows[going_on], places[going_on]
            beliefs = self._filter.update(beliefs[going_on], totals[places], sessions.clicks[places])
        return slates


class MaxLogBelief(Belief):
    """Belief policy that knows of rewards what endless ``max`` logs show, and keeps the exact filter nevertheless.

    It is about what such logs and clicks allow
    (:func:`irecgan_gym.planning.max_log_slates.max_log_knowledge`); the filter takes the tables as they are, so it is
    given more than the logs tell.
    """

    kind = "max-log-belief"

    def _chooser(self) -> BeliefSlates:
        return BeliefSlates(*max_log_knowledge(self.mdp, self.slate_size), self.slate_size)
