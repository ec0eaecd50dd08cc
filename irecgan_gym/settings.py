"""Checks of settings: dataclasses whose annotations say what their fields take, in types and in numbers.

A dataclass of settings calls :func:`check_settings` first of all in its ``__post_init__``, and every field, an
inherited one too, is held against its annotation. ``rounds: Count`` takes whole numbers from 1, ``gamma: Share``
numbers from 0 to 1, ``patience: Count | None`` whole numbers or None; floats are finite.
"""

from __future__ import annotations

import math
import numbers
import types
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints


class Numbers:
    """Which numbers, or sequences, of its type a field takes.

    Args:
        words: what to say of a field that takes them, after its name.
        allows: tells whether a number is one of them.
    """

    def __init__(self, words: str, allows: Callable[[Any], bool]) -> None:
        self.words = words
        self.allows = allows

    def __repr__(self) -> str:
        return f"<{self.words}>"


MOST_LAYERS = 100
"""Far beyond what anyone trains: a mistaken number is refused before it takes hours to make as many."""
MOST_WIDTH = 2**16
"""The same for all memory."""

Positive = Annotated[float, Numbers("must be positive", lambda value: value > 0)]
NotNegative = Annotated[float, Numbers("must not be negative", lambda value: value >= 0)]
Share = Annotated[float, Numbers("must be from 0 to 1", lambda value: 0 <= value <= 1)]
InnerShare = Annotated[float, Numbers("must be between 0 and 1", lambda value: 0 < value < 1)]
_FROM_1 = Numbers("must be at least 1", lambda value: value >= 1)
Count = Annotated[int, _FROM_1]
CountFrom0 = Annotated[int, Numbers("must not be negative", lambda value: value >= 0)]
NOT_EMPTY = Numbers("must not be empty", bool)
Layers = Annotated[int, _FROM_1, Numbers(f"must be at most {MOST_LAYERS}", lambda value: value <= MOST_LAYERS)]
Width = Annotated[int, _FROM_1, Numbers(f"must be at most {MOST_WIDTH}", lambda value: value <= MOST_WIDTH)]


def check_count(name: str, value: Any, most: int = 2**31 - 1) -> None:
    """Refuse an argument that is no whole number from 1, or more than there will ever be of its kind.

    Args:
        name: of the argument.
        value: what was given.
        most: the largest number that makes sense: a larger one would fill all memory, or never end.

    Raises:
        ValueError: with the argument, what it takes and what was given.
    """
    if _checked(name, value, Count) > most:
        raise ValueError(f"{name} must be at most {most}, got {shown(value)}")


def check_seed(seed: Any) -> int | None:
    """Return a seed as Python's int, or None.

    Raises:
        ValueError: no whole number from 0; with what was given.
    """
    if seed is None:
        return None
    whole: int = _checked("seed", seed, CountFrom0)
    return whole


def check_settings(settings: Any) -> None:
    """Hold the fields of a dataclass against their annotations; call it in ``__post_init__``.

    Numbers of other libraries become Python's, and lists the tuples that are asked for, so that settings are hashable
    and can be stored.

    Raises:
        ValueError: a value of another type, not finite, or out of the field's range; with the field and what it takes.
    """
    given = {field.name: getattr(settings, field.name) for field in fields(settings)}
    for name, value in checked_values(type(settings), given).items():
        if value is not given[name]:
            object.__setattr__(settings, name, value)  # Frozen dataclasses have no other way.


def check_is(settings: Any, settings_type: type[Any]) -> None:
    """Refuse settings of another class, such as those of another agent.

    Raises:
        ValueError: with what was expected and what was given.
    """
    if not isinstance(settings, settings_type):
        raise ValueError(f"config must be a {settings_type.__name__}, got {shown(settings)}")


def checked_value(name: str, value: Any, hint: Any) -> Any:
    """Return an argument of a function as :func:`check_settings` leaves a field with this annotation.

    Raises:
        ValueError: see :func:`check_settings`.
    """
    return _checked(name, value, hint)


def checked_values(settings_type: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values for fields of a dataclass, as :func:`check_settings` leaves them.

    Raises:
        ValueError: see :func:`check_settings`.
    """
    hints = get_type_hints(settings_type, include_extras=True)
    return {name: _checked(name, value, hints[name]) for name, value in values.items()}


def _checked(name: str, value: Any, hint: Any) -> Any:
    """Return a value of the annotated type."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        value = _checked(name, value, parts[0])
        for part in parts[1:]:
            if isinstance(part, Numbers) and not part.allows(value):
                raise ValueError(f"{name} {part.words}, got {value}")
        return value
    if origin in (Union, types.UnionType):
        return _one_of(name, value, parts)
    if origin is Literal:
        if not any(type(value) is type(known) and value == known for known in parts):
            raise ValueError(f"{name} must be {_choices([repr(known) for known in parts])}, got {shown(value)}")
        return value
    if origin is tuple:
        return _checked_tuple(name, value, parts)
    if hint in (bool, int, float, str, type(None)):
        return _checked_scalar(name, value, hint)
    if isinstance(hint, type) and is_dataclass(hint) and not isinstance(value, hint):
        raise ValueError(f"{name} must be a {hint.__name__}, got {shown(value)}")
    return value


def _one_of(name: str, value: Any, hints: tuple[Any, ...]) -> Any:
    """Return a value of one of several types; what is wrong with it is said in the words of the last."""
    if value is None and type(None) in hints:
        return None
    kinds = [hint for hint in hints if hint is not type(None)]
    for kind in kinds[:-1]:
        with suppress(ValueError):
            return _checked(name, value, kind)
    return _checked(name, value, kinds[-1])


def _checked_tuple(name: str, value: Any, parts: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, (tuple, list)):
        raise ValueError(f"{name} must be a sequence, got {shown(value)}")
    if parts[1:] == (...,):
        return tuple(_checked(f"{name}[{place}]", one, parts[0]) for place, one in enumerate(value))
    if len(value) != len(parts):
        raise ValueError(f"{name} must hold {len(parts)} values, got {shown(value)}")
    return tuple(
        _checked(f"{name}[{place}]", one, part) for place, (one, part) in enumerate(zip(value, parts, strict=True))
    )


def _checked_scalar(name: str, value: Any, kind: type[Any]) -> Any:
    if type(value) is kind:
        found = value
    elif kind is bool and type(value).__name__ in ("bool", "bool_"):  # NumPy's
        found = bool(value)
    elif kind is int and _is_number(value, numbers.Integral):
        found = int(value)
    elif kind is float and _is_number(value, numbers.Real):
        found = value if type(value) is int else float(value)
    else:
        words = {bool: "True or False", int: "a whole number", float: "a number", str: "a text", type(None): "None"}
        raise ValueError(f"{name} must be {words[kind]}, got {shown(value)}")
    if kind is float and not _is_finite(found):
        raise ValueError(f"{name} must be finite, got {shown(value)}")
    return found


def _is_number(value: Any, kind: type[Any]) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # A whole number that no float holds.
        return False


def _choices(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def shown(value: Any) -> str:
    """A value in one short line, whatever it is."""
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= 100 else f"{text[:97]}..."
