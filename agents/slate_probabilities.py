"""Slates that an agent shows in logged sessions, and the deployments whose probabilities it can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.sessions import Sessions

if TYPE_CHECKING:
    from irecgan_gym.agents.base import Agent

Deployment = Literal["sampled", "top-k"]
DEPLOYMENTS: tuple[Deployment, ...] = ("sampled", "top-k")


def replayed_slates(agent: Agent, sessions: Sessions) -> NDArray[np.int64]:
    """Slates that an agent shows at each logged step if its users click as logged; int64 [T, k].

    Args:
        agent: its slates and what it remembers depend on the clicks alone.
        sessions: the log.
    """
    slates = np.empty((sessions.num_steps, agent.slate_size), dtype=np.int64)
    observed = sessions.previous_clicks.astype(np.int64)
    rows = np.arange(len(sessions))
    state: tuple[NDArray[Any], ...] | None = None
    starts = np.ones(len(rows), dtype=bool)
    for step in range(int(sessions.lengths.max(initial=0))):
        going_on = sessions.lengths[rows] > step
        rows, starts = rows[going_on], starts[going_on]
        state = None if state is None else tuple(part[going_on] for part in state)
        places = sessions.offsets[rows] + step
        slates[places], state = agent.predict(observed[places], state, starts, True)
        starts = np.zeros(len(rows), dtype=bool)
    return slates
