"""Files that are replaced whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints


def write_atomically(path: Path, data: bytes | memoryview) -> None:
    """Replace a file's content so that a reader sees the old or the new one, never a part.

    Args:
        path: the file; its folder is made where it is missing.
        data: the new content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Opened by hand: files of the tempfile module can be read by their owner alone, whatever the umask.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


ConfigT = TypeVar("ConfigT")


def from_json(config_type: type[ConfigT], values: Mapping[str, Any]) -> ConfigT:
    """Build a dataclass, and the dataclasses in its fields, from a mapping.

    Raises:
        ValueError: a key that the dataclass does not have; missing keys take their defaults.
    """
    if not is_dataclass(config_type):
        raise TypeError(f"{config_type!r} is not a dataclass")
    hints = get_type_hints(config_type)
    known = {field.name for field in fields(config_type)}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"{config_type.__name__} has no field {unknown[0]!r}; it has {sorted(known)}")
    arguments = {
        name: from_json(hints[name], value) if is_dataclass(hints[name]) else value for name, value in values.items()
    }
    return config_type(**arguments)
