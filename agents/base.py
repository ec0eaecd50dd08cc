"""Agent: the interface of everything that learns from sessions, predicts slates and scores logged ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.agents.slate_probabilities import DEPLOYMENTS, Deployment, replayed_slates
from irecgan_gym.ope.policies import EvaluationPolicy, PlaceTable, PointMassPolicy
from irecgan_gym.recorder import ProgressRecorder, Recorder, Recorders, silent
from irecgan_gym.sessions import Catalogue, Sessions
from irecgan_gym.sessions.dataset import SessionLog, in_memory
from irecgan_gym.sessions.digest import digest_of_log
from irecgan_gym.slate_requests import Exclude, SlateChoice, SlateRequest
from irecgan_gym.storage.checkpoints import Checkpoints, stored_schedule
from irecgan_gym.storage.schedule import Schedule

AgentT = TypeVar("AgentT", bound="Agent")
Array = NDArray[Any]
State = tuple[Array, ...]


class Agent(ABC):
    """A recommendation agent with Stable-Baselines3's methods, so that ``evaluate_policy`` takes it.

    An agent of your own overrides :meth:`_sampled_policy`, which says how probable its slates are, and
    :meth:`_top_policy` where the slates it shows depend on more than the clicks before.

    Args:
        num_items: size of the catalogue, n.
        slate_size: items to show at a time, k.

    Attributes:
        catalogue: the items that the agent knows; it learns their names, where they have some, from the first sessions,
            and then refuses sessions over other items.
        streams: whether it learns from sessions on disk part by part.
    """

    streams: ClassVar[bool] = False

    def __init__(self, num_items: int, slate_size: int) -> None:
        if not 1 <= slate_size <= num_items:
            raise ValueError(f"slate_size must be from 1 to num_items={num_items}, got {slate_size}")
        self.num_items = num_items
        self.slate_size = slate_size
        self.catalogue = Catalogue(num_items)
        # Gives the steps of training; another one while checkpoints are kept.
        self._schedule: Schedule = Schedule()

    def learn(
        self: AgentT,
        sessions: SessionLog,
        validation: SessionLog | None = None,
        *,
        recorder: Recorder = silent,
        progress_bar: bool = False,
        resume: Checkpoints | str | Path | None = None,
    ) -> AgentT:
        """Learn from logged sessions.

        With ``resume``, training keeps checkpoints, and the same call for the same agent goes on where it was stopped,
        at any moment and by whatever: on one machine's CPU with what an unbroken training gives, to the bit. SIGINT and
        SIGTERM then end training after the epoch or round that it is at, with a checkpoint.

        Args:
            sessions: logged sessions to learn from, in memory or on disk
                (:class:`~irecgan_gym.sessions.dataset.SessionDataset`). Agents that do not learn part by part
                (:attr:`streams`) load those on disk into memory.
            validation: held-out sessions, by which epochs may be chosen; a part of ``sessions`` when None. Agents that
                learn in rounds, PGC, PGU, ACU, IRecGAN and LSTMD, load them into memory.
            recorder: receives the numbers of training, e.g. one of :mod:`irecgan_gym.recorder`.
            progress_bar: whether to show the progress of training in the terminal, on standard error.
            resume: folder of this training's checkpoints, made where it is missing, or the
                :class:`~irecgan_gym.storage.checkpoints.Checkpoints` that say how often they are taken; None keeps
                none.

        Returns:
            The agent itself.

        Raises:
            ValueError: sessions over another catalogue, or too few to hold some out.
            CheckpointError: a folder that holds something else, or the checkpoints of another training: of other
                settings, other sessions or another start.
            OSError: no checkpoints can be written there; before anything is learned.
            TrainingStopped: a signal has ended training; a kind of :class:`KeyboardInterrupt`.
        """
        catalogue = self._checked_catalogue(sessions, validation)
        if not self.streams:
            sessions, validation = in_memory(sessions), None if validation is None else in_memory(validation)
        # Those on disk reach only agents that take both.
        log, held_out = cast(Sessions, sessions), cast("Sessions | None", validation)
        with ExitStack() as stack:
            if progress_bar:
                recorder = Recorders(recorder, stack.enter_context(closing(ProgressRecorder())))
            if resume is not None:
                training, size = self._training(log, held_out), self._size()
                stored = stored_schedule(Checkpoints.of(resume), training, recorder, size)
                self._schedule = stack.enter_context(stored)
                recorder = self._schedule.recorder
            try:
                self._learn(log, held_out, recorder)
            finally:
                self._schedule = Schedule()
        self.catalogue = catalogue
        return self

    def _training(self, sessions: Sessions, validation: Sessions | None) -> dict[str, Any]:
        """Return all that the outcome of training depends on, JSON-compatible: what checkpoints are known by."""
        parts = {"sessions": sessions, "validation": validation}
        return {
            "agent": type(self).__name__,
            "num_items": self.num_items,
            "slate_size": self.slate_size,
            **{name: None if part is None else digest_of_log(part) for name, part in parts.items()},
        }

    def _size(self) -> int:
        """Return the bytes of what is trained, from which the room for checkpoints is reckoned."""
        return 0

    @abstractmethod
    def _learn(self, sessions: Sessions, validation: Sessions | None, recorder: Recorder) -> None:
        """Learn from sessions over the agent's own catalogue, as :meth:`learn` describes."""

    def predict(
        self,
        observation: Array | int,
        state: State | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
        *,
        k: int | None = None,
        exclude: Exclude | None = None,
    ) -> tuple[NDArray[np.int64], State | None]:
        """Choose slates, as ``BaseAlgorithm.predict`` of Stable-Baselines3 chooses actions.

        Args:
            observation: last click of each session, integers [B] (``num_items`` for none yet), or one number.
            state: second result of the previous call; None at the start.
            episode_start: True where a new session begins, so that its state is reset; bool [B].
            deterministic: True shows the top k items, False a slate sampled without replacement.
            k: items to show, up to the whole catalogue; ``slate_size`` when None.
            exclude: items that must not be shown, such as those seen or out of stock: a collection of ids, or bool
                [n], for each session (for a single number one of them).

        Returns:
            Slates int64 [B, k] ([k] for a single number), and the state for the next call.

        Raises:
            ValueError: observations that are no integers, of another shape, or out of range; a ``k`` or ``exclude``
                that cannot be, or that this policy cannot heed.
        """
        if k is None and exclude is None:
            last, starts = _observed(observation, episode_start)
            slates, state = self._choose(last, state, starts, deterministic)
            return slates[0] if np.ndim(observation) == 0 else slates, state
        choice = self.recommend(observation, state, episode_start, deterministic, k=k, exclude=exclude)
        return choice.slates, choice.state

    def recommend(
        self,
        observation: Array | int,
        state: State | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
        *,
        k: int | None = None,
        exclude: Exclude | None = None,
    ) -> SlateChoice:
        """Choose slates and say how probable they were: :meth:`predict` for those who keep a log.

        See :meth:`predict` for the arguments.

        Returns:
            The slates, their log-probabilities, and the state for the next call.

        Raises:
            ValueError: see :meth:`predict`.
        """
        last, starts = _observed(observation, episode_start)
        single = np.ndim(observation) == 0
        request = SlateRequest.checked(
            k,
            exclude,
            number=None if single else len(last),
            num_items=self.num_items,
            slate_size=self.slate_size,
        )
        choice = self._recommend(last, state, starts, deterministic, request)
        return SlateChoice(choice.slates[0], choice.log_probabilities[0], choice.state) if single else choice

    def _recommend(
        self,
        observed: Array,
        state: State | None,
        starts: NDArray[np.bool_],
        deterministic: bool,
        request: SlateRequest,
    ) -> SlateChoice:
        """Choose slates as they are asked for; agents that can heed a request override it."""
        if request.size != self.slate_size or request.excluded is not None:
            raise ValueError(
                f"{type(self).__name__} chooses whole slates of {self.slate_size} items: it takes neither another k "
                "nor exclude"
            )
        slates, state = self._choose(observed, state, starts, deterministic)
        return SlateChoice(slates, np.full(slates.shape, np.nan), state)

    @abstractmethod
    def _choose(
        self, observed: Array, state: State | None, starts: NDArray[np.bool_], deterministic: bool
    ) -> tuple[NDArray[np.int64], State | None]:
        """Choose slates [B, k] for observations [B], as :meth:`predict` does for all kinds of them."""

    @abstractmethod
    def set_random_seed(self, seed: int) -> None:
        """Seed the slates that are sampled from now on."""

    @abstractmethod
    def slate_scores(self, sessions: Sessions) -> NDArray[np.float32]:
        """Return the log-probability of each logged slate's items, given the clicks before; float32 [L].

        Sorting a slate by these scores re-ranks it; adding Gumbel noise first samples a ranking.
        """

    @abstractmethod
    def save(self, path: str | Path) -> None:
        """Write the agent to one file, atomically."""

    @classmethod
    @abstractmethod
    def load(cls: type[AgentT], path: str | Path, *, device: str = "auto") -> AgentT:
        """Read an agent from a file written by :meth:`save`."""

    def evaluation_policy(
        self, deployment: Deployment = "sampled", *, epsilon: float = 0.0, places: bool = True
    ) -> EvaluationPolicy:
        """The agent in one of its deployments, as :mod:`irecgan_gym.ope` takes policies.

        Args:
            deployment: ``"sampled"``: slates drawn as ``predict`` draws them, with exact probabilities. ``"top-k"``:
                the slates of ``predict(deterministic=True)``, a point mass.
            epsilon: with ``"top-k"``, the probability of a uniformly random slate instead, from 0 to 1.
            places: whether probabilities of single places are worked out with those of whole slates; with ``"sampled"``
                they take n k^2 times longer than the rest.

        Raises:
            ValueError: an unknown deployment, or an epsilon that cannot be.
            NotImplementedError: sampled slates of an agent that does not say how it draws them.
        """
        if deployment not in DEPLOYMENTS:
            raise ValueError(f"deployment must be 'sampled' or 'top-k', got {deployment!r}")
        if deployment == "top-k":
            return self._top_policy(epsilon)
        if epsilon:
            raise ValueError("epsilon softens the deployment 'top-k'; sampled slates need none")
        return self._sampled_policy(places)

    def slate_log_probability(
        self, sessions: Sessions, deployment: Deployment = "sampled", *, epsilon: float = 0.0
    ) -> NDArray[np.float64]:
        """Log-probability with which the agent shows each logged slate, in its order, given what came before; [T].

        Args:
            sessions: over the agent's own catalogue, with slates of its size.
            deployment: see :meth:`evaluation_policy`.
            epsilon: see there.

        Returns:
            float64 [T]; -inf for slates that it never shows.
        """
        return self.evaluation_policy(deployment, epsilon=epsilon, places=False).propensities(sessions).slates

    def slot_probabilities(
        self, sessions: Sessions, deployment: Deployment = "sampled", *, epsilon: float = 0.0
    ) -> PlaceTable:
        """Probability with which the agent puts each item at each place, at each logged step.

        Args:
            sessions: see :meth:`slate_log_probability`.
            deployment: see :meth:`evaluation_policy`.
            epsilon: see there.
        """
        return self.evaluation_policy(deployment, epsilon=epsilon).place_table(sessions)

    def _sampled_policy(self, places: bool) -> EvaluationPolicy:
        raise NotImplementedError(
            f"{type(self).__name__} does not say with which probabilities it draws slates: take deployment='top-k', or "
            "give it a method _sampled_policy"
        )

    def _top_policy(self, epsilon: float) -> EvaluationPolicy:
        return PointMassPolicy(
            lambda sessions: replayed_slates(self, sessions), self.num_items, self.slate_size, epsilon=epsilon
        )

    def _check_catalogue(self, sessions: SessionLog) -> None:
        self.catalogue.check_agrees(sessions.catalogue, "the policy", "the sessions")

    def _checked_catalogue(self, sessions: SessionLog, validation: SessionLog | None) -> Catalogue:
        """The agent's catalogue, with the names of the sessions where it has none yet."""
        self._check_catalogue(sessions)
        catalogue = self.catalogue.joined(sessions.catalogue)
        if validation is not None:
            catalogue.check_agrees(validation.catalogue, "the policy", "the validation sessions")
        return catalogue


def _observed(observation: Array | int, episode_start: NDArray[np.bool_] | None) -> tuple[Array, NDArray[np.bool_]]:
    """Last clicks and starts of sessions, [B] each."""
    observed = np.asarray(observation)
    if not np.issubdtype(observed.dtype, np.integer) or observed.ndim > 1:
        raise ValueError(
            f"observation must be the last clicks, integers of shape [B], got {observed.dtype} {observed.shape}"
        )
    last = observed.reshape(-1)
    starts = np.zeros(len(last), bool) if episode_start is None else np.asarray(episode_start, bool).reshape(-1)
    return last, starts
