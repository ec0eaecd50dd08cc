"""Doing one job, here or in a worker process that stays for the next one."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.parent_watch import named_as_parent
from irecgan_gym.benchmarks.engine.processors import thread_limits
from irecgan_gym.benchmarks.engine.recorder import JobRecorder, Record
from irecgan_gym.recorder import Recorder
from irecgan_gym.storage.interruption import TrainingStopped

_TIME_FOR_A_CHECKPOINT = 10.0
"""Seconds after which a process that was asked to end is killed."""

Work = Callable[[Job, Recorder], Mapping[str, float]]


@dataclass(frozen=True)
class Message:
    """A line that a running job has to say."""

    text: str


@dataclass(frozen=True)
class Finished:
    """Measurements of a job.

    Attributes:
        metrics: rows of ``results.csv``.
        records: rows of ``training.csv``.
        seconds: seconds that the job took.
    """

    metrics: dict[str, float]
    records: list[Record]
    seconds: float


@dataclass(frozen=True)
class Failed:
    """Reason why a job has measured nothing.

    Attributes:
        reason: one line.
        details: the traceback, or what is known of the end of the process.
    """

    reason: str
    details: str


Outcome = Finished | Failed


def do_job(work: Work, job: Job, tensorboard: Path, show: Callable[[str], None]) -> Outcome:
    """Do a job and turn whatever it raises into a failure; only stopping the run (Ctrl-C) goes through.

    Args:
        work: does a job.
        job: which.
        tensorboard: folder of event files.
        show: receives a line of text a record.
    """
    start = time.perf_counter()
    try:
        with JobRecorder(job, tensorboard, show) as recorder:
            metrics = {name: float(value) for name, value in work(job, recorder).items()}
        if not metrics:
            raise ValueError(f"job {job.name} has measured nothing")
    except Exception as error:
        return Failed(_in_one_line(error), traceback.format_exc())
    return Finished(metrics, recorder.records, time.perf_counter() - start)


class Worker:
    """A process that does jobs, one at a time, until it is stopped.

    The process is spawned, never forked: a copy of a process with PyTorch's threads may hang. Everything goes through
    one pipe, whose end tells that the process has died, and so which job died with it. A pool of the standard library
    says neither: one dead process fails all its jobs, and it cannot be told to stop a job that is running.

    Args:
        work: does a job; sent to the process by pickling, so of a class or function at the top of a module.
        tensorboard: folder of event files.
        threads: CPU threads of the process's numerical libraries.
    """

    def __init__(self, work: Work, tensorboard: Path, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.job: Job | None = None
        self._asked = False
        # Daemon: a command that ends, however it does, leaves no worker behind.
        self._process = context.Process(target=_serve, args=(theirs, work, tensorboard, threads), daemon=True)
        with thread_limits(threads), _interrupts_ignored(), named_as_parent():
            self._process.start()
        theirs.close()

    def start(self, job: Job) -> None:
        """Begin a job; the worker must be free. A process that has died is noticed by :meth:`receive`."""
        self.job = job
        with suppress(OSError):
            self.connection.send(job)

    def receive(self) -> Message | Outcome:
        """The next thing that the worker has to say about its job; waits for it.

        The end of its process is a failure like any other; the worker must then be replaced.
        """
        said: Message | Outcome
        try:
            said = self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            reason = _end_of_process(self._process.exitcode)
            said = Failed(reason, f"{reason}\nIt left no traceback; a lack of memory is the usual reason.\n")
        if not isinstance(said, Message):
            self.job = None
        return said

    @property
    def is_alive(self) -> bool:
        """Tell whether the process can take another job."""
        return self._process.is_alive()

    def ask_to_end(self) -> None:
        """Ask the process to end; one that trains an agent keeps a checkpoint first."""
        self._asked = True
        self._process.terminate()

    def stop(self) -> None:
        """End the process, whatever it is doing, once it has had time for a checkpoint."""
        if self._process.exitcode is None and not self._asked:
            self.ask_to_end()
        self._process.join(timeout=_TIME_FOR_A_CHECKPOINT)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.connection.close()


def _in_one_line(error: Exception) -> str:
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _end_of_process(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"the worker process was killed by {signal.Signals(-exit_code).name}"
    return f"the worker process ended with exit status {exit_code}"


def _serve(connection: Connection, work: Work, tensorboard: Path, threads: int) -> None:
    """Do jobs in a worker process until the pipe is closed."""
    torch.set_num_threads(threads)
    while True:
        try:
            job: Job = connection.recv()
        except EOFError:
            return
        try:
            outcome = do_job(work, job, tensorboard, lambda text: connection.send(Message(text)))
        except TrainingStopped:
            return
        connection.send(outcome)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Start processes that ignore Ctrl-C, which a terminal sends to all of them: the command stops its workers."""
    if threading.current_thread() is not threading.main_thread():  # Only the main thread may say so.
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
