"""Logged sessions of RecSim's users under a logging policy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.envs.recsim_law import DRAWS_PER_STEP, UserLaw
from irecgan_gym.logging_policies import LoggingPolicy
from irecgan_gym.mdp import START_STATE
from irecgan_gym.sessions import Sessions


def collect_sessions(
    law: UserLaw,
    policy: LoggingPolicy,
    num_sessions: int,
    rng: np.random.Generator,
    *,
    max_session_steps: int | None,
    provenance: dict[str, Any],
) -> Sessions:
    """Play sessions side by side and log every step, the failing one (reward 0) included.

    Args:
        law: how users answer.
        policy: chooses the slates, seeing the true state.
        num_sessions: S.
        rng: the source of all randomness.
        max_session_steps: sessions that have not ended after so many steps are cut (``truncated``); None cuts none.
        provenance: kept with the sessions.
    """
    running = np.arange(num_sessions)
    states = np.full(num_sessions, START_STATE, dtype=np.int64)
    truncated = np.zeros(num_sessions, dtype=bool)
    steps: list[tuple[NDArray[Any], ...]] = []
    while len(running):
        if max_session_steps is not None and len(steps) >= max_session_steps:
            truncated[running] = True
            break
        slates = policy.draw(states, rng)
        response = law.respond(states, slates, rng.random((len(running), DRAWS_PER_STEP)))
        steps.append((running, states, slates, response.clicks, response.successes))
        running = running[response.successes]
        states = response.states[response.successes]

    session, state, slate, click, success = (np.concatenate(column) for column in zip(*steps, strict=True))
    order = np.argsort(session, kind="stable")
    return Sessions.from_columns(
        num_items=policy.num_items,
        lengths=np.bincount(session, minlength=num_sessions),
        slates=slate[order],
        clicks=click[order],
        rewards=success[order],
        truncated=truncated,
        propensities=policy.inclusion_probabilities[state, click][order],
        states=state[order],
        provenance=provenance,
    )
