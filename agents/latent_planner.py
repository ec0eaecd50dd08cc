"""LatentPlanner: an exact belief over hidden states of the user, and the best slate for it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np

from irecgan_gym.agents.choice_planner import NUM_KINDS
from irecgan_gym.agents.planner import Planner, PlanningConfig
from irecgan_gym.models.appeal_deviations import success_deviations, success_information
from irecgan_gym.models.exposure import cautious_chances, complete, exposure_of_counts
from irecgan_gym.models.latent_fitting import climb, fit_from_slates, random_start
from irecgan_gym.models.latent_user_model import LatentUserConfig, LatentUserModel, step_evidence
from irecgan_gym.models.slate_kinds import SlateMixture, logger_sees
from irecgan_gym.planning.hidden_states import smooth_states
from irecgan_gym.planning.learned_world import LearnedWorld
from irecgan_gym.planning.logged_steps import LoggedSteps
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions, concatenate, with_leaving_step
from irecgan_gym.settings import NOT_EMPTY, Count, Positive, Width


@dataclass(frozen=True)
class LatentPlannerConfig(PlanningConfig):
    """Settings of a LatentPlanner.

    Attributes:
        model: of the users; what held-out likelihood chooses takes the place of its entries. With ``leaving``, sessions
            end by leaving in place of a click, and go on after clicks that earn nothing.
        num_states: K, of which held-out likelihood chooses.
        spreads: of an item in a state around its mean, of which held-out likelihood chooses.
        num_starts: searches for the likeliest model, of which held-out likelihood chooses.
        reads_slates: whether slates are signs of the state where the log's policy sees it.
        least: see :class:`irecgan_gym.agents.choice_planner.ChoicePlannerConfig`.
    """

    model: LatentUserConfig = field(default_factory=lambda: LatentUserConfig(move_spread=1.5))
    num_states: Annotated[tuple[Width, ...], NOT_EMPTY] = (5, 10)
    spreads: Annotated[tuple[Positive, ...], NOT_EMPTY] = (0.6, 1.2)
    num_starts: Count = 2
    reads_slates: bool = True
    least: Positive | None = 0.5


class LatentPlanner(Planner[LatentPlannerConfig]):
    """Fits a latent-state user model to a log, filters the state exactly and shows the slates that are best by it.

    See :class:`irecgan_gym.agents.planner.Planner`.
    """

    kind = "latent_planner"
    config_type = LatentPlannerConfig

    def _learn_world(self, training: Sessions, validation: Sessions, recorder: Recorder) -> LearnedWorld:
        fitted_to, held_out = self._logged(training), self._logged(validation)
        rng = np.random.default_rng(self.seed)
        mixture = SlateMixture.fit(fitted_to, NUM_KINDS, rng)
        whole = self._logged(concatenate([training, validation]))
        if self.config.reads_slates and logger_sees(mixture, fitted_to, held_out):
            model = fit_seen_states(self.config, fitted_to, held_out, whole, mixture, rng)
            return latent_world(model, whole, self.config.least)
        model = fit_hidden_states(self.config, fitted_to, held_out, whole, rng)
        return latent_world(model, whole, None)

    @property
    def _users_leave(self) -> bool:
        return self.config.model.leaving

    def _logged(self, sessions: Sessions) -> LoggedSteps:
        if not self._users_leave:
            return LoggedSteps.of(sessions)
        return LoggedSteps.of(with_leaving_step(sessions), leaving=True)


def fit_seen_states(
    config: LatentPlannerConfig,
    training: LoggedSteps,
    held_out: LoggedSteps,
    whole: LoggedSteps,
    mixture: SlateMixture,
    rng: np.random.Generator,
) -> LatentUserModel:
    """Fit to the whole log of a policy that sees the state, with the spread that held-out sessions like best."""
    reached, best = -np.inf, None
    for spread in config.spreads:
        candidate = replace(config.model, appeal=replace(config.model.appeal, group_spread=spread))
        model = fit_from_slates(candidate, training, mixture, rng)
        likelihood = float(model.log_likelihood(held_out, slates="signs").mean())
        if likelihood > reached:
            reached, best = likelihood, model
    assert best is not None
    return climb(best.config, whole, best.parameters, max_iterations=20, tolerance=1e-5)


def fit_hidden_states(
    config: LatentPlannerConfig,
    training: LoggedSteps,
    held_out: LoggedSteps,
    whole: LoggedSteps,
    rng: np.random.Generator,
) -> LatentUserModel:
    """Fit to the whole log with the number of states, the spread and the start that held-out sessions like best."""
    reached, best = -np.inf, None
    for number in config.num_states:
        for spread in config.spreads:
            candidate = replace(
                config.model, num_states=number, appeal=replace(config.model.appeal, group_spread=spread)
            )
            for _ in range(config.num_starts):
                start = random_start(candidate, training.num_items, rng)
                model = climb(candidate, training, start, max_iterations=100, tolerance=1e-5)
                likelihood = float(model.log_likelihood(held_out).mean())
                if likelihood > reached:
                    reached, best = likelihood, model
    assert best is not None
    return climb(best.config, whole, best.parameters, max_iterations=60, tolerance=1e-6)


def latent_world(model: LatentUserModel, steps: LoggedSteps, least: float | None, caution: float = 0.0) -> LearnedWorld:
    """The users of a latent-state model, with tables completed for what was never shown where ``least`` is given.

    Args:
        model: fitted to the steps.
        steps: whose exposure counts.
        least: see :class:`irecgan_gym.agents.choice_planner.ChoicePlannerConfig`.
        caution: see :func:`irecgan_gym.agents.choice_planner.choice_world`; states count as known.
    """
    world = model.world()
    if least is None and not caution:
        return world
    tables = model.tables
    evidence = step_evidence(steps, tables, shows=True)
    states = smooth_states(steps, tables.start, tables.moves, evidence).states
    exposure = None
    if least is not None:
        exposure = exposure_of_counts(np.asarray(steps.shown.T @ states).T)
        completed = complete(tables.appeal, exposure, least=least)
        world = replace(world, weights=completed.weights, successes=completed.successes)
    if not caution:
        return world
    weights, totals = tables.appeal.weights, tables.totals(steps)
    clicks = np.asarray(steps.clicked @ states).T
    expected = weights * np.asarray(steps.shown.T @ (states / totals)).T
    squares = weights**2 * np.asarray(steps.shown.T @ (states / totals**2)).T
    information = success_information(model.config.appeal, tables.appeal, clicks, expected, squares)
    deviations = success_deviations(model.config.appeal, information)
    return replace(world, cautious=cautious_chances(tables.appeal, deviations, caution, exposure, least))
