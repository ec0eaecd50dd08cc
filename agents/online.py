"""Learning while acting: rounds of an online and an offline stage (§7.1, "Online Learning", and Figure 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from irecgan_gym.agents.base import Agent
from irecgan_gym.agents.irecgan import IRecGAN, IRecGANConfig
from irecgan_gym.agents.on_policy import OnPolicyUpdates
from irecgan_gym.agents.pg import PG, PGC
from irecgan_gym.agents.pgu import PGUConfig
from irecgan_gym.agents.policy_agent import PolicyAgent
from irecgan_gym.agents.policy_gradient import PGCConfig
from irecgan_gym.agents.posterior_planner import ONLINE_PLANNERS
from irecgan_gym.agents.presets import make_agent, preset
from irecgan_gym.collection import collect
from irecgan_gym.recorder import Recorder, silent
from irecgan_gym.sessions import Sessions, concatenate
from irecgan_gym.sessions.state import sessions_of_state, state_of_sessions
from irecgan_gym.settings import Count, InnerShare, Positive, check_settings
from irecgan_gym.storage.checkpoints import Checkpoints
from irecgan_gym.storage.schedule import Schedule
from irecgan_gym.storage.states import Things, put_back, state_of


class _Method(NamedTuple):
    """A method of Figure 3: the agent that it trains, and the stages in which the agent learns."""

    agent: str
    learns_online: bool
    learns_offline: bool


_METHODS = {
    "pg-online": _Method("pg", True, False),
    "pg-online&offline": _Method("pgc", True, True),
    "lstm-offline": _Method("lstm", False, True),
    "irecgan": _Method("irecgan", True, True),
}
ONLINE_METHODS = tuple(_METHODS)
"""Methods that Figure 3 compares."""
PLANNING_METHODS = tuple(ONLINE_PLANNERS)
"""Further methods: planners on learned users, with and without posterior sampling."""


@dataclass(frozen=True)
class OnlineConfig:
    """Settings of learning in rounds.

    Attributes:
        agent: settings of the agent; its ``fit``, ``user_model_fit`` and ``rounds`` are those of one offline stage.
        learning_rate: of the policy in the online stage.
        sessions_per_update: fresh sessions that each update of the online stage learns from.
        validation_fraction: share of each round's sessions that the offline stages hold out, by which epochs may be
            chosen. They stay held out for good, while the online stage learns from every session once.
    """

    agent: Any
    learning_rate: Positive = 1e-2
    sessions_per_update: Count = 20
    validation_fraction: InnerShare = 0.1

    def __post_init__(self) -> None:
        check_settings(self)


def online_preset(method: str, name: str) -> OnlineConfig:
    """Settings of a method, from those of its agent (:func:`irecgan_gym.agents.presets.preset`).

    The networks go on from round to round, so an offline stage needs only a few passes over the data: two, and three
    adversarial rounds, with one epoch for each update of the discriminator, which goes on from round to round too. The
    policy of ``pg-online&offline`` has as many updates offline as IRecGAN's.

    Raises:
        ValueError: an unknown method or preset.
    """
    if method in ONLINE_PLANNERS:
        return OnlineConfig(ONLINE_PLANNERS[method][1])
    config = preset(_method(method).agent, name)
    config = replace(config, fit=replace(config.fit, max_epochs=2, patience=1))
    if isinstance(config, PGCConfig):
        config = replace(config, rounds=3, patience=2)
    if isinstance(config, PGUConfig):
        config = replace(config, user_model_fit=replace(config.user_model_fit, max_epochs=5, patience=1))
    if isinstance(config, IRecGANConfig):
        config = replace(
            config, discriminator_fit=replace(config.discriminator_fit, max_epochs=1), pre_training_d_steps=3
        )
    return OnlineConfig(config)


class SessionPool:
    """All sessions so far, each in the training or in the held-out part for good.

    Args:
        validation_fraction: share of the sessions of each addition that is held out, but one session at least.
    """

    def __init__(self, validation_fraction: float) -> None:
        self._fraction = validation_fraction
        self._training: list[Sessions] = []
        self._held_out: list[Sessions] = []

    def add(self, sessions: Sessions, *, seed: int) -> None:
        """Divide more sessions among the parts.

        Raises:
            ValueError: fewer than two sessions.
        """
        if len(sessions) < 2:
            raise ValueError(
                f"a round must have at least 2 sessions, to learn from and to hold out, got {len(sessions)}"
            )
        held_out = min(max(1, round(self._fraction * len(sessions))), len(sessions) - 1)
        order = np.random.default_rng(seed).permutation(len(sessions))
        self._held_out.append(sessions.select(np.sort(order[:held_out])))
        self._training.append(sessions.select(np.sort(order[held_out:])))

    def state_dict(self) -> dict[str, Any]:
        """Return the sessions of both parts."""
        parts = {"training": self._training, "held_out": self._held_out}
        return {name: [state_of_sessions(sessions) for sessions in part] for name, part in parts.items()}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take what :meth:`state_dict` has returned."""
        self._training, self._held_out = (
            [sessions_of_state(columns) for columns in state[name]] for name in ("training", "held_out")
        )

    @property
    def training(self) -> Sessions:
        """Sessions to learn from."""
        return concatenate(self._training)

    @property
    def held_out(self) -> Sessions:
        """Sessions that are never learned from offline."""
        return concatenate(self._held_out)


