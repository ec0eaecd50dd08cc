"""Open Bandit Dataset: fashion items shown at three places, with the probabilities of the policy that chose them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from irecgan_gym.readers.formats.cells import only_where, says, singles, texts
from irecgan_gym.readers.formats.log_format import LogColumn, LogFormat, StepCells


def _steps(cells: Mapping[str, Any], file: str, rows: NDArray[np.int64]) -> StepCells:
    item, clicked = texts(cells["item_id"]), says(cells["click"], "1")
    odd = ~clicked & ~says(cells["click"], "0")
    return StepCells(
        {
            "session": pa.array([f"{file} {row}" for row in rows.tolist()]),
            # A click that is neither 0 nor 1 says nothing of the item: such a row is malformed.
            "slate": only_where(singles(item), ~odd),
            "click": only_where(item, clicked),
            "time": cells["timestamp"],
            "propensity": cells["propensity_score"],
            "slate_propensity": cells["propensity_score"],
        }
    )


OPEN_BANDIT = LogFormat(
    name="open-bandit",
    title="Open Bandit Dataset (ZOZOTOWN)",
    source="https://research.zozo.com/data.html: 26 million rows; six samples of 10,000 rows are in the package `obp`",
    licence="CC BY 4.0; the samples in `obp` come under Apache-2.0",
    files=("all.csv", "men.csv", "women.csv"),
    step=(
        "A row is one item at one of three places of a page; the rows of a page cannot be found together, so each is a "
        "session of one step with a list of one item: clicked, or left."
    ),
    columns=(
        LogColumn("timestamp", "when it was shown", "time"),
        LogColumn("item_id", "the item, by number within the campaign", "slate of one item"),
        LogColumn("position", "place on the page, 1 to 3"),
        LogColumn("click", "1 where it was clicked, else 0", "click"),
        LogColumn(
            "propensity_score",
            "probability that the policy shows this item at this place",
            "propensity, also of the slate",
        ),
        LogColumn("user_feature_0..3", "hashed features of the user"),
        LogColumn("user-item_affinity_0..", "how often the user clicked each item before"),
    ),
    steps=_steps,
    sort=False,
    notes=(
        "Items are numbered in each campaign by itself: read one campaign (`all`, `men` or `women`) at a time; the "
        "logs of its two policies, `random` and `bts`, go together.",
    ),
)
"""Logs of the Open Bandit Dataset."""
