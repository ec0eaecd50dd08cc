"""Everything that is tried, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tests.fuzz import arguments, logs, on_disk, stored_files
from tests.fuzz.endings import Case, Outcome, outcome_of

Cases = Callable[[np.random.Generator, Path], Iterator[Case]]

TARGETS: dict[str, Cases] = {
    "weights, damaged": stored_files.damaged_weights,
    "weights, made up": stored_files.crafted_weights,
    "sessions, damaged": stored_files.damaged_sessions,
    "run folders, damaged": stored_files.damaged_run_folders,
    "presets": stored_files.preset_files,
    "settings as JSON": stored_files.settings_from_json,
    "settings": arguments.settings,
    "columns": arguments.columns,
    "environments": arguments.environments,
    "actions": arguments.actions,
    "logs, damaged": logs.logs,
    "options of readers": logs.reader_options,
    "command lines": logs.command_lines,
    "logs to disk": on_disk.logs_to_disk,
    "served logs, damaged": on_disk.served_logs,
}


def outcomes(name: str, number: int, seed: int, folder: Path) -> Iterator[Outcome]:
    """Try a number of cases of a target; equal seeds give equal cases."""
    folder.mkdir(parents=True, exist_ok=True)
    cases = TARGETS[name](np.random.default_rng([seed, list(TARGETS).index(name)]), folder)
    for _ in range(number):
        yield outcome_of(next(cases))
