"""A folder that holds all of one run: settings, versions, measurements, checkpoints and plots."""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pandas import DataFrame

from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.run_folder_error import RunFolderError
from irecgan_gym.benchmarks.engine.tables import RESULTS, read_table
from irecgan_gym.storage.checkpoints import Checkpoints
from irecgan_gym.storage.files import is_unfinished, write_atomically

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
    | `checkpoints/`    | agents, and a folder `JOB.training` of each that is being trained                       |
    | `plots/`          | figures, drawn from the two tables alone                                               |
    | `tensorboard/`    | the same as `training.csv`, live                                                       |
    | `digests.json`    | SHA-256 of the tables, which are read only as they were written                        |

    A job is finished when its rows are in `results.csv`. Files are replaced whole, so a run that is killed at any
    moment can be started again with the same command and goes on with the jobs that are not finished, and with those
    in training from their last checkpoint. A run grows
    along its axes: further agents or seeds join, and what is finished stays. One process writes to a folder at a time
    (:meth:`claim`).

    Args:
        path: the folder.
        config: JSON-compatible settings that measurements depend on.
        axes: settings along which a run grows: mappings and lists take more entries, numbers become larger.
        checkpoint_seconds: least time between two checkpoints of a job's training.

    Raises:
        RunFolderError: the folder holds a run with other settings (the first that differ are named), or other files,
            or damaged ones.
    """

    def __init__(
        self,
        path: str | Path,
        config: Mapping[str, Any],
        axes: Sequence[str] = (),
        checkpoint_seconds: float = Checkpoints.seconds,
    ) -> None:
        self.path = Path(path)
        self._checkpoint_seconds = checkpoint_seconds
        self.results_file, self.training_file, self.durations_file = (
            self.path / f"{name}.csv" for name in ("results", "training", "durations")
        )
        self.failures, self.checkpoints, self.plots, self.tensorboard = (
            self.path / name for name in ("failures", "checkpoints", "plots", "tensorboard")
        )
        file = self.path / "config.json"
        if merged_settings(self.path, config, axes) != (read_json(file) if file.exists() else None):
            self.path.mkdir(parents=True, exist_ok=True)
            with self.claim():
                # Once more: another command may have made the folder its own before this one had it for itself.
                write_atomically(file, _to_json(merged_settings(self.path, config, axes)))
        for folder in (self.checkpoints, self.plots, self.tensorboard):
            folder.mkdir(exist_ok=True)
        self._note_versions()

    def checkpoint(self, job: Job) -> Path:
        """Return the file of a job's agent.

        Raises:
            RunFolderError: the folder is gone: writing the file would make another in its place.
        """
        self.check_there()
        return self.checkpoints / f"{job.name}.safetensors"

    def training(self, job: Job) -> Checkpoints:
        """Return the place of the checkpoints of a job's training, which is there while the job is at work.

        Raises:
            RunFolderError: see :meth:`checkpoint`.
        """
        self.check_there()
        return Checkpoints(self.checkpoints / f"{job.name}.training", self._checkpoint_seconds)

    def check_there(self) -> None:
        """Refuse to go on where the folder was moved or removed meanwhile.

        Raises:
            RunFolderError: there is no run folder at the path any more.
        """
        if not (self.path / "config.json").exists():
            raise RunFolderError(
                f"{self.path} was moved or removed while the run was at work: what had finished is where it went; "
                "start the command again there"
            )

    def results(self) -> DataFrame:
        """Return the measurements of all finished jobs."""
        return read_table(self.results_file, RESULTS)

    def failure(self, job: Job) -> Path:
        """Return the file that says why a job failed."""
        return self.failures / f"{job.name}.txt"

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Keep other processes from writing to the folder meanwhile; a process that dies lets go of it.

        Raises:
            RunFolderError: another process is at work in the folder.
        """
        folder = os.open(self.path, os.O_RDONLY)
        try:
            if self._lock(folder):
                self._remove_unfinished()
            yield
        finally:
            os.close(folder)

    def _lock(self, folder: int) -> bool:
        """Lock the open folder, and return whether it is locked: some network file systems have no locks."""
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunFolderError(f"another process is at work in {self.path}: wait for it, or stop it") from None
        except OSError:
            return False
        return True

    def _remove_unfinished(self) -> None:
        """Remove what killed writers have left over; there are no others while the folder is claimed."""
        for folder in (self.path, self.failures, self.checkpoints, self.plots):
            for file in folder.glob(".*"):
                if is_unfinished(file.name):
                    file.unlink(missing_ok=True)

    def write_text(self, name: str, text: str) -> None:
        """Add a file of text to the folder, e.g. a report of what was read."""
        write_atomically(self.path / name, text.encode())

    def _note_versions(self) -> None:
        file = self.path / "versions.json"
        sittings = read_json(file) if file.exists() else []
        if not isinstance(sittings, list) or not all(isinstance(sitting, dict) for sitting in sittings):
            raise RunFolderError(f"{file} must be a JSON list of objects")
        now = versions()
        if not sittings or {**sittings[-1], "started": None} != {**now, "started": None}:
            write_atomically(file, _to_json([*sittings, now]))


