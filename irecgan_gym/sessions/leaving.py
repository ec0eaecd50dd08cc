"""The step in which a user leaves, which logs of clicks do not hold (c_end of §5)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.sessions.labels import labels_of
from irecgan_gym.sessions.logged_sessions import Sessions
from irecgan_gym.sessions.ragged import gather
from irecgan_gym.sessions.slate_propensities import SlatePropensities


def with_leaving_step(sessions: Sessions) -> Sessions:
    """Add to every session that its user ended a last step in which the user leaves (c_end of §5).

    Logs of clicks do not hold the slate on which the user left. The last slate shown stands in for it: the
    user looks at the same list again and clicks nothing more. Sessions that already end so are kept as they
    are; truncated sessions get no such step. Propensity of the new step is NaN, its reward 0, its
    time and its features are those of the step before, and its labels are unknown. The slate that stands in has the
    probabilities of the one that it is (what the log says of slates then counts as estimated).
    """
    leaves = ~sessions.truncated & (sessions.clicks[sessions.offsets[1:] - 1] != sessions.num_items)
    lengths = sessions.lengths + leaves
    last = (sessions.offsets[1:] - 1)[leaves]
    steps = np.insert(np.arange(sessions.num_steps), last + 1, last)
    added = np.cumsum(lengths)[leaves] - 1
    entries, slate_offsets = gather(sessions.slate_offsets, steps)

    def extended(column: NDArray[Any], value: Any) -> NDArray[Any]:
        """The column with the new steps, which hold the value."""
        result = column[steps]
        result[added] = value
        return result

    longer = replace(
        sessions,
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        slate_offsets=slate_offsets,
        slate_items=sessions.slate_items[entries],
        clicks=extended(sessions.clicks, sessions.num_items),
        rewards=extended(sessions.rewards, 0.0),
        propensities=None if sessions.propensities is None else extended(sessions.propensities, np.nan),
        slate_propensities=_with_stand_ins(sessions.slate_propensities, steps, bool(leaves.any())),
        states=None if sessions.states is None else sessions.states[steps],
        times=None if sessions.times is None else sessions.times[steps],
    )
    if sessions.event_offsets is not None and sessions.event_items is not None:
        event_lengths = extended(np.diff(sessions.event_offsets), 0)
        longer = replace(longer, event_offsets=np.concatenate([[0], np.cumsum(event_lengths)]))
    if sessions.labels:
        is_new = np.isin(np.repeat(np.arange(len(steps)), np.diff(slate_offsets)), added)
        longer = replace(
            longer,
            labels={
                name: np.where(is_new, np.float32(np.nan), values)
                for name, values in labels_of(sessions.labels, entries).items()
            },
        )
    if sessions.features:
        longer = replace(longer, features=sessions.features.taken({"entries": entries, "steps": steps}))
    return longer


def _with_stand_ins(
    propensities: SlatePropensities | None, steps: NDArray[np.int64], some: bool
) -> SlatePropensities | None:
    """Propensities of steps, some of which may be others' stand-ins: nobody has logged how probable those are."""
    if propensities is None:
        return None
    return replace(propensities.of_steps(steps), estimated=propensities.estimated or some)
