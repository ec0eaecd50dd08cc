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


def as_type(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """The array in a type, as a copy that nobody else can change; itself where nobody can."""
    is_final = array.flags.owndata and not array.flags.writeable and array.dtype == dtype
    return array if is_final else array.astype(dtype)


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
    if length and ((not signed and array.min() < 0) or array.max() >= limit):
        wrong = np.flatnonzero(((array < 0) & (not signed)) | (array >= limit))
        raise SessionsError(f"{name}[{wrong[0]}] is {array[wrong[0]]}, expected an id from 0 to {limit - 1}")
    return as_type(array, dtype)


def check_numbers(name: str, values: ArrayLike, length: int) -> FloatArray:
    """Finite numbers, float32."""
    array = check_column(name, values, length)
    if length and not np.issubdtype(array.dtype, np.number) and array.dtype != np.bool_:
        raise SessionsError(f"{name} must be numbers, got {array.dtype}")
    if np.iscomplexobj(array):
        raise SessionsError(f"{name} must be real numbers, got {array.dtype}")
    # As they will be stored: a number that 32 bits cannot hold becomes infinite.
    with np.errstate(over="ignore"):
        stored = as_type(array, np.float32)
    wrong = np.flatnonzero(~np.isfinite(stored))
    if len(wrong):
        raise SessionsError(f"{name}[{wrong[0]}] is {array[wrong[0]]}, expected a finite number of 32 bits")
    return stored


def check_propensities(values: ArrayLike, length: int) -> FloatArray:
    """Probabilities in (0, 1] or NaN, float32."""
    array = check_column("propensities", values, length)
    if length and not np.issubdtype(array.dtype, np.floating):
        raise SessionsError(f"propensities must be floating-point numbers, got {array.dtype}")
    stored = as_type(array, np.float32)
    # As they will be stored: so small a number that it would become 0 is no probability either.
    wrong = np.flatnonzero((stored <= 0) | (array > 1))
    if len(wrong):
        raise SessionsError(
            f"propensities[{wrong[0]}] is {array[wrong[0]]}, expected a probability in (0, 1] or NaN for unknown"
        )
    return stored


def check_times(values: ArrayLike, offsets: IntArray) -> NDArray[np.float64]:
    """Finite numbers that do not go back within a session, float64."""
    array = check_column("times", values, int(offsets[-1]))
    if len(array) and not (np.issubdtype(array.dtype, np.number) and np.isrealobj(array)):
        raise SessionsError(f"times must be real numbers, got {array.dtype}")
    times = as_type(array, np.float64)
    wrong = np.flatnonzero(~np.isfinite(times))
    if len(wrong):
        raise SessionsError(f"times[{wrong[0]}] is {array[wrong[0]]}, expected a finite number")
    back = np.diff(times, prepend=-np.inf) < 0
    back[offsets[:-1]] = False
    steps = np.flatnonzero(back)
    if len(steps):
        step = int(steps[0])
        session = int(np.searchsorted(offsets, step, side="right")) - 1
        raise SessionsError(
            f"session {session}, step {step - int(offsets[session])}: time {times[step]:.15g} is before "
            f"{times[step - 1]:.15g}, that of the step before"
        )
    return times


def check_flags(name: str, values: ArrayLike | None, length: int) -> NDArray[np.bool_]:
    """Booleans, all False when None."""
    if values is None:
        return np.zeros(length, dtype=bool)
    array = check_column(name, values, length)
    if length and array.dtype != np.bool_:
        raise SessionsError(f"{name} must be booleans, got {array.dtype}")
    return as_type(array, np.bool_)


def check_names(names: Sequence[str], num_items: int) -> tuple[str, ...]:
    """Different texts, one for each item."""
    if isinstance(names, (str, bytes)) or not hasattr(names, "__len__") or getattr(names, "shape", None) == ():
        raise SessionsError(f"item_names must be a sequence of texts, got a {type(names).__name__}")
    if len(names) != num_items:
        raise SessionsError(f"item_names has {len(names)} entries for {num_items} items")
    return _different_texts("item_names", names)


def check_named_users(users: IntArray | None, names: Sequence[str]) -> tuple[str, ...]:
    """Different texts, and users that are numbers of them or -1."""
    if users is None:
        raise SessionsError("user_names need users, the number of each session's user")
    wrong = np.flatnonzero((users < -1) | (users >= len(names)))
    if len(wrong):
        raise SessionsError(
            f"users[{wrong[0]}] is {users[wrong[0]]}, expected the number of one of {len(names)} names, or -1 for none"
        )
    return _different_texts("user_names", names)


def _different_texts(column: str, names: Sequence[str]) -> tuple[str, ...]:
    result = tuple(names)
    if not all(isinstance(name, str) for name in result):
        wrong = next(number for number, name in enumerate(result) if not isinstance(name, str))
        raise SessionsError(f"{column}[{wrong}] is {result[wrong]!r}, expected text")
    if len(set(result)) != len(result):
        raise SessionsError(f"{column} must differ from each other")
    return result
