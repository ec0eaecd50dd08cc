"""Measurements that claims speak of and that follow from the rows of ``results.csv``."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandas import DataFrame

from irecgan_gym.benchmarks.engine.tables import JOB, RESULTS, frame

_ROUND = r"^(?P<measure>[^/]+)/round-(?P<number>\d+)$"


def round_rows(rows: DataFrame) -> DataFrame:
    """Return ``.../gain`` and ``.../roughness`` of every measure that was taken round by round.

    The gain is the mean of the last rounds (``.../last``) less the first round. The roughness is the logarithm of the
    standard deviation of differences between a round and the next, left out where nothing changes: a curve that rises
    steadily is smooth, however much it rises.

    Args:
        rows: measurements of any number of experiments.
    """
    numbered = rows["metric"].str.extract(_ROUND)
    by_round = rows.assign(**numbered)[numbered["number"].notna()]
    if by_round.empty:
        return frame([])
    last = rows[rows["metric"].str.endswith("/last")].set_index([*JOB, "metric"])["value"].to_dict()
    found = []
    for (*job, measure), of in by_round.groupby([*JOB, "measure"], sort=False):
        values = of.assign(number=of["number"].astype(int)).sort_values("number")["value"].to_numpy()
        if (at_last := (*job, f"{measure}/last")) in last:
            found.append((*job, f"{measure}/gain", float(last[at_last]) - float(values[0])))
        steps = np.diff(values)
        if len(steps) > 1 and np.ptp(steps) > 0:
            found.append((*job, f"{measure}/roughness", float(np.log(steps.std(ddof=1)))))
    return frame(found, RESULTS)


def with_derived(rows: DataFrame, *derived: DataFrame) -> DataFrame:
    """Return rows with others below them."""
    return pd.concat([rows, *(more for more in derived if len(more))], ignore_index=True)
