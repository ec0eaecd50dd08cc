"""Minari, imported when it is first needed, and the names under which this package keeps things in its datasets."""

from __future__ import annotations

from typing import Any

FORMAT_VERSION = 1
HEADER = "irecgan_gym"
PROPENSITY = "propensity"
STATE = "shown_in_state"
EVENTS = "events"
SLATE_LENGTH = "slate_length"
USER = "user"


def load_minari() -> Any:
    """The module ``minari``.

    Raises:
        ImportError: Minari, or the library of its HDF5 files, is not installed.
    """
    try:
        import h5py  # noqa: F401 (Minari itself imports it late, when a folder has been made already)
        import minari
    except ImportError as error:
        raise ImportError(f'{error}; Minari datasets need: pip install "irecgan-gym[minari]"') from error
    return minari
