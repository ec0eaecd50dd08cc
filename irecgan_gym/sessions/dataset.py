"""Sessions on disk: a folder of Parquet parts, each of whole sessions, that is read a part at a time."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from irecgan_gym.sessions import feature_columns
from irecgan_gym.sessions.catalogue import Catalogue
from irecgan_gym.sessions.checks import IntArray, SessionsError
from irecgan_gym.sessions.features import SCOPES, SessionFeatures
from irecgan_gym.sessions.joining import concatenate
from irecgan_gym.sessions.logged_sessions import Sessions
from irecgan_gym.sessions.parquet import checked_provenance
from irecgan_gym.sessions.splitting import SplitBy, part_of_sessions
from irecgan_gym.sessions.statistics import SessionStatistics, Tally
from irecgan_gym.storage.files import write_atomically

FORMAT_VERSION = 2
"""Version 2 tells of features; a data set without any is written as version 1."""
SESSIONS_A_PART = 16_384
_HEADER = "_sessions.json"
_USER_NAMES = "_users.parquet"
"""Names that begin with an underscore are no data to pyarrow, Spark and others."""


@dataclass(frozen=True)
class DatasetPart:
    """One file of a data set.

    Attributes:
        file: its name in the folder.
        sessions: how many it holds.
        steps: of all of them.
        slate_size: the most items that one of its slates shows.
    """

    file: str
    sessions: int
    steps: int
    slate_size: int


@dataclass(frozen=True, eq=False)
class SessionDataset:
    """Sessions on disk, and which of them are meant; what is asked of them reads one part after the other.

    Memory holds one part at a time, the names of the items, and a few bytes a session where a split or a selection
    says which ones are meant. Make one by :meth:`write`, and open it by :meth:`open`.

    Attributes:
        folder: that holds the parts.
        catalogue: the items.
        provenance: of the first sessions that were written.
        parts: the files, in the order of the sessions.
        chosen: numbers of the sessions meant within each part, rising; None for all of a part.
        num_steps: steps of the sessions meant.
        features: those of the items, and of all else the kinds and categories, without values.
    """

    folder: Path
    catalogue: Catalogue
    provenance: dict[str, Any]
    parts: tuple[DatasetPart, ...]
    chosen: tuple[NDArray[np.int32] | None, ...]
    num_steps: int
    features: SessionFeatures = field(default_factory=SessionFeatures)

    @classmethod
    def write(
        cls, folder: str | Path, sessions: Sessions | Iterable[Sessions], *, sessions_a_part: int = SESSIONS_A_PART
    ) -> SessionDataset:
        """Write sessions as a data set, and open it.

        Logs that do not fit into memory come as several: a generator that reads them file by file, say. Items and users
        of the same name are the same, as in :func:`~irecgan_gym.sessions.joining.concatenate`; new ones get the next
        numbers, and so do new categories of features.

        Args:
            folder: new or empty; written to as the sessions come, and a data set once all are there.
            sessions: all of them, or one log after the other, with the same columns and features.
            sessions_a_part: the most in one file; training holds a few files at a time.

        Raises:
            FileExistsError: the folder holds something.
            ValueError: no sessions at all, or logs that do not go together.
        """
        path = Path(folder)
        if sessions_a_part < 1:
            raise ValueError(f"sessions_a_part must be at least 1, got {sessions_a_part}")
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise FileExistsError(f"{path} is there already, and is no empty folder")
        path.mkdir(parents=True, exist_ok=True)
        writer = _Writer(path, sessions_a_part)
        for log in [sessions] if isinstance(sessions, Sessions) else sessions:
            writer.add(log)
        writer.finish()
        return cls.open(path)

    @classmethod
    def open(cls, folder: str | Path) -> SessionDataset:
        """Open what :meth:`write` wrote; the parts are checked when they are read.

        Raises:
            FileNotFoundError: there is no such folder, or a part of it is missing.
            SessionsError: the folder holds no sessions, those of a later format, or its header was damaged.
        """
        path = Path(folder)
        if not path.is_dir():
            raise FileNotFoundError(f"no such folder: {path}")
        header = _read_header(path)
        parts = tuple(DatasetPart(**part) for part in header["parts"])
        for part in parts:
            if not (path / part.file).is_file():
                raise FileNotFoundError(f"{path} lacks its part {part.file}")
        names = header["item_names"]
        catalogue = Catalogue(header["num_items"]) if names is None else Catalogue.of(names)
        about = header.get(feature_columns.KEY)
        features = SessionFeatures() if about is None else feature_columns.features_told(about)
        catalogue = replace(catalogue, features=features.items)
        steps = sum(part.steps for part in parts)
        return cls(path, catalogue, header["provenance"], parts, (None,) * len(parts), steps, features)

    def __len__(self) -> int:
        """Number of sessions."""
        return int(self.part_sizes.sum())

    def __repr__(self) -> str:
        counts = f"{len(self)} sessions, {self.num_steps} steps, {self.num_items} items"
        return f"SessionDataset({str(self.folder)!r}: {counts})"

    @property
    def num_items(self) -> int:
        """Size of the catalogue, n."""
        return self.catalogue.num_items

    @property
    def slate_size(self) -> int:
        """The most items shown in one slate of the parts, k."""
        return max((part.slate_size for part in self.parts), default=0)

    @property
    def part_sizes(self) -> IntArray:
        """Number of the sessions meant in each part, int64 [P]."""
        pairs = zip(self.parts, self.chosen, strict=True)
        return np.array([part.sessions if rows is None else len(rows) for part, rows in pairs], dtype=np.int64)

    def part(self, number: int) -> Sessions:
        """The sessions meant of one part, in memory.

        Users go by their numbers: :meth:`user_names` has the names. Somebody without a name has a number below 0 that
        nobody else has.

        Raises:
            SessionsError: the file was damaged, or is another than that which was written.
        """
        about, rows = self.parts[number], self.chosen[number]
        sessions = Sessions.load(self.folder / about.file)
        if (len(sessions), sessions.num_steps) != (about.sessions, about.steps) or sessions.num_items > self.num_items:
            raise SessionsError(
                f"{self.folder / about.file} has {len(sessions)} sessions of {sessions.num_steps} steps, the header of "
                f"the data set says {about.sessions} of {about.steps}"
            )
        if sessions.num_items < self.num_items:
            # Written before later items were known: "no click" is the number behind the last item.
            clicks = np.where(sessions.clicks == sessions.num_items, self.num_items, sessions.clicks)
            sessions = replace(sessions, num_items=self.num_items, clicks=clicks.astype(np.int32))
        found = replace(sessions.features, items=self.features.items)
        if found.labels() != self.features.labels():
            raise SessionsError(
                f"{self.folder / about.file} has other features than the data set: "
                f"{_only_one_has(found.labels(), self.features.labels())}"
            )
        features = replace(_coded_as(self.features, found), items=self.features.items)
        sessions = replace(sessions, item_names=self.catalogue.names, provenance=self.provenance, features=features)
        return sessions if rows is None else sessions.select(rows)

    def __iter__(self) -> Iterator[Sessions]:
        """The sessions meant, part by part."""
        return (self.part(number) for number in range(len(self.parts)) if self.part_sizes[number])

    def first_part(self) -> Sessions:
        """The sessions meant of the first part that has some: enough to look at."""
        found = np.flatnonzero(self.part_sizes)
        return self.part(int(found[0]) if len(found) else 0)

    def load(self) -> Sessions:
        """All sessions meant in memory, with the names of their users."""
        parts = list(self)
        if not parts:
            return self.part(0)
        sessions = concatenate(parts)
        names = self.user_names()
        if names is None or sessions.users is None:
            return sessions
        return replace(sessions, users=np.maximum(sessions.users, -1), user_names=names)

    def user_names(self) -> tuple[str, ...] | None:
        """Names of the users, user u under ``names[u]``; None where they have none."""
        path = self.folder / _USER_NAMES
        return tuple(pq.read_table(path)["user"].to_pylist()) if path.is_file() else None

    def to_arrow_dataset(self) -> Any:
        """All rows of the parts as a ``pyarrow.dataset.Dataset``, for other tools: one row a step, items by number."""
        import pyarrow.dataset as ds  # Not needed to open sessions, and slow to import.

        return ds.dataset([str(self.folder / part.file) for part in self.parts], format="parquet")

    def select(self, index: ArrayLike) -> SessionDataset:
        """Some of the sessions, by a mask of length S or by different numbers; they stay in the order of the parts."""
        array = np.asarray(index)
        if array.dtype == np.bool_:
            if array.shape != (len(self),):
                raise ValueError(f"a mask must have shape ({len(self)},), got {array.shape}")
            wanted = array
        else:
            wanted = np.zeros(len(self), dtype=bool)
            wanted[array.astype(np.int64)] = True
            if wanted.sum() != array.size:
                raise ValueError("numbers of sessions on disk must differ from each other: load() takes any")
        return self._with(wanted, self._lengths())

    def _with(self, wanted: NDArray[np.bool_], lengths: IntArray) -> SessionDataset:
        bounds = np.cumsum(self.part_sizes)[:-1]
        chosen = []
        for part, rows, mask in zip(self.parts, self.chosen, np.split(wanted, bounds), strict=True):
            kept = np.flatnonzero(mask).astype(np.int32) if rows is None else rows[mask]
            chosen.append(None if len(kept) == part.sessions else kept)
        return replace(self, chosen=tuple(chosen), num_steps=int(lengths[wanted].sum()))

    def split(
        self, fractions: Sequence[float], *, seed: int | None = None, by: SplitBy = "session"
    ) -> tuple[SessionDataset, ...]:
        """Cut into parts of the given fractions: the same sessions as ``load().split(...)`` has in each part.

        Nothing is written: each part is this folder, and which of its sessions are meant.

        Args:
            fractions: see :meth:`irecgan_gym.sessions.Sessions.split`.
            seed: see there.
            by: see there.

        Raises:
            ValueError: see there.
        """
        part = part_of_sessions(len(self), fractions, seed, by, self._user_groups, lambda: self._of_sessions("time"))
        lengths = self._lengths()
        return tuple(self._with(part == number, lengths) for number in range(len(fractions)))

    def statistics(self) -> SessionStatistics:
        """Counts and means of all sessions meant."""
        tally = Tally(self.num_items)
        for part in self:
            tally.add(part)
        return tally.statistics()

    def statistics_by_day(self) -> dict[date, SessionStatistics]:
        """Counts and means of the sessions that begin on each day (UTC), for times in seconds since 1970.

        Raises:
            ValueError: sessions without times.
        """
        tallies: dict[int, Tally] = {}
        for part in self:
            if part.times is None:
                raise ValueError("these sessions have no times")
            days = np.floor(part.times[part.offsets[:-1]] / 86_400).astype(np.int64)
            for day in np.unique(days).tolist():
                tallies.setdefault(day, Tally(self.num_items)).add(part.select(np.flatnonzero(days == day)))
        return {date(1970, 1, 1) + timedelta(days=day): tallies[day].statistics() for day in sorted(tallies)}

    def _lengths(self) -> IntArray:
        """Steps of each session meant, [S]."""
        lengths = [ends - starts for _, starts, ends in self._columns(None)]
        return np.concatenate([*lengths, np.zeros(0, dtype=np.int64)])

    def _user_groups(self) -> IntArray | None:
        """The user of each session meant as numbers from 0, [S]; as those of :meth:`load` have them."""
        users = self._of_sessions("user")
        if users is None:
            return None
        if (self.folder / _USER_NAMES).is_file():
            # Somebody without a name comes behind all who have one.
            users = np.where(users >= 0, users, max(int(users.max(initial=0)), 0) + 1 + np.arange(len(users)))
        groups: IntArray = np.unique(users, return_inverse=True)[1]
        return groups

    def _of_sessions(self, name: str) -> NDArray[Any] | None:
        """A column's value at the first step of each session meant, [S]; None where there is no such column."""
        values = [None if column is None else column[starts] for column, starts, _ in self._columns(name)]
        if not values or any(column is None for column in values):
            return None
        return np.concatenate([column for column in values if column is not None])

    def _columns(self, name: str | None) -> Iterator[tuple[NDArray[Any] | None, IntArray, IntArray]]:
        """Of each part a column, and the first row of each session meant, and the row behind its last one."""
        for part, rows in zip(self.parts, self.chosen, strict=True):
            path = self.folder / part.file
            try:
                there = name is not None and name in pq.read_schema(path).names
                table = pq.read_table(path, columns=["session", *([name] if there and name else [])], partitioning=None)
            except (pa.ArrowException, OSError) as error:
                raise SessionsError(f"{path} is not a readable Parquet file: {error}") from error
            starts = np.flatnonzero(np.diff(table["session"].to_numpy(), prepend=-1))
            ends = np.append(starts[1:], table.num_rows)
            if len(starts) != part.sessions:
                raise SessionsError(f"{path} has {len(starts)} sessions, the data set says {part.sessions}")
            if rows is not None:
                starts, ends = starts[rows], ends[rows]
            yield (table[name].to_numpy() if there else None), starts, ends


