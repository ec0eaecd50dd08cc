"""KuaiRand: a feed of short videos, a part of it chosen uniformly at random."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from irecgan_gym.readers.formats.cells import joined, only_where, says, seconds, singles, texts
from irecgan_gym.readers.formats.log_format import LogColumn, LogFormat, StepCells

RANDOM_POOL = 7_583
"""Videos among which the random policy chose."""


def _steps(cells: Mapping[str, Any], file: str, rows: NDArray[np.int64]) -> StepCells:
    video, is_random = texts(cells["video_id"]), says(cells["is_rand"], "1")
    clicked = says(cells["is_click"], "1")
    return StepCells(
        {
            "session": joined(cells["user_id"], cells["date"]),
            "user": texts(cells["user_id"]),
            "slate": singles(video),
            "click": only_where(video, clicked),
            "time": seconds(cells["time_ms"], 1e3),
            "reward": pa.array((clicked & says(cells["long_view"], "1")).astype(np.float64)),
            "propensity": pa.array(np.where(is_random, 1 / RANDOM_POOL, np.nan), from_pandas=True),
        }
    )


KUAIRAND = LogFormat(
    name="kuairand",
    title="KuaiRand",
    source="https://kuairand.com (Pure 194 MB, 1K 4.3 GB, 27K 46 GB)",
    licence="CC BY-SA 4.0",
    files=("log_random_*.csv", "log_standard_*.csv"),
    step=(
        "A row is a video that the feed played: a step with a list of one video, clicked or not; a session is a user's "
        "day. The reward is 1 for a clicked video that was watched long (`long_view`)."
    ),
    columns=(
        LogColumn("user_id", "the user", "user; with the date, session"),
        LogColumn("video_id", "the video", "slate of one item"),
        LogColumn("date", "day, as 20220422", "session"),
        LogColumn("hourmin", "hour and minute, as 1430"),
        LogColumn("time_ms", "milliseconds since 1970", "time"),
        LogColumn("is_click", "1 where it was clicked", "click"),
        *(
            LogColumn(f"is_{name}", f"1 where the user did so: {name}", label=name)
            for name in ("like", "follow", "comment", "forward", "hate")
        ),
        LogColumn("long_view", "1 where it was watched long", "reward", label="long_view"),
        LogColumn("play_time_ms", "how long it was played", label="play_time_ms"),
        LogColumn("duration_ms", "how long the video is"),
        LogColumn("profile_stay_time", "time on the author's page"),
        LogColumn("comment_stay_time", "time in the comments"),
        LogColumn("is_profile_enter", "1 where the author's page was opened"),
        LogColumn("is_rand", "1 where a random video was put in place of the feed's", "propensity"),
        LogColumn("tab", "where in the app"),
    ),
    steps=_steps,
    rewards="column",
    notes=(
        f"A random video is one of {RANDOM_POOL:,}, which is its propensity; those of the feed's own are unknown.",
        "With lists of one item, what a choice among items is cannot be learned from this log, only whether to click.",
    ),
)
"""Logs of KuaiRand."""
