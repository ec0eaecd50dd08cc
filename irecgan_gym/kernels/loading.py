"""Loading of compiled kernels, where numba is there; without it, NumPy does the same work with the same results."""

from __future__ import annotations

import functools
from types import ModuleType


@functools.cache
def load_kernels() -> ModuleType | None:
    """Return the module of compiled kernels, or None without numba or where ``NUMBA_DISABLE_JIT=1`` switches it off.

    It is imported when first needed: numba takes its time to load, and a single env does not use it.
    """
    try:
        import numba
    except ImportError:
        return None
    if numba.config.DISABLE_JIT:
        return None
    from irecgan_gym.kernels import user_loops

    return user_loops
