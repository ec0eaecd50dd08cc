"""PGLimit: the policy to which policy gradients tend on ever more logged sessions, by the tables of the MDP."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.agents.base import Array, State
from irecgan_gym.agents.references.mdp_policy import MDPPolicy
from irecgan_gym.logging_policies import make_logging_policy
from irecgan_gym.mdp import RecommendationMDP
from irecgan_gym.planning.belief_filter import LoggedClickFilter
from irecgan_gym.planning.values import logged_returns
from irecgan_gym.sessions import Sessions


class PGLimit(MDPPolicy):
    """The limit of :class:`irecgan_gym.agents.pg.PG` with endless logs, a network that can be anything, and no error.

    Offline and without importance weights, Eq 10 with q_D = 1 has its largest value where
    pi(i | clicks before) is proportional to the expected R_t^a 1{c_t = i} in the log, given those clicks. That is
    sum_s b(s) p(i | s) G(s, i): b is what the clicks of logged sessions tell about the state, p the clicks under the
    logging policy, and G their returns to go. Learning better leads here and no further: how an agent that learns so
    differs from this policy, in what it earns too, is its error.

    Args:
        mdp: the true tables, e.g. ``env.unwrapped.mdp``.
        slate_size: items to show at a time, k.
        logging_policy: policy that made the log, ``"random"``, ``"max"`` or ``"mix"``.
        gamma: discount factor of the agent.
        lambda_r: weight of a step's reward against the constant 1 of Eq 10.
        seed: of sampled slates.
    """

    kind = "pg-limit"
    options = {"logging_policy": str, "gamma": float, "lambda_r": float, "seed": int}

    def __init__(
        self,
        mdp: RecommendationMDP,
        slate_size: int,
        logging_policy: str = "max",
        *,
        gamma: float = 0.9,
        lambda_r: float = 3.0,
        seed: int = 0,
    ) -> None:
        super().__init__(mdp, slate_size)
        self.logging_policy, self.gamma, self.lambda_r, self.seed = logging_policy, gamma, lambda_r, seed
        clicks = make_logging_policy(logging_policy, mdp, slate_size).click_probabilities()
        self._filter = LoggedClickFilter(mdp, clicks)
        self._worth = clicks * logged_returns(mdp, clicks, gamma=gamma, lambda_r=lambda_r)
        self._rng = np.random.default_rng(seed)

    def set_random_seed(self, seed: int) -> None:
        """See :meth:`irecgan_gym.agents.base.Agent.set_random_seed`."""
        self._rng = np.random.default_rng(seed)

    def log_probabilities(self, beliefs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log pi(i | clicks before) for beliefs [B, m]; -inf for items that are never clicked then; [B, n]."""
        weights = beliefs @ self._worth
        with np.errstate(divide="ignore"):
            log_probabilities: NDArray[np.float64] = np.log(weights / weights.sum(axis=1, keepdims=True))
        return log_probabilities

    def _choose(
        self, observed: Array, state: State | None, starts: NDArray[np.bool_], deterministic: bool
    ) -> tuple[NDArray[np.int64], State | None]:
        beliefs = self._filter.start(len(observed))
        if state is not None:
            going_on = (observed != self.num_items) & ~starts
            beliefs[going_on] = self._filter.update(state[0][going_on], observed[going_on])
        scores = self.log_probabilities(beliefs)
        if not deterministic:
            scores += self._rng.gumbel(size=scores.shape)
        slates = np.argsort(-scores, axis=1, kind="stable")[:, : self.slate_size]
        return slates, (beliefs,)

    def slate_scores(self, sessions: Sessions) -> NDArray[np.float32]:
        """See :meth:`irecgan_gym.agents.base.Agent.slate_scores`.

        Raises:
            ValueError: sessions over another catalogue.
        """
        self._check_catalogue(sessions)
        steps = sessions.step_of_entry
        return self.log_probabilities(self._beliefs_in(sessions))[steps, sessions.slate_items].astype(np.float32)

    def _beliefs_in(self, sessions: Sessions) -> NDArray[np.float64]:
        beliefs = np.empty((sessions.num_steps, self.mdp.num_states))
        rows = np.arange(len(sessions))
        now = self._filter.start(len(rows))
        for step in range(int(sessions.lengths.max(initial=0))):
            places = sessions.offsets[rows] + step
            beliefs[places] = now
            going_on = sessions.lengths[rows] > step + 1
            rows, places = rows[going_on], places[going_on]
            now = self._filter.update(now[going_on], sessions.clicks[places])
        return beliefs
