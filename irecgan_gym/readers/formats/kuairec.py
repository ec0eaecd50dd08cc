"""KuaiRec: how long users watched videos, for nearly every pair of some users and videos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.readers.formats.cells import joined, seconds, singles, texts
from irecgan_gym.readers.formats.log_format import LogColumn, LogFormat, StepCells


def _steps(cells: Mapping[str, Any], file: str, rows: NDArray[np.int64]) -> StepCells:
    video, date = texts(cells["video_id"]), texts(cells["date"])
    without = date.is_null().to_numpy(zero_copy_only=False) & texts(cells["timestamp"]).is_null().to_numpy(
        zero_copy_only=False
    )
    return StepCells(
        {
            "session": joined(cells["user_id"], date),
            "user": texts(cells["user_id"]),
            "slate": singles(video),
            "click": video,
            "time": seconds(cells["timestamp"], 1.0),
            "reward": cells["watch_ratio"],
        },
        {"views without a time": without},
    )


KUAIREC = LogFormat(
    name="kuairec",
    title="KuaiRec",
    source="https://kuairec.com (12.5 million rows in `big_matrix.csv`, 4.7 million in `small_matrix.csv`)",
    licence="CC BY-SA 4.0",
    files=("big_matrix.csv", "small_matrix.csv"),
    step=(
        "A row is a video that a user watched: a step with a list of that video, clicked; a session is a user's day. "
        "The reward is the share of the video that was watched."
    ),
    columns=(
        LogColumn("user_id", "the user", "user; with the date, session"),
        LogColumn("video_id", "the video", "slate of one item, and the click"),
        LogColumn("play_duration", "milliseconds watched", label="play_duration"),
        LogColumn("video_duration", "milliseconds that it lasts"),
        LogColumn("time", "date and time, in China's"),
        LogColumn("date", "day, as 20200705", "session"),
        LogColumn("timestamp", "seconds since 1970", "time"),
        LogColumn("watch_ratio", "share watched; above 1 where it was watched again", "reward", label="watch_ratio"),
    ),
    steps=_steps,
    rewards="column",
    notes=(
        "A folder with both matrices is read as one log; name the file to read one of them.",
        "Rows of the small matrix without any time, 4% of it, are left out and counted.",
    ),
)
"""Logs of KuaiRec."""
