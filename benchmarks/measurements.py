"""The rows of ``results.csv``, ``training.csv`` and ``durations.csv``: one measurement each."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar


@dataclass(frozen=True, order=True)
class Job:
    """The smallest piece of work of a run: one method on one cell of the experiment with one seed.

    Attributes:
        experiment: the script's name.
        agent: the method.
        logging_policy: the policy that made the log, ``"logged"`` for a real one.
        num_sessions: number of logged sessions learnt from.
        seed: of everything that is random in the job.
    """

    experiment: str
    agent: str
    logging_policy: str
    num_sessions: int
    seed: int

    @property
    def name(self) -> str:
        """A name for the job's files."""
        parts = (self.agent, self.logging_policy, str(self.num_sessions), f"seed{self.seed}")
        return re.sub(r"[^A-Za-z0-9.-]+", "-", "-".join(parts))


@dataclass(frozen=True)
class Measurement:
    """One number measured in a job, e.g. ``metric="reward/top-k"``."""

    job: Job
    metric: str
    value: float


@dataclass(frozen=True)
class TrainingRecord:
    """One number reported while training, at a step that counts within its component."""

    job: Job
    metric: str
    value: float
    step: int


@dataclass(frozen=True)
class Duration:
    """The seconds that a job took; apart from the results, which are the same on every machine."""

    job: Job
    seconds: float


RowT = TypeVar("RowT", Measurement, TrainingRecord, Duration)


def by_cell(rows: Iterable[RowT]) -> dict[tuple[str, str, int], list[RowT]]:
    """Rows by experiment, logging policy and number of sessions, in the order of their first rows."""
    cells: dict[tuple[str, str, int], list[RowT]] = {}
    for row in rows:
        cells.setdefault((row.job.experiment, row.job.logging_policy, row.job.num_sessions), []).append(row)
    return cells


def columns(row_type: type[RowT]) -> list[str]:
    """Names of the table's columns: those of the job, then the row's own."""
    return [field.name for field in (*fields(Job), *fields(row_type)) if field.name != "job"]


def write_rows(row_type: type[RowT], rows: Iterable[RowT]) -> str:
    """Rows as CSV text with a header; numbers keep all their digits."""
    own = [field.name for field in fields(row_type) if field.name != "job"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns(row_type))
    for row in rows:
        writer.writerow(astuple(row.job) + tuple(getattr(row, name) for name in own))
    return text.getvalue()


def read_rows(row_type: type[RowT], path: Path) -> list[RowT]:
    """Rows of a CSV file; none where there is no file.

    Raises:
        ValueError: another header or a value of a wrong type, with file and line.
    """
    if not path.exists():
        return []
    types: dict[str, type[Any]] = {"num_sessions": int, "seed": int, "value": float, "step": int, "seconds": float}
    expected, job_columns = columns(row_type), [field.name for field in fields(Job)]
    rows = []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != expected:
            raise ValueError(f"{path}, line 1: expected the columns {expected}, got {reader.fieldnames}")
        for row in reader:
            try:
                values = {name: types.get(name, str)(row[name]) for name in expected}
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path}, line {reader.line_num}: {error}") from error
            job = Job(**{name: values.pop(name) for name in job_columns})
            rows.append(row_type(job=job, **values))
    return rows
