"""A policy that is asked, and answers, in the catalogue's own names."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.sessions.checks import check_names


class Recommends(Protocol):
    """Policy that can be served: agents with a policy over the catalogue, and exported ones.

    Attributes:
        num_items: size of the catalogue, n.
        slate_size: items shown at a time, k.
    """

    num_items: int
    slate_size: int

    def recommend(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        *,
        k: int | None = None,
        exclude: Any = None,
    ) -> Any:
        """Choose slates: an object with ``slates``, ``log_probabilities`` and ``state``."""

    def set_random_seed(self, seed: int) -> None:
        """Seed the slates that are sampled from now on."""


class NamedChoice(NamedTuple):
    """Slates of names, and how probable they were.

    Attributes:
        slates: names [B, k], or [k] for a single session.
        log_probabilities: that a slate begins with the first l items; float64, in the shape of the slates.
        state: for the next call.
    """

    slates: NDArray[Any]
    log_probabilities: NDArray[np.float64]
    state: Any


class NamedPolicy:
    """A policy whose clicks, slates and excluded items are names.

    Args:
        policy: with ids.
        item_names: item i is called ``item_names[i]``.

    Raises:
        ValueError: names that are not one for each item, or not different.
    """

    def __init__(self, policy: Recommends, item_names: Sequence[str]) -> None:
        self.policy = policy
        self.item_names = check_names(item_names, policy.num_items)
        self._ids = {name: number for number, name in enumerate(self.item_names)}
        self._array = np.array(self.item_names, dtype=object)

    def predict(
        self,
        clicks: Sequence[str | None] | str | None,
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
        *,
        k: int | None = None,
        exclude: Sequence[Collection[str]] | Collection[str] | None = None,
    ) -> tuple[NDArray[Any], Any]:
        """Choose slates of names.

        Args:
            clicks: name of the last click of each session, None for none yet; or one of them.
            state: second result of the previous call; None at the start.
            episode_start: True where a new session begins; bool [B].
            deterministic: True shows the top k items, False a sampled slate.
            k: items to show.
            exclude: names that must not be shown, a collection for each session (for a single one, the names).

        Returns:
            Names [B, k] ([k] for a single session), and the state for the next call.

        Raises:
            ValueError: a name that the catalogue does not have, or what the policy itself refuses.
        """
        choice = self.recommend(clicks, state, episode_start, deterministic, k=k, exclude=exclude)
        return choice.slates, choice.state

    def recommend(
        self,
        clicks: Sequence[str | None] | str | None,
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
        *,
        k: int | None = None,
        exclude: Sequence[Collection[str]] | Collection[str] | None = None,
    ) -> NamedChoice:
        """Choose slates of names and say how probable they were; see :meth:`predict`."""
        single = clicks is None or isinstance(clicks, str)
        observed = self._click(clicks) if single else np.array([self._click(click) for click in clicks or ()], np.int64)
        excluded: Any = None
        if exclude is not None:
            excluded = self.ids(exclude) if single else [self.ids(names) for names in exclude]
        choice = self.policy.recommend(observed, state, episode_start, deterministic, k=k, exclude=excluded)
        return NamedChoice(self._array[choice.slates], choice.log_probabilities, choice.state)

    def ids(self, names: Any) -> list[int]:
        """Return the ids of names.

        Raises:
            ValueError: a name that the catalogue does not have, or a text in place of a collection of names.
        """
        if isinstance(names, str):
            raise ValueError(f"expected a collection of names, got the text {names!r}")
        return [self.id(name) for name in names]

    def id(self, name: str) -> int:
        """Return the id of a name.

        Raises:
            ValueError: the catalogue does not have it.
        """
        if name not in self._ids:
            raise ValueError(f"the catalogue has no item {name!r}")
        return self._ids[name]

    def _click(self, name: Any) -> int:
        return self.policy.num_items if name is None else self.id(name)
