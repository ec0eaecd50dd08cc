"""Main words of `irecgan-gym read`, for shell completion: its parser is that of the readers, which need no extra."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro


@dataclass(frozen=True)
class ReadWords:
    """Read logs, say what was read, and save them as sessions."""

    format: tyro.conf.Positional[
        Literal[
            "recsys-challenge-2019",
            "cikm-cup-2016",
            "irecgan-text",
            "table",
            "open-bandit",
            "kuairand",
            "kuairec",
            "rl4rs",
            "finn-no-slates",
            "mind",
            "eb-nerd",
            "impressions",
        ]
    ]
    """Format of the logs."""
    path: tyro.conf.Positional[Path]
    """The file, or the folder of a format of several files."""
    out: Path | None = None
    """Parquet file to save the sessions to."""
    on_disk: Path | None = None
    """Folder for the sessions of a log larger than memory (table, impressions), which is read part by part."""
    on_error: Literal["repair", "skip", "raise"] = "repair"
    """Effect of a quirk: it is put right, left out, or ends the reading; malformed rows are left out, or end it."""
