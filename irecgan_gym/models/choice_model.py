"""Users who choose from the whole slate shown, by what is known of them when they see it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_expit

from irecgan_gym.models.appeal import AppealConfig, AppealPrior, AppealTables, Parameters
from irecgan_gym.models.ascent import maximise
from irecgan_gym.models.belief_user_model import BeliefUserModel
from irecgan_gym.models.stored_catalogue import catalogue_tensors, split_catalogue
from irecgan_gym.planning.hidden_states import Moves
from irecgan_gym.planning.learned_world import LearnedWorld
from irecgan_gym.planning.logged_steps import LoggedSteps
from irecgan_gym.sessions import Catalogue, Sessions
from irecgan_gym.settings import Count, check_settings
from irecgan_gym.storage.files import from_json
from irecgan_gym.storage.weights import check_tensors, described_by, load_weights, outline, save_weights

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.integer[Any]]
Context = Literal["none", "place", "last-click"]


@dataclass(frozen=True)
class ChoiceModelConfig:
    """Shape of a choice model.

    Attributes:
        context: what appeals depend on. ``"none"``: on nothing. ``"place"``: on whether the slate is the first of its
            session. ``"last-click"``: on the last click.
        appeal: prior of appeals and successes.
        max_iterations: of a fit.
    """

    context: Context = "place"
    appeal: AppealConfig = field(default_factory=AppealConfig)
    max_iterations: Count = 200

    def __post_init__(self) -> None:
        check_settings(self)


class ChoiceModel:
    """Multinomial logit choice from the slate, and success of the click, with tables for each context.

    Fitted by the posterior mode: every slate shown takes part in the likelihood, so that what was not clicked teaches
    too. The recurrent member of the family is :class:`irecgan_gym.models.user_model.UserModel`.

    Args:
        config: contexts and priors.
        num_items: n.
        tables: of each context, [G, n].
        catalogue: names of the items; None for items without names.
    """

    def __init__(
        self, config: ChoiceModelConfig, num_items: int, tables: AppealTables, catalogue: Catalogue | None = None
    ) -> None:
        self.config = config
        self.num_items = num_items
        self.tables = tables
        self.catalogue = Catalogue(num_items) if catalogue is None else catalogue

    @classmethod
    def fit(cls, sessions: Sessions | LoggedSteps, config: ChoiceModelConfig | None = None) -> ChoiceModel:
        """Fit a model to sessions of users who click at every step.

        Args:
            sessions: what to learn from.
            config: contexts and priors; the defaults when None.
        """
        config = ChoiceModelConfig() if config is None else config
        steps = sessions if isinstance(sessions, LoggedSteps) else LoggedSteps.of(sessions)
        contexts = contexts_of(steps.previous, steps.num_items, config.context)
        prior = AppealPrior(config.appeal, num_contexts(steps.num_items, config.context), steps.num_items)

        def posterior(parameters: Parameters) -> tuple[float, Parameters]:
            tables = prior.tables(parameters)
            value, by_weight, by_success = choice_gradient(steps, contexts, tables)
            gradient = prior.gradient(parameters, tables, by_weight, by_success)
            density, pull = prior.log_density(parameters)
            return value + density, {name: gradient[name] + pull[name] for name in gradient}

        start = prior.initial(np.random.default_rng(0), 0.1 if config.appeal.rank else 0.0)
        found = maximise(posterior, start, max_iterations=config.max_iterations)
        return cls(config, steps.num_items, prior.tables(found.parameters), steps.catalogue)

    def contexts(self, last_clicks: IntArray) -> IntArray:
        """The context of users by their last click (n for none yet); [B] to [B]."""
        return contexts_of(last_clicks, self.num_items, self.config.context)

    def log_likelihood(self, sessions: Sessions | LoggedSteps) -> tuple[FloatArray, FloatArray]:
        """Log-probability of the click and of its success at each step, given its slate; [T] each."""
        self.catalogue.check_agrees(sessions.catalogue, "the choice model", "the sessions")
        steps = sessions if isinstance(sessions, LoggedSteps) else LoggedSteps.of(sessions)
        contexts = self.contexts(steps.previous)
        entries = self.tables.weights[np.repeat(contexts, np.diff(steps.shown.indptr)), steps.slate_items]
        totals = np.add.reduceat(entries, steps.slate_starts)
        clicked = contexts, steps.clicks
        logits = self.tables.success_logits[clicked]
        sign = 2 * steps.successes - 1
        return self.tables.log_weights[clicked] - np.log(totals), np.asarray(log_expit(sign * logits))

    def world(self) -> LearnedWorld:
        """The users of the model, whose state is their context."""
        context, size = self.config.context, self.num_items
        number = num_contexts(size, context)
        start, target = np.zeros(number), np.zeros((size, number))
        start[contexts_of(np.array([size]), size, context)[0]] = 1
        target[np.arange(size), contexts_of(np.arange(size), size, context)] = 1
        moves = Moves.of(np.ones((number, number)), target)
        return LearnedWorld(start, self.tables.weights, self.tables.successes, moves)

    def as_user_model(self, slate_size: int) -> BeliefUserModel:
        """The model as a user model of the suite, which ``UserModel-v0`` plays."""
        return BeliefUserModel(self.world(), slate_size, self.catalogue)

    def save(self, path: str | Path) -> None:
        """Write to one safetensors file, atomically."""
        arguments = {"num_items": self.num_items, "config": asdict(self.config)}
        save_weights(path, "choice_model", arguments, self.tensors() | catalogue_tensors(self.catalogue))

    def tensors(self) -> dict[str, torch.Tensor]:
        """The tables, to be saved."""
        tables = {"log_weights": self.tables.log_weights, "success_logits": self.tables.success_logits}
        return {name: torch.from_numpy(np.ascontiguousarray(table)) for name, table in tables.items()}

    @classmethod
    def load(cls, path: str | Path) -> ChoiceModel:
        """Read what :meth:`save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            StorageError: a file that holds something else, or was damaged.
        """
        arguments, tensors = load_weights(path, "choice_model", {"num_items": int, "config": dict})
        num_items = arguments["num_items"]
        with described_by(path):
            config = from_json(ChoiceModelConfig, arguments["config"])
            tensors, catalogue = split_catalogue(tensors, num_items)
            shape = (num_contexts(num_items, config.context), num_items)
            check_tensors(path, tensors, outline({"log_weights": shape, "success_logits": shape}))
        tables = AppealTables(tensors["log_weights"].numpy(), tensors["success_logits"].numpy())
        return cls(config, num_items, tables, catalogue)


def num_contexts(num_items: int, context: Context) -> int:
    """Return the number of contexts."""
    return {"none": 1, "place": 2, "last-click": num_items + 1}[context]


def contexts_of(last_clicks: IntArray, num_items: int, context: Context) -> IntArray:
    """Contexts by last clicks (n for none yet), [B] to [B]; of ``"place"``, 0 is the first step and 1 a later one."""
    if context == "none":
        return np.zeros(len(last_clicks), dtype=np.int64)
    if context == "place":
        return np.asarray(last_clicks != num_items, dtype=np.int64)
    return np.asarray(last_clicks, dtype=np.int64)


def choice_gradient(
    steps: LoggedSteps, contexts: IntArray, tables: AppealTables
) -> tuple[float, FloatArray, FloatArray]:
    """Log-likelihood of all clicks and successes, and its derivatives.

    Args:
        steps: what was shown and clicked.
        contexts: of each step, [T].
        tables: of G contexts.

    Returns:
        The value, and its derivatives by ``log_weights`` and ``success_logits``, [G, n] each.
    """
    groups, items = tables.log_weights.shape
    sizes = np.diff(steps.shown.indptr)
    flat = np.repeat(contexts * items, sizes) + steps.slate_items
    entries = tables.weights.ravel()[flat]
    totals = np.add.reduceat(entries, steps.slate_starts)
    clicked = contexts * items + steps.clicks
    expected = np.bincount(flat, weights=entries / np.repeat(totals, sizes), minlength=groups * items)
    clicks = np.bincount(clicked, minlength=groups * items)
    successes = np.bincount(clicked, weights=steps.successes, minlength=groups * items)
    log_weights, logits = tables.log_weights.ravel(), tables.success_logits.ravel()
    value = clicks @ log_weights - np.log(totals).sum()
    value += successes @ log_expit(logits) + (clicks - successes) @ log_expit(-logits)
    by_weight = np.asarray(clicks - expected, dtype=np.float64).reshape(groups, items)
    by_success = successes.reshape(groups, items) - clicks.reshape(groups, items) * tables.successes
    return float(value), by_weight, by_success


SPREADS = (0.3, 0.6, 1.2)
"""Spreads of an item in a context around its mean, of which held-out likelihood chooses."""


def choose_choice_model(
    training: Sessions, validation: Sessions, config: ChoiceModelConfig, spreads: tuple[float, ...] = SPREADS
) -> tuple[ChoiceModelConfig, float]:
    """Choose the spreads by the likelihood of held-out sessions.

    Args:
        training: sessions to fit to.
        validation: held-out sessions.
        config: the rest of the settings.
        spreads: to choose from.

    Returns:
        The settings, and the log-likelihood of a held-out step.
    """
    fitted_to, held_out = LoggedSteps.of(training), LoggedSteps.of(validation)
    best, likelihood = config, -np.inf
    for spread in spreads:
        candidate = replace(config, appeal=replace(config.appeal, group_spread=spread))
        click, success = ChoiceModel.fit(fitted_to, candidate).log_likelihood(held_out)
        if (reached := float((click + success).mean())) > likelihood:
            best, likelihood = candidate, reached
    return best, likelihood
