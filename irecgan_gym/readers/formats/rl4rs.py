"""RL4RS: pages of nine items in a game's shop, with what was bought at each place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from irecgan_gym.readers.arrow_cells import numbers_of
from irecgan_gym.readers.containers import TextOptions
from irecgan_gym.readers.formats.cells import entries_where, only_where, says, texts
from irecgan_gym.readers.formats.log_format import LogColumn, LogFormat, StepCells


def _steps(cells: Mapping[str, Any], file: str, rows: NDArray[Any]) -> StepCells:
    shown = pc.split_pattern(texts(cells["exposed_items"]), ",")
    feedback = pc.split_pattern(texts(cells["user_feedback"]), ",")
    same = pc.equal(pc.list_value_length(shown), pc.list_value_length(feedback))
    fits = pc.fill_null(same, False).to_numpy(zero_copy_only=False).astype(bool)
    shown, feedback = only_where(shown, fits), only_where(feedback, fits)
    # The steps of a session have one time: the number of the page puts them in order, in less than a second.
    time = numbers_of(cells["timestamp"]).values + numbers_of(cells["sequence_id"]).values * 1e-3
    return StepCells(
        {
            "session": texts(cells["session_id"]),
            "slate": shown,
            "click": entries_where(shown, says(pc.list_flatten(feedback), "1")),
            "time": pa.array(time, mask=np.isnan(time)),
        }
    )


RL4RS = LogFormat(
    name="rl4rs",
    title="RL4RS",
    source="https://github.com/fuxiAIlab/RL4RS (937,949 sessions before the first RL policy, others after it)",
    licence="CC BY-SA 4.0",
    files=("rl4rs_dataset_*.csv",),
    step="A row is a page of nine items, in three rows that unlock one after the other; the items bought are clicks.",
    columns=(
        LogColumn("timestamp", "seconds since 1970", "time"),
        LogColumn("session_id", "the session", "session"),
        LogColumn("sequence_id", "number of the page in its session", "order of the steps"),
        LogColumn("exposed_items", "the items shown, joined by `,`", "slate"),
        LogColumn("user_feedback", "1 where the item at that place was bought, joined by `,`", "clicks"),
        LogColumn("user_seqfeature", "items bought before"),
        LogColumn("user_protrait", "features of the user"),
        LogColumn("item_feature", "features of the items shown"),
        LogColumn("behavior_policy_id", "which policy chose the page"),
    ),
    steps=_steps,
    text=TextOptions(delimiter="@", quotes=False),
    notes=(
        "Several items bought on a page are as many steps with the same list.",
        "The data name no users; prices, which are the rewards of the benchmark, are in `item_info.csv`, which is not "
        "read: each purchase counts 1.",
    ),
)
"""Logs of RL4RS."""
