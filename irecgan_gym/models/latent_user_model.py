"""Users with a hidden state, one of K, which sets what they click, what succeeds, and where they go next."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, log_expit, log_softmax, logsumexp, softmax

from irecgan_gym.models.appeal import AppealConfig, AppealPrior, AppealTables, Parameters, gaussian_log_density
from irecgan_gym.models.belief_user_model import BeliefUserModel
from irecgan_gym.models.stored_catalogue import catalogue_tensors, split_catalogue
from irecgan_gym.planning.hidden_states import Moves, StatePosterior, filter_states, smooth_states
from irecgan_gym.planning.learned_world import LearnedWorld
from irecgan_gym.planning.logged_steps import LoggedSteps
from irecgan_gym.sessions import Catalogue, Sessions
from irecgan_gym.settings import CountFrom0, Positive, Width, check_settings
from irecgan_gym.storage.files import from_json
from irecgan_gym.storage.weights import check_tensors, described_by, load_weights, outline, save_weights

FloatArray = NDArray[np.float64]
SlateReading = Literal["given", "signs", "scored"]

_START_SPREAD = 3.0
_DIFFER = (
    "success_item",
    "success_deviation",
    "weight_item",
    "weight_deviation",
    "own_item",
    "own",
    "source",
    "target",
)
_SHOWN_SPREAD = 3.0
_LEAVE_SPREAD = 3.0


@dataclass(frozen=True)
class LatentUserConfig:
    """Shape of a latent-state user model.

    Attributes:
        num_states: K.
        appeal: prior of appeals and successes by state.
        move_spread: of the logits of transitions, from a state and after an item alike; the smaller, the less a click
            tells where its user goes.
        show_modes: whether the slate is taken as a sign of the state too: a logger that sees the state tells it by what
            it shows. 0 takes slates as given. With M of 1 or more, a logger draws one of M modes in each state, in each
            of which every item has a chance of its own to be in the slate.
        show_spread: of the log-odds of an item's chance to be shown in a state around its mean.
        leaving: whether users may leave in place of a click, by a weight of the state beside the slate's items.
    """

    num_states: Width = 10
    appeal: AppealConfig = field(default_factory=AppealConfig)
    move_spread: Positive = 1.0
    show_modes: CountFrom0 = 0
    show_spread: Positive = 2.0
    leaving: bool = False

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, eq=False)
class ShowTables:
    """Slates that a logger shows in each of its M modes in each of K states.

    Attributes:
        log_modes: log-probability of each mode, [K, M].
        logits: log-odds that an item is in the slate, [K, M, n].
    """

    log_modes: FloatArray
    logits: FloatArray

    def log_likelihoods(self, steps: LoggedSteps) -> FloatArray:
        """Log-probability of each step's slate and mode by state, [T, K, M]."""
        number, modes, items = self.logits.shape
        flat = self.logits.reshape(number * modes, items)
        scores = steps.shown @ flat.T + log_expit(-flat).sum(axis=1)
        return np.asarray(scores).reshape(-1, number, modes) + self.log_modes

    def joined(self, by_mode: FloatArray) -> FloatArray:
        """Log-probability of each step's slate by state, whatever the mode, [T, K], from :meth:`log_likelihoods`."""
        joined: FloatArray = by_mode[:, :, 0] if by_mode.shape[2] == 1 else np.logaddexp.reduce(by_mode, axis=2)
        return joined


@dataclass(frozen=True, eq=False)
class LatentTables:
    """The tables of K states and n items.

    Attributes:
        start: distribution of a session's first state, [K].
        appeal: weights and successes, [K, n].
        moves: transitions by state and clicked item.
        shows: how slates are shown by state; None where slates are no sign of the state.
        leaving: weight of leaving beside those of the items shown, [K]; None for users who click at every step.
    """

    start: FloatArray
    appeal: AppealTables
    moves: Moves
    shows: ShowTables | None
    leaving: FloatArray | None = None

    def totals(self, steps: LoggedSteps) -> FloatArray:
        """Sums of the weights of what users could do at each step, by state, [T, K]."""
        totals = np.asarray(steps.shown @ self.appeal.weights.T)
        return totals if self.leaving is None else totals + self.leaving


