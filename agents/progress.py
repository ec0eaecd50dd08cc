"""Progress of training in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from irecgan_gym.recorder import Recorder

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@contextmanager
def showing_progress(recorder: Recorder, title: str) -> Iterator[Recorder]:
    """Show a line with the step, the time and the last numbers of each component that trains in the block.

    Args:
        recorder: receives everything that the yielded recorder receives.
        title: name of what is trained.

    Yields:
        The recorder to train with.

    Raises:
        ImportError: rich is not installed.
    """
    try:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    except ImportError as error:
        raise ImportError("progress_bar=True needs rich: pip install rich") from error
    with Progress(SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}")) as lines:
        yield _ProgressLines(recorder, lines, title)


class _ProgressLines:
    """Recorder that hands everything on and keeps one line for each component."""

    def __init__(self, recorder: Recorder, lines: Progress, title: str) -> None:
        self._recorder, self._lines, self._title = recorder, lines, title
        self._tasks: dict[str, TaskID] = {}

    def record(self, values: Mapping[str, float], step: int) -> None:
        """Update the line of each component among the names."""
        self._recorder.record(values, step)
        for component in dict.fromkeys(name.partition("/")[0] for name in values):
            numbers = [
                f"{name.partition('/')[2]} {value:.4g}"
                for name, value in values.items()
                if name.startswith(f"{component}/")
            ]
            text = f"{self._title} {component} {step}: {', '.join(numbers)}"
            if component not in self._tasks:
                self._tasks[component] = self._lines.add_task(text, total=None)
            self._lines.update(self._tasks[component], description=text)
