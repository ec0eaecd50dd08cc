"""Sessions to a Minari dataset."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete
from numpy.typing import NDArray

from irecgan_gym._version import __version__
from irecgan_gym.minari_exchange.feature_infos import feature_infos, headers_of
from irecgan_gym.minari_exchange.reading import (
    EVENTS,
    FORMAT_VERSION,
    HEADER,
    PROPENSITY,
    SLATE_LENGTH,
    STATE,
    TIME,
    USER,
    load_minari,
)
from irecgan_gym.minari_exchange.slate_infos import KEY, header_of, slate_infos
from irecgan_gym.sessions import Sessions, SessionsError
from irecgan_gym.sessions.parquet import checked_provenance
from irecgan_gym.sessions.ragged import padded


def write_minari(
    sessions: Sessions,
    dataset_id: str,
    *,
    author: str | set[str] | None = None,
    author_email: str | set[str] | None = None,
    code_permalink: str | None = None,
    description: str | None = None,
) -> Any:
    """Write sessions as a new dataset in Minari's folder (``MINARI_DATASETS_PATH``).

    The form of the episodes is that of :mod:`irecgan_gym.minari_exchange`. Nothing is lost: :func:`read_minari` gives
    the same sessions. The dataset names the logging policy of the provenance as its algorithm. Of a log that an env of
    the suite collected from tables that it drew, ``recover_environment`` makes that env again.

    Args:
        sessions: one at least.
        dataset_id: Minari's ``(namespace/)name-v(version)``, of no dataset that exists.
        author: of the data.
        author_email: their address.
        code_permalink: link to the code that made the data.
        description: a sentence or more; counts of sessions and items when None.

    Returns:
        The ``minari.MinariDataset``.

    Raises:
        ImportError: Minari is not installed.
        ValueError: an id that is not of Minari's form, or of a dataset that exists: none is overwritten.
        SessionsError: no session, or provenance that JSON cannot hold.
    """
    minari = load_minari()
    if len(sessions) == 0:
        raise SessionsError("a Minari dataset needs at least one session, got none")
    _check_id(dataset_id)
    header = {
        "format_version": FORMAT_VERSION,
        "num_sessions": len(sessions),
        "num_items": sessions.num_items,
        "item_names": sessions.item_names,
        "provenance": checked_provenance(sessions.provenance),
        "has_users": sessions.users is not None,
        "user_names": sessions.user_names,
        **({} if sessions.slate_propensities is None else {KEY: header_of(sessions.slate_propensities)}),
        **headers_of(sessions),
    }
    policy = sessions.provenance.get("logging_policy")
    folder = _new_folder(dataset_id)
    try:
        dataset = minari.create_dataset_from_buffers(
            dataset_id,
            [],
            env=_logged_env(sessions.provenance),
            observation_space=Discrete(sessions.num_items + 1),
            # Where some slates are short, empty slots hold one id more.
            action_space=MultiDiscrete([sessions.num_items + _is_ragged(sessions)] * sessions.slate_size),
            algorithm_name=policy if isinstance(policy, str) else None,
            author=author,
            author_email=author_email,
            code_permalink=code_permalink,
            description=description
            or f"{len(sessions)} sessions of slates from a catalogue of {sessions.num_items} items, "
            f"written by irecgan-gym {__version__}.",
        )
        storage = dataset.storage
        # The header comes first: a dataset with fewer episodes than it promises was never finished.
        storage.update_metadata({HEADER: header})
        storage.update_episodes(_episodes(sessions))
        if sessions.users is not None:
            storage.update_episode_metadata({USER: user} for user in sessions.users)
    except BaseException:
        # What is left of a failure would be in the way of the next try.
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return minari.load_dataset(dataset_id)


def _new_folder(dataset_id: str) -> Path:
    """Return the folder that Minari will put the dataset into.

    Raises:
        ValueError: there is a dataset of this name.
    """
    from minari.storage.datasets_root_dir import get_dataset_path

    folder = Path(get_dataset_path(dataset_id))
    if folder.exists():
        raise ValueError(f"a dataset {dataset_id} already exists: {folder}")
    return folder


def _check_id(dataset_id: str) -> None:
    """Refuse what is no id: Minari would take it for a path, and make a folder, before looking at it."""
    from minari.dataset.minari_dataset import parse_dataset_id

    try:
        parse_dataset_id(dataset_id)
    except (TypeError, ValueError) as error:
        # A TypeError is Minari's answer to a missing version.
        raise ValueError(f"dataset_id must have the form (namespace/)name-v(version), got {dataset_id!r}") from error


def _is_ragged(sessions: Sessions) -> bool:
    return bool((sessions.slate_lengths != sessions.slate_size).any())


def _logged_env(provenance: Mapping[str, Any]) -> gym.Env[Any, Any] | None:
    """The env that collected the sessions, or None where the provenance does not lead back to it."""
    env_id, tables = provenance.get("env_id"), provenance.get("mdp")
    if not isinstance(env_id, str) or env_id not in gym.registry or not isinstance(tables, dict):
        return None
    spec = copy.deepcopy(gym.spec(env_id))
    arguments = {name: provenance[name] for name in ("slate_size", "logging_policy") if name in provenance}
    spec.kwargs.update(tables, **arguments)
    spec.max_episode_steps = provenance.get("max_session_steps")
    env = gym.make(spec)
    # Another version may draw other tables from the same seed.
    return env if env.unwrapped.mdp.digest() == provenance.get("mdp_sha256") else None  # type: ignore[attr-defined]


def _episodes(sessions: Sessions) -> Iterator[Any]:
    """The sessions as Minari's buffers, one at a time."""
    from minari.data_collector.episode_buffer import EpisodeBuffer

    ragged, no_item = _is_ragged(sessions), sessions.num_items
    slate_lengths = sessions.slate_lengths
    event_lengths = None if sessions.event_offsets is None else np.diff(sessions.event_offsets)
    for number, (first, end) in enumerate(pairwise(sessions.offsets)):
        truncated = sessions.truncated[number]
        steps = slice(first, end)
        infos: dict[str, NDArray[Any]] = {}
        if ragged:
            infos[SLATE_LENGTH] = np.insert(slate_lengths[steps], 0, 0)
        if sessions.propensities is not None:
            infos[PROPENSITY] = np.insert(sessions.propensities[steps], 0, np.nan)
        if sessions.slate_propensities is not None:
            infos |= slate_infos(sessions.slate_propensities, steps, sessions.slate_size)
        infos |= feature_infos(sessions, number)
        if sessions.states is not None:
            infos[STATE] = np.insert(sessions.states[steps].astype(np.int64), 0, -1)
        if sessions.times is not None:
            times = sessions.times[steps]
            infos[TIME] = np.insert(times, 0, times[0])
        if event_lengths is not None and sessions.event_items is not None and sessions.event_offsets is not None:
            lengths = np.insert(event_lengths[steps], 0, 0)
            items = sessions.event_items[sessions.event_offsets[first] : sessions.event_offsets[end]]
            # HDF5 has no tables without columns.
            infos[EVENTS] = padded(lengths, items, max(1, int(lengths.max())), no_item)
        ends = np.zeros(end - first, dtype=bool)
        ends[-1] = True
        yield EpisodeBuffer(
            observations=np.insert(sessions.clicks[steps].astype(np.int64), 0, no_item),
            actions=padded(
                slate_lengths[steps],
                sessions.slate_items[sessions.slate_offsets[first] : sessions.slate_offsets[end]],
                sessions.slate_size,
                no_item,
            ),
            rewards=sessions.rewards[steps],
            terminations=ends & ~truncated,
            truncations=ends & truncated,
            infos=infos or None,
        )
