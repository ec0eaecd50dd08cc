"""The text format of the paper's authors: ``session;state;click;slate items by comma;purchase``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from irecgan_gym.atomic_file import write_atomically
from irecgan_gym.readers.assembly import Numbering, StepColumns, assemble, keep_lengths
from irecgan_gym.readers.lines import Row, read_rows
from irecgan_gym.readers.report import OnError, ReadReport, ReadResult
from irecgan_gym.sessions import Sessions


def read_irecgan_text(
    path: str | Path,
    *,
    reward: Literal["success", "purchase"] = "success",
    min_rows: int = 2,
    max_rows: int = 40,
    on_error: OnError = "raise",
) -> ReadResult:
    """Read a log as the authors' simulator writes it.

    A session starts with a row without a slate (``7;0;0;;0``; its item 0 is their start token) and goes on with a row
    for every *successful* click. The failing step is not logged, so the end of a session is not in the data: with
    ``reward="success"`` all sessions are marked as truncated.

    Args:
        path: the file.
        reward: ``"success"``: 1 for every logged click, since only successes are; ``"purchase"``: the last cell (0 in
            all simulated logs).
        min_rows: sessions of fewer rows, start row included, are left out, as by the authors' reader.
        max_rows: the same for more rows.
        on_error: ``"raise"`` or ``"skip"``.

    Raises:
        FileNotFoundError: there is no such file.
        ReaderError: the file cannot be read, or a row is malformed and ``on_error="raise"``.
        SessionsError: no session is left.
    """
    if reward not in ("success", "purchase"):
        raise ValueError(f"reward must be 'success' or 'purchase', got {reward!r}")
    report = ReadReport(on_error)
    steps = StepColumns()
    items, sessions = Numbering(), Numbering()
    current = ""
    for row in read_rows(Path(path), ";"):
        report.rows_read += 1
        if (numbers := _numbers(row, report)) is None:
            continue
        session_id, state, click, slate, purchase = numbers
        if not slate:
            if session_id in sessions:
                report.malformed(row.place, "duplicate key", f"session {session_id} has started already")
                continue
            current = session_id
            sessions(session_id)
            report.left_out("start rows")
        elif session_id != current:
            report.malformed(row.place, "session without start", f"session {session_id} has no row without a slate")
        else:
            shown = [items(item) for item in slate]
            gained = purchase if reward == "purchase" else 1.0
            steps.add(sessions(session_id), shown, items(click), reward=gained, state=state)
    # A row more than its steps: the start row, which is counted above.
    kept = keep_lengths(steps, len(sessions), min_rows - 1, max_rows - 1, "clicks", report)
    owners = np.asarray(steps.session, dtype=np.int64)
    report.session_left_out("sessions of a start row alone", len(sessions) - len(np.unique(owners)))
    report.rows_used = int(kept[owners].sum())
    report.check()
    result = assemble(
        steps,
        kept,
        item_names=items.names,
        users=None,
        with_states=True,
        provenance={"source": "IRecGAN text format", "file": Path(path).name, "reward": reward},
        truncated=reward == "success",
    )
    return ReadResult(result, report)


def _numbers(row: Row, report: ReadReport) -> tuple[str, int, str, list[str], float] | None:
    """The cells of a row, or None where they are malformed."""
    if len(row.cells) != 5:
        report.malformed(row.place, "wrong number of cells", f"got {len(row.cells)}, expected 5 separated by ';'")
        return None
    session_id, state, click, slate, purchase = (cell.strip() for cell in row.cells)
    shown = slate.split(",") if slate else []
    if not (state.isdigit() and click.isdigit() and all(item.isdigit() for item in shown)):
        report.malformed(row.place, "wrong type", f"state, click and slate must be whole numbers, got {row.cells}")
    elif purchase not in ("0", "1"):
        report.malformed(row.place, "wrong type", f"purchase must be 0 or 1, got {purchase!r}")
    elif len(set(shown)) < len(shown):
        report.malformed(row.place, "repeated item", f"an item is in the slate twice: {slate}")
    elif shown and click not in shown:
        report.malformed(row.place, "click not in slate", f"item {click} is not in {slate}")
    else:
        return session_id, int(state), click, shown, float(purchase)
    return None


def write_irecgan_text(sessions: Sessions, path: str | Path) -> None:
    """Write sessions for the authors' code, atomically.

    Only clicks with a reward are written, as their simulator does; failing steps, propensities, users and item
    names are lost. States that are not known are written as 0, purchases as 0.
    """
    lines = []
    for number, session in enumerate(sessions):
        first = int(sessions.offsets[number])
        lines.append(f"{number};0;0;;0")
        for step, (slate, click, reward) in enumerate(zip(*session, strict=True)):
            if reward > 0:
                state = 0 if sessions.states is None else int(sessions.states[first + step])
                lines.append(f"{number};{state};{click};{','.join(map(str, slate.tolist()))};0")
    write_atomically(Path(path), ("\n".join(lines) + "\n").encode())
