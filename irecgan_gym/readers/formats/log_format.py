"""A public log described: its files and columns, what they mean, where to get it; and the reader that follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from irecgan_gym.readers.assembly import KnownItems
from irecgan_gym.readers.containers import Container, TextOptions, check_columns, open_containers, source_name
from irecgan_gym.readers.formats.cells import singles
from irecgan_gym.readers.report import MAX_MALFORMED, OnError, ReadReport, ReadResult
from irecgan_gym.readers.row_batch import RowBatch
from irecgan_gym.readers.session_bounds import SessionBounds
from irecgan_gym.readers.table_cells import NULL_VALUES, CellRules
from irecgan_gym.readers.table_features import FeatureCells, TableFeatures
from irecgan_gym.readers.table_log import NO_REWARDS, TableLog
from irecgan_gym.sessions import Catalogue


class LogColumn(NamedTuple):
    """One column of a public log.

    Attributes:
        name: as the files have it.
        meaning: in words.
        becomes: what it is in the sessions; empty where it is not read.
        label: name of the label of the items shown that it becomes where that is asked for; empty where it is none.
    """

    name: str
    meaning: str
    becomes: str = ""
    label: str = ""


class StepCells(NamedTuple):
    """Rows of a public log as rows of a table of steps.

    Attributes:
        columns: Arrow arrays under the names ``session``, ``slate``, ``click`` and where there are such, ``user``,
            ``time`` (seconds), ``reward``, ``propensity`` and ``slate_propensity``.
        left_out: which rows are no steps, by reason; bool [R] each.
    """

    columns: Mapping[str, Any]
    left_out: Mapping[str, NDArray[np.bool_]] = {}


class LogReader(Protocol):
    """Reader of one public log."""

    def __call__(
        self,
        path: Any,
        *,
        min_length: int = 1,
        max_length: int = 2**31 - 1,
        catalogue: Catalogue | None = None,
        extend: bool = False,
        max_malformed: float = MAX_MALFORMED,
        on_error: OnError = "repair",
        labels: Sequence[str] = (),
    ) -> ReadResult:
        """Read it."""


def _of_the_only_item(column: Any, steps: Mapping[str, Any]) -> Any:
    return singles(column)


@dataclass(frozen=True)
class LogFormat:
    """The layout of a public log.

    Attributes:
        name: of the format, as :func:`~irecgan_gym.readers.read` takes it.
        title: of the data set.
        source: where the data are to be had.
        licence: of the data.
        files: patterns of the names of its files of steps, looked for in folders.
        step: what a step is, and a session.
        columns: of the files of steps.
        steps: makes steps of the wanted columns of some rows; it is told the file and the number of each row.
        text: the way the files are written, where they are text.
        label_cells: makes lists of a value for each item shown out of a column of feedback and those of the steps.
        rewards: what the reward is: ``"clicks"`` (1 for each click) or the column that ``steps`` gives.
        sort: whether the steps of a session are put in the order of time.
        open: opens the files, where they are none that any reader opens.
        notes: what else one should know.
    """

    name: str
    title: str
    source: str
    licence: str
    files: tuple[str, ...]
    step: str
    columns: tuple[LogColumn, ...]
    steps: Callable[[Mapping[str, Any], str, NDArray[np.int64]], StepCells]
    text: TextOptions = field(default_factory=TextOptions)
    label_cells: Callable[[Any, Mapping[str, Any]], Any] = _of_the_only_item
    rewards: str = "clicks"
    sort: bool = True
    open: Callable[[Any, TextOptions], Iterator[Container]] = open_containers
    notes: tuple[str, ...] = ()

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the columns that are read."""
        return tuple(column.name for column in self.columns if column.becomes)

    @property
    def labels(self) -> dict[str, str]:
        """Names of the columns that are read as labels where that is asked for, by the names of the labels."""
        return {column.label: column.name for column in self.columns if column.label}

    def reader(self) -> LogReader:
        """Return the function that reads logs of this layout."""

        def read_log(
            path: Any,
            *,
            min_length: int = 1,
            max_length: int = 2**31 - 1,
            catalogue: Catalogue | None = None,
            extend: bool = False,
            max_malformed: float = MAX_MALFORMED,
            on_error: OnError = "repair",
            labels: Sequence[str] = (),
        ) -> ReadResult:
            bounds = SessionBounds(min_length, max_length)
            report = ReadReport(on_error, max_malformed)
            feedback = self._feedback(labels)
            log = self._steps_of(path, report, KnownItems(catalogue, extend), feedback)
            order = bounds.steps_kept(log, report)
            report.rows_used = log.steps.num_rows(order)
            provenance = {"source": self.title, "file": source_name(path), "licence": self.licence}
            sessions, report = log.result(order, provenance)
            if labels:
                sessions = feedback.put_into(sessions, log.steps, order, report)
            if self.rewards == "clicks":
                sessions = sessions.with_rewards((sessions.clicks < sessions.num_items).astype(np.float32))
                report.forget(NO_REWARDS)
            return ReadResult(sessions, report)

        read_log.__name__ = read_log.__qualname__ = f"read_{self.name.replace('-', '_')}"
        read_log.__doc__ = f"""Read the log of {self.title}.

        {self.step} The columns, and where to get the data: the page of the documentation on formats.

        Args:
            path: a file of the log, a folder with such files ({", ".join(self.files)}), or their rows in any container
                of :func:`~irecgan_gym.readers.read_table_log`.
            min_length: sessions of fewer steps are left out and counted.
            max_length: sessions of more steps are left out and counted.
            catalogue: items keep the numbers that they have in it; rows with other items are left out and counted.
            extend: whether items that the catalogue does not have get numbers behind its own instead.
            max_malformed: share of the rows that may be malformed.
            on_error: ``"repair"``, ``"skip"`` or ``"raise"``.
            labels: further feedback on the items shown to read along: {", ".join(self.labels) or "this log has none"}.

        Raises:
            ValueError: a label that this log has not.
            FileNotFoundError: there is no such file.
            ReaderError: a file cannot be read, too many rows are malformed, or one and ``on_error="raise"``.
            SessionsError: no session is left.
        """
        return read_log

    def _feedback(self, labels: Sequence[str]) -> FeatureCells:
        """The labels asked for, of which nothing has been read yet."""
        for name in labels:
            if name not in self.labels:
                known = ", ".join(self.labels) or "none"
                raise ValueError(f"labels: {self.title} has no {name!r}; it has {known}")
        return FeatureCells(TableFeatures(labels=tuple(dict.fromkeys(labels))), "slate", "|", NULL_VALUES)

    def _steps_of(self, source: Any, report: ReadReport, known: KnownItems, feedback: FeatureCells) -> TableLog:
        log: TableLog | None = None
        wanted = {name: self.labels[name] for name in feedback.features.labels}
        columns = tuple(dict.fromkeys((*self.used, *wanted.values())))
        for container in self.open(self._in_folder(source), self.text):
            check_columns(container, columns)
            report.columns_not_used = tuple(name for name in container.names if name not in columns)
            for batch in container.batches(columns):
                steps = self._table_rows(batch, wanted, report)
                if log is None:
                    names = {name: name for name in steps.cells.schema.names if name not in wanted}
                    log = TableLog(names, CellRules(), self.sort, report, known)
                if wanted:
                    feedback.add(steps, len(log.steps))
                log.add_batch(steps)
        if log is None:
            log = TableLog({name: name for name in ("session", "slate", "click")}, CellRules(), False, report, known)
        return log

    def _in_folder(self, source: Any) -> Any:
        """The files of steps of a folder; any other source as it is."""
        if not isinstance(source, (str, Path)) or not Path(source).is_dir():
            return source
        folder = Path(source)
        found = sorted({file for pattern in self.files for file in folder.rglob(f"{pattern}*") if file.is_file()})
        if not found:
            raise FileNotFoundError(f"no files such as {' or '.join(self.files)} in {folder}")
        return found

    def _table_rows(self, batch: RowBatch, labels: Mapping[str, str], report: ReadReport) -> RowBatch:
        """The rows of a batch as those of a table, with some labels, without those that are no steps."""
        cells = dict(zip(batch.cells.schema.names, batch.cells.columns, strict=True))
        steps = self.steps(cells, batch.file, batch.numbers)
        kept = np.ones(len(batch), dtype=bool)
        for reason, is_left in steps.left_out.items():
            rows = np.flatnonzero(is_left & kept)
            report.rows_read += len(rows)
            report.left_out(reason, len(rows), map(batch.place, rows.tolist()))
            kept[rows] = False
        feedback = {name: self.label_cells(cells[column], steps.columns) for name, column in labels.items()}
        made = {**steps.columns, **feedback}
        columns = pa.RecordBatch.from_arrays(list(made.values()), names=list(made))
        if kept.all():
            return replace(batch, cells=columns)
        last = None if batch.last is None else batch.last[kept]
        return replace(batch, cells=columns.filter(pa.array(kept)), numbers=batch.numbers[kept], last=last)
