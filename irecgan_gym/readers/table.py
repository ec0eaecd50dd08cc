"""Tables of logged steps, in any container."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from irecgan_gym.readers.assembly import KnownItems
from irecgan_gym.readers.containers import TextOptions, check_columns, open_containers, source_name
from irecgan_gym.readers.report import MAX_MALFORMED, OnError, ReaderError, ReadReport, ReadResult
from irecgan_gym.readers.session_bounds import SECONDS, SessionBounds
from irecgan_gym.readers.table_cells import NULL_VALUES, CellRules
from irecgan_gym.readers.table_features import FeatureCells, TableFeatures
from irecgan_gym.readers.table_log import TableLog
from irecgan_gym.sessions import Catalogue
from irecgan_gym.settings import checked_value, shown


@dataclass(frozen=True)
class TableColumns:
    """Names of the columns that make sessions.

    Attributes:
        session: which session the step belongs to.
        slate: the items shown: texts joined by a separator, or lists in a Parquet file.
        click: the item clicked, one of the slate, or several of them (joined by the separator, or a list); empty where
            nothing was clicked: the user goes on to the next step, or has left after a session's last.
        reward: a number, empty only where nothing was clicked (0); 0 for all steps when None. Of a row with several
            clicks, the last one earns it.
        propensity: probability in (0, 1] that the clicked item was shown; empty or NaN where unknown.
        slate_propensity: probability in (0, 1] that the slate was shown as it is, in its order; of every row. Of a row
            with several clicks, it stands for all of its steps, and counts as estimated.
        place_propensities: of each item of the slate, the probability in (0, 1] that it was shown at its place: texts
            joined by the separator, or lists; with ``slate_propensity``.
        user: who; a session whose cell is empty is of somebody unknown, who is nobody else. When None, nothing is known
            of users.
        time: when: a number, or a date and time as in ISO 8601 (UTC unless it says otherwise) or in Parquet's own type,
            which become seconds since 1970; the order of rows when None.
    """

    session: str = "session"
    slate: str = "slate"
    click: str = "click"
    reward: str | None = None
    propensity: str | None = None
    slate_propensity: str | None = None
    place_propensities: str | None = None
    user: str | None = None
    time: str | None = None

    def used(self) -> dict[str, str]:
        """Names of the columns that are there, by what they mean."""
        return {meaning: name for meaning, name in asdict(self).items() if name is not None}


def read_table_log(
    source: Any,
    *,
    columns: TableColumns | None = None,
    features: TableFeatures | None = None,
    separator: str = "|",
    delimiter: str = ",",
    encoding: str = "utf-8",
    null_values: Sequence[str] = NULL_VALUES,
    padding: Sequence[str] = (),
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
    """Read a table of logged steps, whatever holds it: CSV, Parquet, folders, data frames, Arrow, a query's result.

    Rows of different sessions may be mixed. The catalogue is the items shown, in the order in which the source first
    names them; ``item_names`` are their names. Names are texts without white space around them; whole numbers are
    written without a fraction.

    A row with several clicks becomes as many steps with the same slate, one click each, whose propensities are unknown:
    the user who clicks, looks at the list again. A session whose last row is left out counts as truncated.

    Quirks that ``on_error="repair"`` puts right, and counts: a session in which time goes back becomes two (the id was
    used again); so does one of two users; an item that a slate shows twice counts at its first place.

    Args:
        source: a file of separated text (``.gz``, ``.bz2``, ``.zst`` or ``.xz`` too), of Parquet or of Arrow; a folder
            of such files (hidden ones left out; folders such as ``day=2026-01-31`` are columns), a pattern such as
            ``"logs/*.csv"``, or several of these; a pandas or Polars data frame, an Arrow table, reader or dataset, a
            relation of DuckDB, or anything else with ``__arrow_c_stream__``; or the cursor of a database (PEP 249) in
            which a query has run.
        columns: names of the columns; those of :class:`TableColumns` when None.
        features: names of columns that hold features of entries, steps and users, see
            :class:`~irecgan_gym.readers.table_features.TableFeatures`; none when None. Those of items come from a table
            of their own (:func:`~irecgan_gym.readers.table_features.read_item_features`).
        separator: between the items of a slate that is text.
        delimiter: between the cells of a row, in separated text.
        encoding: of separated text, as Python names it.
        null_values: texts of cells that hold no value, in all columns; a click or an item shown may have such a name.
        padding: names that fill short slates up, at either end; empty entries there do too.
        time_unit: of times that are numbers; they become seconds. Times of another kind, such as ranks, keep ``"s"``.
        sort: whether to put the steps of a session in the order of time (those of one time as in the source).
        max_gap: seconds after which the same id is another session; None never cuts one.
        min_length: sessions of fewer steps are left out and counted.
        max_length: sessions of more steps are left out and counted.
        catalogue: items keep the numbers that they have in it; rows with other items are left out and counted.
        extend: whether items that the catalogue does not have get numbers behind its own instead.
        max_malformed: share of the rows that may be malformed.
        on_error: ``"repair"``, ``"skip"`` (rows with quirks are malformed) or ``"raise"`` (the first one is an error).

    Raises:
        ValueError: options that make no sense.
        TypeError: a source of another kind.
        FileNotFoundError: there is no such file.
        ReaderError: the source cannot be read, too many rows are malformed, or one and ``on_error="raise"``.
        SessionsError: no session is left.
    """
    columns = TableColumns() if columns is None else columns
    checked_value("columns", columns, TableColumns)
    features = TableFeatures() if features is None else features
    checked_value("features", features, TableFeatures)
    for name, value in (("separator", separator), ("delimiter", delimiter)):
        checked_value(name, value, str)
    checked_value("sort", sort, bool)
    if not separator or len(delimiter) != 1:
        raise ValueError(
            f"separator must not be empty and delimiter one character, got {shown(separator)}, {shown(delimiter)}"
        )
    if columns.place_propensities is not None and columns.slate_propensity is None:
        raise ValueError("a column of place_propensities needs one of slate_propensity: of whole slates")
    bounds = SessionBounds(min_length, max_length, sort, max_gap)
    bounds.check_time(columns.time, time_unit)
    report = ReadReport(on_error, max_malformed)
    names, text = columns.used(), TextOptions(delimiter, encoding)
    rules = CellRules(tuple(null_values), tuple(padding), separator, SECONDS[time_unit])
    log, unit = TableLog(names, rules, sort, report, KnownItems(catalogue, extend)), ""
    cells = FeatureCells(features, columns.slate, separator, null_values) if features.names else None
    wanted = tuple(dict.fromkeys((*names.values(), *features.names)))
    for container in open_containers(source, text):
        unit = container.unit
        check_columns(container, (*names.values(), *features.names))
        report.columns_not_used = tuple(name for name in container.names if name not in wanted)
        for batch in container.batches(wanted):
            if cells is not None:
                cells.add(batch, len(log.steps))
            log.add_batch(batch)
    if report.rows_read == 0 and unit == "row":
        raise ReaderError(f"{source_name(source)} is empty")
    order = bounds.steps_kept(log, report)
    report.rows_used = log.steps.num_rows(order)
    result = log.result(order, {"source": "table", "file": source_name(source), "columns": names})
    if cells is None:
        return result
    return result._replace(sessions=cells.put_into(result.sessions, log.steps, order, report))
