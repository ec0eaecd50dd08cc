"""Steps that are several clicks on one list, as readers make of a list with several."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from irecgan_gym.sessions.checks import IntArray
from irecgan_gym.sessions.columns import SessionColumns
from irecgan_gym.sessions.ragged import gather


def further_clicks(sessions: SessionColumns) -> NDArray[np.bool_]:
    """Return which steps are further clicks on the list of the step before, bool [T].

    Steps are of one list where they follow each other in a session with the same slate, at the same time where times
    are known, all of them with a click.
    """
    lengths, offsets = sessions.slate_lengths, sessions.slate_offsets
    goes_on = np.zeros(sessions.num_steps, dtype=bool)
    goes_on[1:] = (lengths[1:] == lengths[:-1]) & (sessions.clicks[:-1] != sessions.num_items)
    goes_on[1:] &= sessions.clicks[1:] != sessions.num_items
    if sessions.times is not None:
        goes_on[1:] &= sessions.times[1:] == sessions.times[:-1]
    goes_on[sessions.offsets[:-1]] = False
    later: IntArray = np.flatnonzero(goes_on)
    if len(later):
        entries, bounds = gather(offsets, later)
        before, _ = gather(offsets, later - 1)
        differs = np.add.reduceat(sessions.slate_items[entries] != sessions.slate_items[before], bounds[:-1]) > 0
        goes_on[later[differs]] = False
    return goes_on


def summed_over_lists(sessions: SessionColumns, entries: IntArray, values: ArrayLike) -> NDArray[np.float32]:
    """Return the sum of values that belong to some entries, the same at all steps of one list; 0 at others; [L].

    Args:
        sessions: with the lists.
        entries: number of the entry of each value.
        values: what belongs to it.
    """
    step = sessions.step_of_entry
    first = np.maximum.accumulate(np.where(further_clicks(sessions), 0, np.arange(sessions.num_steps)))
    # Of each entry, the one at its place in the list's first step.
    own = np.arange(len(step)) - sessions.slate_offsets[step] + sessions.slate_offsets[first[step]]
    return np.bincount(own[entries], weights=values, minlength=len(step)).astype(np.float32)[own]
