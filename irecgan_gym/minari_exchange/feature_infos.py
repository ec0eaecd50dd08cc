"""Features and labels as infos of Minari's episodes: a row a step, filled up with what is unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.sessions import FeatureColumn, Sessions, SessionsError
from irecgan_gym.sessions.feature_columns import PREFIXES, features_told, header_of
from irecgan_gym.sessions.features import Scope
from irecgan_gym.sessions.ragged import padded, unpadded

FEATURES = "features"
"""In the dataset's metadata: what the features are, and the values of those of items."""
LABELS = "labels"
"""In the dataset's metadata: names of the labels."""
_LABEL = "label."


def feature_infos(sessions: Sessions, number: int) -> dict[str, NDArray[Any]]:
    """Return the infos of an episode: first what is of the reset, which is unknown, and then a row a step.

    Features of entries and labels are [T + 1, k], of events [T + 1, the most events of a step], of steps and users
    [T + 1]; vectors have one axis more.

    Args:
        sessions: all of them.
        number: of the session.
    """
    first, end = (int(step) for step in sessions.offsets[number : number + 2])
    rows: dict[Scope, NDArray[Any]] = {
        "entries": _table(sessions.slate_offsets[first : end + 1], sessions.slate_size),
        "steps": np.append(-1, np.arange(first, end)),
        "users": np.full(end - first + 1, number),
    }
    if sessions.event_offsets is not None:
        rows["events"] = _table(sessions.event_offsets[first : end + 1], 1)
    infos = {
        f"{prefix}{_in_path(name)}": _values(column, rows[scope])
        for scope, prefix in PREFIXES.items()
        for name, column in sessions.features.of(scope).items()
    }
    for name, values in sessions.labels.items():
        infos[f"{_LABEL}{_in_path(name)}"] = _values(FeatureColumn(values), rows["entries"])
    return infos


def _table(offsets: NDArray[Any], width: int) -> NDArray[np.int64]:
    """Numbers of the things of the reset, which has none, and of each step; -1 behind them."""
    lengths = np.append(0, np.diff(offsets))
    return padded(lengths, np.arange(offsets[0], offsets[-1]), max(width, int(lengths.max())), -1)


def _values(column: FeatureColumn, rows: NDArray[Any]) -> NDArray[Any]:
    values = column.take(rows.reshape(-1)).values
    return values.reshape(*rows.shape, *values.shape[1:])


def _in_path(name: str) -> str:
    """The name without slashes, which are paths in HDF5."""
    return name.replace("%", "%25").replace("/", "%2F")


def headers_of(sessions: Sessions) -> dict[str, Any]:
    """Return what the dataset's metadata tell of features and labels."""
    features = {FEATURES: header_of(sessions.features)} if sessions.features else {}
    return {**features, **({LABELS: list(sessions.labels)} if sessions.labels else {})}


def with_infos(
    sessions: Sessions, header: Mapping[str, Any], infos: Callable[[str], list[NDArray[Any]] | None]
) -> Sessions:
    """Return sessions with the features and labels that :func:`feature_infos` and :func:`headers_of` told of.

    Args:
        sessions: with all else.
        header: metadata of the dataset.
        infos: returns an info of each episode after each step, [T, ...], or None where there is none of that name.

    Raises:
        SessionsError: infos that are missing, or that are no features of these sessions.
    """
    things: dict[Scope, NDArray[Any]] = {"entries": sessions.slate_lengths}
    if sessions.event_offsets is not None:
        things["events"] = np.diff(sessions.event_offsets)

    def values_of(name: str, scope: Scope) -> NDArray[Any]:
        tables = infos(name)
        if tables is None:
            raise SessionsError(f"the metadata tell of {name!r}, and the infos hold none")
        if scope == "users":
            return np.stack([table[0] for table in tables])
        if scope in things:
            steps = zip(tables, pairwise(sessions.offsets), strict=True)
            tables = [unpadded(table, things[scope][first:end]) for table, (first, end) in steps]
        return np.concatenate(tables)

    if header.get(FEATURES) is not None:
        told = features_told(header[FEATURES])
        columns: dict[str, Any] = {
            scope: {
                name: FeatureColumn(values_of(f"{prefix}{_in_path(name)}", scope), column.categories)
                for name, column in told.of(scope).items()
            }
            for scope, prefix in PREFIXES.items()
        }
        sessions = sessions.with_features(items=told.items, **columns)
    labels = header.get(LABELS, [])
    return sessions.with_labels({name: values_of(f"{_LABEL}{_in_path(name)}", "entries") for name in labels})
