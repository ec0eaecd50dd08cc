"""Probabilities of slates as infos of Minari's episodes: a row a step, filled up with NaN behind short slates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.sessions import SessionsError
from irecgan_gym.sessions.ragged import padded, unpadded
from irecgan_gym.sessions.slate_propensities import SlatePropensities

KEY = "slate_propensities"
"""In the dataset's metadata: what the probabilities are conditional on, and whether they are estimated."""
OF_ENTRIES = {
    "prefix_log_propensity": "prefixes",
    "place_propensity": "places",
    "inclusion_propensity": "inclusions",
}
SETS = "set_log_propensity"


def slate_infos(propensities: SlatePropensities, steps: slice, slate_size: int) -> dict[str, NDArray[np.float64]]:
    """Return the infos of an episode, NaN for the reset and then a row a step; [T + 1, k] and [T + 1].

    Args:
        propensities: of all sessions.
        steps: those of the session.
        slate_size: k.
    """
    offsets = propensities.slate_offsets[steps.start : steps.stop + 1]
    lengths = np.append(0, np.diff(offsets))
    # A row's entries by their numbers, so that one table serves all columns.
    entries = padded(lengths, np.arange(offsets[0], offsets[-1]), slate_size, -1)
    infos = {}
    for name, attribute in OF_ENTRIES.items():
        if (column := getattr(propensities, attribute)) is not None:
            infos[name] = np.where(entries < 0, np.nan, column[entries])
    if propensities.sets is not None:
        infos[SETS] = np.append(np.nan, propensities.sets[steps])
    return infos


def header_of(propensities: SlatePropensities) -> dict[str, Any]:
    """Return what the dataset's metadata tell of them."""
    return {"given": propensities.given, "estimated": propensities.estimated}


def propensities_in(
    info: Callable[[str], NDArray[Any] | None], header: Mapping[str, Any], sessions: Any
) -> SlatePropensities | None:
    """Read what :func:`slate_infos` made; None where the header tells of none.

    Args:
        info: returns an info after each step, [T, ...], or None.
        header: metadata of the dataset.
        sessions: with the slates.

    Raises:
        SessionsError: infos that are missing, or that are no probabilities of these slates.
    """
    about = header.get(KEY)
    if about is None:
        return None
    found = {attribute: info(name) for name, attribute in OF_ENTRIES.items()}
    if found["prefixes"] is None:
        raise SessionsError("the metadata tell of propensities of slates, and the infos hold none")
    lengths = np.diff(sessions.slate_offsets)
    columns: dict[str, Any] = {
        name: None if table is None else unpadded(table, lengths) for name, table in found.items()
    }
    try:
        return SlatePropensities.from_columns(sessions, **columns, sets=info(SETS), **about)
    except (TypeError, ValueError) as error:
        raise SessionsError(f"propensities of slates: {error}") from error
