"""Experiments: one script a question, one folder a run."""

import os

# Large tensors on huge pages: PyTorch hands memory back after each batch, and having it mapped again page by page takes
# up to a third of the time of a batch over a large catalogue. PyTorch reads this at its first allocation.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
