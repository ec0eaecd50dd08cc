"""Jobs that torchrun starts in several processes at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO

from rich.console import Console

from irecgan_gym.models.ranks import ALONE, Ranks, data_parallel
from irecgan_gym.recorder import ProgressRecorder, Recorder, silent


@contextmanager
def launched_ranks() -> Iterator[Ranks]:
    """Train together with the other processes that torchrun has started; alone where it has started none."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield ALONE
        return
    with data_parallel() as ranks:
        yield ranks


def voice(ranks: Ranks, console: Console) -> tuple[Console, Recorder]:
    """Return what shows the texts and the training of a process: the first one speaks for all."""
    if ranks.rank:
        return Console(file=StringIO()), silent
    return console, ProgressRecorder()
