"""A table read one row at a time, as plainly as it can be written: what the reader in batches must agree with."""

import numpy as np

from irecgan_gym.readers.arrow_cells import list_literal
from irecgan_gym.readers.assembly import Numbering, StepColumns, assemble, keep_lengths
from irecgan_gym.readers.lines import read_table
from irecgan_gym.readers.report import ReadReport, ReadResult
from irecgan_gym.readers.table_cells import parse_step


def plain_rows(path, names, separator, delimiter, report):
    """Place and cells of every row of a CSV file, stripped, None where nothing is left."""
    for place, cells in read_table(path, delimiter, tuple(names.values()), report):
        row = {meaning: cell.strip() or None for meaning, cell in zip(names, cells, strict=True)}
        shown = row["slate"]
        if shown is not None:
            is_literal = shown[0] == "[" and shown[-1] == "]"
            items = list_literal(shown, separator) if is_literal else shown.split(separator)
            row["slate"] = shown if items is None else [item.strip() or None for item in items]
        yield place, row


def read_plainly(path, columns, *, separator="|", delimiter=",", sort=False, min_length=1, on_error="raise"):
    """Sessions and report of a CSV file."""
    report, names, steps = ReadReport(on_error), columns.used(), StepColumns()
    items, sessions, user_numbers = Numbering(), Numbering(), Numbering()
    users, last_time = [], []
    for place, cells in plain_rows(path, names, separator, delimiter, report):
        step = parse_step(place, cells, report)
        if step is None:
            continue
        known = len(sessions)
        session = sessions(step.session)
        user = user_numbers(f"session {step.session}" if step.user is None else f"user {step.user}")
        if session == known:
            users.append(user)
            last_time.append(step.time)
        elif users[session] != user:
            report.malformed(place, "session of two users", f"session {step.session} has another user {step.user!r}")
            continue
        elif step.time < last_time[session] and not sort:
            detail = f"session {step.session} is at {last_time[session]:.15g}, this step at {step.time:.15g}"
            report.malformed(place, "unordered time", detail)
            continue
        last_time[session] = step.time
        shown = [items(item) for item in step.slate]
        click = -1 if step.click is None else items(step.click)
        steps.add(place, session, shown, click, step.reward, propensity=step.propensity, time=step.time)
    order = steps.in_order(by_time=sort).tolist()
    left, sound = set(), []
    for step in order:
        if steps.session[step] not in left:
            sound.append(step)
        if steps.click[step] == -1:
            left.add(steps.session[step])
    for step in sorted(set(order) - set(sound)):
        detail = f"session {sessions.names[steps.session[step]]} has ended with a step without a click"
        report.malformed(next(steps.places([step])), "step after leaving", detail)
    rows = keep_lengths(steps, np.array(sound, dtype=np.int64), min_length, 2**31 - 1, "steps", report)
    report.rows_used = len(rows)
    report.check()
    result = assemble(
        steps,
        rows,
        report,
        item_names=items.names,
        users=users if columns.user is not None else None,
        with_propensities=columns.propensity is not None,
        provenance={},
    )
    return ReadResult(result, report)
