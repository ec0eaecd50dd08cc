"""Worlds, logs and true values for the benchmark of off-policy evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.envs.recsim_collect import collect_sessions
from irecgan_gym.envs.recsim_dynamics import DRAWS_PER_STEP, UserDynamics
from irecgan_gym.logging_policies import LoggingPolicy
from irecgan_gym.mdp import START_STATE, RecommendationMDP, draw_mdp
from irecgan_gym.ope.known_logger import KnownLogger, logging_pools
from irecgan_gym.ope.plackett_luce import sample_slates
from irecgan_gym.ope.policies import PlackettLucePolicy, last_click_scores
from irecgan_gym.planning.pool_mixture import PoolMixture
from irecgan_gym.sessions import Sessions

FloatArray = NDArray[np.float64]
MAX_STEPS = 40
"""Sessions are cut after so many steps, in logs as for the truth."""
_SIDE_BY_SIDE = 20_000


@dataclass(frozen=True)
class World:
    """An MDP and its slates.

    Attributes:
        name: for tables.
        mdp: the tables.
        slate_size: k.
    """

    name: str
    mdp: RecommendationMDP
    slate_size: int


WorldName = Literal["small", "small-observable", "paper", "paper-observable"]


def make_world(name: WorldName, mdp_seed: int) -> World:
    """5 states, 10 items and slates of 3, or as in the paper 10, 50 and 10; ``-observable``: each has one state."""
    transitions = "item" if name.endswith("-observable") else "softmax"
    num_states, num_items, slate_size = (5, 10, 3) if name.startswith("small") else (10, 50, 10)
    return World(name, draw_mdp(num_states, num_items, mdp_seed, transitions), slate_size)


@dataclass(frozen=True, eq=False)
class Target:
    """A policy to be judged: slates drawn from a softmax of scores by the click before.

    Attributes:
        name: for tables.
        scores: [n + 1, n].
        policy: the same, for estimators.
    """

    name: str
    scores: FloatArray
    policy: PlackettLucePolicy


def make_targets(world: World, strengths: tuple[float, ...], seed: int) -> list[Target]:
    """Policies from near to far of random slates: scores are r(s_0, a) and a number of each click's own.

    Args:
        world: where they act.
        strengths: factor of the scores, whose spread is about 1.
        seed: of the numbers.
    """
    rng = np.random.default_rng(seed)
    num_items = world.mdp.num_items
    known = world.mdp.rewards.mean(axis=0)
    known = (known - known.mean()) / known.std()
    scores = (known + rng.normal(size=(num_items + 1, num_items))) / np.sqrt(2)
    return [make_scored_target(world, f"{strength:g}", strength * scores) for strength in strengths]


def make_scored_target(world: World, name: str, scores: FloatArray) -> Target:
    """Policy that draws slates from a softmax of scores [n + 1, n] by the click before."""
    return Target(name, scores, PlackettLucePolicy(last_click_scores(scores), world.mdp.num_items, world.slate_size))


def true_value(world: World, target: Target, gamma: float, num_sessions: int, seed: int) -> tuple[float, float]:
    """Mean discounted reward of sessions under the policy itself, and its standard error."""
    rng = np.random.default_rng(seed)
    law = UserDynamics(world.mdp)
    earned = np.concatenate(
        [
            _play(world, law, target, gamma, min(_SIDE_BY_SIDE, num_sessions - first), rng)
            for first in range(0, num_sessions, _SIDE_BY_SIDE)
        ]
    )
    return float(earned.mean()), float(earned.std(ddof=1) / np.sqrt(len(earned)))


def _play(
    world: World, law: UserDynamics, target: Target, gamma: float, number: int, rng: np.random.Generator
) -> FloatArray:
    earned = np.zeros(number)
    running, states = np.arange(number), np.full(number, START_STATE, dtype=np.int64)
    clicks = np.full(number, world.mdp.num_items, dtype=np.int64)
    for step in range(MAX_STEPS):
        slates = sample_slates(target.scores[clicks], world.slate_size, rng)
        response = law.respond(states, slates, rng.random((len(running), DRAWS_PER_STEP)))
        earned[running] += gamma**step * response.successes
        running, states = running[response.successes], response.states[response.successes]
        clicks = response.clicks[response.successes]
        if not len(running):
            break
    return earned


class ExploringPolicy(LoggingPolicy):
    """A logging policy of the suite that shows random slates now and then.

    Args:
        mdp: the world in which it acts.
        mixture: its slates, with states as contexts.
    """

    def __init__(self, mdp: RecommendationMDP, mixture: PoolMixture) -> None:
        self._mixture = mixture
        self.num_items = mixture.num_items
        self.slate_size = mixture.slate_size
        self.inclusion_probabilities = mixture.place_probabilities().sum(axis=1)
        self._logger = KnownLogger(mixture, mdp, given="state")

    @property
    def mixture(self) -> PoolMixture:
        """See :attr:`irecgan_gym.logging_policies.LoggingPolicy.mixture`."""
        return self._mixture

    def draw(self, states: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """See :meth:`irecgan_gym.logging_policies.LoggingPolicy.draw`."""
        return self.mixture.sample(states, rng)

    def click_probabilities(self) -> FloatArray:
        """See :meth:`irecgan_gym.logging_policies.LoggingPolicy.click_probabilities`."""
        return self._logger.click_probabilities()

    def _inclusion_by_rank(self) -> FloatArray:
        raise NotImplementedError("inclusion probabilities are those of the mixture")


def collect(world: World, logger: str, epsilon: float, num_sessions: int, seed: int) -> tuple[Sessions, PoolMixture]:
    """A log and what made it.

    Args:
        world: where.
        logger: ``"random"``, ``"max"`` or ``"mix"``.
        epsilon: share of random slates in it.
        num_sessions: S.
        seed: of everything in it.
    """
    mixture = logging_pools(logger, world.mdp, world.slate_size, epsilon=epsilon)
    sessions = collect_sessions(
        UserDynamics(world.mdp),
        ExploringPolicy(world.mdp, mixture),
        num_sessions,
        np.random.default_rng(seed),
        max_session_steps=MAX_STEPS,
        provenance={"source": "a benchmark of off-policy evaluation"},
    )
    return sessions, mixture
