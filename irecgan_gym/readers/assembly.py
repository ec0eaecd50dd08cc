"""Steps gathered in any order, put together as sessions."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.column_checks import check_offsets
from irecgan_gym.ragged import gather
from irecgan_gym.readers.report import ReadReport, length_reason
from irecgan_gym.sessions import Sessions, SessionsError


class Numbering:
    """Numbers for names, in the order in which they are first seen."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __call__(self, name: str) -> int:
        """The number of a name."""
        return self._numbers.setdefault(name, len(self._numbers))

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, name: str) -> bool:
        return name in self._numbers

    def get(self, name: str) -> int:
        """The number of a name, -1 if it has none."""
        return self._numbers.get(name, -1)

    @property
    def names(self) -> list[str]:
        """All names, by number."""
        return list(self._numbers)


class StepColumns:
    """Logged steps in compact columns, one behind the other.

    Items and sessions are numbers that the reader gives out; the catalogue of the sessions is made of the items that
    are left after filtering.
    """

    def __init__(self) -> None:
        self.session, self.click = array("q"), array("q")
        self.slate, self.slate_length = array("q"), array("q")
        self.event, self.event_length = array("q"), array("q")
        self.reward, self.propensity = array("d"), array("d")
        self.state = array("q")

    def __len__(self) -> int:
        return len(self.session)

    def add(
        self,
        session: int,
        slate: Sequence[int],
        click: int,
        reward: float = 0.0,
        events: Sequence[int] = (),
        propensity: float = float("nan"),
        state: int = 0,
    ) -> None:
        """One more step; a click of -1 is a user who left without one."""
        self.session.append(session)
        self.slate.extend(slate)
        self.slate_length.append(len(slate))
        self.click.append(click)
        self.reward.append(reward)
        self.event.extend(events)
        self.event_length.append(len(events))
        self.propensity.append(propensity)
        self.state.append(state)


def keep_lengths(
    steps: StepColumns, num_sessions: int, minimum: int, maximum: int, unit: str, report: ReadReport
) -> NDArray[np.bool_]:
    """Which sessions have an allowed number of steps, [num_sessions]; the others and their steps are reported."""
    lengths = np.bincount(np.asarray(steps.session), minlength=num_sessions)
    for length in np.unique(lengths[(lengths > 0) & ((lengths < minimum) | (lengths > maximum))]):
        reason = length_reason(int(length), minimum, maximum, unit)
        assert reason is not None
        number = int((lengths == length).sum())
        report.session_left_out(reason, number)
        report.left_out(f"of {reason}", number * int(length))
    kept: NDArray[np.bool_] = (lengths >= minimum) & (lengths <= maximum)
    return kept


def assemble(
    steps: StepColumns,
    kept: NDArray[np.bool_],
    *,
    item_names: Sequence[str],
    users: Sequence[int] | None,
    with_events: bool = False,
    with_propensities: bool = False,
    with_states: bool = False,
    provenance: Mapping[str, Any],
    truncated: bool = False,
) -> Sessions:
    """Sessions of the steps of the kept sessions, in order of session number, over the items that occur in them.

    Args:
        steps: all steps; those of one session in the order of time.
        kept: which sessions are wanted, by number.
        item_names: name of each item number.
        users: user of each session number, or None.
        with_events: whether the events are kept.
        with_propensities: whether the propensities are kept.
        with_states: whether the states are kept.
        provenance: where the data come from.
        truncated: whether every session was cut, its end not being in the log.

    Raises:
        SessionsError: no session is left.
    """
    session = np.asarray(steps.session)
    rows = np.flatnonzero(kept[session]) if len(session) else np.zeros(0, dtype=np.int64)
    if len(rows) == 0:
        raise SessionsError("no session is left to read: see the report of what was left out")
    rows = rows[np.argsort(session[rows], kind="stable")]
    numbers, lengths = np.unique(session[rows], return_counts=True)
    slates, slate_lengths = _ragged(steps.slate, steps.slate_length, rows)
    events, event_lengths = _ragged(steps.event, steps.event_length, rows)
    clicks = np.asarray(steps.click)[rows]
    items = np.unique(np.concatenate([slates, events]) if with_events else slates)

    def renumbered(column: NDArray[Any]) -> NDArray[np.int64]:
        return np.searchsorted(items, column)

    return Sessions.from_columns(
        num_items=len(items),
        lengths=lengths,
        slates=renumbered(slates),
        slate_lengths=slate_lengths,
        clicks=np.where(clicks < 0, len(items), renumbered(clicks)),
        rewards=np.asarray(steps.reward)[rows],
        propensities=np.asarray(steps.propensity)[rows] if with_propensities else None,
        states=np.asarray(steps.state)[rows] if with_states else None,
        truncated=np.full(len(numbers), truncated),
        users=None if users is None else np.asarray(users)[numbers],
        event_lengths=event_lengths if with_events else None,
        event_items=renumbered(events) if with_events else None,
        item_names=[item_names[item] for item in items],
        provenance=provenance,
    )


def _ragged(values: array[int], lengths: array[int], rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Values of the given ragged rows, and their lengths."""
    entries, offsets = gather(check_offsets("lengths", lengths, minimum=0), rows)
    return np.asarray(values)[entries], np.diff(offsets)