class LatentUserModel:
    """A fitted latent-state user model.

    Args:
        config: what it is.
        parameters: by name, as the posterior has them.
        num_items: n.
        catalogue: names of the items; None for items without names.
    """

    def __init__(
        self, config: LatentUserConfig, parameters: Parameters, num_items: int, catalogue: Catalogue | None = None
    ) -> None:
        self.config = config
        self.parameters = parameters
        self.num_items = num_items
        self.catalogue = Catalogue(num_items) if catalogue is None else catalogue
        self.tables = LatentPrior(config, num_items).tables(parameters)

    def log_likelihood(self, sessions: Sessions | LoggedSteps, *, slates: SlateReading = "given") -> FloatArray:
        """Exact log-probability of what was seen at each step, given all before, [T].

        Args:
            sessions: what to score.
            slates: ``"given"``: they tell nothing, and clicks and successes are scored. ``"signs"``: the same, but
                slates tell the state, this step's too, by what the model knows of its logger. ``"scored"``: the
                slates are scored as well.
        """
        self.catalogue.check_agrees(sessions.catalogue, "the user model", "the sessions")
        steps = sessions
        if not isinstance(steps, LoggedSteps):
            steps = LoggedSteps.of(steps, leaving=self.config.leaving)
        tables = self.tables
        evidence = step_evidence(steps, tables, shows=slates != "given")
        predicted, log_likelihood = filter_states(steps, tables.start, tables.moves, evidence)
        if slates == "signs" and tables.shows is not None:
            shown = tables.shows.joined(tables.shows.log_likelihoods(steps))
            log_likelihood = log_likelihood - logsumexp(shown, axis=1, b=predicted)
        return log_likelihood

    def world(self) -> LearnedWorld:
        """The users of the model."""
        tables = self.tables
        appeal = tables.appeal
        return LearnedWorld(tables.start, appeal.weights, appeal.successes, tables.moves, leaving=tables.leaving)

    def as_user_model(self, slate_size: int) -> BeliefUserModel:
        """The model as a user model of the suite, which ``UserModel-v0`` plays.

        Raises:
            ValueError: users who may leave in place of a click.
        """
        return BeliefUserModel(self.world(), slate_size, self.catalogue)

    def save(self, path: str | Path) -> None:
        """Write to one safetensors file, atomically."""
        tensors = {name: torch.from_numpy(np.array(value)) for name, value in self.parameters.items()}
        arguments = {"num_items": self.num_items, "config": asdict(self.config)}
        save_weights(path, "latent_user_model", arguments, tensors | catalogue_tensors(self.catalogue))

    @classmethod
    def load(cls, path: str | Path) -> LatentUserModel:
        """Read what :meth:`save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            StorageError: a file that holds something else, or was damaged.
        """
        arguments, tensors = load_weights(path, "latent_user_model", {"num_items": int, "config": dict})
        with described_by(path):
            config = from_json(LatentUserConfig, arguments["config"])
            tensors, catalogue = split_catalogue(tensors, arguments["num_items"])
            check_tensors(path, tensors, outline(LatentPrior(config, arguments["num_items"]).shapes))
            parameters = {name: tensor.numpy() for name, tensor in tensors.items()}
            return cls(config, parameters, arguments["num_items"], catalogue)


class LatentPrior:
    """The parameters of a latent-state user model, their tables, and the posterior that a fit climbs.

    Args:
        config: the model.
        num_items: n.
        anchor: by how much the means of the Gaussian priors are shifted; 0 where a name is left out.
    """

    def __init__(self, config: LatentUserConfig, num_items: int, anchor: Parameters | None = None) -> None:
        self.config = config
        self.num_items = num_items
        self._anchor = anchor or {}
        self.appeal = AppealPrior(config.appeal, config.num_states, num_items)
        states = config.num_states
        self.shapes: dict[str, tuple[int, ...]] = {
            **self.appeal.shapes,
            "start": (states,),
            "source": (states, states),
            "target": (num_items, states),
        }
        if config.leaving:
            self.shapes["leave"] = (states,)
        spreads = {"start": _START_SPREAD, "source": config.move_spread, "target": config.move_spread}
        if config.leaving:
            spreads["leave"] = _LEAVE_SPREAD
        if config.show_modes:
            self.shapes |= {
                "show_mode": (states, config.show_modes),
                "show_mean": (),
                "show_item": (num_items,),
                "show_deviation": (states, config.show_modes, num_items),
            }
            spreads |= {"show_mode": 1.0, "show_mean": 10.0, "show_item": _SHOWN_SPREAD}
            spreads["show_deviation"] = config.show_spread
        self._spreads = spreads

    def tables(self, parameters: Parameters) -> LatentTables:
        """The tables of parameters."""
        moves = Moves.of(_scaled_exp(parameters["source"]), _scaled_exp(parameters["target"]))
        shows = None
        if self.config.show_modes:
            logits = parameters["show_mean"] + parameters["show_item"] + parameters["show_deviation"]
            shows = ShowTables(log_softmax(parameters["show_mode"], axis=1), logits)
        leaving = np.exp(parameters["leave"]) if self.config.leaving else None
        return LatentTables(softmax(parameters["start"]), self.appeal.tables(parameters), moves, shows, leaving)

    def drawn_anchor(self, rng: np.random.Generator) -> Parameters:
        """Draw shifts of the means from the prior, of what differs between items and states."""
        spreads = {name: spread for name, spread in (self.appeal.spreads | self._spreads).items() if name in _DIFFER}
        return {name: rng.normal(0, spread, self.shapes[name]) for name, spread in spreads.items()}

    def posterior(
        self, steps: LoggedSteps, parameters: Parameters, session_weights: FloatArray | None = None
    ) -> tuple[float, Parameters]:
        """Log-posterior of parameters but for a constant, and its gradient by Fisher's identity.

        Args:
            steps: the log.
            parameters: where.
            session_weights: how much each session counts, [S]; 1 when left out.
        """
        tables = self.tables(parameters)
        totals = tables.totals(steps)
        evidence = _click_evidence(steps, tables, totals)
        if tables.shows is not None:
            by_mode = tables.shows.log_likelihoods(steps)
            shown = tables.shows.joined(by_mode)
            evidence += shown
        found = smooth_states(steps, tables.start, tables.moves, evidence, session_weights)
        weights = np.ones(steps.num_sessions) if session_weights is None else session_weights
        states = found.states if session_weights is None else found.states * weights[steps.session][:, None]
        gradient = self._gradient(steps, parameters, tables, found, states, totals)
        if tables.shows is not None:
            gradient |= _show_gradient(steps, tables.shows, np.exp(by_mode - shown[:, :, None]), states)
        density, pull = self.log_density(parameters)
        return float(weights @ found.log_likelihood) + density, {name: gradient[name] + pull[name] for name in gradient}

    def log_density(self, parameters: Parameters) -> tuple[float, Parameters]:
        """Log-density of the prior but for a constant, and its gradient."""
        parameters = {name: value - self._anchor.get(name, 0.0) for name, value in parameters.items()}
        appeal, by_appeal = self.appeal.log_density(parameters)
        other, by_other = gaussian_log_density(parameters, self._spreads, {})
        return appeal + other, {**by_appeal, **by_other}

    def _gradient(
        self,
        steps: LoggedSteps,
        parameters: Parameters,
        tables: LatentTables,
        found: StatePosterior,
        states: FloatArray,
        totals: FloatArray,
    ) -> Parameters:
        """Gradient of the likelihood but for slates; states are their posterior times the weight of the session."""
        clicks = np.asarray(steps.clicked @ states).T
        successes = np.asarray(steps.clicked @ (states * steps.successes[:, None])).T
        expected = tables.appeal.weights * (steps.shown.T @ (states / totals)).T
        by_success = successes - clicks * tables.appeal.successes
        gradient = self.appeal.gradient(parameters, tables.appeal, clicks - expected, by_success)
        if tables.leaving is not None:
            gradient["leave"] = states[steps.left].sum(axis=0) - tables.leaving * (states / totals).sum(axis=0)
        first = states[steps.rounds[0]].sum(axis=0)
        gradient["start"] = first - first.sum() * tables.start
        moves = tables.moves
        leaving = found.moved_from / moves.totals
        gradient["source"] = found.moved - moves.source * (leaving.T @ moves.target)
        gradient["target"] = found.moved_to - (leaving @ moves.source) * moves.target
        return gradient


