"""Weights and settings in one safetensors file: nothing in it can run code, and writing it is atomic."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from irecgan_gym._version import __version__
from irecgan_gym.storage.files import write_atomically

_KEY = "irecgan_gym"


class StorageError(ValueError):
    """A file that does not hold what was asked for; the message names the file and what is wrong with it."""


def save_weights(path: str | Path, kind: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write tensors and a JSON description to one file, whole or not at all.

    Args:
        path: the file; its folder is made where it is missing.
        kind: what the file holds, e.g. ``"user_model"``; checked on loading.
        config: JSON-compatible settings needed to rebuild the module.
        tensors: the parameters.
    """
    header = json.dumps({"kind": kind, "version": __version__, "config": dict(config)})
    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, {_KEY: header})
    write_atomically(Path(path), data)


def load_weights(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a file written by :func:`save_weights`: its config and its tensors, on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: not a safetensors file, or one that holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError as error:
        raise StorageError(f"{path} is not a safetensors file: {error}") from error
    if header is None:
        raise StorageError(f"{path} was not written by irecgan_gym: its header has no key {_KEY!r}")
    description = json.loads(header)
    if description.get("kind") != kind:
        raise StorageError(f"{path} holds a {description.get('kind')!r}, expected a {kind!r}")
    return description["config"], tensors
