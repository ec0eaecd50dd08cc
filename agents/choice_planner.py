"""ChoicePlanner: the best slate for users whose choices depend on what is known of them at once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.agents.planner import Planner, PlanningConfig
from irecgan_gym.models.appeal import AppealConfig
from irecgan_gym.models.appeal_deviations import success_deviations, success_information
from irecgan_gym.models.choice_model import (
    SPREADS,
    ChoiceModel,
    ChoiceModelConfig,
    choose_choice_model,
    contexts_of,
    num_contexts,
)
from irecgan_gym.models.exposure import cautious_chances, complete, exposure_of_shares
from irecgan_gym.models.slate_kinds import SlateMixture, logger_sees
from irecgan_gym.planning.learned_world import LearnedWorld
from irecgan_gym.planning.logged_steps import LoggedSteps
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions, concatenate
from irecgan_gym.settings import NOT_EMPTY, Positive

FloatArray = NDArray[np.float64]

NUM_KINDS = 30


@dataclass(frozen=True)
class ChoicePlannerConfig(PlanningConfig):
    """Settings of a ChoicePlanner.

    Attributes:
        model: contexts and link of the choice model.
        spreads: of an item in a context around its mean; held-out likelihood chooses.
        least: what an item is worth that the log's policy could have shown and did not, where that policy sees the
            state: its weight, as a share of the least weight shown. None takes no account of exposure.
    """

    model: ChoiceModelConfig = field(default_factory=ChoiceModelConfig)
    spreads: Annotated[tuple[Positive, ...], NOT_EMPTY] = SPREADS
    least: Positive | None = 0.5


class ChoicePlanner(Planner[ChoicePlannerConfig]):
    """Fits a choice model to a log and shows the slates that are best by it.

    See :class:`irecgan_gym.agents.planner.Planner`.
    """

    kind = "choice_planner"
    config_type = ChoicePlannerConfig

    def _learn_world(self, training: Sessions, validation: Sessions, recorder: Recorder) -> LearnedWorld:
        chosen, likelihood = choose_choice_model(training, validation, self.config.model, self.config.spreads)
        recorder.record({"choice_model/validation_log_likelihood": likelihood}, 0)
        sees = False
        if self.config.least is not None:
            fitted_to, held_out = LoggedSteps.of(training), LoggedSteps.of(validation)
            mixture = SlateMixture.fit(fitted_to, NUM_KINDS, np.random.default_rng(self.seed))
            sees = logger_sees(mixture, fitted_to, held_out)
        steps = LoggedSteps.of(concatenate([training, validation]))
        return choice_world(ChoiceModel.fit(steps, chosen), steps, self.config.least if sees else None)


def choice_world(model: ChoiceModel, steps: LoggedSteps, least: float | None, caution: float = 0.0) -> LearnedWorld:
    """The users of a choice model: their state is their context.

    Args:
        model: fitted to the steps.
        steps: whose exposure counts.
        least: see :class:`ChoicePlannerConfig`.
        caution: standard deviations by which plans take chances of success to be lower than they seem.
    """
    world = model.world()
    if least is None and not caution:
        return world
    context, size = model.config.context, model.num_items
    number = num_contexts(size, context)
    groups = contexts_of(steps.previous, size, context)
    flat = np.repeat(groups * size, np.diff(steps.shown.indptr)) + steps.slate_items

    def sums(entries: FloatArray | None = None) -> FloatArray:
        return np.bincount(flat, entries, minlength=number * size).reshape(number, size).astype(np.float64)

    exposure = None
    if least is not None:
        counts = np.bincount(groups, minlength=number).astype(np.float64)
        exposure = exposure_of_shares(sums(), counts)
        completed = complete(model.tables, exposure, least=least)
        world = replace(world, weights=completed.weights, successes=completed.successes)
    if not caution:
        return world
    weights = model.tables.weights.ravel()[flat]
    chances = weights / np.repeat(np.add.reduceat(weights, steps.slate_starts), np.diff(steps.shown.indptr))
    clicks = np.bincount(groups * size + steps.clicks, minlength=number * size).reshape(number, size).astype(np.float64)
    information = success_information(model.config.appeal, model.tables, clicks, sums(chances), sums(chances**2))
    deviations = success_deviations(model.config.appeal, information)
    return replace(world, cautious=cautious_chances(model.tables, deviations, caution, exposure, least))


def untied(config: ChoicePlannerConfig) -> ChoicePlannerConfig:
    """The control without a link of appeal and success."""
    return replace(config, model=replace(config.model, appeal=AppealConfig(link="untied")))
