"""Any table of one row a step, with columns named by the user: a practitioner's own logs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from irecgan_gym.readers.assembly import Numbering, StepColumns, assemble, keep_lengths
from irecgan_gym.readers.lines import read_table
from irecgan_gym.readers.report import OnError, Place, ReaderError, ReadReport, ReadResult


@dataclass(frozen=True)
class TableColumns:
    """Names of the columns that make sessions.

    Attributes:
        session: which session the step belongs to.
        slate: the items shown: texts joined by a separator, or lists in a Parquet file.
        click: the item clicked, one of the slate; empty where the user left without a click (a session's last step).
        reward: a number; 0 for all steps when None.
        propensity: probability in (0, 1] that the clicked item was shown; empty where unknown.
        user: who; each session is a user of its own when None.
        time: a number by which the steps of a session must be in order; the order of rows when None.
    """

    session: str = "session"
    slate: str = "slate"
    click: str = "click"
    reward: str | None = None
    propensity: str | None = None
    user: str | None = None
    time: str | None = None

    def used(self) -> dict[str, str]:
        """Names of the columns that are there, by what they mean."""
        return {meaning: name for meaning, name in asdict(self).items() if name is not None}


Cells = Mapping[str, Any]


def read_table_log(
    path: str | Path,
    *,
    columns: TableColumns | None = None,
    separator: str = "|",
    delimiter: str = ",",
    min_length: int = 1,
    max_length: int = 2**31 - 1,
    on_error: OnError = "raise",
) -> ReadResult:
    """Read a table of logged steps: CSV (``.gz`` too) or Parquet (``.parquet``).

    Args:
        path: the file.
        columns: names of the columns; those of :class:`TableColumns` when None.
        separator: between the items of a slate, in CSV.
        delimiter: between the cells of a row, in CSV.
        min_length: sessions of fewer steps are left out and counted.
        max_length: sessions of more steps are left out and counted.
        on_error: ``"raise"`` or ``"skip"``.

    Raises:
        FileNotFoundError: there is no such file.
        ReaderError: the file cannot be read, or a row is malformed and ``on_error="raise"``.
        SessionsError: no session is left.
    """
    path, columns = Path(path), columns or TableColumns()
    report = ReadReport(on_error)
    if path.suffix == ".parquet":
        rows = _parquet_rows(path, columns, report)
    else:
        rows = _csv_rows(path, columns, separator, delimiter, report)
    log = _Log(report)
    for place, cells in rows:
        log.add(place, cells)
    kept = keep_lengths(log.steps, len(log.sessions), min_length, max_length, "steps", report)
    report.rows_used = int(kept[np.asarray(log.steps.session, dtype=np.int64)].sum())
    report.check()
    sessions = assemble(
        log.steps,
        kept,
        item_names=log.items.names,
        users=log.users if columns.user is not None else None,
        with_propensities=columns.propensity is not None,
        provenance={"source": "table", "file": path.name, "columns": columns.used()},
    )
    return ReadResult(sessions, report)


def _csv_rows(
    path: Path, columns: TableColumns, separator: str, delimiter: str, report: ReadReport
) -> Iterator[tuple[Place, Cells]]:
    names = columns.used()
    for place, cells in read_table(path, delimiter, tuple(names.values()), report):
        row: dict[str, Any] = {meaning: cell or None for meaning, cell in zip(names, cells, strict=True)}
        if row["slate"] is not None:
            row["slate"] = row["slate"].split(separator)
        yield place, row


def _parquet_rows(path: Path, columns: TableColumns, report: ReadReport) -> Iterator[tuple[Place, Cells]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    names = columns.used()
    try:
        with pq.ParquetFile(path) as file:
            header = file.schema_arrow.names
            for name in names.values():
                if name not in header:
                    raise ReaderError(f"{path.name}: column {name!r} is missing, the file has {header}")
            for batch in file.iter_batches(columns=list(names.values())):
                for values in zip(*(batch.column(name).to_pylist() for name in names.values()), strict=True):
                    report.rows_read += 1
                    yield Place(path.name, report.rows_read, "row"), dict(zip(names, values, strict=True))
    except (pa.ArrowException, OSError) as error:
        raise ReaderError(f"{path.name} is not a readable Parquet file: {error}") from error
    if report.rows_read == 0:
        raise ReaderError(f"{path.name} is empty")


class _Log:
    """The steps so far."""

    def __init__(self, report: ReadReport) -> None:
        self._report = report
        self.steps = StepColumns()
        self.items, self.sessions = Numbering(), Numbering()
        self.users: list[int] = []
        self._user_numbers = Numbering()
        self._last_time: list[float] = []
        self._left: set[int] = set()

    def add(self, place: Place, cells: Cells) -> None:
        """Take in one row."""
        numbers = [self._number(place, cells, name, default) for name, default in _NUMBERS.items()]
        if None in numbers:
            return
        reward, propensity, time = (float(number) for number in numbers if number is not None)
        slate, click = self._slate(place, cells)
        if slate is None:
            return
        if not math.isnan(propensity) and not 0 < propensity <= 1:
            self._report.malformed(place, "wrong propensity", f"got {propensity}, expected a number in (0, 1]")
            return
        session = self._session(place, cells, time)
        if session is None:
            return
        if click is None:
            self._left.add(session)
        self.steps.add(
            session,
            [self.items(item) for item in slate],
            -1 if click is None else self.items(click),
            reward=reward,
            propensity=propensity,
        )

    def _number(self, place: Place, cells: Cells, name: str, default: float) -> float | None:
        """A cell as a number, the default where there is none, or None where it is malformed."""
        value = cells.get(name)
        if value is None:
            return default
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if math.isfinite(number):
            return number
        self._report.malformed(place, "wrong type", f"{name} must be a finite number, got {value!r}")
        return None

    def _slate(self, place: Place, cells: Cells) -> tuple[list[str] | None, str | None]:
        """Slate and click, or no slate where they are malformed."""
        shown, click = cells["slate"], cells["click"]
        if not isinstance(shown, list) or not shown or any(item is None or item == "" for item in shown):
            self._report.malformed(place, "no slate", f"slate must be a list of items, got {shown!r}")
            return None, None
        slate, clicked = [str(item) for item in shown], None if click is None else str(click)
        if len(set(slate)) < len(slate):
            self._report.malformed(place, "repeated item", f"an item is in the slate twice: {slate}")
        elif clicked is not None and clicked not in slate:
            self._report.malformed(place, "click not in slate", f"item {clicked!r} is not in {slate}")
        else:
            return slate, clicked
        return None, None

    def _session(self, place: Place, cells: Cells, time: float) -> int | None:
        """Number of the row's session, or None where the row does not fit into it."""
        if cells["session"] is None:
            self._report.malformed(place, "no session", "the session's cell is empty")
            return None
        name, known = str(cells["session"]), len(self.sessions)
        session, user = self.sessions(name), self._user_numbers(str(cells.get("user")))
        if session == known:
            self.users.append(user)
            self._last_time.append(time)
            return session
        if self.users[session] != user:
            self._report.malformed(place, "session of two users", f"session {name} has another user {cells['user']!r}")
        elif session in self._left:
            self._report.malformed(place, "step after leaving", f"session {name} has ended with a step without a click")
        elif time < self._last_time[session]:
            self._report.malformed(
                place, "unordered time", f"session {name} is at {self._last_time[session]:g}, this step at {time:g}"
            )
        else:
            self._last_time[session] = time
            return session
        return None


_NUMBERS = {"reward": 0.0, "propensity": math.nan, "time": 0.0}
