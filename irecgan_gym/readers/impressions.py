"""Tables of one row for each item shown, as most warehouses keep them: rows of a list become one step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from irecgan_gym.readers.arrow_cells import Names, NumberCells, names_of, numbers_of, times_of
from irecgan_gym.readers.assembly import KnownItems
from irecgan_gym.readers.containers import TextOptions, check_columns, open_containers, source_name
from irecgan_gym.readers.plain_steps import without_nulls
from irecgan_gym.readers.report import MAX_MALFORMED, OnError, Place, ReaderError, ReadReport, ReadResult
from irecgan_gym.readers.row_batch import RowBatch
from irecgan_gym.readers.session_bounds import SECONDS, SessionBounds
from irecgan_gym.readers.table_cells import NULL_VALUES, CellRules
from irecgan_gym.readers.table_features import FeatureCells, TableFeatures, with_flags_as_numbers
from irecgan_gym.readers.table_log import TableLog
from irecgan_gym.sessions import Catalogue
from irecgan_gym.settings import checked_value

_SLATE = ""
"""Column of the items of lists, beside those of features, which all have names."""


@dataclass(frozen=True)
class ImpressionColumns:
    """Names of the columns of a table of one row for each item shown.

    Attributes:
        session: which session the row belongs to.
        step: which list of the session, by any name.
        item: the item shown.
        click: whether it was clicked: a number above 0, or true; empty for no.
        position: of the item in the list, a number; the order of rows when None.
        reward: what the click on it earned, a number; a row without a click earns nothing. 0 for all when None.
        propensity: probability in (0, 1] that the item was shown; empty where unknown. A list with several clicks has
            none.
        user: see :class:`~irecgan_gym.readers.table.TableColumns`.
        time: see there; a list is shown at its earliest row.
    """

    session: str = "session"
    step: str = "step"
    item: str = "item"
    click: str = "click"
    position: str | None = None
    reward: str | None = None
    propensity: str | None = None
    user: str | None = None
    time: str | None = None

    def used(self) -> dict[str, str]:
        """Names of the columns that are there, by what they mean."""
        return {meaning: name for meaning, name in asdict(self).items() if name is not None}


def read_impressions(
    source: Any,
    *,
    columns: ImpressionColumns | None = None,
    features: TableFeatures | None = None,
    delimiter: str = ",",
    encoding: str = "utf-8",
    null_values: Sequence[str] = NULL_VALUES,
    time_unit: Literal["s", "ms", "us", "ns"] = "s",
    sort: bool = False,
    max_gap: float | None = None,
    min_length: int = 1,
    max_length: int = 2**31 - 1,
    catalogue: Catalogue | None = None,
    extend: bool = False,
    max_malformed: float = MAX_MALFORMED,
    on_error: OnError = "repair",
) -> ReadResult:
    """Read a table of one row for each item shown, in any container.

    The rows of a list (of one session, user and step) may stand anywhere in the source; lists follow each other as
    their first rows do. A list with a malformed row is left out as a whole. All else is as in
    :func:`~irecgan_gym.readers.table.read_table_log`, steps of a list with several clicks too.

    Args:
        source: see there.
        columns: names of the columns; those of :class:`ImpressionColumns` when None.
        features: names of columns that hold features and labels, none when None. Those of entries, and labels, have one
            value a row; of steps and users, that of a list's first item counts. A list with several clicks keeps all of
            them where the column of clicks is named as a label, too.
        delimiter: between the cells of a row, in separated text.
        encoding: of separated text, as Python names it.
        null_values: texts of cells that hold no value; an item may have such a name.
        time_unit: of times that are numbers.
        sort: whether to put the lists of a session in the order of time.
        max_gap: seconds after which the same id is another session; None never cuts one.
        min_length: sessions of fewer steps are left out and counted.
        max_length: sessions of more steps are left out and counted.
        catalogue: items keep the numbers that they have in it; lists with other items are left out and counted.
        extend: whether items that the catalogue does not have get numbers behind its own instead.
        max_malformed: share of the rows that may be malformed.
        on_error: ``"repair"``, ``"skip"`` or ``"raise"``.

    Raises:
        ValueError: options that make no sense.
        TypeError: a source of another kind.
        FileNotFoundError: there is no such file.
        ReaderError: the source cannot be read, too many rows are malformed, or one and ``on_error="raise"``.
        SessionsError: no session is left.
    """
    columns = ImpressionColumns() if columns is None else columns
    checked_value("columns", columns, ImpressionColumns)
    bounds = SessionBounds(min_length, max_length, sort, max_gap)
    bounds.check_time(columns.time, time_unit)
    features = TableFeatures() if features is None else features
    checked_value("features", features, TableFeatures)
    names, report = columns.used(), _ListReport(on_error, max_malformed)
    rules = CellRules(tuple(null_values), time_scale=SECONDS[time_unit])
    rows = _Rows(names, rules, report, features)
    wanted = tuple(dict.fromkeys((*names.values(), *features.names)))
    for container in open_containers(source, TextOptions(delimiter, encoding)):
        check_columns(container, wanted)
        report.columns_not_used = tuple(name for name in container.names if name not in wanted)
        for batch in container.batches(wanted):
            rows.add_batch(batch)
    if report.rows_read == 0:
        raise ReaderError(f"{source_name(source)} is empty")
    log = TableLog(rows.step_names(), CellRules(()), sort, report, KnownItems(catalogue, extend))
    cells = FeatureCells(features, _SLATE, rules.separator, null_values)
    rows.fill(log, cells)
    order = bounds.steps_kept(log, report)
    report.rows_used = report.rows_of(log.steps.places(order))
    result = log.result(order, {"source": "impressions", "file": source_name(source), "columns": names})
    if not features.names:
        return result
    return result._replace(sessions=cells.put_into(result.sessions, log.steps, order, report))


class _ListReport(ReadReport):
    """Accounts for rows where a reader speaks of lists.

    Attributes:
        sizes: rows of each list, by the file and the number of its first.
    """

    def __init__(self, on_error: OnError, max_malformed: float) -> None:
        super().__init__(on_error, max_malformed)
        self.sizes: dict[tuple[str, int], int] = {}

    def rows_of(self, places: Iterable[Place]) -> int:
        """Number of rows of the lists, or single rows, at some places; one that is named twice counts once."""
        return sum(self.sizes.get(key, 1) for key in {(place.file, place.number) for place in places})

    def malformed(self, place: Place, reason: str, detail: str) -> None:
        """See :meth:`ReadReport.malformed`; a list is malformed with all its rows."""
        super().malformed(place, reason, detail)
        self._malformed[reason].rows += self.rows_of([place]) - 1

    def left_out(self, reason: str, rows: int = 1, places: Iterable[Place] = ()) -> None:
        """See :meth:`ReadReport.left_out`; a list is left out with all its rows, whatever ``rows`` says."""
        listed = list(places)
        super().left_out(reason, self.rows_of(listed), dict.fromkeys(listed))


class _Rows:
    """The rows so far, as columns.

    Args:
        names: of the columns, by what they mean.
        rules: what cells may say.
        report: counts every row.
        features: names of the columns that hold some.
    """

    def __init__(
        self, names: Mapping[str, str], rules: CellRules, report: _ListReport, features: TableFeatures
    ) -> None:
        self._names, self._rules, self._report, self._wanted = names, rules, report, features
        self._features: dict[str, list[Any]] = {name: [] for name in features.names}
        self._places: list[Place] = []
        self._texts: dict[str, list[Any]] = {name: [] for name in ("session", "step", "item", "user") if name in names}
        self._numbers: dict[str, list[NDArray[np.float64]]] = {
            name: [] for name in ("click", "position", "reward", "propensity", "time") if name in names
        }
        self._sound: list[NDArray[np.bool_]] = []

    def step_names(self) -> dict[str, str]:
        """Names of the columns of steps that come of the rows."""
        wanted = ("session", "user", "reward", "propensity", "time")
        return {name: name for name in wanted if name in self._names} | {"slate": "slate", "click": "click"}

    def add_batch(self, batch: RowBatch) -> None:
        """Take in the rows of a batch."""
        cells = without_nulls(batch.cells, self._names, self._rules, ("item",))
        column = {meaning: cells.column(name) for meaning, name in self._names.items()}
        texts = {meaning: names_of(column[meaning]) for meaning in self._texts}
        is_date = "time" in column and pa.types.is_temporal(batch.cells.column(self._names["time"]).type)
        numbers = {meaning: _numbers(meaning, column[meaning]) for meaning in self._numbers if meaning != "time"}
        if "time" in column:
            numbers["time"] = times_of(column["time"], 1.0 if is_date else self._rules.time_scale)
        wrong = _faults(texts, numbers)
        for rows, malformed in batch.stretches():
            self._report.rows_read += rows.stop - rows.start
            for row in range(rows.start, rows.stop):
                fault = wrong[row]
                if fault is not None:
                    meaning, reason = fault
                    detail = f"{meaning} is {column[meaning][row].as_py()!r}"
                    self._report.malformed(batch.place(row), reason, detail)
            if malformed is not None:
                self._report.rows_read += 1
                self._report.malformed(*malformed)
        self._places += [batch.place(row) for row in range(len(batch))]
        self._sound.append(np.array([fault is None for fault in wrong], dtype=bool))
        for meaning, found in texts.items():
            self._texts[meaning].append(_taken(found))
        for meaning, values in numbers.items():
            # An empty cell is no click, no reward and an unknown propensity; positions and times are never empty.
            filled = values.values if meaning == "propensity" else np.where(values.empty, 0.0, values.values)
            self._numbers[meaning].append(filled)
        for name, arrays in self._features.items():
            arrays.append(_taken(names_of(batch.cells.column(name))))

    def fill(self, log: TableLog, cells: FeatureCells) -> None:
        """Hand the lists to a log of steps, one after the other, and their features and labels to those of a table."""
        texts = {meaning: pa.concat_arrays(arrays) for meaning, arrays in self._texts.items()}
        numbers = {meaning: np.concatenate(arrays) for meaning, arrays in self._numbers.items()}
        sound = np.concatenate(self._sound)
        codes = [names_of(texts[meaning]).codes for meaning in ("session", "step", "user") if meaning in texts]
        has_list = (codes[0] >= 0) & (codes[1] >= 0)
        lists = np.unique(np.stack(codes), axis=1, return_inverse=True)[1].reshape(-1)
        rows = np.flatnonzero(has_list)
        first = np.full(len(lists), len(lists))
        np.minimum.at(first, lists[rows], rows)
        position = numbers.get("position", np.zeros(len(lists)))
        rows = rows[np.lexsort((rows, position[rows], first[lists[rows]]))]
        starts = np.flatnonzero(np.diff(first[lists[rows]], prepend=-1))
        unclicked = int((sound & (numbers.get("reward", np.zeros(1)) != 0) & ~(numbers["click"] > 0)).sum())
        self._report.note("", unclicked, " rows have a reward and no click: sessions earn by clicks alone")
        values = {meaning: column.to_pylist() for meaning, column in texts.items()}
        lists_by_file: list[tuple[int, list[NDArray[np.int64]]]] = []
        before = None
        for members in np.split(rows, starts[1:]) if len(rows) else ():
            if not sound[members].all():
                places = [self._places[row] for row in members[sound[members]].tolist()]
                self._report.left_out("of lists with a malformed row", len(places), places)
                log.lose(*(values[name][members[0]] if name in values else None for name in ("session", "user")))
                continue
            place = self._places[members.min()]
            self._report.sizes[place.file, place.number] = len(members)
            if before is None or before.file != place.file or before.number >= place.number:
                lists_by_file.append((len(log.steps), []))
            before = place
            lists_by_file[-1][1].append(members)
            log.add(place, self._cells(members, values, numbers), CellRules(()))
        if self._features:
            columns = {name: pa.concat_arrays(arrays) for name, arrays in self._features.items()}
            for first_step, some_lists in lists_by_file:
                cells.add(self._table_of_lists(some_lists, texts["item"], columns), first_step)

    def _table_of_lists(self, lists: list[NDArray[np.int64]], items: Any, columns: Mapping[str, Any]) -> RowBatch:
        """Lists of one file as rows of a table that holds the features of each list."""
        members, first = pa.array(np.concatenate(lists)), pa.array([rows[0] for rows in lists])
        offsets = pa.array(np.append(0, np.cumsum([len(rows) for rows in lists])))
        listed = {*self._wanted.entries, *self._wanted.labels}
        cells = {_SLATE: pa.LargeListArray.from_arrays(offsets, items.take(members))}
        for name, values in columns.items():
            cells[name] = (
                pa.LargeListArray.from_arrays(offsets, values.take(members)) if name in listed else values.take(first)
            )
        places = [self._places[rows.min()] for rows in lists]
        batch = pa.RecordBatch.from_arrays(list(cells.values()), names=list(cells))
        return RowBatch(batch, places[0].file, np.array([place.number for place in places]), places[0].unit)

    def _cells(
        self, members: NDArray[np.int64], texts: Mapping[str, list[Any]], numbers: Mapping[str, NDArray[np.float64]]
    ) -> dict[str, Any]:
        """The cells of the step that the rows of a list make."""
        clicks: dict[str, int] = {}
        for row in members[numbers["click"][members] > 0].tolist():
            clicks.setdefault(texts["item"][row], row)  # An item that is shown twice is clicked once.
        clicked = np.array(list(clicks.values()), dtype=np.int64)
        cells: dict[str, Any] = {
            "session": texts["session"][members[0]],
            "slate": [texts["item"][row] for row in members.tolist()],
            "click": list(clicks),
        }
        if "user" in texts:
            cells["user"] = texts["user"][members[0]]
        if "reward" in numbers:
            cells["reward"] = numbers["reward"][clicked].tolist()
        if "propensity" in numbers:
            cells["propensity"] = float(numbers["propensity"][clicked[0]]) if len(clicked) == 1 else None
        if "time" in numbers:
            cells["time"] = float(numbers["time"][members].min())
        return cells


def _numbers(meaning: str, column: Any) -> NumberCells:
    """Numbers of a column; clicks may be true and false."""
    if meaning == "click" and pa.types.is_string(column.type):
        # A cell of white space is no click.
        column = pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), "0", with_flags_as_numbers(column))
    return numbers_of(column)


def _faults(texts: Mapping[str, Names], numbers: Mapping[str, NumberCells]) -> list[tuple[str, str] | None]:
    """The column and the reason for which each row is malformed, None for rows that are not."""
    size = len(texts["session"].codes)
    faults: list[tuple[str, str] | None] = [None] * size
    for meaning in ("session", "step", "item"):
        for row in np.flatnonzero(texts[meaning].codes < 0).tolist():
            faults[row] = faults[row] or (meaning, f"no {meaning}")
    for meaning, found in numbers.items():
        # Texts that are numbers in no plain way count as none here.
        wrong = ~found.plain | ~(found.empty | np.isfinite(found.values))
        if meaning in ("position", "time"):
            wrong |= found.empty
        for row in np.flatnonzero(wrong).tolist():
            faults[row] = faults[row] or (meaning, "wrong type")
    return faults


def _taken(names: Names) -> Any:
    """The texts of all rows, as an Arrow array."""
    return names.names.take(pa.array(names.codes, mask=names.codes < 0))