def step_evidence(steps: LoggedSteps, tables: LatentTables, *, shows: bool) -> FloatArray:
    """Log-likelihood of what was seen at each step, given the state, [T, K]."""
    evidence = _click_evidence(steps, tables, tables.totals(steps))
    if shows and tables.shows is not None:
        evidence += tables.shows.joined(tables.shows.log_likelihoods(steps))
    return evidence


def _click_evidence(steps: LoggedSteps, tables: LatentTables, totals: FloatArray) -> FloatArray:
    """Log-likelihood of clicks and successes by state, [T, K], where totals are the slates' sums of weights, [T, K]."""
    log_weights, logits = tables.appeal.log_weights, tables.appeal.success_logits
    # Of each click that failed, then of each that succeeded, then of leaving.
    parts = [(log_weights + log_expit(-logits)).T, (log_weights + log_expit(logits)).T]
    places = steps.clicks + steps.num_items * (steps.successes > 0)
    if tables.leaving is not None:
        parts.append(np.log(tables.leaving)[None])
        places = np.where(steps.left, 2 * steps.num_items, places)
    evidence: FloatArray = np.concatenate(parts)[places]
    evidence -= np.log(totals)
    return evidence


def _show_gradient(steps: LoggedSteps, shows: ShowTables, by_mode: FloatArray, states: FloatArray) -> Parameters:
    """Gradient of what slates tell.

    Args:
        steps: the log.
        shows: the tables.
        by_mode: probability of each mode given the state and the slate, [T, K, M].
        states: posterior of the states times the weight of the session, [T, K].
    """
    number, modes, items = shows.logits.shape
    joint = (by_mode * states[:, :, None]).reshape(-1, number * modes)
    counts = joint.sum(axis=0).reshape(number, modes)
    shown = np.asarray(steps.shown.T @ joint).T.reshape(number, modes, items)
    by_logit = shown - counts[:, :, None] * expit(shows.logits)
    return {
        "show_mode": counts - counts.sum(axis=1, keepdims=True) * np.exp(shows.log_modes),
        "show_deviation": by_logit,
        "show_item": by_logit.sum(axis=(0, 1)),
        "show_mean": np.asarray(by_logit.sum()),
    }


def _scaled_exp(logits: FloatArray) -> FloatArray:
    """Exponentials, row by row up to a factor, which transitions do not see."""
    scaled: FloatArray = np.exp(logits - logits.max(axis=1, keepdims=True))
    return scaled