def merged_settings(path: Path, config: Mapping[str, Any], axes: Sequence[str] = ()) -> dict[str, Any]:
    """Return the settings of a folder's run grown by those of another command; nothing is written.

    Args:
        path: the folder, which need not exist.
        config: JSON-compatible settings that measurements depend on.
        axes: see :class:`RunFolder`.

    Raises:
        RunFolderError: see :class:`RunFolder`.
    """
    file = path / "config.json"
    # Through JSON and back, so that tuples and lists compare as equal.
    here: dict[str, Any] = json.loads(json.dumps(config))
    if not file.exists():
        # A command that was killed while it wrote its settings has left nothing but their beginning.
        if path.exists() and not (path.is_dir() and all(is_unfinished(entry.name) for entry in path.iterdir())):
            raise RunFolderError(f"{path} is not an empty folder and holds no config.json: choose another folder")
        return here
    there: dict[str, Any] = read_json(file)
    if not isinstance(there, dict):
        raise RunFolderError(f"{file} must be a JSON object of settings")
    grown = {name: _grown(there[name], here[name]) for name in axes if name in there and name in here}
    # Lists and numbers grow as they like; the entries of mappings must not change.
    free = {name for name, value in grown.items() if not isinstance(value, Mapping)}
    here |= {name: _grown(here[name], value) for name, value in grown.items()}
    _refuse_changes(file, {**there, **grown}, here, free)
    return {**there, **grown}


def _grown(there: Any, here: Any) -> Any:
    """Return both values of an axis in one; the first holds where both have an entry."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        return {**there, **{name: value for name, value in here.items() if name not in there}}
    if isinstance(there, list) and isinstance(here, list):
        return there + [value for value in here if value not in there]
    if isinstance(there, int) and isinstance(here, int):
        return max(there, here)
    return there


def versions() -> dict[str, Any]:
    """Return the versions of Python, platform and packages, and the commit where it can be had."""
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
    """Return the content of a JSON file of a run folder.

    Raises:
        RunFolderError: the file is damaged.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise RunFolderError(f"{file} is not valid JSON: {error}") from error


def _refuse_changes(file: Path, there: Mapping[str, Any], here: Mapping[str, Any], free: Collection[str]) -> None:
    old, new = dict(flatten(there)), dict(flatten(here))
    changed = [key for key in {**old, **new} if key not in free and old.get(key, _MISSING) != new.get(key, _MISSING)]
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
    text = json.dumps(values[key]) if key in values else "missing"
    return text if len(text) <= 100 else f"{text[:97]}..."


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as (dotted key, value)."""
    if not isinstance(value, Mapping):
        yield prefix, value
        return
    for key, inner in value.items():
        yield from flatten(inner, f"{prefix}.{key}" if prefix else str(key))
