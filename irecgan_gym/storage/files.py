"""Files that are replaced whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from irecgan_gym.settings import checked_values

_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{16}")


def write_atomically(path: Path, data: bytes | memoryview) -> None:
    """Replace a file's content so that a reader sees the old or the new one, never a part.

    A link stays, and the file that it leads to is replaced; a file that is replaced keeps its mode. What is no regular
    file cannot be replaced: pipes, terminals and ``/dev/null`` are written to, block devices and folders refused.

    Args:
        path: the file; its folder is made where it is missing.
        data: the new content.

    Raises:
        OSError: with the path, and what the system says of it, such as a full disk; the old content is still there.
    """
    with _named(path):
        try:
            there = os.stat(path)
        except FileNotFoundError:
            there = None
        if there is None or stat.S_ISREG(there.st_mode):
            _replace(Path(os.path.realpath(path)), there, data)
        else:
            _write_into(path, there, data)


def is_unfinished(name: str) -> bool:
    """Tell whether a file of this name is what a killed :func:`write_atomically` has left over."""
    return _UNFINISHED.fullmatch(name) is not None


def _replace(path: Path, there: os.stat_result | None, data: bytes | memoryview) -> None:
    """Put a new regular file in the place of an old one, or of none."""
    if there is not None and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # Opened by hand: files of the tempfile module can be read by their owner alone, whatever the umask. Names may have
    # 255 bytes, and those of the system's characters are no longer than that of four.
    temporary = path.with_name(f".{path.name[:50]}.{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            if there is not None:
                with suppress(OSError):  # The old owner's, where the writer may give files away.
                    os.fchown(file.fileno(), there.st_uid, there.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(there.st_mode))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _keep_name(path.parent)


def _keep_name(folder: Path) -> None:
    """Have a folder's new entries on the disk, so that a power failure does not bring back the old ones."""
    with suppress(OSError):  # Not all file systems can.
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _write_into(path: Path, there: os.stat_result, data: bytes | memoryview) -> None:
    """Write to a pipe or a character device."""
    if stat.S_ISDIR(there.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if stat.S_ISBLK(there.st_mode):
        raise OSError(errno.EINVAL, "is a block device: its content would be lost", str(path))
    # A pipe that nobody reads would be waited for for ever: opened without waiting, it is an error (ENXIO).
    handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    os.set_blocking(handle, True)
    with os.fdopen(handle, "wb") as file:
        file.write(data)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in errors of the system that do not, or that name a file that nobody asked for."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        reason = "a pipe that nobody reads from" if error.errno == errno.ENXIO else error.strerror
        raise OSError(error.errno, reason, str(path)) from error
    except ValueError as error:  # A NUL is in the name.
        raise OSError(errno.EINVAL, f"no name of a file ({error})", repr(str(path))) from error


ConfigT = TypeVar("ConfigT")


def from_json(config_type: type[ConfigT], values: Mapping[str, Any]) -> ConfigT:
    """Build a dataclass, and the dataclasses in its fields, from a mapping; missing keys take their defaults.

    Raises:
        ValueError: a key that the dataclass does not have or lacks, or a value that a field does not take.
    """
    if not is_dataclass(config_type):
        raise TypeError(f"{config_type!r} is not a dataclass")
    if not isinstance(values, Mapping):
        raise ValueError(f"{config_type.__name__} takes an object of settings, got a {type(values).__name__}")
    hints = get_type_hints(config_type)
    known = {field.name: field for field in fields(config_type)}
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(f"{config_type.__name__} has no field {unknown[0]!r}; it has {sorted(known)}")
    for name, field in known.items():
        if name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{config_type.__name__} needs the field {name!r}")
    arguments = {name: _field_value(hints[name], value) for name, value in values.items()}
    return config_type(**checked_values(config_type, arguments))


def _field_value(hint: Any, value: Any) -> Any:
    """The value of a field that holds a dataclass, or a tuple of them; any other as it is."""
    if is_dataclass(hint) and isinstance(hint, type):
        return from_json(hint, value)
    if get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        kind = get_args(hint)[0]
        if is_dataclass(kind) and isinstance(kind, type):
            return tuple(from_json(kind, one) for one in value)
    return value
