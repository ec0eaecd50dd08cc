"""The e-commerce search sessions of CIKM Cup 2016 (track 2), the paper's real data set (§7.2)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from irecgan_gym.readers.assembly import KnownItems, Numbering, StepColumns, assemble, keep_lengths
from irecgan_gym.readers.lines import read_table, whole_number
from irecgan_gym.readers.report import MAX_MALFORMED, OnError, Place, ReadReport, ReadResult, check_lengths
from irecgan_gym.sessions import Catalogue

PAPER_SPLIT = (0.95, 0.025, 0.025)
"""Shares of training, validation and test sessions in §7.2 (65,284 / 1,718 / 1,820); see ``Sessions.split``."""

_QUERIES = ("queryId", "sessionId", "userId", "items", "is.test")
_CLICKS = ("queryId", "timeframe", "itemId")
_PURCHASES = ("sessionId", "timeframe", "itemId")


class _Query(NamedTuple):
    session: int
    items: tuple[int, ...]


class _Click(NamedTuple):
    place: Place
    timeframe: int
    query: _Query
    item: int


def read_cikm_cup_2016(
    folder: str | Path,
    *,
    min_length: int = 2,
    max_length: int = 40,
    max_items: int = 40_000,
    catalogue: Catalogue | None = None,
    extend: bool = False,
    max_malformed: float = MAX_MALFORMED,
    on_error: OnError = "repair",
) -> ReadResult:
    """Read the folder of the cup's ``train-queries.csv``, ``train-clicks.csv`` and ``train-purchases.csv``.

    Each may end in ``.gz``. The data are to be had from the organisers of the cup; with them in ``cikm2016``,
    ``python -m irecgan_gym.readers cikm-cup-2016 cikm2016 --on-error skip --out cikm.parquet`` makes sessions of them;
    logs of this size hold rows that contradict each other, and so they are counted.

    A step is a click with the list of items that its query had returned; the steps of a session are ordered by time.
    The reward is 1 where the clicked item was bought later in the same session (at its last click before the purchase),
    else 0. As in §7.2, only the ``max_items`` most clicked items are kept, in slates too, so that items never clicked
    are gone; a click on an item that is not kept is left out, and sessions of too few or too many clicks with it.
    Test queries, whose clicks are not published, are left out.

    A session belongs to the user of its first query; where that names none, it is of somebody unknown, who is nobody
    else.

    Args:
        folder: with the three files.
        min_length: least clicks of a session.
        max_length: most clicks of a session.
        max_items: size of the catalogue at most; of equally popular items those seen first are kept.
        catalogue: items keep the numbers that they have in it; others are left out as those that are clicked too
            little are.
        extend: whether items that the catalogue does not have get numbers behind its own instead.
        max_malformed: share of the rows that may be malformed.
        on_error: ``"repair"`` or ``"skip"``, which are the same here, or ``"raise"``.

    Raises:
        FileNotFoundError: a file is missing.
        ReaderError: a file cannot be read, too many rows are malformed, or one and ``on_error="raise"``.
        SessionsError: no session is left.
    """
    if max_items < 1:
        raise ValueError(f"max_items must be at least 1, got {max_items}")
    check_lengths(min_length, max_length)
    report, known = ReadReport(on_error, max_malformed), KnownItems(catalogue, extend)
    cup = _Cup(Path(folder), report, known)
    cup.read_queries()
    cup.read_clicks()
    purchases = cup.read_purchases()

    counts = Counter(click.item for clicks in cup.clicks for click in clicks)
    popular = {item for item, _ in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:max_items]}
    steps = StepColumns()
    for session, clicks in enumerate(cup.clicks):
        for click in sorted(clicks, key=lambda entry: entry.timeframe):
            if known.closed and not known.has(click.item):
                report.left_out("clicks on items that the catalogue does not have", 1, [click.place])
                continue
            if click.item not in popular:
                report.left_out(f"clicks on items beyond the {max_items:,} most clicked", 1, [click.place])
                continue
            slate = [item for item in click.query.items if item in popular and (known.has(item) or not known.closed)]
            bought = (session, click.item, click.timeframe) in purchases
            steps.add(click.place, session, slate, click.item, reward=float(bought), time=float(click.timeframe))
    rows = keep_lengths(steps, steps.in_order(), min_length, max_length, "clicks", report)
    report.session_left_out("sessions without clicks on such items", len(cup.sessions) - len(np.unique(steps.session)))
    report.rows_used = len(rows)
    report.check()
    sessions = assemble(
        steps,
        rows,
        report,
        item_names=cup.items.names,
        catalogue=known.numbers(steps, rows, len(cup.items)),
        users=cup.users,
        user_names=cup.user_names,
        with_times=True,
        provenance={"source": "CIKM Cup 2016", "max_items": max_items},
    )
    return ReadResult(sessions, report)


class _Cup:
    """The three files, tied together by query and session."""

    def __init__(self, folder: Path, report: ReadReport, known: KnownItems) -> None:
        self._folder, self._report = folder, report
        self.items, self.sessions = known.numbering(), Numbering()
        self.users: list[int] = []
        self.clicks: list[list[_Click]] = []
        self._user_numbers = Numbering()
        self._queries: dict[str, _Query] = {}
        self._test_queries: set[str] = set()

    @property
    def clicks_file(self) -> Path:
        """The file whose rows become steps."""
        return self._file("train-clicks.csv")

    @property
    def user_names(self) -> list[str]:
        """Names of the users, by number."""
        return self._user_numbers.names

    def _file(self, name: str) -> Path:
        compressed = self._folder / f"{name}.gz"
        return compressed if compressed.is_file() else self._folder / name

    def read_queries(self) -> None:
        """Every query's session and items."""
        for place, (query, session_id, user, items, is_test) in read_table(
            self._file("train-queries.csv"), ";", _QUERIES, self._report
        ):
            if query in self._queries or query in self._test_queries:
                self._report.malformed(place, "duplicate key", f"query {query!r} is there already")
                continue
            if is_test.strip().lower() not in ("true", "false"):
                self._report.malformed(place, "wrong type", f"is.test must be TRUE or FALSE, got {is_test!r}")
                continue
            if is_test.strip().lower() == "true":
                self._test_queries.add(query)
                self._report.left_out("test queries, whose clicks are not published", 1, [place])
                continue
            if not session_id:
                self._report.malformed(place, "no session", f"query {query!r} has an empty sessionId")
                continue
            shown = items.split(",")
            if "" in shown or len(set(shown)) < len(shown):
                self._report.malformed(place, "no list of different items", f"items is {items!r}")
                continue
            # Queries without a user are the cup's anonymous visitors.
            owner = self._user_numbers(user) if user not in ("", "NA") else -1
            known = len(self.sessions)
            session = self.sessions(session_id)
            if session == known:
                self.users.append(owner)
                self.clicks.append([])
            self._queries[query] = _Query(session, tuple(self.items(item) for item in shown))
            self._report.left_out("queries (their lists are in the steps of their clicks)", 1, [place])

    def read_clicks(self) -> None:
        """Every click, with its query."""
        seen: set[tuple[str, str, str]] = set()
        for place, (query_id, timeframe, item) in read_table(self.clicks_file, ";", _CLICKS, self._report):
            if query_id in self._test_queries:
                self._report.left_out("clicks of test queries", 1, [place])
                continue
            query, time = self._queries.get(query_id), whole_number(timeframe)
            if query is None:
                self._report.malformed(place, "unknown query", f"train-queries.csv has no query {query_id!r}")
            elif time is None:
                self._report.malformed(place, "wrong type", f"timeframe must be a whole number, got {timeframe!r}")
            elif (query_id, timeframe, item) in seen:
                self._report.malformed(place, "duplicate key", f"the click on {item!r} at {timeframe} is there already")
            elif (number := self.items.get(item)) not in query.items:
                self._report.malformed(place, "click not in slate", f"query {query_id} did not return item {item!r}")
            else:
                seen.add((query_id, timeframe, item))
                self.clicks[query.session].append(_Click(place, time, query, number))

    def read_purchases(self) -> set[tuple[int, int, int]]:
        """The clicks that led to a purchase, as (session, item, timeframe of the click)."""
        clicked: dict[tuple[int, int], list[int]] = {}
        for session, clicks in enumerate(self.clicks):
            for click in clicks:
                clicked.setdefault((session, click.item), []).append(click.timeframe)
        bought: set[tuple[int, int, int]] = set()
        for place, (session_id, timeframe, item) in read_table(
            self._file("train-purchases.csv"), ";", _PURCHASES, self._report
        ):
            if (time := whole_number(timeframe)) is None:
                self._report.malformed(place, "wrong type", f"timeframe must be a whole number, got {timeframe!r}")
                continue
            number, product = self.sessions.get(session_id), self.items.get(item)
            before = [click for click in clicked.get((number, product), ()) if click <= time]
            if before:
                bought.add((number, product, max(before)))
                self._report.left_out("purchases (they are the rewards of their clicks)", 1, [place])
            else:
                self._report.left_out("purchases without a click before them", 1, [place])
        return bought
