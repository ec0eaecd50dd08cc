"""Damaged logs read to disk, beside the same in memory; and damaged logs of a server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from irecgan_gym.readers import ReaderError, TableColumns, read, read_to_disk
from irecgan_gym.serving import Click, LogError, ServiceError, Start, read_served_log
from irecgan_gym.serving.event_log import log_files
from irecgan_gym.sessions import SessionsError
from tests.fuzz.bad_values import VALUES, damaged, pick, shown
from tests.fuzz.endings import Case, SilentlyWrongError
from tests.fuzz.logs import TABLE
from tests.serving.counting_policy import killed, opened

COLUMNS = TableColumns(reward="reward", time="time", user="user")


def logs_to_disk(rng: np.random.Generator, folder: Path) -> Iterator[Case]:
    """Tables in two files, one of them damaged, or options that make no sense: as in memory, or refused as there."""
    parts = folder / "parts"
    parts.mkdir()
    (parts / "0.csv").write_text(TABLE)
    while True:
        way, content = damaged(rng, TABLE.encode())
        options: dict[str, Any] = {"columns": COLUMNS, "on_error": pick(rng, ("repair", "skip", "raise"))}
        buckets: Any = int(rng.integers(1, 5))
        if rng.random() < 0.2:
            option, value = (
                pick(rng, ("separator", "sort", "min_length", "max_gap", "columns", "buckets")),
                pick(rng, VALUES),
            )
            way, content = f"{option} = {shown(value)}", TABLE.encode()
            if option == "buckets":
                buckets = value
            else:
                options[option] = value

        def run(content=content, options=options, buckets=buckets) -> None:
            shutil.rmtree(folder / "disk", ignore_errors=True)
            (parts / "1.csv").write_bytes(content)
            # What cannot be said of buckets in memory is right or refused by itself.
            expected = _account(lambda: read(parts, "table", **options).report)
            found = read_to_disk(parts, "table", folder / "disk", buckets=buckets, **options)
            if _account(lambda: found.report) != expected:
                raise SilentlyWrongError(f"{found.report} in place of {expected}")
            if found.dataset.num_steps < found.report.rows_used:
                raise SilentlyWrongError(f"{found.dataset} of {found.report.rows_used} rows")

        yield Case(f"table to disk: {way}", run)


def _account(reader: Any) -> Any:
    try:
        report = reader()
    except (ReaderError, SessionsError) as error:
        return type(error).__name__
    return report.rows_read, report.rows_used, report.malformed_rows, report.rows_left_out, report.repairs_made


def served_logs(rng: np.random.Generator, folder: Path) -> Iterator[Case]:
    """Logs of a server of which one file was damaged: they are gone on with, and read, or refused."""
    service = opened(folder / "whole")
    for number in range(6):
        if number in (2, 4):
            killed(service)
            service = opened(folder / "whole")
        service.answer([Start(f"s{number}")])
        for step in range(number % 3):
            service.answer([Click(f"s{number}", step, 4)])
    killed(service)
    whole = {path.name: path.read_bytes() for path in log_files(folder / "whole")}
    events = len(_steps(folder / "whole"))
    while True:
        name = pick(rng, list(whole))
        way, content = damaged(rng, whole[name])
        if rng.random() < 0.3:
            lines = whole[name].splitlines(keepends=True)
            place = int(rng.integers(len(lines)))
            way, content = f"line {place + 1} of {len(lines)} gone", b"".join(lines[:place] + lines[place + 1 :])

        def run(name=name, content=content) -> None:
            place = folder / "damaged"
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(folder / "whole", place)
            (place / name).write_bytes(content)
            service = opened(place)
            for number in range(6):
                (answer,) = service.answer([Click(f"s{number}", number % 3, 4)])
                if isinstance(answer, ServiceError) and answer.status not in (404, 409, 422):
                    raise SilentlyWrongError(f"{answer.status}: {answer}")
            killed(service)
            try:
                steps = _steps(place)
            except LogError:
                return  # A file that is not read any more to go on: the reader of the log says so.
            if len(steps) > events + 6:
                raise SilentlyWrongError(f"{len(steps)} steps of {events}")

        yield Case(f"{name}: {way}", run)


def _steps(folder: Path) -> list[int]:
    clicks: list[int] = read_served_log(folder).sessions.clicks.tolist()
    return clicks
