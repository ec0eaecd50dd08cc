"""PosteriorPlanner: explores by acting, in each session, as if one model drawn from the posterior were the truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.agents.base import Array, State
from irecgan_gym.agents.latent_planner import LatentPlanner, LatentPlannerConfig, fit_hidden_states
from irecgan_gym.agents.planner import Planner, PlanningConfig
from irecgan_gym.models.latent_fitting import posterior_draw
from irecgan_gym.models.latent_user_model import LatentUserConfig
from irecgan_gym.planning.learned_world import LearnedWorld, ensemble
from irecgan_gym.planning.logged_steps import LoggedSteps
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions, concatenate
from irecgan_gym.settings import Count


@dataclass(frozen=True)
class PosteriorPlannerConfig(LatentPlannerConfig):
    """Settings of a PosteriorPlanner.

    Attributes:
        model: see :class:`irecgan_gym.agents.latent_planner.LatentPlannerConfig`.
        num_draws: models drawn from the posterior each time that it learns.
    """

    model: LatentUserConfig = field(default_factory=lambda: LatentUserConfig(move_spread=1.5))
    num_draws: Count = 8


class PosteriorPlanner(Planner[PosteriorPlannerConfig]):
    """Posterior sampling (Thompson sampling) over latent-state user models.

    Sampled deployment draws a model for each session, keeps the belief over that model's states and shows the slates
    that are best by it: what is uncertain is tried because some draws promise much. Top-k deployment shows what is best
    for all drawn models together. Slates are no signs of the state, for it is the agent itself that showed them.
    See :class:`irecgan_gym.agents.planner.Planner`.
    """

    kind = "posterior_planner"
    config_type = PosteriorPlannerConfig

    def _learn_world(self, training: Sessions, validation: Sessions, recorder: Recorder) -> LearnedWorld:
        rng = np.random.default_rng(self.seed)
        whole = LoggedSteps.of(concatenate([training, validation]))
        best = fit_hidden_states(self.config, LoggedSteps.of(training), LoggedSteps.of(validation), whole, rng)
        draws = [posterior_draw(best, whole, rng).world() for _ in range(self.config.num_draws)]
        return ensemble(draws, np.full(len(draws), 1 / len(draws)))

    def _choose(
        self, observed: Array, state: State | None, starts: NDArray[np.bool_], deterministic: bool
    ) -> tuple[NDArray[np.int64], State | None]:
        """Choose slates; see :class:`PosteriorPlanner`."""
        if deterministic or self.world.num_states == 1:
            return super()._choose(observed, state, starts, deterministic)
        beliefs = self._beliefs(observed, state, starts)
        first = np.flatnonzero((observed == self.num_items) | starts)
        if len(first):
            # States of a draw lie side by side, and beliefs never leave them.
            width = self.world.num_states // self.config.num_draws
            draws = self._rng.integers(self.config.num_draws, size=len(first))
            inside = np.arange(self.world.num_states) // width == draws[:, None]
            beliefs[first] = np.where(inside, beliefs[first], 0) * self.config.num_draws
        slates = self._chooser.slates_for(beliefs).choose(beliefs)
        return slates, (beliefs, slates)


LATENT_ONLINE = LatentPlannerConfig(
    model=LatentUserConfig(move_spread=1.5),
    num_states=(10,),
    spreads=(1.2,),
    num_starts=1,
    reads_slates=False,
    least=None,
)
"""Settings of a LatentPlanner that learns from its own sessions: the control of posterior sampling."""
POSTERIOR_ONLINE = PosteriorPlannerConfig(
    num_states=(10,), spreads=(1.2,), num_starts=1, reads_slates=False, least=None
)
"""The same of a PosteriorPlanner."""
ONLINE_PLANNERS: dict[str, tuple[type[Planner[Any]], PlanningConfig]] = {
    "posterior-sampling": (PosteriorPlanner, POSTERIOR_ONLINE),
    "latent-planner": (LatentPlanner, LATENT_ONLINE),
}
"""Planners that learn in rounds, by the names of their methods."""
