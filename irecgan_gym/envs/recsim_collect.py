"""Logged sessions of RecSim's users under a logging policy."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.envs.recsim_dynamics import DRAWS_PER_STEP, UserDynamics
from irecgan_gym.logging_policies import LoggingPolicy
from irecgan_gym.mdp import START_STATE
from irecgan_gym.sessions import Sessions

_SIDE_BY_SIDE = 16_384
"""Sessions that are played together: enough to hide the cost of a call, few enough to stay in a processor's cache."""


def collect_sessions(
    dynamics: UserDynamics,
    policy: LoggingPolicy,
    num_sessions: int,
    rng: np.random.Generator,
    *,
    max_session_steps: int | None,
    provenance: dict[str, Any],
) -> Sessions:
    """Play sessions side by side and log every step, the failing one (reward 0) included.

    Args:
        dynamics: how users answer.
        policy: chooses the slates, seeing the true state.
        num_sessions: S.
        rng: the source of all randomness; every group of sessions that are played together has a child of its own.
        max_session_steps: sessions that have not ended after so many steps are cut (``truncated``); None cuts none.
        provenance: kept with the sessions.
    """
    columns = _Columns.empty(policy.slate_size)
    sizes = [min(_SIDE_BY_SIDE, num_sessions - first) for first in range(0, num_sessions, _SIDE_BY_SIDE)]
    lengths, truncated = zip(
        *(
            _play(dynamics, policy, size, child, max_session_steps, columns)
            for size, child in zip(sizes, rng.spawn(len(sizes)), strict=True)
        ),
        strict=True,
    )
    offsets = np.zeros(num_sessions + 1, dtype=np.int64)
    np.cumsum(np.concatenate(lengths), out=offsets[1:])
    # Checking millions of steps, right by construction, would take longer than playing them.
    return Sessions(
        num_items=policy.num_items,
        offsets=offsets,
        slate_offsets=np.arange(offsets[-1] + 1, dtype=np.int64) * policy.slate_size,
        slate_items=columns.slates.reshape(-1),
        clicks=columns.clicks,
        rewards=columns.rewards,
        truncated=np.concatenate(truncated),
        propensities=columns.propensities,
        states=columns.states,
        provenance=provenance,
    )


class _Columns(NamedTuple):
    """Columns of :class:`Sessions` that grow, [T] each but for slates [T, k]."""

    slates: NDArray[np.int32]
    clicks: NDArray[np.int32]
    rewards: NDArray[np.float32]
    propensities: NDArray[np.float32]
    states: NDArray[np.int32]

    @classmethod
    def empty(cls, slate_size: int) -> _Columns:
        """Columns without steps."""
        return cls(
            np.empty((0, slate_size), np.int32),
            np.empty(0, np.int32),
            np.empty(0, np.float32),
            np.empty(0, np.float32),
            np.empty(0, np.int32),
        )

    def grow(self, num_steps: int) -> int:
        """Make room for so many more steps, in place: large arrays are moved without being copied.

        Returns:
            The number of the first of them.
        """
        present = len(self.clicks)
        for column in self:
            # Nothing else refers to the columns before they are complete.
            column.resize((present + num_steps, *column.shape[1:]), refcheck=False)
        return present


def _play(
    dynamics: UserDynamics,
    policy: LoggingPolicy,
    num_sessions: int,
    rng: np.random.Generator,
    max_session_steps: int | None,
    columns: _Columns,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Play some sessions, each user's next step in turn, and add them to the columns.

    Returns:
        Lengths of the sessions, and whether they were cut; [S].
    """
    running = np.arange(num_sessions)
    states = np.full(num_sessions, START_STATE, dtype=np.int64)
    truncated = np.zeros(num_sessions, dtype=np.bool_)
    lengths = np.zeros(num_sessions, dtype=np.int64)
    steps: list[tuple[NDArray[Any], ...]] = []
    while len(running):
        if max_session_steps is not None and len(steps) >= max_session_steps:
            truncated[running] = True
            break
        slates = policy.draw(states, rng)
        response = dynamics.respond(states, slates, rng.random((len(running), DRAWS_PER_STEP)))
        steps.append((running, states, slates, response.clicks, response.successes))
        lengths[running] += 1
        running = running[response.successes]
        states = response.states[response.successes]

    # Steps are at hand by their number; sessions are kept one after the other.
    first = columns.grow(int(lengths.sum())) + np.cumsum(lengths) - lengths
    for number, (running, states, slates, clicks, successes) in enumerate(steps):
        places = first[running] + number
        columns.slates[places] = slates
        columns.clicks[places] = clicks
        columns.rewards[places] = successes
        columns.propensities[places] = policy.inclusion_probabilities[states, clicks]
        columns.states[places] = states
    return lengths, truncated
