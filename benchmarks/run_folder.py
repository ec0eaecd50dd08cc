"""A folder that holds all of one run: settings, versions, measurements, checkpoints and plots."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.measurements import Job, Measurement, TrainingRecord, read_rows, write_rows
from irecgan_gym.atomic_file import write_atomically

_PACKAGES = ("irecgan-gym", "gymnasium", "numpy", "pyarrow", "torch", "safetensors", "matplotlib")


class RunFolderError(ValueError):
    """A folder that cannot take this run; the message says why and what to do."""


class RunFolder:
    """The folder of a run, made or continued.

    | file              | holds                                                                                  |
    | ----------------- | -------------------------------------------------------------------------------------- |
    | `config.json`     | the resolved settings; the same for everything in the folder                           |
    | `versions.json`   | Python, platform, packages and commit of every sitting that worked on the run           |
    | `results.csv`     | one row a measurement; a job's rows appear all at once when it has finished             |
    | `training.csv`    | what training reported, of finished jobs                                               |
    | `checkpoints/`    | agents                                                                                 |
    | `plots/`          | figures, drawn from the two tables alone                                               |
    | `tensorboard/`    | the same as `training.csv`, live                                                       |

    A job is finished when its rows are in `results.csv`. Files are replaced whole, so a run that is killed at any
    moment can be started again with the same command and goes on with the first unfinished job. One process writes to
    a folder at a time.

    Args:
        path: the folder.
        config: JSON-compatible settings that measurements depend on.

    Raises:
        RunFolderError: the folder holds a run with other settings (the first that differ are named), or other files,
            or damaged ones.
    """

    def __init__(self, path: str | Path, config: Mapping[str, Any]) -> None:
        self.path = Path(path)
        # Through JSON and back, so that tuples and lists compare as equal.
        resolved: dict[str, Any] = json.loads(json.dumps(config))
        file = self.path / "config.json"
        if file.exists():
            _refuse_changes(file, _read_json(file), resolved)
        elif self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise RunFolderError(f"{self.path} is not an empty folder and holds no config.json: choose another folder")
        else:
            write_atomically(file, _to_json(resolved))
        for folder in (self.checkpoints, self.plots, self.tensorboard):
            folder.mkdir(exist_ok=True)
        self._note_versions()

    @property
    def results_file(self) -> Path:
        """Measurements of finished jobs."""
        return self.path / "results.csv"

    @property
    def training_file(self) -> Path:
        """What training reported."""
        return self.path / "training.csv"

    @property
    def checkpoints(self) -> Path:
        """Folder of trained agents."""
        return self.path / "checkpoints"

    @property
    def plots(self) -> Path:
        """Folder of figures."""
        return self.path / "plots"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    def checkpoint(self, job: Job) -> Path:
        """Where the agent of a job is stored."""
        return self.checkpoints / f"{job.name}.safetensors"

    def results(self) -> list[Measurement]:
        """Measurements of all finished jobs."""
        return read_rows(Measurement, self.results_file)

    def finish(self, job: Job, metrics: Mapping[str, float], training: Iterable[TrainingRecord] = ()) -> None:
        """Write down all that a job has measured, and so mark it as finished.

        Raises:
            ValueError: no metrics, so that the job could never count as finished.
        """
        if not metrics:
            raise ValueError(f"job {job.name} has measured nothing")
        # The training table goes first: a job stopped between the two is run again and its rows are replaced.
        records = [row for row in read_rows(TrainingRecord, self.training_file) if row.job != job]
        write_atomically(self.training_file, write_rows(TrainingRecord, [*records, *training]).encode())
        rows = [row for row in self.results() if row.job != job]
        rows += [Measurement(job, name, float(value)) for name, value in metrics.items()]
        write_atomically(self.results_file, write_rows(Measurement, rows).encode())

    def write_text(self, name: str, text: str) -> None:
        """Add a file of text to the folder, e.g. a report of what was read."""
        write_atomically(self.path / name, text.encode())

    def _note_versions(self) -> None:
        file = self.path / "versions.json"
        sittings = _read_json(file) if file.exists() else []
        now = versions()
        if not sittings or {**sittings[-1], "started": None} != {**now, "started": None}:
            write_atomically(file, _to_json([*sittings, now]))


def versions() -> dict[str, Any]:
    """Python, platform, package versions and, where they can be had, the commit and whether it was changed."""
    packages: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            packages[name] = None
    # An installed copy may lie inside a repository of something else.
    is_ours = _git("ls-files", "--error-unmatch", Path(__file__).name) is not None
    status = _git("status", "--porcelain", "--untracked-files=no") if is_ours else None
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "packages": packages,
        "commit": _git("rev-parse", "HEAD") if is_ours else None,
        "uncommitted_changes": None if status is None else bool(status),
    }


def _git(*arguments: str) -> str | None:
    """Output of a git command on this code; None where there is no git or no repository."""
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _to_json(value: Any) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunFolderError(f"{file} is not valid JSON: {error}") from error


def _refuse_changes(file: Path, there: Any, here: Mapping[str, Any]) -> None:
    old, new = dict(_flatten(there)), dict(_flatten(here))
    changed = [key for key in {**old, **new} if old.get(key, _MISSING) != new.get(key, _MISSING)]
    if not changed:
        return
    shown = [f"{key} is {_show(old, key)} there and {_show(new, key)} now" for key in changed[:5]]
    more = f", and {len(changed) - 5} more" if len(changed) > 5 else ""
    raise RunFolderError(
        f"{file} belongs to a run with other settings: {'; '.join(shown)}{more}. "
        "Give the settings of that run to go on with it, or choose another folder."
    )


_MISSING = object()


def _show(values: Mapping[str, Any], key: str) -> str:
    return json.dumps(values[key]) if key in values else "missing"


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as (dotted key, value)."""
    if not isinstance(value, Mapping):
        yield prefix, value
        return
    for key, inner in value.items():
        yield from _flatten(inner, f"{prefix}.{key}" if prefix else str(key))
