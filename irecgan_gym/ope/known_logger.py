"""The suite's own logging policies with exact probabilities: given the true state, or without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from irecgan_gym.logging_policies import make_logging_policy
from irecgan_gym.mdp import RecommendationMDP
from irecgan_gym.ope.policies import PlaceTable, Slates, slate_matrix
from irecgan_gym.planning.belief_filter import BeliefFilter, LoggedClickFilter
from irecgan_gym.planning.pool_mixture import Pool, PoolMixture
from irecgan_gym.planning.uniform_slates import uniform_click_probabilities
from irecgan_gym.planning.values import click_probabilities
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.slate_propensities import Given, SlatePropensities

FloatArray = NDArray[np.float64]


def logging_pools(name: str, mdp: RecommendationMDP, slate_size: int, *, epsilon: float = 0.0) -> PoolMixture:
    """The logging policy ``"random"``, ``"max"`` or ``"mix"`` as a mixture of pools, with states as contexts.

    Args:
        name: which.
        mdp: the true tables.
        slate_size: k.
        epsilon: probability of a uniformly random slate instead, so that every slate can be shown.

    Raises:
        ValueError: an unknown name, a slate size that the policy cannot fill, or an epsilon that is no probability.
    """
    pools = make_logging_policy(name, mdp, slate_size).mixture.pools
    if not 0 <= epsilon <= 1:
        raise ValueError(f"epsilon must be a probability from 0 to 1, got {epsilon!r}")
    anything = Pool(epsilon, mdp.ranked_items(), fixed=False)
    parts = [replace(pool, weight=(1 - epsilon) * pool.weight) for pool in pools if name != "random"]
    parts.append(anything if parts else replace(anything, weight=1.0))
    return PoolMixture(parts, mdp.num_items, slate_size)


class KnownLogger:
    """A logging policy that sees the user's state, as those of §7.1 do, with exact probabilities.

    What the probabilities are conditional on decides what can be learnt from them. Given the state, weights by them are
    unbiased, as what the logger knew is known. Without it, they are right about how often slates are shown after what
    was observed; but the slates of a logger that sees the state tell of it, which no weight corrects: the log is
    confounded. With random slates it makes no difference.

    Args:
        mixture: its slates, with states as contexts, e.g. from :func:`logging_pools`.
        mdp: the true tables.
        given: ``"state"``, from the sessions' column ``states``; ``"history"``, all slates and clicks before;
            ``"clicks"``, the clicks before alone, all that agents of the suite read.

    Raises:
        ValueError: an unknown condition.
    """

    def __init__(self, mixture: PoolMixture, mdp: RecommendationMDP, *, given: Given) -> None:
        if given not in ("state", "history", "clicks"):
            raise ValueError(f"given must be 'state', 'history' or 'clicks', got {given!r}")
        self.mixture = mixture
        self.given: Given = given
        self.num_items = mixture.num_items
        self.slate_size = mixture.slate_size
        self._mdp = mdp

    @classmethod
    def named(cls, name: str, mdp: RecommendationMDP, slate_size: int, *, given: Given) -> KnownLogger:
        """The logging policy ``"random"``, ``"max"`` or ``"mix"``; see :func:`logging_pools`."""
        return cls(logging_pools(name, mdp, slate_size), mdp, given=given)

    def click_probabilities(self) -> FloatArray:
        """Exact probability that a user in state s clicks item a, over the slates shown; [m, n], rows add up to 1."""
        rewards = self._mdp.rewards
        probabilities = np.zeros_like(rewards)
        for pool in self.mixture.pools:
            if pool.fixed:
                probabilities += pool.weight * click_probabilities(rewards, pool.items[:, : self.slate_size])
                continue
            clicks = uniform_click_probabilities(np.take_along_axis(rewards, pool.items, axis=1), self.slate_size)
            rows = np.arange(len(rewards))[:, None]
            probabilities[rows, pool.items] += pool.weight * clicks
        return probabilities

    def beliefs(self, sessions: Sessions) -> FloatArray:
        """Probability of each state at each step, given what the probabilities are conditional on; [T, m].

        Raises:
            ValueError: the states are asked for, and the sessions do not hold them.
        """
        if self.given == "state":
            if sessions.states is None:
                raise ValueError("given='state' needs sessions with their true states")
            return np.eye(self._mdp.num_states)[sessions.states]
        if self.given == "clicks":
            return self._beliefs_by_clicks(sessions)
        return self._beliefs_by_history(sessions)

    def propensities(self, sessions: Sessions) -> SlatePropensities:
        """See :class:`irecgan_gym.ope.policies.EvaluationPolicy`."""
        slates = slate_matrix(sessions, self.num_items, self.slate_size)
        with np.errstate(divide="ignore"):
            log_beliefs = np.log(self.beliefs(sessions))
            prefixes = logsumexp(
                [
                    self.mixture.prefix_log_probabilities(contexts, slates) + log_beliefs[:, state, None]
                    for state, contexts in self._all_states(len(slates))
                ],
                axis=0,
            )
            sets = logsumexp(
                [
                    self.mixture.set_log_probabilities(contexts, slates) + log_beliefs[:, state]
                    for state, contexts in self._all_states(len(slates))
                ],
                axis=0,
            )
        table, beliefs = self.mixture.place_probabilities(), np.exp(log_beliefs)
        places, inclusions = (
            np.einsum("tm,mtk->tk", beliefs, chances).reshape(-1)
            for chances in (table[:, np.arange(self.slate_size), slates], table.sum(axis=1)[:, slates])
        )
        return SlatePropensities.from_columns(
            sessions, prefixes.reshape(-1), places=places, inclusions=inclusions, sets=sets, given=self.given
        )

    def place_table(self, sessions: Sessions) -> PlaceTable:
        """See :class:`irecgan_gym.ope.policies.EvaluationPolicy`."""
        table = self.mixture.place_probabilities()
        if self.given == "state" and sessions.states is not None:
            return PlaceTable(table, sessions.states.astype(np.int64))
        averaged = np.tensordot(self.beliefs(sessions), table, axes=1)
        return PlaceTable(averaged, np.arange(sessions.num_steps))

    def sample(self, sessions: Sessions, draws: int, rng: np.random.Generator) -> Slates:
        """See :class:`irecgan_gym.ope.policies.EvaluationPolicy`."""
        cumulative = self.beliefs(sessions).cumsum(axis=1)
        uniform = rng.random((sessions.num_steps, draws, 1)) * cumulative[:, None, -1:]
        states = (cumulative[:, None, :-1] <= uniform).sum(axis=2)
        return self.mixture.sample(states.reshape(-1), rng).reshape(-1, draws, self.slate_size)

    def expected_next(self, sessions: Sessions, table: FloatArray) -> FloatArray:
        """See :class:`irecgan_gym.ope.policies.EvaluationPolicy`."""
        slates = slate_matrix(sessions, self.num_items, self.slate_size)
        beliefs = self.beliefs(sessions)
        total, mass = np.zeros(slates.shape), np.zeros(slates.shape)
        for state, contexts in self._all_states(len(slates)):
            prefixes = np.exp(self.mixture.prefix_log_probabilities(contexts, slates))
            before = np.concatenate([np.ones((len(slates), 1)), prefixes[:, :-1]], axis=1) * beliefs[:, state, None]
            total += before * self.mixture.expected_next(contexts, slates, table)
            mass += before
        return np.divide(total, mass, out=np.zeros_like(mass), where=mass > 0).reshape(-1)

    def _all_states(self, number: int) -> list[tuple[int, NDArray[np.int64]]]:
        return [(state, np.full(number, state)) for state in range(self._mdp.num_states)]

    def _beliefs_by_clicks(self, sessions: Sessions) -> FloatArray:
        seen = LoggedClickFilter(self._mdp, self.click_probabilities())
        beliefs = np.empty((sessions.num_steps, self._mdp.num_states))
        rows = np.arange(len(sessions))
        now = seen.start(len(rows))
        for step in range(int(sessions.lengths.max(initial=0))):
            places = sessions.offsets[rows] + step
            beliefs[places] = now
            going_on = sessions.lengths[rows] > step + 1
            rows, places = rows[going_on], places[going_on]
            now = seen.update(now[going_on], sessions.clicks[places])
        return beliefs

    def _beliefs_by_history(self, sessions: Sessions) -> FloatArray:
        seen = BeliefFilter(self._mdp)
        slates = slate_matrix(sessions, self.num_items, self.slate_size)
        shown = np.stack(
            [
                np.exp(self.mixture.prefix_log_probabilities(contexts, slates)[:, -1])
                for _, contexts in self._all_states(len(slates))
            ],
            axis=1,
        )
        beliefs = np.empty((sessions.num_steps, self._mdp.num_states))
        rows = np.arange(len(sessions))
        now = seen.start(len(rows))
        for step in range(int(sessions.lengths.max(initial=0))):
            places = sessions.offsets[rows] + step
            beliefs[places] = now
            going_on = sessions.lengths[rows] > step + 1
            rows, places = rows[going_on], places[going_on]
            # The slate tells of the state, before its click does.
            told = now[going_on] * shown[places]
            now = seen.update(told, seen.slate_totals(slates[places]), sessions.clicks[places])
        return beliefs
