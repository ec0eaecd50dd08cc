"""Logs larger than memory, read into sessions on disk."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from irecgan_gym.readers.containers import TextOptions, check_columns, open_containers, source_name
from irecgan_gym.readers.impressions import ImpressionColumns, read_impressions
from irecgan_gym.readers.report import MAX_MALFORMED, NoSessionsError, OnError, ReaderError, ReadReport, ReadResult
from irecgan_gym.readers.row_batch import RowBatch
from irecgan_gym.readers.session_buckets import Bucket, SessionBuckets
from irecgan_gym.readers.table import TableColumns, read_table_log
from irecgan_gym.readers.table_cells import NULL_VALUES
from irecgan_gym.readers.table_features import TableFeatures, columns_of_texts
from irecgan_gym.readers.table_log import check_times
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.dataset import SESSIONS_A_PART, SessionDataset
from irecgan_gym.settings import checked_value

BUCKETS, MOST_BUCKETS = 64, 512


class ReadDataset(NamedTuple):
    """Sessions on disk, and the account of the rows that they were made of.

    Attributes:
        dataset: the sessions.
        report: what was read and what was not, and why.
    """

    dataset: SessionDataset
    report: ReadReport


def read_to_disk(
    source: Any,
    format: Literal["table", "impressions"],
    folder: str | Path,
    *,
    buckets: int = BUCKETS,
    sessions_a_part: int = SESSIONS_A_PART,
    on_error: OnError = "repair",
    max_malformed: float = MAX_MALFORMED,
    **options: Any,
) -> ReadDataset:
    """Read a log of any size into sessions on disk; memory holds one bucket of it at a time.

    First the rows go into temporary files beside ``folder``, buckets by session, which take about as much room as the
    log; then each bucket is read as :func:`~irecgan_gym.readers.table.read_table_log` or
    :func:`~irecgan_gym.readers.impressions.read_impressions` read a whole log. So the rows of a session may stand in
    any of many files. Sessions come bucket by bucket, which is in no order of time, and items are numbered as they come
    in them. Whether a feature is a number or a category is decided by all rows, malformed ones too.

    Args:
        source: anything that the reader of the format takes.
        format: ``"table"`` or ``"impressions"``.
        folder: for the sessions; new or empty.
        buckets: memory holds one of so many parts of the log; up to 512.
        sessions_a_part: see :meth:`~irecgan_gym.sessions.dataset.SessionDataset.write`.
        on_error: see :func:`irecgan_gym.readers.read`.
        max_malformed: share of all rows that may be malformed.
        options: of the reader of the format.

    Raises:
        ValueError: options that make no sense, or another format.
        FileExistsError: the folder holds something.
        ReaderError: see the reader of the format; the folder is left as it was.
        NoSessionsError: no session is left.
    """
    checked_value("format", format, Literal["table", "impressions"])
    checked_value("buckets", buckets, int)
    if not 1 <= buckets <= MOST_BUCKETS:
        raise ValueError(f"buckets must be from 1 to {MOST_BUCKETS}, files that are open at a time, got {buckets}")
    if sessions_a_part < 1:
        raise ValueError(f"sessions_a_part must be at least 1, got {sessions_a_part}")
    reader, kind = (read_table_log, TableColumns) if format == "table" else (read_impressions, ImpressionColumns)
    columns, features = options.get("columns") or kind(), options.get("features") or TableFeatures()
    checked_value("columns", columns, kind)
    checked_value("features", features, TableFeatures)
    null_values = tuple(options.get("null_values", NULL_VALUES))
    separator = options.get("separator", "|") if format == "table" else ""
    used = columns.used()
    wanted = tuple(dict.fromkeys((*used.values(), *features.names)))
    text = TextOptions(options.get("delimiter", ","), options.get("encoding", "utf-8"))
    total = ReadReport(on_error, max_malformed)
    with suppress(ReaderError, NoSessionsError):  # Nothing is read; what options are wrong is said before all rows are.
        reader(Bucket("", "line", list(wanted), [], []), on_error=on_error, **options)
    path = Path(folder)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(f"{path} is there already, and is no empty folder")
    was_there = path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as place:
        texts: set[str] = set(features.categories)
        with SessionBuckets(Path(place), buckets, source_name(source)) as filled:
            for batch in _batches(source, text, wanted, total):
                texts |= columns_of_texts(batch, features, separator, null_values)
                filled.add(batch, used["session"], null_values)
        options |= {"columns": columns, "features": replace(features, categories=tuple(sorted(texts)))}
        # What is too much is a share of all rows.
        read_bucket = partial(reader, on_error=on_error, max_malformed=1.0, **options)
        try:
            dataset = SessionDataset.write(path, _logs(filled, read_bucket, total), sessions_a_part=sessions_a_part)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            if was_there:
                path.mkdir()
            raise
    if total.columns_not_used:
        total.note(f"columns not used: {', '.join(total.columns_not_used)}")
    return ReadDataset(dataset, total)


def _batches(source: Any, text: TextOptions, wanted: Sequence[str], total: ReadReport) -> Iterator[RowBatch]:
    """Yield all rows of a source that can be taken apart into cells; count the others."""
    for container in open_containers(source, text):
        check_columns(container, wanted)
        total.columns_not_used = tuple(name for name in container.names if name not in wanted)
        for batch in container.batches(wanted):
            for wrong in batch.malformed:
                total.rows_read += 1
                total.malformed(*wrong)
            yield batch


def _logs(
    buckets: SessionBuckets, read_bucket: Callable[[Bucket], ReadResult], total: ReadReport
) -> Iterator[Sessions]:
    """Yield the sessions of each bucket, and add up its account; check that of all before the last one is written."""
    for bucket in buckets:
        try:
            sessions, report = read_bucket(bucket)
        except NoSessionsError as error:
            total.add(error.report)
            continue
        total.add(report)
        yield sessions
    total.check()
    check_times(total)
    if not total.rows_used:
        raise NoSessionsError(total)
