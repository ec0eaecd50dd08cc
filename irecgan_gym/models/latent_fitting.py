"""Fitting a latent-state user model: starts of the search, and settings chosen by held-out likelihood."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.models.appeal import Parameters
from irecgan_gym.models.ascent import maximise
from irecgan_gym.models.latent_user_model import LatentPrior, LatentUserConfig, LatentUserModel
from irecgan_gym.models.slate_kinds import SlateKinds, SlateMixture
from irecgan_gym.planning.logged_steps import LoggedSteps

FloatArray = NDArray[np.float64]

_START_LEAD = 3.0
_NOISE = 0.3


def random_start(config: LatentUserConfig, num_items: int, rng: np.random.Generator) -> Parameters:
    """Parameters at which a search can begin: states that differ at random, the first one likely at the start."""
    prior = LatentPrior(config, num_items)
    parameters = {name: np.zeros(shape) for name, shape in prior.shapes.items()}
    parameters |= prior.appeal.initial(rng, _NOISE)
    parameters["start"][0] = _START_LEAD
    parameters["source"] = rng.normal(0, 0.1, parameters["source"].shape)
    parameters["target"] = rng.normal(0, 0.5, parameters["target"].shape)
    return parameters


def start_from_groups(
    config: LatentUserConfig, steps: LoggedSteps, kinds: SlateKinds, rng: np.random.Generator
) -> tuple[LatentUserConfig, Parameters]:
    """Parameters whose states are groups of kinds of slates, each kind a mode of the logger."""
    groups = kinds.groups(steps)
    modes = max(len(group) for group in groups)
    config = replace(config, num_states=len(groups), show_modes=modes)
    parameters = random_start(config, steps.num_items, rng)
    parameters["show_mode"] -= 5.0
    parameters["show_deviation"] -= 3.0
    share = np.clip(kinds.shown, 0.02, 0.98)
    for state, group in enumerate(groups):
        for mode, kind in enumerate(group):
            parameters["show_mode"][state, mode] = 0.0
            parameters["show_deviation"][state, mode] = np.log(share[kind] / (1 - share[kind]))
    later = np.flatnonzero(steps.previous < steps.num_items)
    for state, group in enumerate(groups):
        members = kinds.members[later][:, group].sum(axis=1)
        parameters["target"][:, state] = np.log(np.bincount(steps.previous[later], members, steps.num_items) + 1)
    parameters["target"] -= parameters["target"].mean(axis=1, keepdims=True)
    return config, parameters


def climb(
    config: LatentUserConfig,
    steps: LoggedSteps,
    start: Parameters,
    *,
    max_iterations: int = 150,
    tolerance: float = 1e-6,
    session_weights: FloatArray | None = None,
) -> LatentUserModel:
    """Climb the posterior from a start."""
    prior = LatentPrior(config, steps.num_items)
    found = maximise(
        lambda parameters: prior.posterior(steps, parameters, session_weights),
        start,
        max_iterations=max_iterations,
        tolerance=tolerance,
    )
    return LatentUserModel(config, found.parameters, steps.num_items, steps.catalogue)


def posterior_draw(
    model: LatentUserModel, steps: LoggedSteps, rng: np.random.Generator, *, max_iterations: int = 30
) -> LatentUserModel:
    """Draw a model from about the posterior around a fitted one: randomise, then optimise.

    The means of the priors are drawn from the priors, the weights of the sessions from the Bayesian bootstrap, and the
    posterior of these is climbed from the fitted model. Where the log says much, draws are alike; of what it says
    nothing, draws are those of the prior. With a Gaussian likelihood, it would be the posterior itself.

    Args:
        model: fitted to the steps.
        steps: the log.
        rng: of the draw.
        max_iterations: of the climb.
    """
    anchor = LatentPrior(model.config, model.num_items).drawn_anchor(rng)
    prior = LatentPrior(model.config, model.num_items, anchor)
    weights = rng.exponential(size=steps.num_sessions)
    found = maximise(
        lambda parameters: prior.posterior(steps, parameters, weights),
        {name: value + anchor.get(name, 0.0) for name, value in model.parameters.items()},
        max_iterations=max_iterations,
        tolerance=1e-5,
    )
    return LatentUserModel(model.config, found.parameters, model.num_items, model.catalogue)


def fit_from_slates(
    config: LatentUserConfig,
    steps: LoggedSteps,
    mixture: SlateMixture,
    rng: np.random.Generator,
    *,
    max_iterations: int = 80,
) -> LatentUserModel:
    """Fit a model in whose states the logger shows certain kinds of slates.

    Kinds are found by their slates alone; those that follow the same clicks become modes of one state.

    Args:
        config: the rest of the settings; states and modes are as many as are found.
        steps: the log.
        mixture: kinds of its slates.
        rng: of the start.
        max_iterations: of the climb.
    """
    kinds = SlateKinds.of(steps, mixture.members(steps))
    found, start = start_from_groups(config, steps, kinds, rng)
    return climb(found, steps, start, max_iterations=max_iterations, tolerance=1e-5)
