"""Preset files: the settings of every agent that differ from its defaults, and where they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from irecgan_gym.storage.files import write_atomically


@dataclass(frozen=True)
class PresetEntry:
    """Settings of one agent.

    Attributes:
        settings: an instance of the agent's ``config_type``.
        provenance: origin of the settings, JSON-compatible, e.g. a section of the paper, or the command and the scores
            that chose them.
    """

    settings: Any
    provenance: Mapping[str, Any]


def read_preset_file(path: Path, config_types: Mapping[str, type[Any]]) -> dict[str, PresetEntry]:
    """Return the entries of all agents in a preset file.

    Args:
        path: a JSON file with ``provenance`` and ``settings`` of each agent; settings that it does not name have their
            defaults.
        config_types: classes of the settings of all agents, by name.

    Raises:
        ValueError: not JSON, an agent that is missing, an agent or a setting that is unknown, a setting out of range,
            or no provenance; with the file and the key.
    """
    try:
        agents = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    _check_keys(f"{path}", agents, set(config_types))
    return {name: _entry(f"{path}: {name}", agents[name], kind) for name, kind in config_types.items()}


def write_preset_file(path: Path, entries: Mapping[str, PresetEntry]) -> None:
    """Replace a preset file as a whole, with the settings that differ from the defaults of their classes."""
    agents = {
        name: {"provenance": dict(entry.provenance), "settings": differences(entry.settings, type(entry.settings)())}
        for name, entry in entries.items()
    }
    write_atomically(path, (json.dumps(agents, indent=2, ensure_ascii=False) + "\n").encode())


def differences(settings: Any, defaults: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that differ from those of another, JSON-compatible; nested as they are."""
    found: dict[str, Any] = {}
    for field in fields(settings):
        value, default = getattr(settings, field.name), getattr(defaults, field.name)
        if value != default:
            found[field.name] = differences(value, default) if is_dataclass(value) else value
    return found


def changed(settings: Any, values: Any) -> Any:
    """Return a dataclass with other values for some of its fields, in those of its dataclasses too.

    Raises:
        ValueError: values for fields that there are not, or that the dataclass refuses.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{type(settings).__name__} takes an object of settings, got {repr(values)[:100]}")
    known = {field.name for field in fields(settings)}
    if unknown := sorted(values.keys() - known):
        raise ValueError(f"{type(settings).__name__} has no field {unknown[0]!r}; it has {sorted(known)}")
    present = {name: getattr(settings, name) for name in values}
    return replace(
        settings,
        **{name: changed(old, values[name]) if is_dataclass(old) else values[name] for name, old in present.items()},
    )


def _entry(where: str, values: Any, config_type: type[Any]) -> PresetEntry:
    _check_keys(where, values, {"settings", "provenance"})
    if not isinstance(values["provenance"], dict) or not values["provenance"]:
        raise ValueError(f"{where}: 'provenance' must say where the settings come from")
    try:
        settings = changed(config_type(), values["settings"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: 'settings': {error}") from error
    return PresetEntry(settings, values["provenance"])


def _check_keys(where: str, values: Any, expected: set[str]) -> None:
    if not isinstance(values, dict):
        raise ValueError(f"{where} must be an object, got {repr(values)[:100]}")
    for problem, keys in (("has no", expected - values.keys()), ("has an unknown", values.keys() - expected)):
        if keys:
            raise ValueError(f"{where} {problem} {min(keys)!r}; it must have {sorted(expected)}")
