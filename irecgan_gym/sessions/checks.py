"""Checks of the columns that users hand in as sessions; each names the column, the place and the value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

IntArray = NDArray[np.integer[Any]]
FloatArray = NDArray[np.floating[Any]]


class SessionsError(ValueError):
    """Columns that do not describe sessions; the message says which session, step and value."""


def check_offsets(name: str, lengths: ArrayLike, minimum: int) -> IntArray:
    """Offsets of ragged rows from their lengths, int64 [R + 1]."""
    counts = np.asarray(lengths)
    if counts.ndim != 1 or (counts.size and not np.issubdtype(counts.dtype, np.integer)):
        raise SessionsError(f"{name} must be a flat array of integers, got {counts.dtype} of shape {counts.shape}")
    wrong = np.flatnonzero(counts < minimum)
    if len(wrong):
        raise SessionsError(f"{name}[{wrong[0]}] is {counts[wrong[0]]}, expected at least {minimum}")
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def check_column(name: str, values: ArrayLike | None, length: int) -> NDArray[Any]:
    """An array of the given length."""
    array = np.asarray(values)
    if array.shape != (length,):
        raise SessionsError(f"{name} must have shape ({length},), got {array.shape}")
    return array


def check_ids(
    name: str,
    values: ArrayLike | None,
    length: int,
    bound: int | None,
    dtype: type[np.integer[Any]] = np.int32,
    signed: bool = False,
) -> IntArray:
    """Integers from 0 (or of either sign) to below ``bound``, the type's own when None."""
    array = check_column(name, values, length)
    if length and not np.issubdtype(array.dtype, np.integer):
        raise SessionsError(f"{name} must be integers, got {array.dtype}")
    limit = np.iinfo(dtype).max + 1 if bound is None else bound
    wrong = np.flatnonzero(((array < 0) & (not signed)) | (array >= limit))
    if len(wrong):
        raise SessionsError(f"{name}[{wrong[0]}] is {array[wrong[0]]}, expected an id from 0 to {limit - 1}")
    return array.astype(dtype)


def check_numbers(name: str, values: ArrayLike, length: int) -> FloatArray:
    """Finite numbers, float32."""
    array = check_column(name, values, length)
    if length and not np.issubdtype(array.dtype, np.number) and array.dtype != np.bool_:
        raise SessionsError(f"{name} must be numbers, got {array.dtype}")
    if np.iscomplexobj(array):
        raise SessionsError(f"{name} must be real numbers, got {array.dtype}")
    wrong = np.flatnonzero(~np.isfinite(array))
    if len(wrong):
        raise SessionsError(f"{name}[{wrong[0]}] is {array[wrong[0]]}, expected a finite number")
    return array.astype(np.float32)


def check_propensities(values: ArrayLike, length: int) -> FloatArray:
    """Probabilities in (0, 1] or NaN, float32."""
    array = check_column("propensities", values, length)
    if length and not np.issubdtype(array.dtype, np.floating):
        raise SessionsError(f"propensities must be floating-point numbers, got {array.dtype}")
    wrong = np.flatnonzero((array <= 0) | (array > 1))
    if len(wrong):
        raise SessionsError(
            f"propensities[{wrong[0]}] is {array[wrong[0]]}, expected a probability in (0, 1] or NaN for unknown"
        )
    return array.astype(np.float32)


def check_flags(name: str, values: ArrayLike | None, length: int) -> NDArray[np.bool_]:
    """Booleans, all False when None."""
    if values is None:
        return np.zeros(length, dtype=bool)
    array = check_column(name, values, length)
    if length and array.dtype != np.bool_:
        raise SessionsError(f"{name} must be booleans, got {array.dtype}")
    return array.astype(bool)


def check_names(names: Sequence[str], num_items: int) -> tuple[str, ...]:
    """Different texts, one for each item."""
    result = tuple(names)
    if len(result) != num_items:
        raise SessionsError(f"item_names has {len(result)} entries for {num_items} items")
    if not all(isinstance(name, str) for name in result):
        wrong = next(number for number, name in enumerate(result) if not isinstance(name, str))
        raise SessionsError(f"item_names[{wrong}] is {result[wrong]!r}, expected text")
    if len(set(result)) != len(result):
        raise SessionsError("item_names must differ from each other")
    return result
