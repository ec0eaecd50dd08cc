"""The item names beside a server's log: ids in the log mean these, whatever is served later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from irecgan_gym.serving.events import LogError
from irecgan_gym.storage.files import write_atomically

_FILE = "catalogue.json"


def catalogue_digest(names: Sequence[str] | None) -> str | None:
    """Return the SHA-256 of item names in their order; None without names."""
    if names is None:
        return None
    return hashlib.sha256(json.dumps(list(names)).encode()).hexdigest()


def keep_catalogue(folder: Path, names: Sequence[str] | None, num_items: int) -> None:
    """Write the catalogue beside a new log, or check that it is that of the log.

    Raises:
        LogError: the log is of other items.
    """
    path = folder / _FILE
    own = {"num_items": num_items, "item_names": None if names is None else list(names)}
    if not path.exists():
        write_atomically(path, json.dumps(own).encode())
    elif _read(path) != own:
        raise LogError(f"{folder}: the log is of another catalogue: serve the policy with a log of its own")


def read_catalogue(folder: Path) -> tuple[str, ...] | None:
    """Return the item names of a log, or None where it has none.

    Raises:
        LogError: the file is missing or damaged.
    """
    names = _read(folder / _FILE)["item_names"]
    return None if names is None else tuple(names)


def _read(path: Path) -> dict[str, list[str] | None]:
    try:
        found = json.loads(path.read_bytes())
        return {"num_items": found["num_items"], "item_names": found["item_names"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LogError(f"{path} is missing or no catalogue: {error}") from error
