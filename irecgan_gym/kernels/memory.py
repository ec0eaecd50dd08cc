"""Memory of large tensors on huge pages."""

from __future__ import annotations

import os


def use_huge_pages() -> None:
    """Let PyTorch put large tensors on huge pages (Linux); call it before the first tensor is made.

    PyTorch hands memory back after each batch, and having it mapped again page by page takes up to a third of the time
    of a batch over a large catalogue. It reads the variable ``THP_MEM_ALLOC_ENABLE`` at its first allocation of this
    process; a value that the variable has already is kept, so ``THP_MEM_ALLOC_ENABLE=0`` turns it off.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
