"""Lists of a log as policies choose them: one step a list, and where asked as many places in all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from irecgan_gym.sessions.checks import IntArray, SessionsError
from irecgan_gym.sessions.features import Scope
from irecgan_gym.sessions.further_clicks import further_clicks, summed_over_lists
from irecgan_gym.sessions.labels import labels_of
from irecgan_gym.sessions.logged_sessions import Sessions
from irecgan_gym.sessions.ragged import gather

CLICK = "click"
"""Label of the clicks on a list."""


def with_clicks_as_label(sessions: Sessions, name: str = CLICK) -> Sessions:
    """Give sessions a label with all clicks on each list: 1 for the items clicked, 0 for the others.

    Readers make a step of each click on a list with several; here every step tells of all of them.

    Args:
        sessions: any.
        name: of the label; one of this name is kept as it is.
    """
    if name in sessions.labels:
        return sessions
    clicked = np.flatnonzero(sessions.slate_items == sessions.clicks[sessions.step_of_entry])
    # An item that was clicked twice counts once.
    found = np.minimum(summed_over_lists(sessions, clicked, np.ones(len(clicked))), 1)
    return sessions.with_labels({name: found})


def one_step_a_list(sessions: Sessions, *, places: int | None = None) -> Sessions:
    """Make one step of all clicks on one list, and cut lists to their first places.

    Readers make as many steps of a list with several clicks. A policy has chosen the list once: here it is one step
    again, with the last of its clicks and the sum of their rewards; its label ``click`` has all of them. Which steps
    are of one list: :func:`~irecgan_gym.sessions.further_clicks.further_clicks`.

    Off-policy evaluation compares slates of one size. Where lists are of many, it can tell what a policy is worth that
    chooses their first places: with ``places``, clicks behind them are none, and earn nothing.

    Args:
        sessions: any. Propensities of clicks are left out, and so are other events before the second click on a list;
            features and labels of a step are those of the first click on its list.
        places: of each list that are kept; all when None.

    Raises:
        SessionsError: a list of fewer places, or fewer than 1.
    """
    first = np.flatnonzero(~further_clicks(sessions))
    sessions = with_clicks_as_label(sessions)
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
    lists = replace(lists, labels=labels_of(sessions.labels, entries))
    rows: dict[Scope, IntArray] = {"entries": entries, "steps": first}
    if sessions.event_offsets is not None and sessions.event_items is not None:
        rows["events"], event_offsets = gather(sessions.event_offsets, first)
        lists = replace(lists, event_offsets=event_offsets, event_items=sessions.event_items[rows["events"]])
    return replace(lists, features=sessions.features.taken(rows)) if sessions.features else lists
