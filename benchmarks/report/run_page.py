"""The part of a report that shows one run folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pandas import DataFrame

from irecgan_gym.benchmarks.engine.durations import as_text
from irecgan_gym.benchmarks.engine.run_folder import flatten, read_json
from irecgan_gym.benchmarks.engine.run_folder_error import RunFolderError
from irecgan_gym.benchmarks.engine.summaries import measurement_tables
from irecgan_gym.benchmarks.engine.tables import DURATIONS, JOB, RESULTS, agents_of, read_table
from irecgan_gym.benchmarks.engine.text_table import TextTable, text_table
from irecgan_gym.benchmarks.experiments import measures_of
from irecgan_gym.benchmarks.report.figures import PageFigure, page_figures


@dataclass(frozen=True)
class FailedJob:
    """A job that failed.

    Attributes:
        job: its name.
        details: the traceback.
    """

    job: str
    details: str


@dataclass(frozen=True)
class RunPage:
    """A run, ready to be shown.

    Attributes:
        name: of the folder.
        facts: what the run is, in a few words each.
        figures: of the results.
        cells: figures of the results of each cell, where there are several; else the one is in ``figures``.
        training: figures of training.
        tables: what was measured.
        failures: jobs that failed.
        read_report: what was read of the logs, and what was not; empty where there were none to be read.
        settings: the resolved configuration.
        versions: of every sitting.
        has_results: whether a job has finished.
    """

    name: str
    facts: tuple[tuple[str, str], ...]
    figures: tuple[PageFigure, ...]
    cells: tuple[PageFigure, ...]
    training: tuple[PageFigure, ...]
    tables: tuple[TextTable, ...]
    failures: tuple[FailedJob, ...]
    read_report: str
    settings: tuple[TextTable, ...]
    versions: TextTable | None
    has_results: bool


def read_run(folder: Path) -> RunPage:
    """Read a run folder and draw its figures; nothing is written.

    Raises:
        RunFolderError: the folder has no ``config.json``, or a damaged one.
    """
    if not (folder / "config.json").is_file():
        raise RunFolderError(f"{folder} is no run folder: there is no config.json in it")
    config = read_json(folder / "config.json")
    versions_file, report_file = folder / "versions.json", folder / "read_report.txt"
    sittings = read_json(versions_file) if versions_file.is_file() else []
    results = read_table(folder / "results.csv", RESULTS)
    failures = tuple(
        FailedJob(file.stem, file.read_text(encoding="utf-8", errors="replace"))
        for file in sorted((folder / "failures").glob("*.txt"))
    )
    by_subject: dict[str, list[PageFigure]] = {"grid": [], "cell": [], "training": []}
    for figure in page_figures(folder) if len(results) else []:
        by_subject[figure.about].append(figure)
    figures, cells = by_subject["grid"], by_subject["cell"]
    if not figures:
        figures, cells = cells, []
    return RunPage(
        name=folder.resolve().name,
        facts=_facts(config, results, failures, read_table(folder / "durations.csv", DURATIONS), sittings),
        figures=tuple(figures),
        cells=tuple(cells),
        training=tuple(by_subject["training"]),
        tables=tuple(measurement_tables(results, measures_of(results))) if len(results) else (),
        failures=failures,
        read_report=report_file.read_text(encoding="utf-8", errors="replace") if report_file.is_file() else "",
        settings=tuple(_settings_tables(config)),
        versions=_versions_table(sittings) if sittings else None,
        has_results=len(results) > 0,
    )


def _facts(
    config: Mapping[str, Any],
    results: DataFrame,
    failures: Sequence[FailedJob],
    durations: DataFrame,
    sittings: Sequence[Mapping[str, Any]],
) -> tuple[tuple[str, str], ...]:
    jobs = results[JOB].drop_duplicates()
    cells = jobs[["logging_policy", "num_sessions"]].drop_duplicates().itertuples(index=False, name=None)
    last = sittings[-1] if sittings else {}
    changes = " and changes" if last.get("uncommitted_changes") else ""
    facts = {
        "Experiment": config.get("experiment"),
        "Environment": config.get("env"),
        "Format of the logs": config.get("format"),
        "Preset": config.get("preset"),
        "Agents": ", ".join(agents_of(results)),
        "Logs": ", ".join(f"{policy} ({size:,} sessions)" for policy, size in cells),
        "Seeds": ", ".join(map(str, sorted(jobs["seed"].unique()))),
        "Jobs": f"{len(jobs):,} finished, {len(failures)} failed",
        "Time of all jobs": as_text(durations["seconds"].sum()) if len(durations) else None,
        "Commit": f"{last['commit'][:12]}{changes}" if last.get("commit") else None,
    }
    return tuple((name, str(value)) for name, value in facts.items() if value)


def _settings_tables(config: Mapping[str, Any]) -> list[TextTable]:
    """The settings of the run, and, side by side, those of its agents."""
    nested = {name: value for name, value in config.items() if _is_by_agent(value)}
    rest = [(key, _value_text(value)) for key, value in flatten({k: v for k, v in config.items() if k not in nested})]
    tables = [text_table("Settings of the run", ("setting", "value"), rest)]
    for name, by_agent in nested.items():
        columns = {agent: dict(flatten(settings)) for agent, settings in by_agent.items()}
        keys = dict.fromkeys(key for column in columns.values() for key in column)
        body = [
            (key, *(_value_text(column[key]) if key in column else "" for column in columns.values())) for key in keys
        ]
        tables.append(text_table(f"Settings of the {name}", ("setting", *columns), body))
    return tables


def _is_by_agent(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(inner, Mapping) for inner in value.values())


def _versions_table(sittings: Sequence[Mapping[str, Any]]) -> TextTable:
    """A column a sitting: a run that was stopped and continued may have been made with several versions."""
    columns = [dict(flatten(sitting)) for sitting in sittings]
    keys = dict.fromkeys(key for column in columns for key in column)
    body = [
        (key.removeprefix("packages."), *(_value_text(column.get(key)) for column in columns))
        for key in keys
        if key != "started"
    ]
    headings = ("version of", *(str(column.get("started", "unknown time")) for column in columns))
    return text_table("Versions, by the time at which a sitting began", headings, body)


def _value_text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(_value_text, value))
    return value if isinstance(value, str) else json.dumps(value)
