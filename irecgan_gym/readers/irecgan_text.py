"""The text format of the paper's authors: ``session;state;click;slate items by comma;purchase``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from irecgan_gym.readers.assembly import KnownItems, Numbering, StepColumns, assemble, keep_lengths
from irecgan_gym.readers.lines import TextRow, read_rows, whole_number
from irecgan_gym.readers.report import MAX_MALFORMED, OnError, ReadReport, ReadResult
from irecgan_gym.sessions import Catalogue, Sessions
from irecgan_gym.settings import check_count, checked_value
from irecgan_gym.storage.files import write_atomically

_MOST_ITEMS = 10**7
"""Each is kept by its name: more would fill all memory, and come from a mistake."""


def read_irecgan_text(
    path: str | Path,
    *,
    reward: Literal["success", "purchase"] = "success",
    min_rows: int = 2,
    max_rows: int = 40,
    num_items: int | None = None,
    catalogue: Catalogue | None = None,
    extend: bool = False,
    max_malformed: float = MAX_MALFORMED,
    on_error: OnError = "repair",
) -> ReadResult:
    """Read a log as the authors' simulator writes it.

    A session starts with a row without a slate (``7;0;0;;0``; its item 0 is their start token) and goes on with a row
    for every *successful* click. The failing step is not logged, so the end of a session is not in the data: with
    ``reward="success"`` all sessions are marked as truncated.

    Their learners take a reward of 1 + 3 * purchase for each step; here the reward is the one or the other part, and
    its weight (lambda_r) belongs to the learner.

    Args:
        path: the file (``.gz`` too).
        reward: ``"success"``: 1 for every logged click, since only successes are; ``"purchase"``: the last cell (0 in
            all simulated logs).
        min_rows: sessions of fewer rows, start row included, are left out, as by the authors' reader.
        max_rows: the same for more rows.
        num_items: size of the catalogue: items keep their ids, as for a policy that is to act in the simulator of the
            log. When None, the catalogue is the items that occur, in numeric order (their ids are ``item_names``).
        catalogue: items keep the numbers that they have in it, by name, which is their id in the file; rows with others
            are left out and counted. Not together with ``num_items``.
        extend: whether items that the catalogue does not have get numbers behind its own instead.
        max_malformed: share of the rows that may be malformed.
        on_error: ``"repair"`` or ``"skip"``, which are the same here, or ``"raise"``.

    Raises:
        FileNotFoundError: there is no such file.
        ReaderError: the file cannot be read, too many rows are malformed, or one and ``on_error="raise"``.
        SessionsError: no session is left.
    """
    checked_value("reward", reward, Literal["success", "purchase"])
    if num_items is not None:
        check_count("num_items", num_items, most=_MOST_ITEMS)
    checked_value("min_rows", min_rows, int)
    checked_value("max_rows", max_rows, int)
    if num_items is not None and catalogue is not None:
        raise ValueError("num_items and catalogue both say which items there are: give one of them")
    known = KnownItems(catalogue, extend)
    path, report = Path(path), ReadReport(on_error, max_malformed)
    steps = StepColumns()
    items = known.numbering() if num_items is None else Numbering(map(str, range(num_items)))
    sessions = Numbering()
    current = ""
    for row in read_rows(path, ";", report, quotes=False):
        step = _parse(row, num_items, report)
        if step is None:
            continue
        if not step.slate:
            if step.session in sessions:
                report.malformed(row.place, "duplicate key", f"session {step.session} has started already")
                continue
            current = step.session
            sessions(step.session)
            report.left_out("start rows", 1, [row.place])
        elif step.session != current:
            report.malformed(row.place, "session without start", f"session {step.session} has no row without a slate")
        elif known.closed and any(str(item) not in items for item in step.slate):
            report.left_out("items that the catalogue does not have", 1, [row.place])
        else:
            shown = [items(str(item)) for item in step.slate]
            gained = step.purchase if reward == "purchase" else 1.0
            steps.add(row.place, sessions(step.session), shown, items(str(step.click)), reward=gained, state=step.state)
    # A row more than its steps: the start row, which is counted above.
    rows = keep_lengths(steps, steps.in_order(), min_rows - 1, max_rows - 1, "clicks", report)
    report.session_left_out("sessions of a start row alone", len(sessions) - len(np.unique(steps.session)))
    report.rows_used = len(rows)
    report.check()
    result = assemble(
        steps,
        rows,
        report,
        item_names=items.names,
        catalogue=known.numbers(steps, rows, len(items)) if num_items is None else np.arange(num_items),
        names_key=int,
        users=None,
        with_states=True,
        provenance={"source": "IRecGAN text format", "file": path.name, "reward": reward},
        truncated=reward == "success",
    )
    return ReadResult(result, report)


class _Step(NamedTuple):
    """The cells of a row."""

    session: str
    state: int
    click: int
    slate: list[int]
    purchase: float


def _parse(row: TextRow, num_items: int | None, report: ReadReport) -> _Step | None:
    """The cells of a row, or None where they are malformed."""
    if len(row.cells) != 5:
        report.malformed(row.place, "wrong number of cells", f"got {len(row.cells)}, expected 5 separated by ';'")
        return None
    session_id, state_cell, click_cell, listed, purchase = (cell.strip() for cell in row.cells)
    state, click = whole_number(state_cell), whole_number(click_cell)
    shown = [whole_number(item) for item in listed.split(",")] if listed else []
    slate = [item for item in shown if item is not None]
    if state is None or click is None or len(slate) < len(shown):
        report.malformed(row.place, "wrong type", f"state, click and slate must be whole numbers, got {row.cells}")
    elif max([state, click, *slate]) >= 2**31 - 1:
        report.malformed(row.place, "wrong type", f"states and items must be below 2**31 - 1, got {row.cells}")
    elif purchase not in ("0", "1"):
        report.malformed(row.place, "wrong type", f"purchase must be 0 or 1, got {purchase!r}")
    elif len(set(slate)) < len(slate):
        report.malformed(row.place, "repeated item", f"an item is in the slate twice: {listed}")
    elif slate and click not in slate:
        report.malformed(row.place, "click not in slate", f"item {click} is not in {listed}")
    elif num_items is not None and max([click, *slate]) >= num_items:
        report.malformed(row.place, "item out of range", f"items must be below num_items={num_items}, got {row.cells}")
    else:
        return _Step(session_id, state, click, slate, float(purchase))
    return None


def write_irecgan_text(sessions: Sessions, path: str | Path) -> None:
    """Write sessions for the authors' code, atomically.

    Only clicks with a reward above 0 are written, as their simulator does, with purchase 0; a session without any is
    its start row alone. What is lost: failing steps and leaving steps, the sizes of rewards, propensities, users, other
    events, and the names and number of the items (ids are written; read with the same ``num_items`` to get them back).
    States that are not known are written as 0.
    """
    lines = []
    for number, session in enumerate(sessions):
        first = int(sessions.offsets[number])
        lines.append(f"{number};0;0;;0\n")
        for step, (slate, click, reward) in enumerate(zip(*session, strict=True)):
            if reward > 0:
                state = 0 if sessions.states is None else int(sessions.states[first + step])
                lines.append(f"{number};{state};{click};{','.join(map(str, slate.tolist()))};0\n")
    write_atomically(Path(path), "".join(lines).encode())
