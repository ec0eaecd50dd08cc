"""Lists of a log as policies choose them: one step a list, and where asked as many places in all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from irecgan_gym.sessions.checks import IntArray, SessionsError
from irecgan_gym.sessions.features import Scope
from irecgan_gym.sessions.logged_sessions import Sessions
from irecgan_gym.sessions.ragged import gather


def one_step_a_list(sessions: Sessions, *, places: int | None = None) -> Sessions:
    """Make one step of all clicks on one list, and cut lists to their first places.

    Readers make as many steps of a list with several clicks. A policy has chosen the list once: here it is one step
    again, with the last of its clicks and the sum of their rewards. Steps are of one list where they follow each other
    in a session with the same slate, at the same time where times are known, all of them with a click.

    Off-policy evaluation compares slates of one size. Where lists are of many, it can tell what a policy is worth that
    chooses their first places: with ``places``, clicks behind them are none, and earn nothing.

    Args:
        sessions: any. Propensities of clicks are left out, and so are other events before the second click on a list;
            features of a step are those of the first click on its list.
        places: of each list that are kept; all when None.

    Raises:
        SessionsError: a list of fewer places, or fewer than 1.
    """
    first = np.flatnonzero(~_goes_on(sessions))
    lengths, items, clicks = sessions.slate_lengths, sessions.slate_items, sessions.clicks
    counts, rewards = clicks != sessions.num_items, sessions.rewards.astype(np.float64)
    entries, slate_offsets = gather(sessions.slate_offsets, first)
    if places is not None:
        short = np.flatnonzero(lengths < places)
        if places < 1 or len(short):
            found = f"step {short[0]} shows {lengths[short[0]]} items" if places >= 1 else "that is no place"
            raise SessionsError(f"lists cannot be cut to their first {places} places: {found}")
        kept = (sessions.slate_offsets[:-1, None] + np.arange(places)).reshape(-1)
        counts = (items[kept].reshape(-1, places) == clicks[:, None]).any(axis=1)
        rewards[~counts] = 0
        entries, slate_offsets = kept.reshape(-1, places)[first].reshape(-1), np.arange(len(first) + 1) * places
    # The last click of each list that counts.
    steps = np.arange(sessions.num_steps)
    last = np.maximum.reduceat(np.where(counts, steps, -1), first) if len(first) else first
    lists = replace(
        sessions,
        offsets=np.append(0, np.cumsum(np.bincount(sessions.session_of_step[first], minlength=len(sessions)))),
        slate_offsets=slate_offsets,
        slate_items=items[entries],
        clicks=np.where(last >= 0, clicks[last], sessions.num_items).astype(np.int32),
        rewards=(np.add.reduceat(rewards, first) if len(first) else rewards).astype(np.float32),
        propensities=None,
        slate_propensities=None
        if places is not None or sessions.slate_propensities is None
        else (sessions.slate_propensities.of_steps(first)),
        states=None if sessions.states is None else sessions.states[first],
        times=None if sessions.times is None else sessions.times[first],
    )
    rows: dict[Scope, IntArray] = {"entries": entries, "steps": first}
    if sessions.event_offsets is not None and sessions.event_items is not None:
        rows["events"], event_offsets = gather(sessions.event_offsets, first)
        lists = replace(lists, event_offsets=event_offsets, event_items=sessions.event_items[rows["events"]])
    return replace(lists, features=sessions.features.taken(rows)) if sessions.features else lists


def _goes_on(sessions: Sessions) -> np.ndarray:
    """Steps that are further clicks on the list of the step before, bool [T]."""
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
