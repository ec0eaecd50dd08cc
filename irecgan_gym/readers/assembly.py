"""Steps gathered in any order, put together as sessions."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.readers.report import NoSessionsError, Place, ReadReport, length_reason
from irecgan_gym.sessions import Catalogue, Sessions
from irecgan_gym.sessions.checks import IntArray, check_offsets
from irecgan_gym.sessions.ragged import gather

_LINE_BITS = 40
"""A place is one number: the file, and in so many bits the line."""


class Numbering:
    """Numbers for names, in the order in which they are first seen.

    Args:
        names: those that are known from the start.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._numbers: defaultdict[str, int] = defaultdict()
        # What is missing gets the next number, without a call of Python's for each name.
        self._numbers.default_factory = self._numbers.__len__
        self.of(names)

    def __call__(self, name: str) -> int:
        """The number of a name."""
        return self._numbers[name]

    def of(self, names: Iterable[str]) -> list[int]:
        """Numbers of names, in their order."""
        return [*map(self._numbers.__getitem__, names)]

    def known(self, names: Iterable[str]) -> list[int]:
        """Numbers of names, -1 for those that have none."""
        return [*map(self._numbers.get, names, repeat(-1))]

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

    def names_from(self, number: int) -> list[str]:
        """The names of a number and all above it."""
        return [*islice(reversed(self._numbers), len(self) - number)][::-1]


class KnownItems:
    """The items that have numbers before a log is read.

    Args:
        catalogue: of them, with names; None where none are known.
        extend: whether other items get numbers behind theirs.

    Attributes:
        closed: whether there are no items but those of the catalogue.

    Raises:
        ValueError: a catalogue without names, or none to extend.
    """

    def __init__(self, catalogue: Catalogue | None, extend: bool) -> None:
        if catalogue is not None and catalogue.names is None:
            raise ValueError(f"items are found in a catalogue by name, and this one has {catalogue}")
        if extend and catalogue is None:
            raise ValueError("extend=True needs a catalogue to extend")
        self._names = () if catalogue is None else catalogue.names or ()
        self.closed = catalogue is not None and not extend
        self._is_known = catalogue is not None

    def has(self, item: int) -> bool:
        """Tell whether an item number is one of the catalogue's."""
        return item < len(self._names)

    def numbering(self) -> Numbering:
        """Numbers of items, the known ones first."""
        return Numbering(self._names)

    def numbers(self, steps: StepColumns, rows: NDArray[np.int64], num_items: int) -> NDArray[np.int64] | None:
        """Numbers of the known items and of the new ones that occur in some steps; None where none is known.

        Args:
            steps: all steps.
            rows: numbers of those wanted.
            num_items: how many items have numbers.
        """
        if not self._is_known:
            return None
        kept = np.arange(num_items) < len(self._names)
        for values, lengths in ((steps.slate, steps.slate_length), (steps.event, steps.event_length)):
            kept[_ragged(values, lengths, rows)[0]] = True
        return np.flatnonzero(kept)