class _Writer:
    """Parts on their way into a folder."""

    def __init__(self, folder: Path, sessions_a_part: int) -> None:
        self._folder, self._size = folder, sessions_a_part
        self._parts: list[DatasetPart] = []
        self._catalogue: Catalogue | None = None
        self._users: dict[str, int] | None = None
        self._anonymous = 0
        self._columns: list[str] = []
        self._features = SessionFeatures()
        self._provenance: dict[str, Any] = {}

    def add(self, sessions: Sessions) -> None:
        """Write one log."""
        columns = [name for name, value in sessions.to_columns().items() if value is not None]
        columns += [*sessions.features.labels(), *(f"label {name!r}" for name in sorted(sessions.labels))]
        if self._catalogue is None:
            self._catalogue, self._columns = sessions.catalogue, columns
            self._users = None if sessions.user_names is None else {}
            self._provenance = checked_provenance(sessions.provenance)
        if columns != self._columns:
            differing = _only_one_has(columns, self._columns)
            raise ValueError(f"all logs of a data set must have the same columns: {differing} is not in all")
        if self._catalogue.names is None:
            self._catalogue.check_agrees(sessions.catalogue, "the data set", "the sessions")
        else:
            self._catalogue = self._catalogue.extended(sessions.catalogue.names or ())
            sessions = sessions.reindexed(self._catalogue)
        if sessions.features:
            sessions = self._with_features(sessions, self._catalogue)
        sessions = replace(self._with_users(sessions), item_names=None, provenance={})
        for first in range(0, len(sessions), self._size):
            part = sessions.select(slice(first, first + self._size))
            file = f"part-{len(self._parts):05d}.parquet"
            part.save(self._folder / file)
            self._parts.append(DatasetPart(file, len(part), part.num_steps, part.slate_size))

    def _with_features(self, sessions: Sessions, catalogue: Catalogue) -> Sessions:
        """The sessions with the codes that categories have over all logs, and without features of items.

        Codes never change: a later log's categories come behind those that there are. What is known of items is one for
        all parts.
        """
        new = sessions.features.taken({scope: np.zeros(0, dtype=np.int64) for scope in SCOPES if scope != "items"})
        known = replace(self._features, items=catalogue.features) if self._features else new
        self._features = SessionFeatures.joined([known, new])
        self._catalogue = replace(catalogue, features=self._features.items)
        return replace(sessions, features=_coded_as(self._features, sessions.features))

    def _with_users(self, sessions: Sessions) -> Sessions:
        """The sessions with users numbered over all logs; those without a name count down from -1."""
        if sessions.users is None or sessions.user_names is None or self._users is None:
            return sessions
        numbers = self._users
        new = np.array([numbers.setdefault(name, len(numbers)) for name in sessions.user_names], dtype=np.int64)
        nobody = sessions.users < 0
        users = np.empty(len(sessions), dtype=np.int64)
        users[~nobody] = new[sessions.users[~nobody]] if len(new) else 0
        users[nobody] = -1 - self._anonymous - np.arange(nobody.sum())
        self._anonymous += int(nobody.sum())
        return replace(sessions, users=users, user_names=None)

    def finish(self) -> None:
        """Write what all parts have in common: the folder is a data set now."""
        if self._catalogue is None:
            raise ValueError("a data set needs at least one log of sessions")
        if self._users is not None:
            sink = pa.BufferOutputStream()
            pq.write_table(pa.table({"user": pa.array(list(self._users), pa.string())}), sink, write_page_checksum=True)
            write_atomically(self._folder / _USER_NAMES, memoryview(sink.getvalue()))
        header: dict[str, Any] = {
            "format_version": FORMAT_VERSION if self._features else 1,
            "num_items": self._catalogue.num_items,
            "item_names": self._catalogue.names,
            "provenance": self._provenance,
            "parts": [vars(part) for part in self._parts],
        }
        if self._features:
            features = replace(self._features, items=self._catalogue.features)
            header[feature_columns.KEY] = feature_columns.header_of(features)
        header["checksum"] = _checksum(header)
        write_atomically(self._folder / _HEADER, json.dumps(header).encode())


