"""The tables of a run folder, ``results.csv``, ``training.csv`` and ``durations.csv``, as frames and as files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pandas import DataFrame

from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.storage.files import write_atomically

CELL = ["experiment", "logging_policy", "num_sessions"]
JOB = ["experiment", "agent", "logging_policy", "num_sessions", "seed"]
RESULTS = [*JOB, "metric", "value"]
TRAINING = [*JOB, "metric", "value", "step"]
DURATIONS = [*JOB, "seconds"]
_NUMBERS = {"num_sessions": "int64", "seed": "int64", "value": "float64", "step": "int64", "seconds": "float64"}


def read_table(file: Path, columns: Sequence[str]) -> DataFrame:
    """Return the rows of a table of a run folder; none where there is no such file.

    Raises:
        ValueError: other columns, or a value of a wrong type; the message names the file and the line.
    """
    if not file.exists():
        return frame([], columns)
    with file.open(newline="", encoding="utf-8") as text:
        lines = csv.reader(text)
        header = next(lines, [])
        if header != list(columns):
            raise ValueError(f"{file}, line 1: expected the columns {list(columns)}, got {header}")
        rows = []
        for row in lines:
            try:
                rows.append([_PARSE.get(name, str)(cell) for name, cell in zip(columns, row, strict=True)])
            except ValueError as error:
                raise ValueError(f"{file}, line {lines.line_num}: {error}") from error
    return frame(rows, columns)


_PARSE: dict[str, Any] = {name: int if kind == "int64" else float for name, kind in _NUMBERS.items()}


def frame(rows: Iterable[Sequence[Any]], columns: Sequence[str] = RESULTS) -> DataFrame:
    """Return rows as a frame whose columns have the types of a run folder's tables."""
    types = {name: _NUMBERS.get(name, "object") for name in columns}
    return DataFrame(list(rows), columns=list(columns)).astype(types)


def read_results(folder: Path) -> DataFrame:
    """Return the measurements of a run folder.

    Raises:
        FileNotFoundError: the folder holds no ``results.csv``.
        ValueError: a damaged table.
    """
    file = folder / "results.csv"
    if not file.exists():
        raise FileNotFoundError(f"{folder} is no run folder: there is no {file.name} in it")
    return read_table(file, RESULTS)


def read_many(folders: Iterable[Path]) -> DataFrame:
    """Return the measurements of several run folders, in their order."""
    return pd.concat([frame([]), *map(read_results, folders)], ignore_index=True)


def read_durations(file: Path) -> dict[Job, float]:
    """Return the seconds that finished jobs took, from ``durations.csv``."""
    return {Job(*job): seconds for *job, seconds in read_table(file, DURATIONS).itertuples(index=False, name=None)}


def jobs_of(rows: DataFrame) -> list[Job]:
    """Return the jobs of a table's rows, each once, in the order of their first rows."""
    return [Job(*values) for values in rows[JOB].drop_duplicates().itertuples(index=False, name=None)]


def cells_of(rows: DataFrame) -> dict[tuple[str, str, int], DataFrame]:
    """Return the rows by experiment, logging policy and number of sessions, in the order of their first rows."""
    return dict(iter(rows.groupby(CELL, sort=False)))


def agents_of(rows: DataFrame) -> list[str]:
    """Return the names of the methods in the order of their first rows."""
    return list(rows["agent"].unique())


class TableFile:
    """A table of a run folder while it is worked on: kept as text and written whole, job by job.

    Rows stand in the order of the grid, whatever the order in which jobs end, so that equal runs give equal files. Only
    new rows are put into words, however long the table.

    Args:
        file: the table; read if it exists.
        columns: its columns, those of the job first.
        grid: all jobs of the run in the order of their rows; rows of other jobs come last.
    """

    def __init__(self, file: Path, columns: Sequence[str], grid: Sequence[Job]) -> None:
        self._file = file
        self._columns = list(columns)
        self._place = {job: place for place, job in enumerate(grid)}
        rows = read_table(file, columns)
        self._text: dict[Job, str] = {
            Job(*job): self._as_text(of_job.itertuples(index=False, name=None))
            for job, of_job in rows.groupby(JOB, sort=False)
        }

    @property
    def jobs(self) -> set[Job]:
        """Jobs that have rows."""
        return set(self._text)

    def replace(self, job: Job, rows: Iterable[Sequence[Any]]) -> None:
        """Put these rows, without the columns of the job, in place of the job's rows."""
        values = (job.experiment, job.agent, job.logging_policy, job.num_sessions, job.seed)
        text = self._as_text((*values, *row) for row in rows)
        if text:
            self._text[job] = text
        else:
            self._text.pop(job, None)
        ordered = sorted(self._text, key=lambda one: (self._place.get(one, len(self._place)), one))
        header = ",".join(self._columns) + "\n"
        write_atomically(self._file, (header + "".join(self._text[one] for one in ordered)).encode())

    @staticmethod
    def _as_text(rows: Iterable[Sequence[Any]]) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue()
