"""A folder that holds all of one run: settings, versions, measurements, checkpoints and plots."""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from irecgan_gym.benchmarks.measurements import Duration, Job, Measurement, read_rows

from irecgan_gym.storage.files import write_atomically

_PACKAGES = (
    "irecgan-gym",
    "gymnasium",
    "numpy",
    "pyarrow",
    "torch",
    "safetensors",
    "matplotlib",
    "stable-baselines3",
    "sb3-contrib",
)


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
    | `durations.csv`   | the seconds that finished jobs took                                                    |
    | `failures/`       | a file a job that failed, until it has finished after all                              |
    | `checkpoints/`    | agents                                                                                 |
    | `plots/`          | figures, drawn from the two tables alone                                               |
    | `tensorboard/`    | the same as `training.csv`, live                                                       |

    A job is finished when its rows are in `results.csv`. Files are replaced whole, so a run that is killed at any
    moment can be started again with the same command and goes on with the jobs that are not finished. One process
    writes to a folder at a time (:meth:`claim`); the tables are written by :class:`benchmarks.run_tables.RunTables`.

    Args:
        path: the folder.
        config: JSON-compatible settings that measurements depend on.

    Raises:
        RunFolderError: the folder holds a run with other settings (the first that differ are named), or other files,
            or damaged ones.
    """

    def __init__(self, path: str | Path, config: Mapping[str, Any]) -> None:
        self.path = Path(path)
        check_settings(self.path, config)
        file = self.path / "config.json"
        if not file.exists():
            write_atomically(file, _to_json(config))
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
    def durations_file(self) -> Path:
        """How long jobs took."""
        return self.path / "durations.csv"

    @property
    def failures(self) -> Path:
        """Folder of what went wrong."""
        return self.path / "failures"

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

    def durations(self) -> dict[Job, float]:
        """Seconds that finished jobs took."""
        return {row.job: row.seconds for row in read_rows(Duration, self.durations_file)}

    def failure(self, job: Job) -> Path:
        """Where it is written why a job failed."""
        return self.failures / f"{job.name}.txt"

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Keep other processes from writing to the folder meanwhile; a process that dies lets go of it.

        Raises:
            RunFolderError: another process is at work in the folder.
        """
        # The one file that is never replaced.
        with (self.path / "config.json").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunFolderError(f"another process is at work in {self.path}: wait for it, or stop it") from None
            except OSError:
                pass  # Some network file systems have no locks.
            yield

    def write_text(self, name: str, text: str) -> None:
        """Add a file of text to the folder, e.g. a report of what was read."""
        write_atomically(self.path / name, text.encode())

    def _note_versions(self) -> None:
        file = self.path / "versions.json"
        sittings = read_json(file) if file.exists() else []
        now = versions()
        if not sittings or {**sittings[-1], "started": None} != {**now, "started": None}:
            write_atomically(file, _to_json([*sittings, now]))


def check_settings(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse a folder that cannot take a run with these settings; nothing is written.

    Args:
        path: the folder, which need not exist.
        config: JSON-compatible settings that measurements depend on.

    Raises:
        RunFolderError: see :class:`RunFolder`.
    """
    file = path / "config.json"
    if file.exists():
        # Through JSON and back, so that tuples and lists compare as equal.
        _refuse_changes(file, read_json(file), json.loads(json.dumps(config)))
    elif path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunFolderError(f"{path} is not an empty folder and holds no config.json: choose another folder")


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


def read_json(file: Path) -> Any:
    """What a JSON file of a run folder holds.

    Raises:
        RunFolderError: the file is damaged.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunFolderError(f"{file} is not valid JSON: {error}") from error


def _refuse_changes(file: Path, there: Any, here: Mapping[str, Any]) -> None:
    old, new = dict(flatten(there)), dict(flatten(here))
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


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as (dotted key, value)."""
    if not isinstance(value, Mapping):
        yield prefix, value
        return
    for key, inner in value.items():
        yield from flatten(inner, f"{prefix}.{key}" if prefix else str(key))