class OnlineLearner:
    """An agent and how it learns in rounds.

    With neither updates nor a pool, it is a fixed policy, for comparison.

    Args:
        agent: acts, by slates sampled from its policy.
        sessions_per_update: sessions played between two updates of the online stage.
        online: the updates; None for an agent that does not learn while it acts.
        pool: what the offline stage learns from; None for an agent without that stage, whose sessions are forgotten.
    """

    def __init__(
        self,
        agent: Agent,
        sessions_per_update: int,
        online: OnPolicyUpdates | None = None,
        pool: SessionPool | None = None,
    ) -> None:
        self.agent = agent
        self._sessions_per_update = sessions_per_update
        self._online = online
        self._pool = pool

    def online_stage(
        self,
        env: str,
        num_sessions: int,
        *,
        seed: int,
        env_kwargs: Mapping[str, Any] | None = None,
        recorder: Recorder = silent,
        round_number: int = 0,
    ) -> Sessions:
        """Act for a number of sessions in the true environment, learning on the way.

        Args:
            env: id of a registered env.
            num_sessions: S.
            seed: of the users and of the sampled slates.
            env_kwargs: arguments of the env.
            recorder: receives the mean loss of the updates.
            round_number: for the recorder.

        Returns:
            The sessions played, those before the first update first.
        """
        sizes = [self._sessions_per_update] * (num_sessions // self._sessions_per_update)
        if num_sessions % self._sessions_per_update:
            sizes.append(num_sessions % self._sessions_per_update)
        played, losses = [], []
        for size, batch_seed in zip(sizes, np.random.SeedSequence(seed).generate_state(len(sizes)), strict=True):
            sessions = collect(self.agent, env, size, seed=int(batch_seed), env_kwargs=env_kwargs)
            played.append(sessions)
            if self._online is not None:
                losses.append(self._online.update(sessions))
        if losses:
            recorder.record({"online/policy_loss": float(np.mean(losses))}, round_number)
        return concatenate(played)

    def offline_stage(
        self,
        sessions: Sessions,
        *,
        seed: int,
        recorder: Recorder = silent,
        resume: Checkpoints | None = None,
    ) -> None:
        """Learn from all sessions so far, going on from the present networks; nothing without this stage.

        Args:
            sessions: of the last online stage.
            seed: of the held-out part.
            recorder: receives what the agent's ``learn`` reports.
            resume: where the agent's ``learn`` keeps checkpoints; None keeps none.
        """
        if self._pool is not None:
            self._pool.add(sessions, seed=seed)
            self.agent.learn(self._pool.training, self._pool.held_out, recorder=recorder, resume=resume)

    def state_dict(self) -> dict[str, Any]:
        """Return all that rounds change; the agent must be one that acts by networks.

        Raises:
            TypeError: another agent.
        """
        return {"things": state_of(self._things()), "agent": self._networked().learned()}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take what :meth:`state_dict` has returned."""
        put_back(self._things(), state["things"])
        self._networked().take_over(state["agent"])

    def _things(self) -> Things:
        parts = {"online": self._online, "pool": self._pool}
        return {name: part for name, part in parts.items() if part is not None}

    def _networked(self) -> PolicyAgent[Any]:
        if not isinstance(self.agent, PolicyAgent):
            raise TypeError(f"rounds of a {type(self.agent).__name__} keep no checkpoints: it has no networks")
        return self.agent


class OnlineRound(NamedTuple):
    """A round when both of its stages are over.

    Attributes:
        number: from 1.
        sessions: played in the online stage.
    """

    number: int
    sessions: Sessions


def learn_in_rounds(
    learner: OnlineLearner,
    env: str,
    *,
    rounds: int,
    sessions_per_round: int,
    seed: int,
    env_kwargs: Mapping[str, Any] | None = None,
    recorder: Recorder = silent,
    schedule: Schedule = Schedule(),  # noqa: B008 (has no state)
) -> Iterator[OnlineRound]:
    """Go through rounds of an online and an offline stage, and yield each round when it is over.

    Args:
        learner: learns in place.
        env: id of a registered env.
        rounds: how many.
        sessions_per_round: sessions of each online stage.
        seed: of the users, of the sampled slates and of the held-out parts; methods share their users by sharing it.
        env_kwargs: arguments of the env.
        recorder: receives the last number of each kind that a round reports, with the round as its step.
        schedule: gives the rounds. Rounds that are over when it opens are yielded once more, with their sessions.
    """
    streams = np.random.SeedSequence(seed).spawn(rounds)
    played, seen = _Played(), 0
    for number in schedule.steps("rounds", rounds + 1, {"learner": learner, "played": played}, first=1):
        while seen < number - 1:
            yield (earlier := played.rounds[seen])
            seen = earlier.number
        online_seed, offline_seed = (int(word) for word in streams[number - 1].generate_state(2))
        last = _LastValues()
        sessions = learner.online_stage(
            env, sessions_per_round, seed=online_seed, env_kwargs=env_kwargs, recorder=last, round_number=number
        )
        inner = schedule.inner(f"round-{number:04}")
        learner.offline_stage(sessions, seed=offline_seed, recorder=last, resume=inner)
        if last.values:
            recorder.record(last.values, number)
        played.rounds.append(OnlineRound(number, sessions))
        seen = number
        yield played.rounds[-1]
    yield from played.rounds[seen:]


class _Played:
    """Rounds that are over."""

    def __init__(self) -> None:
        self.rounds: list[OnlineRound] = []

    def state_dict(self) -> dict[str, Any]:
        return {"sessions": [state_of_sessions(one.sessions) for one in self.rounds]}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        found = (sessions_of_state(columns) for columns in state["sessions"])
        self.rounds = [OnlineRound(number, sessions) for number, sessions in enumerate(found, start=1)]


class _LastValues:
    """Keeps the last value of every name: what an agent reports in each round starts at step 0 again."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def record(self, values: Mapping[str, float], step: int) -> None:
        self.values |= values


def make_learner(
    method: str, *, num_items: int, slate_size: int, config: OnlineConfig, seed: int, device: str = "auto"
) -> OnlineLearner:
    """A method of Figure 3, or a planner, from scratch.

    Args:
        method: one of :data:`ONLINE_METHODS` or :data:`PLANNING_METHODS`.
        num_items: size of the catalogue, n.
        slate_size: items to show at a time, k.
        config: e.g. from :func:`online_preset`.
        seed: of the agent's parameters and training.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``...

    Raises:
        ValueError: an unknown method.
    """
    if method in ONLINE_PLANNERS:
        planner = ONLINE_PLANNERS[method][0](num_items, slate_size, config.agent, seed=seed)
        return OnlineLearner(planner, config.sessions_per_update, pool=SessionPool(config.validation_fraction))
    kind, learns_online, learns_offline = _method(method)
    agent = make_agent(kind, num_items=num_items, slate_size=slate_size, config=config.agent, seed=seed, device=device)
    online = None
    if learns_online:
        assert isinstance(agent, (PG, PGC, IRecGAN))
        fit = replace(agent.config.fit, learning_rate=config.learning_rate)
        online = OnPolicyUpdates(agent.policy, fit, gamma=agent.config.gamma, lambda_r=agent.config.lambda_r)
    pool = SessionPool(config.validation_fraction) if learns_offline else None
    return OnlineLearner(agent, config.sessions_per_update, online, pool)


def _method(name: str) -> _Method:
    if name not in _METHODS:
        raise ValueError(f"method must be one of {(*ONLINE_METHODS, *PLANNING_METHODS)}, got {name!r}")
    return _METHODS[name]
