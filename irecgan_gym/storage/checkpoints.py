"""Checkpoints of a training: a folder from which it goes on, to the bit, where it was stopped.

The folder holds ``training.json``, which says what is trained from what, and one file a phase: ``PHASE.safetensors`` of
a phase that is over, ``PHASE.STEP.safetensors`` after so many steps of one that is not. Each file is written whole or
not at all (:mod:`irecgan_gym.storage.weights`), so that a process killed at any moment leaves a folder to go on from.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from torch import Tensor

from irecgan_gym.recorder import Recorder
from irecgan_gym.settings import Count, NotNegative, check_settings
from irecgan_gym.storage.files import is_unfinished, write_atomically
from irecgan_gym.storage.interruption import Interruption, TrainingStopped
from irecgan_gym.storage.schedule import Schedule, never
from irecgan_gym.storage.states import Things, packed, put_back, state_of, unpacked
from irecgan_gym.storage.weights import StorageError, load_weights, save_weights

FORMAT_VERSION = 1
_KIND = "training"
_IDENTITY = "training.json"
_SETTINGS = {"training": str, "phase": str, "position": int, "over": bool, "records": list, "state": dict}
_PHASE = re.compile(r"[A-Za-z0-9_.-]+")

ResultT = TypeVar("ResultT")


class CheckpointError(StorageError):
    """A folder that cannot keep the checkpoints of a training; the message says why. What it holds is left alone."""


class CheckpointWarning(UserWarning):
    """A checkpoint that could not be written or read, while the training goes on."""


@dataclass(frozen=True)
class Checkpoints:
    """Place of a training's checkpoints, and how often they are taken.

    Attributes:
        folder: of this training alone; made where it is missing.
        seconds: least time between two checkpoints; 0 keeps one after every epoch, round and phase.
        keep: checkpoints of an unfinished phase that are kept, the newest; older ones stand in for damaged ones.
    """

    folder: Path
    seconds: NotNegative = 60.0
    keep: Count = 2

    def __post_init__(self) -> None:
        check_settings(self)
        object.__setattr__(self, "folder", Path(self.folder))

    @classmethod
    def of(cls, place: Checkpoints | str | Path) -> Checkpoints:
        """Return checkpoints as they are, or those of a folder."""
        return place if isinstance(place, Checkpoints) else cls(Path(place))


class _Kept(NamedTuple):
    """A checkpoint: what a phase has come to after some steps."""

    phase: str
    position: int
    over: bool
    records: list[tuple[int, dict[str, float]]]
    state: Any
    tensors: Mapping[str, Tensor]


def _copied(kept: _Kept) -> _Kept:
    """A checkpoint that can wait, while what follows changes the things that it was taken of."""
    return kept._replace(tensors={name: tensor.clone() for name, tensor in kept.tensors.items()})


class _Tape:
    """Recorder that hands the numbers on, and remembers those of the present phase."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.rows: list[tuple[int, dict[str, float]]] = []

    def record(self, values: Mapping[str, float], step: int) -> None:
        self.rows.append((step, {name: float(value) for name, value in values.items()}))
        self._recorder.record(values, step)


