"""A Minari dataset to sessions."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete
from numpy.typing import NDArray

from irecgan_gym.minari_exchange.feature_infos import with_infos
from irecgan_gym.minari_exchange.slate_infos import propensities_in
from irecgan_gym.sessions import Sessions, SessionsError

FORMAT_VERSION = 1
HEADER = "irecgan_gym"
PROPENSITY = "propensity"
STATE = "shown_in_state"
EVENTS = "events"
SLATE_LENGTH = "slate_length"
TIME = "logged_time"
USER = "user"


def load_minari() -> Any:
    """The module ``minari``.

    Raises:
        ImportError: Minari, or a library that its HDF5 files need (h5py, pillow), is not installed.
    """
    try:
        # Minari itself imports these two late, when a folder has been made already.
        import h5py  # noqa: F401
        import minari
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise ImportError(f'{error}; Minari datasets need: pip install "irecgan-gym[minari]"') from error
    return minari


_RECORD_INFOS = "collect with DataCollector(env, record_infos=True): infos tell what was shown and clicked"


def read_minari(dataset: Any) -> Sessions:
    """Read sessions of slates that :func:`write_minari` wrote, or ``minari.DataCollector``.

    Collectors should be made with ``record_infos=True``. The infos of the suite's envs tell what was shown, what was
    clicked and the state. Without infos, actions are taken for what was shown, which fails where an action repeats an
    item (the env showed another instead), and observations for the clicks.

    A session is truncated unless its user ended it, also where a time limit fell on the same step.

    Args:
        dataset: a ``minari.MinariDataset``, whole or a part of one, or the id of one in Minari's folder.

    Raises:
        ImportError: Minari is not installed.
        FileNotFoundError: there is no such dataset.
        SessionsError: actions that are not slates, episodes that are not sessions, none at all, or fewer than
            :func:`write_minari` was asked to write.
    """
    minari = load_minari()
    if isinstance(dataset, str):
        dataset = minari.load_dataset(dataset)
    header = _header(dataset)
    log = _EpisodeLog(dataset)
    space = dataset.action_space
    if not isinstance(space, MultiDiscrete) or space.nvec.ndim != 1 or len(np.unique(space.nvec)) != 1:
        raise SessionsError(f"{dataset.id}: actions must be slates, MultiDiscrete([n] * k), got {space}")
    slate_lengths = log.info(SLATE_LENGTH)
    # An empty slot's id is the last one of the space.
    num_items = int(space.nvec[0]) - (slate_lengths is not None)
    slates = log.shown()
    if slate_lengths is not None:
        slates = slates[np.arange(slates.shape[1]) < slate_lengths[:, None]]
    clicks = log.clicks(num_items)
    event_lengths, event_items = log.events(num_items)
    try:
        sessions = Sessions.from_columns(
            num_items=num_items,
            lengths=log.lengths,
            slates=slates,
            slate_lengths=slate_lengths,
            clicks=clicks,
            rewards=log.rewards,
            truncated=log.truncated,
            propensities=log.info(PROPENSITY),
            states=log.info(STATE),
            users=_users(dataset) if header.get("has_users") else None,
            event_lengths=event_lengths,
            event_items=event_items,
            item_names=header.get("item_names"),
            provenance=header["provenance"] if header else _provenance(dataset),
            user_names=header.get("user_names"),
            times=log.info(TIME),
        )
        sessions = sessions.with_slate_propensities(propensities_in(log.info, header, sessions))
        return with_infos(sessions, header, log.infos)
    except SessionsError as error:
        hint = "" if header or log.info("slate") is not None else f" ({_RECORD_INFOS})"
        raise SessionsError(f"{dataset.id}: {error}{hint}") from error


class _EpisodeLog:
    """The episodes of a dataset, one behind the other.

    Attributes:
        lengths: steps of each episode, [S].
        rewards: [T].
        truncated: whether it was not the user who ended the episode, [S].
    """

    def __init__(self, dataset: Any) -> None:
        self._id = dataset.id
        self._observation_space = dataset.observation_space
        self._episodes = list(dataset.iterate_episodes())
        if not self._episodes:
            raise SessionsError(f"{dataset.id} holds no episodes")
        for episode in self._episodes:
            ends = episode.terminations | episode.truncations
            if len(ends) == 0 or ends[:-1].any():
                raise SessionsError(
                    f"{dataset.id}: episode {episode.id} must end at its last step, the flags end it at "
                    f"{np.flatnonzero(ends).tolist()} of {len(ends)}"
                )
        self.lengths = np.array([len(episode) for episode in self._episodes])
        self.rewards = np.concatenate([episode.rewards for episode in self._episodes])
        self.truncated = np.array([not episode.terminations[-1] for episode in self._episodes])

    def info(self, name: str) -> NDArray[Any] | None:
        """An info after each step, [T, ...], or None where the episodes have none of that name."""
        tables = self.infos(name)
        return None if tables is None else np.concatenate(tables)

    def infos(self, name: str) -> list[NDArray[Any]] | None:
        """An info of each episode, after each of its steps; None where the episodes have none of that name."""
        if name not in (self._episodes[0].infos or {}):
            return None
        return [self._info_of(episode, name) for episode in self._episodes]

    def _info_of(self, episode: Any, name: str) -> NDArray[Any]:
        column: NDArray[Any] | None = (episode.infos or {}).get(name)
        if column is None or len(column) != len(episode) + 1:
            found = "none" if column is None else str(len(column))
            raise SessionsError(
                f"{self._id}: episode {episode.id} must have {len(episode) + 1} infos {name!r}, got {found}"
            )
        return column[1:]

    def shown(self) -> NDArray[Any]:
        """Return the slates that users saw, [T, k]."""
        shown = self.info("slate")
        return np.concatenate([episode.actions for episode in self._episodes]) if shown is None else shown

    def clicks(self, num_items: int) -> NDArray[Any]:
        """Return the clicks of users, [T]."""
        clicks = self.info("click")
        if clicks is not None:
            return clicks
        space = self._observation_space
        if not isinstance(space, Discrete) or space.n != num_items + 1:
            raise SessionsError(
                f"{self._id}: observations must be clicks, Discrete({num_items + 1}), got {space} ({_RECORD_INFOS})"
            )
        return np.concatenate([episode.observations[1:] for episode in self._episodes])

    def events(self, num_items: int) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
        """Lengths and items of the other events, [T] and [E], where the episodes have them."""
        tables = self.infos(EVENTS)
        if tables is None:
            return None, None
        lengths = np.concatenate([(table < num_items).sum(axis=1) for table in tables])
        return lengths, np.concatenate([table[table < num_items] for table in tables])


def _header(dataset: Any) -> dict[str, Any]:
    """Return the header that :func:`write_minari` wrote beside the episodes; empty for datasets of others."""
    metadata = dataset.storage.metadata
    header: dict[str, Any] = metadata.get(HEADER, {})
    if header and header.get("format_version") != FORMAT_VERSION:
        raise SessionsError(
            f"{dataset.id} has format version {header.get('format_version')!r}, expected {FORMAT_VERSION}"
        )
    if header and metadata["total_episodes"] < header["num_sessions"]:
        raise SessionsError(
            f"{dataset.id} was not written to its end: it has {metadata['total_episodes']} of "
            f"{header['num_sessions']} sessions"
        )
    return header


def _users(dataset: Any) -> NDArray[Any]:
    """The user of each session, from the episodes' metadata."""
    users = [metadata.get(USER) for metadata in dataset.storage.get_episode_metadata(dataset.episode_indices)]
    if None in users:
        raise SessionsError(f"episode {dataset.episode_indices[users.index(None)]} names no user, as others do")
    return np.array(users)


def _provenance(dataset: Any) -> dict[str, Any]:
    """Return the provenance of sessions of others' datasets."""
    return {
        "source": "Minari",
        "dataset_id": dataset.id,
        "env_id": None if dataset.env_spec is None else dataset.env_spec.id,
        "logging_policy": dataset.storage.metadata.get("algorithm_name"),
    }
