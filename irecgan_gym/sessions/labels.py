"""Labels: further feedback on the entries of lists, known after they were shown: liked, bought, seconds watched.

What is known before a click is a feature (:mod:`irecgan_gym.sessions.features`), and networks may see it. Labels are
outcomes: no network sees them, and rewards can be made of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from irecgan_gym.sessions.checks import SessionsError, check_column

Labels = Mapping[str, NDArray[np.float32]]
"""Values of all entries, float32 [L] with NaN where unknown, by the name of the label."""


def check_labels(labels: Mapping[str, ArrayLike], length: int) -> dict[str, NDArray[np.float32]]:
    """Return labels as they are stored.

    Args:
        labels: numbers or truth values by name, NaN where unknown; [L].
        length: number of entries, L.

    Raises:
        SessionsError: a name that is no text, or values of another type or length, or that 32 bits cannot hold.
    """
    if not isinstance(labels, Mapping):
        raise SessionsError(f"labels must be a mapping of names to values, got a {type(labels).__name__}")
    return {_checked_name(name): _checked_values(name, values, length) for name, values in labels.items()}


def _checked_name(name: str) -> str:
    if not isinstance(name, str) or not name:
        raise SessionsError(f"labels need texts as names, got {name!r}")
    return name


def _checked_values(name: str, values: ArrayLike, length: int) -> NDArray[np.float32]:
    array = check_column(f"label {name!r}", values, length)
    is_number = np.issubdtype(array.dtype, np.number) and np.isrealobj(array)
    if length and not is_number and array.dtype != np.bool_:
        raise SessionsError(f"label {name!r} must be real numbers or truth values, got {array.dtype}")
    with np.errstate(over="ignore"):
        stored = array.astype(np.float32)
    wrong = np.flatnonzero(np.isinf(stored))
    if len(wrong):
        raise SessionsError(
            f"label {name!r} is {array[wrong[0]]} at {wrong[0]}, expected a finite number of 32 bits or NaN for unknown"
        )
    return stored


def labels_of(labels: Labels, entries: NDArray[np.integer]) -> dict[str, NDArray[np.float32]]:
    """Return the labels of some entries, by their numbers."""
    return {name: values[entries] for name, values in labels.items()}


def joined_labels(parts: Sequence[Labels]) -> dict[str, NDArray[np.float32]]:
    """Return labels of entries behind each other, as far as all parts have them."""
    names = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}
