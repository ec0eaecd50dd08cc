"""Decorators for kernels that numba compiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Decorate a kernel: numba compiles it at its first call and keeps the machine code on disk.

    Where no cache directory can be written to (a read-only installation without a home), it is compiled again in every
    process.
    """
    import numba

    try:
        return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
    except RuntimeError:  # numba: "cannot cache function: no locator available"
        return cast(Function, numba.njit(nogil=True, error_model="numpy")(function))


def inlined(function: Function) -> Function:
    """Decorate a helper whose body is put in the place of its calls in kernels; calls of it cost more than its work."""
    import numba

    return cast(Function, numba.njit(inline="always", error_model="numpy")(function))
