"""Readers of logs into :class:`~irecgan_gym.sessions.Sessions`; ``python -m irecgan_gym.readers`` is their command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from irecgan_gym.readers.cikm_cup_2016 import PAPER_SPLIT, read_cikm_cup_2016
from irecgan_gym.readers.formats import PUBLIC_LOGS, LogColumn, LogFormat, StepCells
from irecgan_gym.readers.impressions import ImpressionColumns, read_impressions
from irecgan_gym.readers.irecgan_text import read_irecgan_text, write_irecgan_text
from irecgan_gym.readers.on_disk import ReadDataset, read_to_disk
from irecgan_gym.readers.recsys_challenge_2019 import read_recsys_challenge_2019
from irecgan_gym.readers.report import OnError, ReaderError, ReadReport, ReadResult
from irecgan_gym.readers.table import TableColumns, read_table_log
from irecgan_gym.readers.table_features import TableFeatures, read_item_features

__all__ = [
    "FORMATS",
    "PAPER_SPLIT",
    "PUBLIC_LOGS",
    "ImpressionColumns",
    "LogColumn",
    "LogFormat",
    "OnError",
    "ReadDataset",
    "ReadReport",
    "ReadResult",
    "ReaderError",
    "StepCells",
    "TableColumns",
    "TableFeatures",
    "read",
    "read_cikm_cup_2016",
    "read_impressions",
    "read_irecgan_text",
    "read_item_features",
    "read_recsys_challenge_2019",
    "read_table_log",
    "read_to_disk",
    "write_irecgan_text",
]

FORMATS: dict[str, Callable[..., ReadResult]] = {
    "recsys-challenge-2019": read_recsys_challenge_2019,
    "cikm-cup-2016": read_cikm_cup_2016,
    "irecgan-text": read_irecgan_text,
    "table": read_table_log,
    **{name: description.reader() for name, description in PUBLIC_LOGS.items()},
    "impressions": read_impressions,
}


def read(path: Any, format: str, *, on_error: OnError = "repair", **options: Any) -> ReadResult:
    """Read logs of a named format.

    Args:
        path: the file, or the folder for formats of several files; tables and public logs may come in any container.
        format: one of ``FORMATS``.
        on_error: what happens where the log is not as it should be. ``"repair"``: quirks that can be put right are,
            such as a session whose id was used again, and rows that are malformed are left out; both are counted.
            ``"skip"``: rows with such quirks are left out as well. ``"raise"``: the first malformed row is an error.
            More malformed rows than the share ``max_malformed`` are an error in any case.
        options: of the format's own reader.

    Raises:
        ValueError: an unknown format.
        ReaderError: see the format's own reader.
    """
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    return FORMATS[format](path, on_error=on_error, **options)
