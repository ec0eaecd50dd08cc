"""Whether numba can compile the kernels here; without it, NumPy does the same work with the same results."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Decorate a kernel: numba compiles it at its first call and keeps the machine code on disk.

    Where no cache directory can be written to (a read-only installation without a home), it is compiled anew in every
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


@functools.cache
def load_kernels() -> ModuleType | None:
    """The module of compiled kernels, or None without numba or where ``NUMBA_DISABLE_JIT=1`` switches it off.

    It is imported when first needed: numba takes its time to load, and a single env does not use it.
    """
    try:
        import numba
    except ImportError:
        return None
    if numba.config.DISABLE_JIT:
        return None
    from irecgan_gym.envs import kernels

    return kernels
