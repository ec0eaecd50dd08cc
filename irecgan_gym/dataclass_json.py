"""Nested configuration dataclasses from JSON values (``dataclasses.asdict`` is the way there)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

ConfigT = TypeVar("ConfigT")


def from_json(config_type: type[ConfigT], values: Mapping[str, Any]) -> ConfigT:
    """Build a dataclass, and the dataclasses in its fields, from a mapping.

    Raises:
        ValueError: a key that the dataclass does not have; missing keys take their defaults.
    """
    if not is_dataclass(config_type):
        raise TypeError(f"{config_type!r} is not a dataclass")
    hints = get_type_hints(config_type)
    known = {field.name for field in fields(config_type)}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"{config_type.__name__} has no field {unknown[0]!r}; it has {sorted(known)}")
    arguments = {
        name: from_json(hints[name], value) if is_dataclass(hints[name]) else value for name, value in values.items()
    }
    return config_type(**arguments)


def missing_keys(config_type: type[Any], values: Mapping[str, Any]) -> Iterator[str]:
    """Dotted names of the fields, those of dataclasses in fields too, for which a mapping has no value."""
    hints = get_type_hints(config_type)
    for field in fields(config_type):
        if field.name not in values:
            yield field.name
        elif is_dataclass(hint := hints[field.name]):
            assert isinstance(hint, type)
            yield from (f"{field.name}.{name}" for name in missing_keys(hint, values[field.name]))