class StoredSchedule(Schedule):
    """Schedule of a training that goes on where it was stopped.

    A phase that is over is skipped: its things get the state in which it left them, and the recorder its numbers. A
    phase that was stopped goes on after its last checkpoint. Whatever happens between phases happens again, and must
    depend on nothing but what phases have left.

    Made by :func:`stored_schedule`.

    Attributes:
        recorder: hands numbers on to the training's recorder; those of skipped steps too.
    """

    def __init__(self, checkpoints: Checkpoints, training: str, recorder: Recorder, interruption: Interruption) -> None:
        self._checkpoints, self._folder, self._training = checkpoints, checkpoints.folder, training
        self._interruption = interruption
        self._begun: set[str] = set()
        self._inner: list[Path] = []
        self._waiting: list[_Kept] = []
        self._last = time.monotonic()
        self._written = False
        self.recorder = self._tape = _Tape(recorder)

    def steps(
        self, phase: str, number: int, things: Things, *, until: Callable[[], bool] = never, first: int = 0
    ) -> Iterator[int]:
        """See :meth:`Schedule.steps`.

        Raises:
            TrainingStopped: a signal has asked the training to end; after the checkpoint.
            OSError: the first checkpoint cannot be written. Later ones warn, and the training goes on.
        """
        self._begin(phase)
        position, over = first, first >= number
        kept = self._newest(phase)
        if kept is not None:
            put_back(things, unpacked(kept.state, kept.tensors))
            self._replay(kept)
            position, over = kept.position, kept.over
        while not over:
            yield position
            position += 1
            over = until() or position >= number
            self._keep(phase, position, over, state_of(things))

    def once(self, phase: str, make: Callable[[], ResultT]) -> ResultT:
        """See :meth:`Schedule.once`; see :meth:`steps` for what it raises."""
        self._begin(phase)
        kept = self._newest(phase)
        if kept is not None:
            self._replay(kept)
            found: ResultT = unpacked(kept.state, kept.tensors)["result"]
            return found
        result = make()
        self._keep(phase, 1, True, {"result": result})
        return result

    def inner(self, name: str) -> Checkpoints:
        """See :meth:`Schedule.inner`: a folder in this one."""
        self._inner.append(self._folder / name)
        return Checkpoints(self._folder / name, self._checkpoints.seconds, self._checkpoints.keep)

    def flush(self) -> None:
        """Write what has waited for its time.

        Raises:
            OSError: it cannot be written.
        """
        while self._waiting:
            self._write(self._waiting[0])
            del self._waiting[0]

    def _begin(self, phase: str) -> None:
        if not _PHASE.fullmatch(phase) or phase in self._begun:
            raise ValueError(f"a phase must have a name of its own, of letters, digits and -_., got {phase!r}")
        self._begun.add(phase)
        self._tape.rows = []

    def _replay(self, kept: _Kept) -> None:
        for step, values in kept.records:
            self.recorder.record(values, step)

    def _keep(self, phase: str, position: int, over: bool, state: Mapping[str, Any]) -> None:
        """Write a checkpoint if its time has come; that of a phase that is over waits for it, others are left out."""
        asked = self._interruption.requested
        due = asked is not None or time.monotonic() - self._last >= self._checkpoints.seconds
        if not due and not over:
            return
        values, tensors = packed(state)
        kept = _Kept(phase, position, over, list(self._tape.rows), values, tensors)
        if not due:
            self._waiting.append(_copied(kept))
            return
        self._waiting.append(kept)
        try:
            self.flush()
        except OSError as error:
            if asked is not None or not self._written:
                raise
            warnings.warn(f"no checkpoint could be written, training goes on: {error}", CheckpointWarning, stacklevel=4)
            self._waiting.pop()
            if over:
                self._waiting.append(_copied(kept))
        self._last = time.monotonic()
        if asked is not None:
            raise TrainingStopped(
                asked, f"training was stopped in phase {phase!r} after step {position}; checkpoint in {self._folder}"
            )

    def _write(self, kept: _Kept) -> None:
        settings = {
            "training": self._training,
            "phase": kept.phase,
            "position": kept.position,
            "over": kept.over,
            "records": kept.records,
            "state": kept.state,
        }
        if not (self._folder / _IDENTITY).exists():
            # Writing the file would make another folder in its place.
            raise FileNotFoundError(errno.ENOENT, "was moved or removed meanwhile", str(self._folder))
        name = kept.phase if kept.over else f"{kept.phase}.{kept.position:09}"
        save_weights(self._folder / f"{name}.safetensors", _KIND, settings, kept.tensors)
        self._written = True
        # Trainings inside of steps that are over now.
        while self._inner:
            shutil.rmtree(self._inner.pop(), ignore_errors=True)
        stopped = self._stopped(kept.phase)
        for file in stopped if kept.over else stopped[self._checkpoints.keep :]:
            file.unlink(missing_ok=True)

    def _stopped(self, phase: str) -> list[Path]:
        """Return the checkpoints of an unfinished phase, the newest first."""
        name = re.compile(rf"{re.escape(phase)}\.\d{{9}}\.safetensors")
        return sorted((file for file in self._folder.iterdir() if name.fullmatch(file.name)), reverse=True)

    def _newest(self, phase: str) -> _Kept | None:
        """Return the newest checkpoint of a phase that can be read; None where there is none.

        Raises:
            StorageError: the newest is damaged, or another training's, and no older one is in its place.
        """
        over = self._folder / f"{phase}.safetensors"
        files = [*([over] if over.exists() else []), *self._stopped(phase)]
        for file in files:
            try:
                return self._read(file, phase)
            except StorageError as error:
                if file == files[-1]:
                    raise
                warnings.warn(f"{error}; an older checkpoint stands in for it", CheckpointWarning, stacklevel=4)
        return None

    def _read(self, file: Path, phase: str) -> _Kept:
        found, tensors = load_weights(file, _KIND, _SETTINGS)
        if (found["training"], found["phase"]) != (self._training, phase):
            raise CheckpointError(f"{file} is a checkpoint of another training or phase: it does not belong here")
        records = [(step, values) for step, values in found["records"]]
        return _Kept(phase, found["position"], found["over"], records, found["state"], tensors)


