"""Display of a run while it works: one bar with the time left, and the last words of each running job."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from irecgan_gym.benchmarks.engine.durations import Durations, as_text, time_left
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.worker import Failed, Outcome


class JobProgress:
    """A live display on terminals, and a line for each job that ends everywhere; a context manager.

    Args:
        total: jobs of the run.
        waiting: those still to do, in the order in which they start.
        slots: jobs at a time.
        durations: expected seconds, learns from jobs that finish.
        console: shows all this.
    """

    def __init__(self, total: int, waiting: Sequence[Job], slots: int, durations: Durations, console: Console) -> None:
        # The display is drawn by a thread of its own.
        self._lock = threading.Lock()
        self._waiting = dict.fromkeys(waiting)
        self._running: dict[Job, tuple[float, str]] = {}
        self._slots = slots
        self._durations = durations
        self._console = console
        self._progress = Progress(
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
        )
        self._total, self._done = total, total - len(waiting)
        self._bar = self._progress.add_task("", total=total, completed=self._done)
        self._live = Live(get_renderable=self._show, console=console, transient=True, refresh_per_second=4)

    def started(self, job: Job) -> None:
        """Show that a job begins."""
        with self._lock:
            del self._waiting[job]
            self._running[job] = (time.perf_counter(), "")

    def said(self, job: Job, text: str) -> None:
        """Show the last words of a running job."""
        with self._lock:
            self._running[job] = (self._running[job][0], text)

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Show that a job has finished or failed."""
        with self._lock:
            del self._running[job]
            self._done += 1
            if isinstance(outcome, Failed):
                line, style = f"{job.name}: FAILED: {outcome.reason}", "red"
            else:
                self._durations.add(job, outcome.seconds)
                line, style = f"{job.name}: done in {as_text(outcome.seconds)}", ""
            left = self._left()
        self._progress.advance(self._bar)
        more = f", {left} left" if left else ""
        self._console.print(
            f"[{self._done}/{self._total}] {line}{more}", style=style, markup=False, highlight=False, soft_wrap=True
        )

    def __enter__(self) -> JobProgress:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def _left(self) -> str:
        jobs = [*self._running, *self._waiting]
        expected = self._durations.filled(jobs)
        if not jobs or expected is None:
            return ""
        now = time.perf_counter()
        begun = [now - start for start, _ in self._running.values()]
        running = [seconds - spent for seconds, spent in zip(expected, begun, strict=False)]
        return f"about {as_text(time_left(running, expected[len(begun) :], self._slots))}"

    def _show(self) -> Group:
        with self._lock:
            left = self._left()
            lines = [
                Text(f"  {job.name}  {text}", no_wrap=True, overflow="ellipsis")
                for job, (_, text) in self._running.items()
            ]
        self._progress.update(self._bar, description=f"{left} left" if left else "")
        return Group(self._progress, *lines)
