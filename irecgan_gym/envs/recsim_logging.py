"""Logged sessions of RecSim's users under a logging policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irecgan_gym._version import __version__
from irecgan_gym.envs.recsim_law import RecSimLaw
from irecgan_gym.logging_policies import LoggingPolicy
from irecgan_gym.sessions import Sessions


def collect_sessions(
    law: RecSimLaw,
    policy: LoggingPolicy,
    num_sessions: int,
    *,
    num_items: int,
    seed: int,
    max_session_steps: int | None,
    provenance: Mapping[str, Any],
) -> Sessions:
    """Log whole sessions, all users side by side.

    The step that fails, and so ends its session, is logged too. No session is left out for being short.

    Args:
        law: what users do.
        policy: what is shown to them.
        num_sessions: how many.
        num_items: size of the catalogue.
        seed: of everything that is drawn.
        max_session_steps: length at which sessions are cut (and marked as truncated); None never cuts.
        provenance: what else to write down about the source.

    Raises:
        ValueError: a number below its range.
    """
    if num_sessions < 1:
        raise ValueError(f"num_sessions must be at least 1, got {num_sessions}")
    if max_session_steps is not None and max_session_steps < 1:
        raise ValueError(f"max_session_steps must be at least 1 or None, got {max_session_steps}")
    rng = np.random.default_rng(seed)
    history: list[dict[str, NDArray[Any]]] = []
    sessions = np.arange(num_sessions)
    states = np.zeros(num_sessions, dtype=np.int64)
    while len(sessions) and (max_session_steps is None or len(history) < max_session_steps):
        slates = policy.draw(states, rng)
        outcome = law.step(states, slates, rng.random((len(states), law.UNIFORMS)))
        history.append(
            {
                "session": sessions,
                "state": states,
                "slate": slates,
                "click": outcome.clicks,
                "reward": outcome.successes,
                "propensity": policy.inclusion_probabilities[states, outcome.clicks],
            }
        )
        sessions, states = sessions[outcome.successes], outcome.states[outcome.successes]
    column = {name: np.concatenate([step[name] for step in history]) for name in history[0]}
    order = np.argsort(column["session"], kind="stable")
    lengths = np.bincount(column["session"], minlength=num_sessions)
    truncated = np.zeros(num_sessions, dtype=bool)
    truncated[sessions] = True
    return Sessions.from_columns(
        num_items=num_items,
        lengths=lengths,
        slates=column["slate"][order],
        clicks=column["click"][order],
        rewards=column["reward"][order],
        propensities=column["propensity"][order],
        states=column["state"][order],
        truncated=truncated,
        provenance={
            **provenance,
            "seed": seed,
            "max_session_steps": max_session_steps,
            "irecgan_gym": __version__,
        },
    )
