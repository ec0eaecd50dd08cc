"""Events of served sessions, as lines of text that tell whether they are whole."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Ended = Literal["left", "closed", "limit", "expired"]
"""Why a session ended: its user left without a click, or was said to have gone after one; it was cut at the longest
length; or nothing was heard of it for too long."""

FORMAT_VERSION = 2
"""Version 2 has sessions that are carried over; files of version 1 are read as well."""
_CARRIED, _ALL_CARRIED = "carried", "all_carried"
_JSON = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False)
ENDINGS: tuple[str, ...] = ("left", "closed", "limit", "expired")


class LogError(ValueError):
    """A log that cannot be read or written; the message names the file and the line."""


@dataclass(frozen=True)
class Header:
    """First line of every file of a log, and of every start of a server.

    Attributes:
        num_items: size of the catalogue, n.
        policy: digest of the file of the policy.
        sampled: whether slates are drawn, or the best ones shown.
        catalogue: digest of the item names, None without names.
        seed: of the slates drawn from here on.
        time: seconds since 1970.
    """

    num_items: int
    policy: str
    sampled: bool
    catalogue: str | None
    seed: int
    time: float


@dataclass(frozen=True)
class Shown:
    """A slate that was shown.

    Attributes:
        items: ids in the order shown.
        log_probabilities: that a slate begins with its first l items, for l = 1..k; None where the policy cannot say.
        excluded: ids that must not be shown.
    """

    items: tuple[int, ...]
    log_probabilities: tuple[float, ...] | None
    excluded: tuple[int, ...] = ()


@dataclass(frozen=True)
class Event:
    """One answer of the server to one session: what it was told, and what it showed.

    Attributes:
        session: the session's name.
        step: number of the slate that is told about, from 0; -1 where the session starts.
        time: seconds since 1970.
        user: name of the user, where the session starts.
        click: item clicked on slate ``step``; None without a click.
        reward: of that step.
        shown: the next slate; None where the session ended.
        ended: why it ended; None where it goes on.
    """

    session: str
    step: int
    time: float
    user: str | None = None
    click: int | None = None
    reward: float = 0.0
    shown: Shown | None = None
    ended: Ended | None = None


@dataclass(frozen=True)
class Carried:
    """A session as it was when a file began: enough to go on with it without the files before.

    Attributes:
        session: the session's name.
        step: number of its slate; where it has ended, of its last step.
        time: seconds since 1970 when it was last heard of.
        user: name of the user.
        clicks: of an open session, one after the other from its start, ``num_items`` where there was none; the first
            is that of the start.
        shown: slate of an open session.
        click: item clicked before, None without a click.
        ended: why it ended; None where it goes on.
    """

    session: str
    step: int
    time: float
    user: str | None = None
    clicks: tuple[int, ...] = ()
    shown: Shown | None = None
    click: int | None = None
    ended: Ended | None = None


@dataclass(frozen=True)
class AllCarried:
    """Line behind the sessions that a file carries over: it says that they are all there.

    Attributes:
        number: of them.
    """

    number: int


Record = Header | Event | Carried | AllCarried


def encode(record: Record) -> bytes:
    """Return a record as a line: its CRC-32, and the record as JSON."""
    values = {name: value for name, value in vars(record).items() if value is not None}
    if "shown" in values:
        values["shown"] = vars(values["shown"])
    if isinstance(record, Header):
        values["format_version"] = FORMAT_VERSION
    elif isinstance(record, Carried):
        values = {_CARRIED: values}
    elif isinstance(record, AllCarried):
        values = {_ALL_CARRIED: record.number}
    text = _JSON.encode(values).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode(line: bytes, place: str) -> Record:
    """Return the record of a line without its line feed.

    Raises:
        LogError: a line that is not whole, or holds no record; the message begins with the place.
    """
    check, _, text = line.partition(b" ")
    if check != b"%08x" % zlib.crc32(text):
        raise LogError(f"{place}: the line is damaged: its check sum is wrong")
    try:
        values = json.loads(text)
        if "format_version" in values:
            version = values.pop("format_version")
            if version not in range(1, FORMAT_VERSION + 1):
                raise LogError(f"{place}: format version {version!r}, expected 1 to {FORMAT_VERSION}")
            return Header(**{"catalogue": None, **values})
        if _ALL_CARRIED in values:
            return AllCarried(values[_ALL_CARRIED])
        if _CARRIED in values:
            carried = values[_CARRIED]
            shown, clicks = carried.pop("shown", None), tuple(carried.pop("clicks"))
            return Carried(**carried, clicks=clicks, shown=None if shown is None else _shown(shown))
        shown = values.pop("shown", None)
        return Event(**values, shown=None if shown is None else _shown(shown))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        if isinstance(error, LogError):
            raise
        raise LogError(f"{place}: the line holds no event: {error}") from error


def _shown(values: dict[str, Any]) -> Shown:
    logs = values.get("log_probabilities")
    return Shown(tuple(values["items"]), None if logs is None else tuple(logs), tuple(values.get("excluded", ())))


def known(log_probabilities: Iterator[float] | list[float]) -> tuple[float, ...] | None:
    """Return log-probabilities as a log holds them: None where one of them is not known."""
    logs = tuple(map(float, log_probabilities))
    return logs if all(map(math.isfinite, logs)) else None


def read_records(path: Path) -> Iterator[Record]:
    """Records of one file, up to and without a last line that was not finished.

    Raises:
        LogError: a damaged line before the last.
    """
    for record, _ in read_records_with_ends(path):
        yield record


def read_records_with_ends(path: Path) -> Iterator[tuple[Record, int]]:
    """Records of one file, each with the place in the file where its line ends.

    Writing may have stopped in the middle of the last lines: whatever follows the last whole line is left out if no
    whole line comes after it. A damaged line in front of whole ones is an error.

    Raises:
        LogError: see above.
    """
    end, waiting = 0, None
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            place = f"{path.name}, line {number}"
            try:
                if not line.endswith(b"\n"):
                    raise LogError(f"{place}: the line is not finished")
                record = decode(line[:-1], place)
            except LogError as error:
                waiting = waiting or error
                end += len(line)
                continue
            if waiting is not None:
                raise waiting
            end += len(line)
            yield record, end
