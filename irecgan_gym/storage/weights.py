"""Weights and settings in one safetensors file: nothing in it can run code, and writing it is atomic.

Beside the tensors, a file holds a JSON description under one key of the safetensors header: what it is (``kind``), the
version of the package, the settings, the version of the format, and a SHA-256 of all of that and of the tensors with
their names, types and shapes. Files from before the format had a version have no digest, and are read without.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from irecgan_gym._version import __version__
from irecgan_gym.storage.files import write_atomically

FORMAT_VERSION = 1
_KEY = "irecgan_gym"
_DESCRIPTION = {"kind": str, "version": str, "config": dict}
_SINCE_1 = {"format_version": int, "digest": str}
_JSON_WORDS: dict[type, str] = {int: "a whole number", float: "a number", str: "a text", dict: "an object"}


class StorageError(ValueError):
    """A file that does not hold what was asked for; the message names the file and what is wrong with it."""


def save_weights(path: str | Path, kind: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write tensors and a JSON description to one file, whole or not at all.

    Args:
        path: the file; its folder is made where it is missing.
        kind: what the file holds, e.g. ``"user_model"``; checked on loading.
        config: JSON-compatible settings needed to rebuild the module.
        tensors: the parameters.

    Raises:
        StorageError: a tensor that holds infinite numbers or none: such a file would be refused on loading.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    _refuse_non_finite(f"cannot save {path}:", tensors)
    # Through JSON and back, so that the digest is of what will be read.
    description = json.loads(
        json.dumps({"format_version": FORMAT_VERSION, "kind": kind, "version": __version__, "config": dict(config)})
    )
    header = json.dumps({**description, "digest": _digest(description, tensors)})
    write_atomically(Path(path), save(tensors, {_KEY: header}))


def load_weights(
    path: str | Path,
    kind: str,
    settings: Mapping[str, type] | None = None,
    optional: Mapping[str, type] | None = None,
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a file written by :func:`save_weights`: its config and its tensors, on the CPU.

    Memory and time are bounded by the size of the file.

    Args:
        path: the file.
        kind: what it must hold.
        settings: keys that the config must have, no others, and the types of their values; any when None.
        optional: keys that it may have besides, which files of earlier versions lack.

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: not a safetensors file, or one that was damaged, holds something else, or is of a later format.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, RuntimeError, ValueError, TypeError, OverflowError) as error:
        raise StorageError(f"{path} is not a safetensors file: {_first_line(error)}") from error
    if header is None:
        raise StorageError(f"{path} was not written by irecgan_gym: its header has no key {_KEY!r}")
    description = _description(path, header)
    if "digest" in description and description.pop("digest") != _digest(description, tensors):
        raise StorageError(f"{path} was damaged: its content is not what was written (its SHA-256 differs)")
    if description["kind"] != kind:
        raise StorageError(f"{path} holds a {description['kind'][:100]!r}, expected a {kind!r}")
    _refuse_non_finite(f"{path}:", tensors)
    if settings is not None:
        config = description["config"]
        present = {name: of for name, of in (optional or {}).items() if isinstance(config, dict) and name in config}
        _check_keys(f"{path}: its settings", config, {**settings, **present})
    return description["config"], tensors


def check_tensors(path: str | Path, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Compare the tensors of a file with those that its settings ask for: names, types and shapes.

    Args:
        path: the file, for the message.
        tensors: its tensors.
        expected: what they should be like, e.g. those of a module on the meta device, for which no memory is needed.

    Raises:
        StorageError: with the first that is missing, that nobody asked for, or that is another.
    """
    _check_names(path, tensors, expected)
    for name, tensor in expected.items():
        there, wanted = _kind_of(tensors[name]), _kind_of(tensor)
        if there != wanted:
            raise StorageError(f"{path}: tensor {name!r} is {there}, its settings ask for {wanted}")


def check_dimensions(path: str | Path, tensors: Mapping[str, Tensor], expected: Mapping[str, int]) -> None:
    """Compare the tables of a file, whose sizes it alone knows, with float64 of so many axes.

    Args:
        path: the file, for the message.
        tensors: its tensors.
        expected: numbers of axes by the tables' names.

    Raises:
        StorageError: see :func:`check_tensors`.
    """
    _check_names(path, tensors, expected)
    for name, axes in expected.items():
        if tensors[name].dtype != torch.float64 or tensors[name].ndim != axes:
            raise StorageError(f"{path}: tensor {name!r} is {_kind_of(tensors[name])}, expected float64 of {axes} axes")


