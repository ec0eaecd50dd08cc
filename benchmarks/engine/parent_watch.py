"""Ending with the parent, from the first moment on: worker processes take seconds to load their libraries."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PARENT = "IRECGAN_GYM_PARENT"
_SECONDS = 0.5


@contextmanager
def named_as_parent() -> Iterator[None]:
    """Tell the processes that are started within who their parent is."""
    os.environ[_PARENT] = str(os.getpid())
    try:
        yield
    finally:
        del os.environ[_PARENT]


def end_with_parent() -> None:
    """End this process when the parent that was named to it is gone; called as early as can be.

    What was named is taken out of the environment: the children of this process are not its.
    """
    parent = os.environ.pop(_PARENT, None)
    if parent is not None:
        threading.Thread(target=_watch, args=(int(parent),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_SECONDS)
    os._exit(1)
