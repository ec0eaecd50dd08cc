"""The preset ``tuned``, made of what a search has chosen, with its provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from irecgan_gym.agents.preset_file import PresetEntry, write_preset_file
from irecgan_gym.agents.presets import preset_entries, preset_file
from irecgan_gym.benchmarks.candidate_choice import Trial, choose
from irecgan_gym.benchmarks.engine.run_folder import versions
from irecgan_gym.benchmarks.search_space import TIED, tied_settings

TUNED_PRESET = "tuned"


def write_tuned_preset(trials: Mapping[str, Sequence[Trial]], search: Mapping[str, Any]) -> Path:
    """Replace the settings of agents in the preset ``tuned``, and of those that are tied to them.

    Args:
        trials: of the finalists of each agent, the default first.
        search: JSON-compatible; how the candidates were found and tried.

    Returns:
        The preset's file.
    """
    file, entries = preset_file(TUNED_PRESET), preset_entries(TUNED_PRESET)
    for agent, of_agent in trials.items():
        entries[agent] = PresetEntry(choose(of_agent).candidate.settings, {**search, **_outcome(of_agent)})
    if "irecgan" in trials:
        for agent, reason in TIED.items():
            settings = tied_settings(agent, entries["irecgan"].settings)
            entries[agent] = PresetEntry(settings, {"tied_to": "irecgan", "reason": f"{agent} {reason}"})
    write_preset_file(file, entries)
    return file


def _outcome(trials: Sequence[Trial]) -> dict[str, Any]:
    chosen, now = choose(trials), versions()
    return {
        "finalists": len(trials),
        "chosen": chosen.candidate.number,
        "changed": dict(chosen.candidate.values),
        "score": round(chosen.score, 4),
        "default_score": round(trials[0].score, 4),
        "gain_over_default": [round(number, 4) for number in chosen.gain],
        "gain_standard_error": round(chosen.standard_error, 4),
        "date": now["started"],
        "versions": {name: now[name] for name in ("python", "packages", "commit", "uncommitted_changes")},
    }