def outline(shapes: Mapping[str, Sequence[int]], dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Return tensors of these shapes for :func:`check_tensors`, without numbers and without memory for them.

    Args:
        shapes: shapes by the tensors' names.
        dtype: type of the numbers of all.
    """
    return {name: torch.empty(tuple(shape), dtype=dtype, device="meta") for name, shape in shapes.items()}


def load_state(path: str | Path, tensors: Mapping[str, Tensor], module: nn.Module) -> None:
    """Give a module on the meta device the tensors of a file for its own.

    Raises:
        StorageError: see :func:`check_tensors`.
    """
    check_tensors(path, tensors, module.state_dict())
    module.load_state_dict(dict(tensors), assign=True)


@contextmanager
def described_by(path: str | Path) -> Iterator[None]:
    """Name the file in what goes wrong while something is made by its settings.

    Raises:
        StorageError: with the file, and the first line of the error.
    """
    try:
        yield
    except StorageError:
        raise
    # PyTorch has no errors of its own for sizes: RuntimeError, TypeError and OverflowError.
    except (ValueError, RuntimeError, TypeError, OverflowError, MemoryError) as error:
        raise StorageError(f"{path}: nothing can be made by its settings: {_first_line(error)}") from error


def _description(path: Path, header: str) -> dict[str, Any]:
    try:
        description = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{path} has a description that is not JSON: {_first_line(error)}") from error
    version = description.get("format_version", 0) if isinstance(description, dict) else 0
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise StorageError(
            f"{path} has format version {version}, expected at most {FORMAT_VERSION}: a later irecgan_gym wrote it"
        )
    has_version = isinstance(description, dict) and "format_version" in description
    _check_keys(f"{path}: its description", description, {**_DESCRIPTION, **(_SINCE_1 if has_version else {})})
    if has_version and version < 1:
        raise StorageError(f"{path} has format version {version}, expected from 1 to {FORMAT_VERSION}")
    return dict(description)


def _check_keys(what: str, values: Any, expected: Mapping[str, type]) -> None:
    """Refuse what is no object of these keys and types."""
    if not isinstance(values, dict):
        raise StorageError(f"{what} must be an object, got a {type(values).__name__}")
    for problem, keys in (("has no", expected.keys() - values.keys()), ("has an unknown", values.keys() - expected)):
        if keys:
            raise StorageError(f"{what} {problem} {min(keys)[:100]!r}; expected {sorted(expected)}")
    for name, kind in expected.items():
        kinds = (int, float) if kind is float else kind
        if not isinstance(values[name], kinds) or (isinstance(values[name], bool) and kind is not bool):
            shown = f"{values[name]!r}"[:100]
            raise StorageError(f"{what}: {name!r} must be {_JSON_WORDS.get(kind, kind.__name__)}, got {shown}")


def digest_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Return a SHA-256 of tensors with their names, types and shapes, on any device; 64 hexadecimal digits."""
    return _digest({}, {name: tensor.detach().cpu() for name, tensor in tensors.items()})


def _digest(description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of a description and of tensors with their names, types and shapes."""
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        if tensor.numel():
            digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _refuse_non_finite(what: str, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        finite = torch.isfinite(tensor) if tensor.is_floating_point() or tensor.is_complex() else None
        if finite is not None and not finite.all():
            number = int((~finite).sum())
            raise StorageError(
                f"{what} tensor {name!r} holds {number:,} of {tensor.numel():,} numbers that are not finite"
            )


def _check_names(path: str | Path, there: Collection[str], expected: Collection[str]) -> None:
    for names, problem in ((set(expected) - set(there), "lacks"), (set(there) - set(expected), "should not have")):
        if names:
            raise StorageError(f"{path} {problem} the tensor {min(names)[:100]!r}; its settings ask for others")


def _kind_of(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _first_line(error: BaseException) -> str:
    first = str(error).strip().partition("\n")[0][:300]
    return first or type(error).__name__
