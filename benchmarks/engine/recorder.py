"""Numbers of training: kept for the table, written to TensorBoard, and shown while they come in."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.recorder import TensorBoardRecorder

Record = tuple[str, float, int]
"""Metric, value and step of a number that training reported."""


class JobRecorder:
    """Records the training of one job; a context manager that closes the event file.

    Args:
        job: what is trained.
        tensorboard: folder of event files; the job has a folder of its own in it, which starts empty, so that a job
            that is run again does not show twice.
        show: receives a short line of text a record; for progress displays.
    """

    def __init__(self, job: Job, tensorboard: Path, show: Callable[[str], None] = lambda text: None) -> None:
        self.records: list[Record] = []
        self._show = show
        self._folder = tensorboard / job.name
        self._events: TensorBoardRecorder | None = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def record(self, values: Mapping[str, float], step: int) -> None:
        """See :class:`irecgan_gym.recorder.Recorder`."""
        if self._events is None:
            # Only now, so that jobs without training leave no empty event file.
            self._events = TensorBoardRecorder(self._folder)
        self._events.record(values, step)
        self.records += [(name, float(value), step) for name, value in values.items()]
        if values:
            self._show(_line(values, step))

    def __enter__(self) -> JobRecorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._events is not None:
            self._events.close()


def _line(values: Mapping[str, float], step: int) -> str:
    """Return the component, the step and the number that training is judged by."""
    judged = [name for name in values if "validation" in name] or list(values)
    component = judged[0].split("/")[0]
    numbers = ", ".join(f"{name.split('/', 1)[-1]} {values[name]:.3f}" for name in judged[:2])
    return f"{component} {step}: {numbers}"
