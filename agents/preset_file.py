"""Presets as files: the settings of every agent, all of them spelt out, and where they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from irecgan_gym.storage.files import from_json, missing_keys, write_atomically


@dataclass(frozen=True)
class PresetEntry:
    """Settings of one agent.

    Attributes:
        settings: an instance of the agent's ``config_type``.
        provenance: JSON-compatible; where the settings come from, e.g. a section of the paper, or the command and the
            scores that chose them.
    """

    settings: Any
    provenance: Mapping[str, Any]


def read_preset_file(path: Path, config_types: Mapping[str, type[Any]]) -> dict[str, PresetEntry]:
    """The entries of all agents in a preset file.

    Args:
        path: a JSON file with ``settings`` and ``provenance`` of each agent.
        config_types: of all agents, by name.

    Raises:
        ValueError: not JSON, an agent or a setting that is missing or unknown, a setting out of range, or no
            provenance; with the file and the key.
    """
    try:
        agents = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    _check_keys(f"{path}", agents, set(config_types))
    return {name: _entry(f"{path}: {name}", agents[name], kind) for name, kind in config_types.items()}


def write_preset_file(path: Path, entries: Mapping[str, PresetEntry]) -> None:
    """Replace a preset file as a whole."""
    agents = {
        name: {"provenance": dict(entry.provenance), "settings": asdict(entry.settings)}
        for name, entry in entries.items()
    }
    write_atomically(path, (json.dumps(agents, indent=2, ensure_ascii=False) + "\n").encode())


def _entry(where: str, values: Any, config_type: type[Any]) -> PresetEntry:
    _check_keys(where, values, {"settings", "provenance"})
    if not isinstance(values["provenance"], dict) or not values["provenance"]:
        raise ValueError(f"{where}: 'provenance' must say where the settings come from")
    try:
        settings = from_json(config_type, values["settings"])
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{where}: 'settings': {error}") from error
    if missing := list(missing_keys(config_type, values["settings"])):
        raise ValueError(f"{where}: 'settings' has no {missing[0]!r}")
    return PresetEntry(settings, values["provenance"])


def _check_keys(where: str, values: Any, expected: set[str]) -> None:
    if not isinstance(values, dict):
        raise ValueError(f"{where} must be an object, got {values!r}")
    for problem, keys in (("has no", expected - values.keys()), ("has an unknown", values.keys() - expected)):
        if keys:
            raise ValueError(f"{where} {problem} {min(keys)!r}; it must have {sorted(expected)}")
