"""The order of wrappers, and errors that name those which cannot stand in the order that they were put in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import gymnasium as gym
from gymnasium.vector import VectorWrapper

from irecgan_gym.settings import shown

ORDER = (
    "from the inside out, the order is AdversarialReward, ClickHistory, OneHotHistory, and then one of SlateScores, "
    "SingleItem and SequentialSlate"
)
Spaces = Literal["observation_space", "action_space"]


class UnfitSpaceError(ValueError):
    """A space that a wrapper can make nothing of; the message says what it takes and what it got.

    Args:
        spaces: kind of the space.
        message: for people.

    Attributes:
        spaces: kind of the space.
    """

    def __init__(self, spaces: Spaces, message: str) -> None:
        super().__init__(message)
        self.spaces: Spaces = spaces


@contextmanager
def in_order(wrapper: object, env: Any) -> Iterator[None]:
    """Have a space that does not fit told together with the wrapper that has changed it, and the order of wrappers.

    Args:
        wrapper: is being made.
        env: what it is put around, single or vector.

    Raises:
        ValueError: naming both wrappers where another one has changed the space.
    """
    try:
        yield
    except UnfitSpaceError as error:
        name, inner = type(wrapper).__name__, _changed_by(env, error.spaces)
        if inner is None:
            raise ValueError(f"{name}: {error}") from error
        raise ValueError(f"{name} cannot be put around {inner}: {error}; {ORDER}") from error


def check_env(env: object, kind: type[Any] = gym.Env) -> None:
    """Refuse what no wrapper can be put around.

    Args:
        env: what is to be wrapped.
        kind: of env that it must be.

    Raises:
        TypeError: with what was given.
    """
    if not isinstance(env, kind):
        raise TypeError(f"env must be a gymnasium.{kind.__name__}, got {shown(env)}")


def wrapper_of(env: Any, *kinds: type[Any]) -> Any:
    """Return the outermost wrapper of these kinds that is around an env, single or vector; None where there is none."""
    while isinstance(env, (gym.Wrapper, VectorWrapper)):
        if isinstance(env, kinds):
            return env
        env = env.env
    return None


def _changed_by(env: Any, spaces: Spaces) -> str | None:
    """Name of the outermost wrapper that has changed the space; None where it is the env's own."""
    name = f"single_{spaces}" if isinstance(env, VectorWrapper) else spaces
    while isinstance(env, (gym.Wrapper, VectorWrapper)):
        if getattr(env, name) != getattr(env.env, name):
            return type(env).__name__
        env = env.env
    return None
