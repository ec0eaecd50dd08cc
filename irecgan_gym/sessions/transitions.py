"""Sessions as flat arrays of transitions, the form in which libraries of offline reinforcement learning take data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.sessions.checks import SessionsError
from irecgan_gym.sessions.logged_sessions import Sessions


class Transitions(NamedTuple):
    """T steps, one behind the other; the names are the arguments of d3rlpy's ``MDPDataset``.

    Attributes:
        observations: the click before each step, ``num_items`` at the start of a session; int64 [T, 1].
        actions: the slates, int64 [T, k].
        rewards: float32 [T].
        terminals: 1 at the last step of a session that its user ended; float32 [T].
        timeouts: 1 at the last step of a session that was cut; float32 [T].
    """

    observations: NDArray[np.int64]
    actions: NDArray[np.int64]
    rewards: NDArray[np.float32]
    terminals: NDArray[np.float32]
    timeouts: NDArray[np.float32]


def flat_transitions(sessions: Sessions) -> Transitions:
    """Return sessions as arrays: ``d3rlpy.dataset.MDPDataset(**flat_transitions(sessions)._asdict())``.

    Args:
        sessions: with slates of one size.

    Raises:
        SessionsError: no step, or slates of several sizes.
    """
    sizes = np.unique(sessions.slate_lengths)
    if len(sizes) != 1:
        raise SessionsError(f"actions need slates of one size, got sizes {sizes.tolist()}")
    last = sessions.offsets[1:] - 1
    ends = np.zeros((2, sessions.num_steps), dtype=np.float32)
    ends[sessions.truncated.astype(np.int64), last] = 1
    return Transitions(
        observations=sessions.previous_clicks.astype(np.int64)[:, None],
        actions=sessions.slate_items.astype(np.int64).reshape(-1, int(sizes[0])),
        rewards=np.array(sessions.rewards),
        terminals=ends[0],
        timeouts=ends[1],
    )