class StepColumns:
    """Logged steps in compact columns, one behind the other.

    Items and sessions are numbers that the reader gives out; the catalogue of the sessions is made of the items that
    are left after filtering.
    """

    def __init__(self) -> None:
        self._files: dict[tuple[str, str], int] = {}
        self.session, self.click = array("i"), array("i")
        self.slate, self.slate_length = array("i"), array("i")
        self.event, self.event_length = array("i"), array("i")
        self.reward, self.propensity, self.time = array("d"), array("d"), array("d")
        self.state, self.line = array("i"), array("q")

    def __len__(self) -> int:
        return len(self.session)

    def add(
        self,
        place: Place,
        session: int,
        slate: Sequence[int],
        click: int,
        reward: float = 0.0,
        events: Sequence[int] = (),
        propensity: float = float("nan"),
        state: int = 0,
        time: float = 0.0,
    ) -> None:
        """One more step; a click of -1 is a user who left without one."""
        self.line.append(self._file_number(place.file, place.unit) << _LINE_BITS | place.number)
        self.session.append(session)
        self.slate.extend(slate)
        self.slate_length.append(len(slate))
        self.click.append(click)
        self.reward.append(reward)
        self.event.extend(events)
        self.event_length.append(len(events))
        self.propensity.append(propensity)
        self.state.append(state)
        self.time.append(time)

    def extend(
        self,
        file: str,
        unit: str,
        lines: NDArray[np.int64],
        *,
        session: IntArray,
        slate: IntArray,
        slate_length: NDArray[np.int64],
        click: IntArray,
        reward: NDArray[np.float64],
        propensity: NDArray[np.float64],
        time: NDArray[np.float64],
        event: NDArray[np.int64] | None = None,
        event_length: NDArray[np.int64] | None = None,
    ) -> None:
        """Many steps, as by :meth:`add`; the slates one behind the other.

        Args:
            file: where all of them stand.
            unit: in which its places are counted.
            lines: place of each, [R].
            session: [R].
            slate: items of all slates.
            slate_length: [R].
            click: [R].
            reward: [R].
            propensity: [R].
            time: [R].
            event: items of the events of all steps; no events when None.
            event_length: number of events of each step, [R].
        """
        zeros = np.zeros(len(lines), dtype=np.int32)
        nothing = np.zeros(0, dtype=np.int32)
        for column, values in (
            (self.line, self.keys(file, unit, lines)),
            (self.session, session),
            (self.slate, slate),
            (self.slate_length, slate_length),
            (self.click, click),
            (self.reward, reward),
            (self.event, nothing if event is None else event),
            (self.event_length, zeros if event_length is None else event_length),
            (self.propensity, propensity),
            (self.state, zeros),
            (self.time, time),
        ):
            column.frombytes(np.ascontiguousarray(values, dtype=column.typecode).data.cast("B"))

    def keys(self, file: str, unit: str, lines: NDArray[np.int64]) -> NDArray[np.int64]:
        """One number for each place in a file, as the column ``line`` has them."""
        return self._file_number(file, unit) << _LINE_BITS | lines

    def _file_number(self, file: str, unit: str) -> int:
        return self._files.setdefault((file, unit), len(self._files))

    def places(self, steps: NDArray[np.int64]) -> Iterator[Place]:
        """Place of these steps in their files."""
        files = list(self._files)
        for step in steps:
            file, unit = files[self.line[step] >> _LINE_BITS]
            yield Place(file, self.line[step] & (1 << _LINE_BITS) - 1, unit)

    def line_numbers(self, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Line or row of these steps in their files."""
        lines: NDArray[np.int64] = np.asarray(self.line)[steps] & (1 << _LINE_BITS) - 1
        return lines

    def num_rows(self, steps: NDArray[np.int64]) -> int:
        """Number of rows that these steps stand in: a row may hold several."""
        lines = np.asarray(self.line)[steps]
        return len(lines) if (np.diff(lines) > 0).all() else len(np.unique(lines))

    def in_order(self, *, by_time: bool = False) -> NDArray[np.int64]:
        """Numbers of all steps, by session, and within it by time or as they were added."""
        session = np.asarray(self.session)
        if by_time:
            return np.lexsort((np.asarray(self.time), session))
        return np.argsort(session, kind="stable")


def keep_lengths(
    steps: StepColumns, order: NDArray[np.int64], minimum: int, maximum: int, unit: str, report: ReadReport
) -> NDArray[np.int64]:
    """The steps of sessions with an allowed number of them; the others are reported.

    Args:
        steps: all steps.
        order: numbers of the steps to look at, in the order of :meth:`StepColumns.in_order`.
        minimum: least steps of a session.
        maximum: most steps of a session.
        unit: what the report calls the steps.
        report: counts the sessions left out, and their steps.

    Returns:
        Those of ``order`` that are kept.
    """
    session = np.asarray(steps.session)[order]
    lengths = np.bincount(session)
    too_short, too_long = (lengths > 0) & (lengths < minimum), lengths > maximum
    for wrong, length in ((too_short, minimum - 1), (too_long, maximum + 1)):
        reason = length_reason(length, minimum, maximum, unit)
        if reason is not None and wrong.any():
            left = order[wrong[session]]
            report.session_left_out(reason, int(wrong.sum()))
            report.left_out(f"of {reason}", steps.num_rows(left), steps.places(np.sort(left)))
    kept: NDArray[np.int64] = order[~(too_short | too_long)[session]]
    return kept


def assemble(
    steps: StepColumns,
    rows: NDArray[np.int64],
    report: ReadReport,
    *,
    item_names: Sequence[str],
    catalogue: NDArray[np.int64] | None = None,
    names_key: Callable[[str], int] | None = None,
    users: Sequence[int] | NDArray[np.int64] | None,
    user_names: Sequence[str] | None = None,
    with_events: bool = False,
    with_propensities: bool = False,
    with_states: bool = False,
    with_times: bool = False,
    provenance: Mapping[str, Any],
    truncated: Iterable[int] | bool = False,
) -> Sessions:
    """Sessions of the kept steps, in order of session number, over the items that occur in them.

    Args:
        steps: all steps.
        rows: numbers of the steps wanted, in the order of :meth:`StepColumns.in_order`.
        report: says what was left out, should nothing be left.
        item_names: name of each item number.
        catalogue: item numbers of the whole catalogue, in its order; the items that occur when None.
        names_key: puts the items that occur in order, by name; their numbers do when None.
        users: user of each session number, or None.
        user_names: name of each user; users without one are -1.
        with_events: whether the events are kept.
        with_propensities: whether the propensities are kept.
        with_states: whether the states are kept.
        with_times: whether the times are kept.
        provenance: where the data come from.
        truncated: numbers of the sessions that were cut, their end not being in the log; or all, or none.

    Raises:
        NoSessionsError: no session is left.
    """
    if len(rows) == 0:
        raise NoSessionsError(report)
    numbers, lengths = np.unique(np.asarray(steps.session)[rows], return_counts=True)
    slates, slate_lengths = _ragged(steps.slate, steps.slate_length, rows)
    events, event_lengths = _ragged(steps.event, steps.event_length, rows)
    clicks = np.asarray(steps.click)[rows]
    if catalogue is None:
        occurs = np.zeros(len(item_names), dtype=bool)
        occurs[slates] = True
        if with_events:
            occurs[events] = True
        catalogue = np.flatnonzero(occurs)
        if names_key is not None:
            catalogue = np.array(sorted(catalogue.tolist(), key=lambda item: names_key(item_names[item])))
    # One entry more, for the click of -1: it becomes the id after the last, which means "no click".
    new_ids = np.full(len(item_names) + 1, len(catalogue), dtype=np.int32)
    new_ids[catalogue] = np.arange(len(catalogue))
    if isinstance(truncated, bool):
        was_cut = np.full(len(numbers), truncated)
    else:
        was_cut = np.isin(numbers, np.fromiter(truncated, dtype=np.int64))
    return Sessions.from_columns(
        num_items=len(catalogue),
        lengths=lengths,
        slates=new_ids[slates],
        slate_lengths=slate_lengths,
        clicks=new_ids[clicks],
        rewards=np.asarray(steps.reward)[rows],
        propensities=np.asarray(steps.propensity)[rows] if with_propensities else None,
        states=np.asarray(steps.state)[rows] if with_states else None,
        truncated=was_cut,
        users=None if users is None else np.asarray(users)[numbers],
        user_names=user_names,
        times=np.asarray(steps.time)[rows] if with_times else None,
        event_lengths=event_lengths if with_events else None,
        event_items=new_ids[events] if with_events else None,
        item_names=[item_names[item] for item in catalogue],
        provenance=provenance,
    )


def _ragged(values: array[int], lengths: array[int], rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Values of the given ragged rows, and their lengths."""
    if len(rows) == len(lengths) and (np.diff(rows) == 1).all():
        return np.asarray(values), np.asarray(lengths)
    entries, offsets = gather(check_offsets("lengths", lengths, minimum=0), rows)
    return np.asarray(values)[entries], np.diff(offsets)