@contextmanager
def stored_schedule(
    checkpoints: Checkpoints, training: Mapping[str, Any], recorder: Recorder, size: int = 0
) -> Iterator[StoredSchedule]:
    """Open the folder of a training's checkpoints, and close it at the end.

    SIGINT and SIGTERM end the training after the epoch or round that it is at, with a checkpoint.

    Args:
        checkpoints: where, and how often.
        training: what the training's outcome depends on, JSON-compatible: settings, seed, digests of the data.
        recorder: receives the numbers of training.
        size: bytes of the networks, for which the disk must have room.

    Raises:
        CheckpointError: a folder that holds something else, the checkpoints of another training, or is in use.
        OSError: the folder cannot be written to, or the disk is too full.
    """
    folder = checkpoints.folder
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        _take_over(folder, training)
        _check_room(checkpoints, size)
        digest = hashlib.sha256(json.dumps(training, sort_keys=True).encode()).hexdigest()
        with Interruption() as interruption:
            schedule = StoredSchedule(checkpoints, digest, recorder, interruption)
            yield schedule
            if interruption.requested is not None:
                schedule.flush()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from the folder meanwhile; a process that dies lets go of it."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckpointError(f"another training is at work in {folder}: wait for it, or stop it") from None
        except OSError:  # Some network file systems have no locks.
            pass
        yield
    finally:
        os.close(handle)


def _take_over(folder: Path, training: Mapping[str, Any]) -> None:
    """Make the folder that of the training, or see that it is."""
    file = folder / _IDENTITY
    # Through JSON and back, so that tuples and lists compare as equal.
    here = json.loads(json.dumps({"format_version": FORMAT_VERSION, "training": dict(training)}))
    if not file.exists():
        others = sorted(entry.name for entry in folder.iterdir() if not is_unfinished(entry.name))
        if others:
            raise CheckpointError(
                f"{folder} holds {others[0]!r} but no {_IDENTITY}: it keeps no checkpoints; choose another folder"
            )
        write_atomically(file, (json.dumps(here, indent=2) + "\n").encode())
    else:
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        _compare(file, here)
    for entry in folder.iterdir():
        if is_unfinished(entry.name):
            entry.unlink(missing_ok=True)


def _compare(file: Path, here: Mapping[str, Any]) -> None:
    try:
        there = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is not valid JSON: {str(error)[:200]}") from error
    if not isinstance(there, dict) or not isinstance(there.get("training"), dict):
        raise CheckpointError(f"{file} must be a JSON object with an object 'training'")
    if there.get("format_version") != FORMAT_VERSION:
        shown = f"{there.get('format_version')!r}"[:50]
        raise CheckpointError(f"{file} has format version {shown}, expected {FORMAT_VERSION}")
    old, new = dict(_flat(there["training"])), dict(_flat(here["training"]))
    for name in {**old, **new}:
        if old.get(name, "missing") != new.get(name, "missing"):
            values = [f"{json.dumps(values.get(name, 'missing'))}"[:80] for values in (old, new)]
            raise CheckpointError(
                f"{file.parent} holds the checkpoints of another training: {name} is {values[0]} there, "
                f"{values[1]} here; go on with the same settings and data, or choose another folder"
            )


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield prefix, value
        return
    for name, part in value.items():
        yield from _flat(part, f"{prefix}.{name}" if prefix else str(name))


def _check_room(checkpoints: Checkpoints, size: int) -> None:
    """Refuse a disk without room for the checkpoints: weights, the best of them and two moments of the optimizer."""
    needed = 4 * size * (checkpoints.keep + 2)
    free = shutil.disk_usage(checkpoints.folder).free
    if free < needed:
        reason = (
            f"{os.strerror(errno.ENOSPC)}: checkpoints take up to {needed / 1e6:,.0f} MB, {free / 1e6:,.0f} are free"
        )
        raise OSError(errno.ENOSPC, reason, str(checkpoints.folder))
