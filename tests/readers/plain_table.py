"""A table read one row at a time, as plainly as it can be written: what the reader in batches must agree with."""

import math
from itertools import pairwise

import numpy as np

from irecgan_gym.readers.arrow_cells import list_literal
from irecgan_gym.readers.assembly import Numbering, StepColumns, assemble, keep_lengths
from irecgan_gym.readers.lines import read_table
from irecgan_gym.readers.report import ReaderError, ReadReport, ReadResult
from irecgan_gym.readers.table_cells import NULL_VALUES, CellRules, parse_step


def plain_rows(path, names, separator, delimiter, report):
    """Place and cells of every row of a CSV file, stripped, None where nothing is left, slates without padding."""
    for place, cells in read_table(path, delimiter, tuple(names.values()), report):
        row = {meaning: cell.strip() or None for meaning, cell in zip(names, cells, strict=True)}
        for meaning in row.keys() - {"slate", "click"}:
            row[meaning] = None if row[meaning] in NULL_VALUES else row[meaning]
        shown = row["slate"]
        if shown is not None:
            is_literal = shown[0] == "[" and shown[-1] == "]"
            items = list_literal(shown, separator) if is_literal else shown.split(separator)
            row["slate"] = shown if items is None else [item.strip() or None for item in items]
        if isinstance(row["slate"], list):
            while row["slate"] and row["slate"][-1] is None:
                row["slate"].pop()
            while row["slate"] and row["slate"][0] is None:
                row["slate"].pop(0)
        yield place, row


def read_plainly(
    path, columns, *, separator="|", delimiter=",", sort=False, min_length=1, on_error="repair", catalogue=None
):
    """Sessions and report of a CSV file."""
    report, names, steps = ReadReport(on_error), columns.used(), StepColumns()
    known_items = () if catalogue is None else catalogue.names
    items, sessions, user_numbers = Numbering(known_items), Numbering(), Numbering()
    users, last_time, cut = [], [], set()
    repairs = on_error == "repair"

    def name_of(session, user):
        return (session, user or "") if repairs else session

    for place, cells in plain_rows(path, names, separator, delimiter, report):
        step = parse_step(place, cells, report, CellRules())
        if step is not None and catalogue is not None and not set(step.slate) <= set(known_items):
            report.left_out("items that the catalogue does not have", 1, [place])
            step = None
        if step is None:
            cut.add(sessions.get(name_of(cells["session"], cells["user"])))
            continue
        known = len(sessions)
        session = sessions(name_of(step.session, step.user))
        user = user_numbers(("nobody", step.session) if step.user is None else step.user)
        if session == known:
            users.append(user)
            last_time.append(step.time)
        elif users[session] != user:
            report.malformed(place, "session of two users", f"session {step.session} has another user {step.user!r}")
            cut.add(session)
            continue
        elif step.time < last_time[session] and not sort and not repairs:
            detail = f"session {step.session} is at {last_time[session]:.15g}, this step at {step.time:.15g}"
            report.malformed(place, "unordered time", detail)
            cut.add(session)
            continue
        cut.discard(session)
        last_time[session] = step.time
        shown = [items(item) for item in step.slate]
        for click, reward in zip(step.clicks or [None], step.rewards, strict=True):
            steps.add(
                place,
                session,
                shown,
                -1 if click is None else items(click),
                reward,
                propensity=step.propensity if len(step.clicks) < 2 else math.nan,
                time=step.time,
            )
    if repairs:
        names_used = [name for name, _ in sessions.names]
        shared = [f"session {name}" for name in dict.fromkeys(names_used) if names_used.count(name) > 1]
        report.repaired("sessions of several users: each has one", len(shared), shared)
    order = steps.in_order(by_time=sort)
    again, ends, back = [], {}, []
    for previous, step in zip([None, *order], order, strict=False):
        goes_on = previous is not None and steps.session[previous] == steps.session[step]
        if goes_on and steps.time[step] < steps.time[previous]:
            back.append(step)
        if not goes_on or step in back:
            again.append(steps.session[step])
        ends[step] = len(again) - 1
    if report.too_many(len(back)):
        raise ReaderError(
            f"time goes back at {len(back):,} of {len(order):,} steps: sort=True puts them in the order of time"
        )
    pauses = sum(
        steps.session[one] == steps.session[two] and steps.time[two] - steps.time[one] > 86_400
        for one, two in pairwise(order)
    )
    report.note(
        "",
        pauses,
        " steps come more than a day after the step before in their session; if ids of sessions are "
        "used again, max_gap (in seconds) cuts them there",
    )
    report.repaired("sessions in which time goes back: cut in two there", len(back), steps.places(back))
    if back:
        last_of = {old: new for new, old in enumerate(again)}
        for step, number in ends.items():
            steps.session[step] = number
        cut = {last_of[old] for old in cut if old in last_of}
        users = [users[old] for old in again]
    rows = keep_lengths(steps, order, min_length, 2**31 - 1, "steps", report)
    report.rows_used = steps.num_rows(rows)
    report.check()
    named = [name for name in user_numbers.names if isinstance(name, str)]
    number_of = [named.index(name) if isinstance(name, str) else -1 for name in user_numbers.names]
    result = assemble(
        steps,
        rows,
        report,
        item_names=items.names,
        catalogue=None if catalogue is None else np.arange(len(items)),
        users=[number_of[user] for user in users] if columns.user is not None else None,
        user_names=named if columns.user is not None else None,
        with_propensities=columns.propensity is not None,
        with_times=columns.time is not None,
        truncated=cut,
        provenance={},
    )
    return ReadResult(result, report)
