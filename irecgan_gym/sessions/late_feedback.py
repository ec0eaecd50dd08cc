"""Feedback that arrives later, such as purchases and dwell times: joined to the clicks that it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from irecgan_gym.sessions.checks import SessionsError, check_column, check_numbers
from irecgan_gym.sessions.further_clicks import summed_over_lists
from irecgan_gym.sessions.logged_sessions import Sessions


class LateFeedback(NamedTuple):
    """Feedback by the step whose click it belongs to.

    Attributes:
        values: sum of what belongs to each step, 0 where nothing does; float32 [T].
        steps: the step of each row of the feedback, -1 for a row that belongs to none; int64 [R].
        entries: sum of what belongs to each entry of the lists shown, the same at all steps of a list with several
            clicks: a label, 0 where nothing does; float32 [L].
    """

    values: NDArray[np.float32]
    steps: NDArray[np.int64]
    entries: NDArray[np.float32]

    @property
    def joined(self) -> int:
        """Number of rows that belong to a step."""
        return int((self.steps >= 0).sum())


def join_late_feedback(
    sessions: Sessions,
    *,
    users: Sequence[str],
    items: Sequence[str],
    times: ArrayLike,
    values: ArrayLike | None = None,
    within: float = np.inf,
) -> LateFeedback:
    """Find the click that each row of later feedback belongs to: the user's last one on the item before it.

    ``sessions.with_rewards(found.values)`` makes rewards of them, and
    ``sessions.with_labels({"paid": found.entries})`` a label.

    Args:
        sessions: with times, and users and items by name.
        users: who, of each row; [R].
        items: on what; [R].
        times: when, in the unit of the sessions' times; [R].
        values: what it is worth, such as a price or seconds; 1 for each row when None; [R].
        within: most time between a click and its feedback.

    Raises:
        SessionsError: sessions without times or names, or columns of several lengths.
    """
    if sessions.times is None or sessions.user_names is None or sessions.item_names is None or sessions.users is None:
        raise SessionsError("late feedback is joined by user, item and time: the sessions lack times or names")
    number = len(users)
    moments = check_column("times", times, number).astype(np.float64)
    if len(items) != number:
        raise SessionsError(f"items has {len(items)} entries for {number} users")
    worth = check_numbers("values", np.ones(number) if values is None else values, number)
    user_numbers = {name: place for place, name in enumerate(sessions.user_names)}
    user = np.array([user_numbers.get(name, -1) for name in users], dtype=np.int64)
    item = sessions.catalogue.positions(items)
    clicked = np.flatnonzero((sessions.clicks < sessions.num_items) & (sessions.users[sessions.session_of_step] >= 0))
    of_click = sessions.users[sessions.session_of_step[clicked]] * sessions.num_items + sessions.clicks[clicked]
    of_row = np.where((user >= 0) & (item >= 0), user * sessions.num_items + item, -1)
    # Clicks and feedback of a user and an item in the order of time, clicks first where both are at one moment.
    key = np.concatenate([of_click, of_row])
    time = np.concatenate([sessions.times[clicked], moments])
    is_row = np.arange(len(key)) >= len(clicked)
    order = np.lexsort((is_row, time, key))
    place = np.where(is_row[order], -1, np.arange(len(order)))
    latest = np.maximum.accumulate(place) if len(place) else place
    steps = np.full(number, -1, dtype=np.int64)
    rows = np.flatnonzero(is_row[order])
    before = latest[rows]
    fits = before >= 0
    source, row = order[before[fits]], order[rows[fits]]
    fits_too = (key[source] == key[row]) & (time[row] - time[source] <= within)
    steps[row[fits_too] - len(clicked)] = clicked[source[fits_too]]
    found = steps >= 0
    sums = np.bincount(steps[found], weights=worth[found], minlength=sessions.num_steps)
    entry = np.full(sessions.num_steps, -1)
    is_click = np.flatnonzero(sessions.slate_items == sessions.clicks[sessions.step_of_entry])
    entry[sessions.step_of_entry[is_click]] = is_click
    entries = summed_over_lists(sessions, entry[steps[found]], worth[found])
    return LateFeedback(sums.astype(np.float32), steps, entries)