def _coded_as(known: SessionFeatures, found: SessionFeatures) -> SessionFeatures:
    """Features, all but those of items, with the codes and categories of others; what those have of values is none."""
    return SessionFeatures.joined([replace(known, items={}), replace(found, items={})])


def _only_one_has(some: Sequence[str], others: Sequence[str]) -> str:
    return ", ".join(sorted(set(some) ^ set(others)))


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / _HEADER
    if not path.is_file():
        raise SessionsError(f"{folder} was not written by SessionDataset.write: it has no {_HEADER}")
    try:
        header = json.loads(path.read_bytes())
    except ValueError as error:
        raise SessionsError(f"{path} is not JSON: {error}") from error
    version = header.get("format_version") if isinstance(header, dict) else None
    if not isinstance(header, dict) or version not in range(1, FORMAT_VERSION + 1):
        raise SessionsError(f"{path} has format version {version!r}, expected 1 to {FORMAT_VERSION}")
    checksum = header.pop("checksum", None)
    if checksum != _checksum(header):
        raise SessionsError(f"{path} was damaged: its check sum is wrong")
    return header


def _checksum(header: dict[str, Any]) -> int:
    """CRC-32 of the header as JSON."""
    return zlib.crc32(json.dumps(header).encode())


SessionLog = Sessions | SessionDataset
"""Sessions to learn from, in memory or on disk."""


def parts_of(sessions: SessionLog) -> Iterable[Sessions]:
    """Return the sessions part by part: those in memory are one part."""
    return sessions if isinstance(sessions, SessionDataset) else (sessions,)


def drawn_sessions(sessions: SessionLog, numbers: NDArray[np.int64]) -> Sessions:
    """Return sessions by their numbers, in the order given, repeats allowed; those on disk go into memory.

    Args:
        sessions: in memory or on disk, where all parts that hold one of them are read.
        numbers: of the sessions, [N], at least one.
    """
    if not isinstance(sessions, SessionDataset):
        return sessions.select(numbers)
    different, places = np.unique(numbers, return_inverse=True)
    ends = np.cumsum(sessions.part_sizes)
    found = []
    for part, (first, end) in enumerate(zip(ends - sessions.part_sizes, ends, strict=True)):
        here = different[(different >= first) & (different < end)] - first
        if len(here):
            found.append(sessions.part(part).select(here))
    return concatenate(found).select(places)


def in_memory(sessions: SessionLog) -> Sessions:
    """Return sessions themselves, or those on disk loaded into memory."""
    return sessions.load() if isinstance(sessions, SessionDataset) else sessions
