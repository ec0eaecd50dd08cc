"""The tables of a run folder, ``results.csv``, ``training.csv`` and ``durations.csv``, as frames and as files."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pandas import DataFrame

from irecgan_gym.benchmarks.engine.digests import check_digest, note_digest
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.run_folder_error import RunFolderError
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
        RunFolderError: a table that is not as it was written, no text, of other columns, or with a value of a wrong
            type or two of one measurement; the message names the file and the line.
    """
    if not file.exists():
        return frame([], columns)
    data = file.read_bytes()
    check_digest(file, data)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RunFolderError(f"{file}, line {line}: not UTF-8, at byte {error.start:,}") from error
    lines = csv.reader(io.StringIO(text, newline=""))
    rows: list[list[Any]] = []
    known: set[tuple[Any, ...]] = set()
    may_repeat = "step" in columns  # Training may report a number several times.
    try:
        header = next(lines, [])
        if header != list(columns):
            raise ValueError(f"expected the columns {list(columns)}, got {str(header)[:200]}")
        for row in lines:
            if len(row) != len(columns):
                raise ValueError(f"expected {len(columns)} cells, got {len(row)}")
            rows.append([_parsed(name, cell) for name, cell in zip(columns, row, strict=True)])
            key = tuple(rows[-1][:-1])
            if key in known and not may_repeat:
                raise ValueError(f"there is a row of {', '.join(map(str, key))[:200]} already")
            known.add(key)
    except (ValueError, csv.Error) as error:
        raise RunFolderError(f"{file}, line {max(lines.line_num, 1)}: {error}") from error
    return frame(rows, columns)


def _parsed(name: str, cell: str) -> Any:
    """Return a cell of a column as a number, where it holds numbers: more than these Python takes, nobody writes."""
    kind = _NUMBERS.get(name)
    if kind is None:
        return cell
    words, pattern, parse = _PARSE[kind]
    if not pattern.fullmatch(cell):
        raise ValueError(f"{name} must be {words}, got {cell[:100]!r}")
    return parse(cell)


_PARSE: dict[str, tuple[str, re.Pattern[str], type[Any]]] = {
    "int64": ("a whole number", re.compile(r"-?[0-9]{1,18}"), int),
    "float64": ("a number", re.compile(r"-?([0-9]+(\.[0-9]*)?(e[-+]?[0-9]{1,4})?|inf)|nan"), float),
}


def frame(rows: Iterable[Sequence[Any]], columns: Sequence[str] = RESULTS) -> DataFrame:
    """Return rows as a frame whose columns have the types of a run folder's tables."""
    types = {name: _NUMBERS.get(name, "object") for name in columns}
    return DataFrame(list(rows), columns=list(columns)).astype(types)


def read_results(folder: Path) -> DataFrame:
    """Return the measurements of a run folder.

    Raises:
        FileNotFoundError: the folder holds no ``results.csv``.
        RunFolderError: a damaged table.
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
        data = (header + "".join(self._text[one] for one in ordered)).encode()
        note_digest(self._file, data)
        write_atomically(self._file, data)

    @staticmethod
    def _as_text(rows: Iterable[Sequence[Any]]) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue()
