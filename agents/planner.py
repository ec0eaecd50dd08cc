"""Agents that learn a model of the user from a log, filter what clicks tell, and plan slates on the model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax

from irecgan_gym.agents.base import Agent, Array, State
from irecgan_gym.models.ascent import searches_kept_by
from irecgan_gym.models.fitting import split_validation
from irecgan_gym.models.stored_catalogue import catalogue_tensors, split_catalogue
from irecgan_gym.ope.plackett_luce import prefix_log_probabilities, sample_slates
from irecgan_gym.ope.policies import ContextScores, EvaluationPolicy, PlackettLucePolicy, PointMassPolicy
from irecgan_gym.planning.hidden_states import Moves
from irecgan_gym.planning.learned_world import ROUNDING, LearnedWorld
from irecgan_gym.planning.logged_steps import LoggedSteps
from irecgan_gym.planning.point_values import KnownStateSlates, PointValues, points_along
from irecgan_gym.planning.slate_sampling import choose_temperature, draw_slates, item_scores
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions, SessionsError
from irecgan_gym.settings import CountFrom0, NotNegative, check_is, check_settings
from irecgan_gym.slate_requests import SlateChoice, SlateRequest
from irecgan_gym.storage.files import from_json
from irecgan_gym.storage.weights import (
    check_dimensions,
    check_tensors,
    described_by,
    load_weights,
    outline,
    save_weights,
)

ConfigT = TypeVar("ConfigT", bound="PlanningConfig")
PlannerT = TypeVar("PlannerT", bound="Planner[Any]")

_BELIEFS_LOOKED_AT = 500
_HELD_OUT = 0.1
"""Share of the sessions that chooses settings where no validation is given."""


@dataclass(frozen=True, kw_only=True)
class PlanningConfig:
    """Settings of planning on a learned user.

    Attributes:
        foresight: factor of the worth of later steps; 0 plans for the next click alone.
        num_points: beliefs that point-based value iteration goes by
            (:class:`irecgan_gym.planning.point_values.PointValues`); 0 plans by QMDP.
        sampling_loss: share of the reward that sampled slates may lose, by the model.
        slates: ``"searched"``: the best slate as a whole; ``"top"``: the items that are worth most if clicked.
    """

    foresight: NotNegative = 1.0
    num_points: CountFrom0 = 0
    sampling_loss: NotNegative = 0.05
    slates: Literal["searched", "top"] = "searched"

    def __post_init__(self) -> None:
        check_settings(self)


class Planner(Agent, Generic[ConfigT]):
    """Acting, scoring and storing for agents that plan on a learned user.

    Top-k deployment shows the slate of the largest expected value under the belief that slates and clicks so far leave.
    Sampled deployment draws slates near it, at a temperature at which, by the model, no more than ``sampling_loss`` of
    the reward is lost.

    Args:
        num_items: size of the catalogue, n.
        slate_size: items to show at a time, k.
        config: settings, of the class's ``config_type``; its defaults when None.
        seed: of fits and of sampled slates.
        device: makes no difference: planners compute on the CPU.
    """

    kind: ClassVar[str]
    config_type: type[ConfigT]

    def __init__(
        self, num_items: int, slate_size: int, config: ConfigT | None = None, *, seed: int = 0, device: str = "auto"
    ) -> None:
        super().__init__(num_items, slate_size)
        self.config = self.config_type() if config is None else config
        check_is(self.config, self.config_type)
        self.seed = seed
        self._rng = np.random.default_rng(seed)
        self.temperature = 1.0
        world = _ignorant_world(num_items)
        self._plan(world, world.start[None])

    @abstractmethod
    def _learn_world(self, training: Sessions, validation: Sessions, recorder: Recorder) -> LearnedWorld:
        """Learn the user to plan for; held-out sessions choose settings."""

    def _learn(self, sessions: Sessions, validation: Sessions | None, recorder: Recorder) -> None:
        for part in (sessions, validation):
            if part is not None and not self._users_leave:
                _check_users(part)
        training, validation = split_validation(sessions, validation, _HELD_OUT, self.seed)
        with searches_kept_by(self._schedule):
            world = self._learn_world(training, validation, recorder)
        held_out = self._steps(world, validation)
        points = points_along(world, held_out, max(self.config.num_points, 1), self._rng)
        self._plan(world, points)
        beliefs = world.beliefs_along(held_out)
        beliefs = beliefs[self._rng.permutation(len(beliefs))[:_BELIEFS_LOOKED_AT]]
        self.temperature = choose_temperature(
            self._chooser.slates_for(beliefs), beliefs, loss=self.config.sampling_loss, rng=self._rng
        )

    def _training(self, sessions: Sessions, validation: Sessions | None) -> dict[str, Any]:
        return super()._training(sessions, validation) | {
            "config": asdict(self.config),
            "seed": self.seed,
            "generator": self._rng.bit_generator.state,
        }

    @property
    def _users_leave(self) -> bool:
        """Return whether the users learned may leave in place of a click, and else go on whatever a click earned."""
        return False

    @staticmethod
    def _steps(world: LearnedWorld, sessions: Sessions) -> LoggedSteps:
        return LoggedSteps.of(sessions, leaving=world.leaving is not None)

    def _plan(self, world: LearnedWorld, points: NDArray[np.float64]) -> None:
        self.world, self.points = world, points
        self._chooser: KnownStateSlates | PointValues
        if self.config.num_points:
            self._chooser = PointValues(world, self.slate_size, points)
        else:
            top = self.config.slates == "top"
            self._chooser = KnownStateSlates(world, self.slate_size, self.config.foresight, top=top)

    def set_random_seed(self, seed: int) -> None:
        """See :meth:`irecgan_gym.agents.base.Agent.set_random_seed`."""
        self._rng = np.random.default_rng(seed)

    def _choose(
        self, observed: Array, state: State | None, starts: NDArray[np.bool_], deterministic: bool
    ) -> tuple[NDArray[np.int64], State | None]:
        """Choose slates; the state is the beliefs [B, m] and the slates shown [B, k]."""
        beliefs = self._beliefs(observed, state, starts)
        chooser = self._chooser.slates_for(beliefs)
        slates = chooser.choose(beliefs)
        if not deterministic:
            scores = item_scores(chooser, beliefs, slates)
            slates = draw_slates(scores, self.temperature, self.slate_size, self._rng)
        return slates, (beliefs, slates)

    def _recommend(
        self,
        observed: Array,
        state: State | None,
        starts: NDArray[np.bool_],
        deterministic: bool,
        request: SlateRequest,
    ) -> SlateChoice:
        """Search among what is allowed; later steps are valued as if all items were allowed in them."""
        beliefs = self._beliefs(observed, state, starts)
        chooser = self._chooser.slates_for(beliefs)
        slates = np.empty((len(beliefs), request.size), dtype=np.int64)
        logs = np.zeros(slates.shape)
        for rows, items in self._allowed(len(beliefs), request):
            part = chooser.among(items, request.size, rows)
            found = part.choose(beliefs[rows])
            if not deterministic:
                logits = item_scores(part, beliefs[rows], found) / self.temperature
                found = sample_slates(logits, request.size, self._rng)
                logs[rows] = prefix_log_probabilities(logits, found)
            slates[rows] = items[found]
        return SlateChoice(slates, logs, (beliefs, slates))

    def _allowed(self, number: int, request: SlateRequest) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Sessions that may be shown the same items, and these items."""
        everything = np.arange(self.num_items)
        if request.excluded is None:
            yield np.arange(number), everything
            return
        alike: dict[bytes, list[int]] = {}
        for session, items in enumerate(request.excluded):
            alike.setdefault(items.tobytes(), []).append(session)
        for sessions in alike.values():
            yield np.array(sessions), np.delete(everything, request.excluded[sessions[0]])

    def _beliefs(self, observed: Array, state: State | None, starts: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Beliefs after the last clicks, [B, m]; the state is the beliefs before [B, m] and the slates shown [B, k]."""
        clicks = observed.astype(np.int64)
        if len(clicks) and not 0 <= int(clicks.min()) <= int(clicks.max()) <= self.num_items:
            raise ValueError(f"observations must be item ids from 0 to {self.num_items}, got {observed}")
        beliefs = self.world.first_beliefs(len(clicks))
        rows = np.flatnonzero((clicks != self.num_items) & ~starts)
        if state is not None and len(rows):
            before, shown = (part[rows] for part in state)
            beliefs[rows] = self.world.update(before, self.world.totals(shown), clicks[rows])
        return beliefs

    def slate_scores(self, sessions: Sessions) -> NDArray[np.float32]:
        """See :meth:`irecgan_gym.agents.base.Agent.slate_scores`; of the softmax from which sampled slates are drawn.

        Raises:
            ValueError: sessions over another catalogue.
        """
        self._check_catalogue(sessions)
        scores = np.empty(len(sessions.slate_items), dtype=np.float32)
        for step, _, logits in self._plans_along(sessions):
            logs = log_softmax(logits, axis=1)
            low, high = sessions.slate_offsets[step], sessions.slate_offsets[min(step + 256, sessions.num_steps)]
            scores[low:high] = logs[sessions.step_of_entry[low:high] - step, sessions.slate_items[low:high]]
        return scores

    def _plans_along(self, sessions: Sessions) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.float64]]]:
        """Of 256 logged steps at a time: the first, the best slates [M, k], and the logits of drawn slates [M, n]."""
        beliefs = self.world.beliefs_along(self._steps(self.world, sessions))
        for step in range(0, sessions.num_steps, 256):
            part = beliefs[step : step + 256]
            chooser = self._chooser.slates_for(part)
            slates = chooser.choose(part)
            yield step, slates, item_scores(chooser, part, slates) / self.temperature

    def _sampled_policy(self, places: bool) -> EvaluationPolicy:
        def logits(sessions: Sessions) -> ContextScores:
            table = np.concatenate([logits for _, _, logits in self._plans_along(sessions)])
            return ContextScores(table, np.arange(len(table)))

        return PlackettLucePolicy(logits, self.num_items, self.slate_size, places=places)

    def _top_policy(self, epsilon: float) -> EvaluationPolicy:
        def slates(sessions: Sessions) -> NDArray[np.int64]:
            return np.concatenate([slates for _, slates, _ in self._plans_along(sessions)])

        return PointMassPolicy(slates, self.num_items, self.slate_size, epsilon=epsilon)

    def save(self, path: str | Path) -> None:
        """Write settings and the learned user to one safetensors file, atomically."""
        world = self.world
        tables = {
            "start": world.start,
            "weights": world.weights,
            "successes": world.successes,
            "source": world.moves.source,
            "target": world.moves.target,
            "points": self.points,
        }
        optional = {"cautious": world.cautious, "leaving": world.leaving}
        tables |= {name: table for name, table in optional.items() if table is not None}
        arguments = {
            "num_items": self.num_items,
            "slate_size": self.slate_size,
            "config": asdict(self.config),
            "seed": self.seed,
            "temperature": self.temperature,
        }
        tensors = {name: torch.from_numpy(np.array(table)) for name, table in tables.items()}
        save_weights(path, self.kind, arguments, tensors | catalogue_tensors(self.catalogue))

    @classmethod
    def load(cls: type[PlannerT], path: str | Path, *, device: str = "auto") -> PlannerT:
        """Read what :meth:`save` wrote; sampled slates start from the agent's seed again.

        Raises:
            FileNotFoundError: there is no such file.
            StorageError: a file that holds something else, or was damaged.
        """
        expected = {"num_items": int, "slate_size": int, "config": dict, "seed": int, "temperature": float}
        arguments, tensors = load_weights(path, cls.kind, expected)
        with described_by(path):
            tensors, catalogue = split_catalogue(tensors, arguments["num_items"])
        axes = {"start": 1, "weights": 2, "successes": 2, "source": 2, "target": 2, "points": 2}
        axes |= {name: number for name, number in {"cautious": 2, "leaving": 1}.items() if name in tensors}
        check_dimensions(path, tensors, axes)
        items, states, points = arguments["num_items"], len(tensors["start"]), len(tensors["points"])
        with described_by(path):
            shapes = {
                "start": (states,),
                "weights": (states, items),
                "successes": (states, items),
                "source": (states, states),
                "target": (items, states),
                "points": (points, states),
                "cautious": (states, items),
                "leaving": (states,),
            }
            check_tensors(path, tensors, outline({name: shapes[name] for name in axes}))
            config = from_json(cls.config_type, arguments["config"])
            agent = cls(items, arguments["slate_size"], config, seed=arguments["seed"])
            tables = {name: tensor.numpy() for name, tensor in tensors.items()}
            moves = Moves.of(tables["source"], tables["target"])
            world = LearnedWorld(
                tables["start"],
                tables["weights"],
                tables["successes"],
                moves,
                tables.get("cautious"),
                tables.get("leaving"),
            ).checked()
            beliefs = tables["points"]
            if beliefs.size and not (beliefs.min() >= 0 and beliefs.max() <= 1 + ROUNDING):
                raise ValueError(f"points must be from 0 to 1, got {beliefs.min():g} to {beliefs.max():g}")
            agent._plan(world, beliefs)
        agent.catalogue = catalogue
        agent.temperature = arguments["temperature"]
        return agent


def _check_users(sessions: Sessions) -> None:
    """Refuse logs of users who are not those that planners plan for (§7.1's, whose sessions end with a failure)."""
    goes_on = np.ones(sessions.num_steps, dtype=bool)
    goes_on[sessions.offsets[1:] - 1] = False
    if (goes_on & (sessions.clicks == sessions.num_items)).any():
        return  # Models of choice say themselves that they know no steps without a click.
    failed = np.flatnonzero(goes_on & (sessions.rewards == 0))
    if len(failed):
        raise SessionsError(
            f"rewards[{failed[0]}] is 0 and its session goes on: planners plan for users who leave after the first "
            "click that fails, as those of RecSim-v0; learn from such a log with PG, AC or IRecGAN, or with a "
            "LatentPlanner of a model with leaving=True"
        )


def _ignorant_world(num_items: int) -> LearnedWorld:
    """Users to whom all items are alike: before anything is learned."""
    table = np.full((1, num_items), 0.5)
    return LearnedWorld(np.ones(1), table, table, Moves.of(np.ones((1, 1)), np.ones((num_items, 1))))
