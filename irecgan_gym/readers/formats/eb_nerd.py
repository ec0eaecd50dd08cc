"""EB-NeRD: articles that Ekstra Bladet had in view, and those that were read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from irecgan_gym.readers.formats.cells import joined, texts
from irecgan_gym.readers.formats.log_format import LogColumn, LogFormat, StepCells


def _steps(cells: Mapping[str, Any], file: str, rows: NDArray[Any]) -> StepCells:
    return StepCells(
        {
            # The number of a session is its user's own.
            "session": joined(cells["user_id"], cells["session_id"]),
            "user": texts(cells["user_id"]),
            "slate": cells["article_ids_inview"],
            "click": cells["article_ids_clicked"],
            "time": cells["impression_time"],
        }
    )


def _of_what_was_read(column: Any, steps: Mapping[str, Any]) -> Any:
    """Numbers of the next article, at the place of a list's only click; of several nobody knows whose they are."""
    shown, clicked = steps["slate"], steps["click"]
    lengths = pc.fill_null(pc.list_value_length(shown), 0).to_numpy(zero_copy_only=False)
    only = texts(pc.list_element(pc.if_else(pc.equal(pc.list_value_length(clicked), 1), clicked, None), 0))
    rows = pa.array(np.repeat(np.arange(len(lengths)), lengths))
    is_it = pc.fill_null(pc.equal(texts(pc.list_flatten(shown)), only.take(rows)), False)
    offsets = pa.array(np.append(0, np.cumsum(lengths)), pa.int32())
    return pa.ListArray.from_arrays(offsets, pc.if_else(is_it, column.take(rows), None))


EB_NERD = LogFormat(
    name="eb-nerd",
    title="EB-NeRD (Ekstra Bladet, RecSys Challenge 2024)",
    source="https://recsys.eb.dk (demo, small and large; by a form)",
    licence="for research, by the form on the page of the data",
    files=("behaviors.parquet",),
    step="A row is the list of articles in view on a page of lists; the articles read from it are clicks.",
    columns=(
        LogColumn("impression_id", "number of the row"),
        LogColumn("article_id", "the article on whose page this was; empty on the front page"),
        LogColumn("impression_time", "when", "time"),
        LogColumn("read_time", "seconds on the page"),
        LogColumn("scroll_percentage", "how far down the page"),
        LogColumn("device_type", "1 desktop, 2 mobile, 3 tablet"),
        LogColumn("article_ids_inview", "the articles in view", "slate"),
        LogColumn("article_ids_clicked", "those that were clicked", "clicks"),
        LogColumn("user_id", "the user", "user; with the session, session"),
        *(LogColumn(name, "of the user") for name in ("is_sso_user", "gender", "postcode", "age", "is_subscriber")),
        LogColumn("session_id", "number of the visit", "session"),
        LogColumn("next_read_time", "seconds on the article that was clicked", label="read_time"),
        LogColumn("next_scroll_percentage", "how far down that article", label="scroll_percentage"),
    ),
    steps=_steps,
    label_cells=_of_what_was_read,
    notes=(
        "Several articles clicked in a list are as many steps with the same list.",
        "The test part has no clicks: its file lacks the column, and is refused.",
    ),
)
"""Logs of EB-NeRD."""
