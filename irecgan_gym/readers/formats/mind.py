"""MIND: news that Microsoft News showed, and those that were read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from irecgan_gym.readers.containers import TextOptions
from irecgan_gym.readers.formats.cells import entries_where, only_where, texts
from irecgan_gym.readers.formats.log_format import LogColumn, LogFormat, StepCells

_HEADER = ("impression_id", "user_id", "time", "history", "impressions")


def _steps(cells: Mapping[str, Any], file: str, rows: NDArray[Any]) -> StepCells:
    user, impressions = texts(cells["user_id"]), texts(cells["impressions"])
    tokens = pc.split_pattern(impressions, " ")
    entries = pc.list_flatten(tokens)
    label = pc.utf8_slice_codeunits(entries, -2, 2**31 - 1)
    clicked = pc.equal(label, "-1").to_numpy(zero_copy_only=False).astype(bool)
    labelled = clicked | pc.equal(label, "-0").to_numpy(zero_copy_only=False).astype(bool)
    lengths = pc.fill_null(pc.list_value_length(tokens), 0).to_numpy(zero_copy_only=False)
    row = np.repeat(np.arange(len(lengths)), lengths)
    num_labelled = np.bincount(row[labelled], minlength=len(lengths))
    names = pc.if_else(pa.array(labelled), pc.utf8_slice_codeunits(entries, 0, -2), entries)
    shown = pa.ListArray.from_arrays(pa.array(np.append(0, np.cumsum(lengths)), pa.int32()), names)
    moment = pc.strptime(texts(cells["time"]), "%m/%d/%Y %I:%M:%S %p", "s", error_is_null=True)
    day = pc.strftime(moment, "%Y-%m-%d")
    return StepCells(
        {
            "session": pc.binary_join_element_wise(user, day, " ", null_handling="replace", null_replacement="?"),
            "user": user,
            "slate": only_where(shown, num_labelled == lengths),
            "click": entries_where(shown, clicked),
            "time": moment.cast(pa.int64()),
        },
        {"impressions without labels, as in the test part": (num_labelled == 0) & (lengths > 0)},
    )


MIND = LogFormat(
    name="mind",
    title="MIND (Microsoft News)",
    source="https://msnews.github.io (15 million impressions; `MINDsmall` 230,000)",
    licence="Microsoft Research License, for research that is not commercial",
    files=("behaviors.tsv",),
    step="A row is a list of news of which some were read, each a click; a session is a user's day.",
    columns=(
        LogColumn("impression_id", "number of the row"),
        LogColumn("user_id", "the user", "user; with the day, session"),
        LogColumn("time", "when, as 11/13/2019 8:36:57 AM", "time, session"),
        LogColumn("history", "news read before"),
        LogColumn("impressions", "news shown, each with -1 where it was read and -0 where not", "slate and clicks"),
    ),
    steps=_steps,
    text=TextOptions(delimiter="\t", header=_HEADER, quotes=False),
    notes=(
        "The order of the lists was shuffled before publication: places mean nothing.",
        "Files have no header; the names of the columns are those of the documentation of the data.",
    ),
)
"""Logs of MIND."""
