"""Digests of the tables of a run folder: a table that was altered, or copied in part, is not taken for a whole one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from irecgan_gym.benchmarks.engine.run_folder_error import RunFolderError
from irecgan_gym.storage.files import write_atomically

DIGESTS = "digests.json"


def note_digest(table: Path, data: bytes) -> None:
    """Note what a table will hold; called before it is written, by the one process that writes to the folder.

    Digests of the content before and of the one to come are both kept: a run that is killed between the two files
    leaves the old table, which is whole.

    Args:
        table: the table.
        data: its content to come.
    """
    file = table.with_name(DIGESTS)
    noted = _read(file)
    there = [_digest(table.read_bytes())] if table.exists() else []
    content = {**noted, table.name: [*there, _digest(data)]}
    write_atomically(file, (json.dumps(dict(sorted(content.items())), indent=2) + "\n").encode())


def check_digest(table: Path, data: bytes) -> None:
    """Compare a table's content with what was written; in folders without digests there is nothing to compare with.

    Raises:
        RunFolderError: the table is another, or the digests cannot be read.
    """
    file = table.with_name(DIGESTS)
    known = _read(file).get(table.name)
    if known is not None and _digest(data) not in known:
        raise RunFolderError(
            f"{table} is not as it was written: it was altered, or copied in part. Copy it again; to take it as it is, "
            f"remove {file}"
        )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read(file: Path) -> dict[str, list[str]]:
    if not file.exists():
        return {}
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise RunFolderError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(known, list) for known in content.values()):
        raise RunFolderError(f"{file} must hold lists of digests by the names of tables")
    return content
