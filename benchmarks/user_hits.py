"""Hits of test users by job, beside ``results.csv``: what intervals over users are made of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pandas import DataFrame

from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.tables import JOB
from irecgan_gym.evaluation.reranking import RerankResult
from irecgan_gym.sessions import Sessions
from irecgan_gym.storage.files import write_atomically

FOLDER = "user_hits"
"""Folder of the files within a run folder."""
_JOB = b"job"


def no_user_hits() -> DataFrame:
    """Return a table of no users."""
    return DataFrame({**{name: [] for name in JOB}, "user": [], "lists": []})


def user_of_list(sessions: Sessions) -> NDArray[np.integer[Any]]:
    """Return the user of each list, [T]; every session is a user of its own where they are not known."""
    of_session = sessions.session_of_step
    return of_session if sessions.users is None else sessions.users[of_session]


def write_user_hits(
    folder: Path, job: Job, users: NDArray[np.integer[Any]], results: Mapping[str, RerankResult]
) -> None:
    """Keep the hits of a job's test users as a Parquet file of the run folder, a row a user.

    Columns are ``user``, ``lists`` (number of lists that count), and by metric, such as ``p@1/top-k``, the sum over
    these lists. Files of one run have the same users in the same order.

    Args:
        folder: run folder.
        job: the job that has measured them.
        users: user of each list, int [T].
        results: results of the same lists by deployment.
    """
    columns: dict[str, NDArray[Any]] = {}
    for deployment, result in results.items():
        counted = result.counted
        known, of_list = np.unique(users[counted], return_inverse=True)
        columns["user"], columns["lists"] = known, np.bincount(of_list)
        ranks = result.click_ranks[counted]
        for k in result.precision:
            columns[f"p@{k}/{deployment}"] = np.bincount(of_list, weights=ranks < k)
        columns[f"mrr/{deployment}"] = np.bincount(of_list, weights=1 / (1 + ranks))
    table = pa.table(columns).replace_schema_metadata({_JOB: json.dumps(astuple(job)).encode()})
    data = BytesIO()
    pq.write_table(table, data)
    place = folder / FOLDER
    place.mkdir(exist_ok=True)
    write_atomically(place / f"{job.name}.parquet", data.getvalue())


def read_user_hits(folders: Iterable[Path]) -> DataFrame:
    """Return the hits of all users and jobs of some run folders; no rows from folders that hold none.

    Returns:
        Columns of the job, then those of the files.
    """
    parts = [no_user_hits()]
    for folder in folders:
        for file in sorted((folder / FOLDER).glob("*.parquet")):
            table = pq.read_table(file)
            job = Job(*json.loads(table.schema.metadata[_JOB]))
            parts.append(table.to_pandas().assign(**dict(zip(JOB, astuple(job), strict=True))))
    return pd.concat(parts[1:] or parts, ignore_index=True)
