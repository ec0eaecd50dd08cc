"""The tables of a run folder while it is worked on: held in memory, written whole, in the order of the grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Generic

from irecgan_gym.benchmarks.job_worker import Finished
from irecgan_gym.benchmarks.measurements import Duration, Job, Measurement, RowT, TrainingRecord, read_rows, write_rows
from irecgan_gym.benchmarks.run_folder import RunFolder

from irecgan_gym.storage.files import write_atomically


class RunTables:
    """The one writer of ``results.csv``, ``training.csv`` and ``durations.csv``.

    Rows stand in the order of the grid, whatever the order in which jobs end, so that equal runs give equal files.

    Args:
        folder: of the run; no other process may write to it meanwhile.
        grid: all jobs of the run, in the order of their rows; rows of other jobs that the folder holds come last.
    """

    def __init__(self, folder: RunFolder, grid: Sequence[Job]) -> None:
        self._results = _Table(Measurement, folder.results_file, grid)
        self._training = _Table(TrainingRecord, folder.training_file, grid)
        self._durations = _Table(Duration, folder.durations_file, grid)

    @property
    def finished(self) -> set[Job]:
        """Jobs whose measurements are in the table."""
        return self._results.jobs

    def finish(self, job: Job, done: Finished) -> None:
        """Write down all that a job has measured, and so mark it as finished."""
        # The results go last: a job stopped between the tables is run again and its rows are replaced.
        self._training.replace(job, done.records)
        self._durations.replace(job, [Duration(job, done.seconds)])
        self._results.replace(job, [Measurement(job, name, value) for name, value in done.metrics.items()])


class _Table(Generic[RowT]):
    """A table as the text of each job's rows: only new rows are put into words, however long the table."""

    def __init__(self, row_type: type[RowT], file: Path, grid: Sequence[Job]) -> None:
        self._row_type: type[RowT] = row_type
        self._file = file
        self._place = {job: place for place, job in enumerate(grid)}
        self._header = write_rows(row_type, [])
        rows: dict[Job, list[RowT]] = {}
        for row in read_rows(row_type, file):
            rows.setdefault(row.job, []).append(row)
        self._text = {job: self._body(of_job) for job, of_job in rows.items()}

    @property
    def jobs(self) -> set[Job]:
        return set(self._text)

    def replace(self, job: Job, rows: Iterable[RowT]) -> None:
        body = self._body(rows)
        if body:
            self._text[job] = body
        else:
            self._text.pop(job, None)
        bodies = [self._text[job] for job in sorted(self._text, key=self._rank)]
        write_atomically(self._file, (self._header + "".join(bodies)).encode())

    def _rank(self, job: Job) -> tuple[int, Job]:
        return self._place.get(job, len(self._place)), job

    def _body(self, rows: Iterable[RowT]) -> str:
        return write_rows(self._row_type, rows).removeprefix(self._header)
