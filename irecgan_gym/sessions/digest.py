"""Digest of sessions: whether two logs are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from irecgan_gym.sessions.dataset import SessionLog
from irecgan_gym.sessions.logged_sessions import Sessions

_TOLD = ("provenance",)
"""Columns that say something of the sessions, and are no part of them."""
_SOMETIMES = ("labels",)
"""Columns that are missing where they hold nothing."""


def digest_of_sessions(sessions: Sessions) -> str:
    """Return a SHA-256 of all columns, by which a log is known again; 64 hexadecimal digits.

    Where the sessions come from makes no difference.
    """
    digest = hashlib.sha256()
    _add(digest, sessions)
    return digest.hexdigest()


def digest_of_log(log: SessionLog) -> str:
    """Return the digest of sessions in memory or on disk.

    Sessions on disk have another one than in memory, and another one when they are cut into other parts: training takes
    their parts in turn, so the order of its batches depends on them. They are read once, a part at a time.
    """
    if isinstance(log, Sessions):
        return digest_of_sessions(log)
    digest = hashlib.sha256()
    _add(digest, {"names": log.catalogue.names, "items": log.features.items})
    for part in log:
        # The items are those of all parts.
        own = replace(part, item_names=None, features=replace(part.features, items={}))
        digest.update(f"|part:{digest_of_sessions(own)}".encode())
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif is_dataclass(value):
        for field in fields(value):
            part = getattr(value, field.name)
            # A column that nobody knew of when a digest was taken leaves it as it was where it is missing.
            if field.name not in _TOLD and part is not None and (field.name not in _SOMETIMES or part):
                digest.update(f"|{field.name}:".encode())
                _add(digest, part)
    elif isinstance(value, Mapping):
        for name, part in value.items():
            digest.update(f"|{name!r}:".encode())
            _add(digest, part)
    else:
        digest.update(repr(value).encode())
