"""Models of the user that can be fitted to a log and compared by what they say of held-out sessions."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.agents.choice_planner import NUM_KINDS, choice_world
from irecgan_gym.agents.latent_planner import latent_world
from irecgan_gym.models.choice_model import ChoiceModel, ChoiceModelConfig
from irecgan_gym.models.latent_fitting import climb, fit_from_slates, random_start
from irecgan_gym.models.latent_user_model import LatentUserConfig, LatentUserModel
from irecgan_gym.models.slate_kinds import SlateMixture
from irecgan_gym.planning.learned_world import LearnedWorld
from irecgan_gym.planning.logged_steps import LoggedSteps

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Effort:
    """Effort of the climb from the fit to a part of a log to that of the whole.

    Attributes:
        max_iterations: most iterations.
        tolerance: relative gain of an iteration at which the climb ends.
    """

    max_iterations: int
    tolerance: float


QUICK, THOROUGH = Effort(60, 1e-5), Effort(300, 1e-7)


class FittedUser(Protocol):
    """A fitted model of the user."""

    def held_out(self, steps: LoggedSteps) -> FloatArray:
        """Log-probability of the click and its success at each step, given the slate and all before, [T]."""

    def refit(self, steps: LoggedSteps, effort: Effort = QUICK) -> FittedUser:
        """Fit to a larger log, from where this fit ended."""

    def world(self, steps: LoggedSteps, least: float | None, caution: float = 0.0) -> LearnedWorld:
        """The user to plan for; see :func:`irecgan_gym.agents.choice_planner.choice_world` for the arguments."""


class UserCandidate(Protocol):
    """Settings of a model of the user."""

    @property
    def name(self) -> str:
        """A few words that tell it from others."""

    def fit(self, steps: LoggedSteps, seed: int) -> FittedUser:
        """Fit the model to a log."""


@dataclass(frozen=True)
class ChoiceCandidate:
    """A choice model with contexts."""

    config: ChoiceModelConfig

    @property
    def name(self) -> str:
        """See :class:`UserCandidate`."""
        appeal = self.config.appeal
        return f"choice {self.config.context} {appeal.link} {appeal.group_spread:g}"

    def fit(self, steps: LoggedSteps, seed: int) -> FittedChoice:
        """See :class:`UserCandidate`."""
        return FittedChoice(ChoiceModel.fit(steps, self.config))


@dataclass(frozen=True, eq=False)
class FittedChoice:
    """See :class:`FittedUser`."""

    model: ChoiceModel

    def held_out(self, steps: LoggedSteps) -> FloatArray:
        """See :class:`FittedUser`."""
        click, success = self.model.log_likelihood(steps)
        return click + success

    def refit(self, steps: LoggedSteps, effort: Effort = QUICK) -> FittedChoice:
        """See :class:`FittedUser`; the posterior has one mode or nearly so, and is soon climbed."""
        return FittedChoice(ChoiceModel.fit(steps, self.model.config))

    def world(self, steps: LoggedSteps, least: float | None, caution: float = 0.0) -> LearnedWorld:
        """See :class:`FittedUser`."""
        return choice_world(self.model, steps, least, caution)


@dataclass(frozen=True)
class LatentCandidate:
    """A latent-state model; with slates as signs of the state, where its logger sees that.

    Attributes:
        config: settings of the model.
        sees: whether slates are signs of the state; the states are then as many as the kinds of slates tell.
        start: number of the search among searches with the same settings, which begin elsewhere.
        max_iterations: of a search.
    """

    config: LatentUserConfig
    sees: bool
    start: int = 0
    max_iterations: int = 150

    @property
    def name(self) -> str:
        """See :class:`UserCandidate`."""
        config = self.config
        states = "seen" if self.sees else f"{config.num_states}"
        words = f"latent {states} {config.appeal.link} {config.appeal.group_spread:g} {config.move_spread:g}"
        return f"{words} from start {self.start}" if self.start else words

    def fit(self, steps: LoggedSteps, seed: int) -> FittedLatent:
        """See :class:`UserCandidate`."""
        rng = np.random.default_rng([seed, self.start])
        if self.sees:
            mixture = SlateMixture.fit(steps, NUM_KINDS, rng)
            model = fit_from_slates(self.config, steps, mixture, rng, max_iterations=self.max_iterations)
        else:
            start = random_start(self.config, steps.num_items, rng)
            model = climb(self.config, steps, start, max_iterations=self.max_iterations, tolerance=1e-5)
        return FittedLatent(model)


@dataclass(frozen=True, eq=False)
class FittedLatent:
    """See :class:`FittedUser`."""

    model: LatentUserModel

    def held_out(self, steps: LoggedSteps) -> FloatArray:
        """See :class:`FittedUser`."""
        return self.model.log_likelihood(steps, slates="signs")

    def refit(self, steps: LoggedSteps, effort: Effort = QUICK) -> FittedLatent:
        """See :class:`FittedUser`: the mode that was found stays the one that is climbed."""
        model = self.model
        return FittedLatent(climb(model.config, steps, model.parameters, **asdict(effort)))

    def world(self, steps: LoggedSteps, least: float | None, caution: float = 0.0) -> LearnedWorld:
        """See :class:`FittedUser`."""
        return latent_world(self.model, steps, least, caution)
