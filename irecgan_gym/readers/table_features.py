"""Features and labels that stand in columns of a table beside the steps; features of items in a table of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from irecgan_gym.readers.arrow_cells import Lists, Names, is_list, lists_of, names_of, numbers_of, without_texts
from irecgan_gym.readers.assembly import StepColumns
from irecgan_gym.readers.containers import TextOptions, check_columns, open_containers, source_name
from irecgan_gym.readers.report import ReaderError, ReadReport
from irecgan_gym.readers.row_batch import RowBatch
from irecgan_gym.readers.table_cells import NULL_VALUES
from irecgan_gym.sessions import Catalogue, FeatureColumn, Sessions

_FLAGS = {"true": "1", "false": "0"}


@dataclass(frozen=True)
class TableFeatures:
    """Names of the columns that hold features, and further feedback.

    A column of numbers alone is a number, any other one is a category; empty cells are unknown.

    Attributes:
        entries: of the items as they were shown, such as their prices: lists, or texts joined by the separator, with a
            value for each item of the slate.
        steps: known before the click, such as the device.
        users: of the user; that of a session's first step counts.
        labels: what became of the items shown, such as whether they were bought or how long they were watched: numbers
            or truth values, as features of entries are given; empty where unknown. Of an item that a list shows twice,
            the largest.
        categories: those of them that are categories although they look like numbers.
    """

    entries: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All columns, each once."""
        return tuple(dict.fromkeys((*self.entries, *self.steps, *self.users, *self.labels)))


class _Batch(NamedTuple):
    """Features of the rows of a batch.

    Attributes:
        first_step: number of the first step that came from it.
        numbers: of its rows, ascending, [R].
        slates: the lists shown, as the table has them.
        cells: columns of single values.
        lists: columns of a value an entry.
    """

    first_step: int
    numbers: NDArray[np.int64]
    slates: Lists
    cells: dict[str, Names]
    lists: dict[str, Lists]


class FeatureCells:
    """Cells of features, batch by batch, until it is known which rows are steps.

    Args:
        features: names of the columns.
        slate: name of the column of slates.
        separator: between the items, and the values, of a text.
        null_values: texts that say that a value is not known.
    """

    def __init__(self, features: TableFeatures, slate: str, separator: str, null_values: Sequence[str]) -> None:
        self.features, self._slate, self._separator = features, slate, separator
        self._null_values = set(null_values)
        self._batches: list[_Batch] = []

    def add(self, batch: RowBatch, first_step: int) -> None:
        """Take in the rows of a batch; ``first_step`` is the number of steps before it."""
        cells, wanted = batch.cells, self.features
        single = dict.fromkeys((*wanted.steps, *wanted.users))
        slates = lists_of(cells.column(self._slate), self._separator)
        self._batches.append(
            _Batch(
                first_step,
                np.asarray(batch.numbers),
                slates,
                {name: names_of(cells.column(name)) for name in single},
                {name: _one_each(cells.column(name), self._separator) for name in (*wanted.entries, *wanted.labels)},
            )
        )

    def put_into(
        self, sessions: Sessions, steps: StepColumns, order: NDArray[np.int64], report: ReadReport
    ) -> Sessions:
        """The sessions with the features and labels of their rows.

        Args:
            sessions: made of these steps.
            steps: all that were added.
            order: numbers of those that the sessions hold, in their order.
            report: takes note of lists without a value for each item, and of labels that are no numbers.
        """
        firsts = np.array([batch.first_step for batch in self._batches], dtype=np.int64)
        batch_of = np.searchsorted(firsts, order, side="right") - 1
        lines = steps.line_numbers(order)
        row = np.zeros(len(order), dtype=np.int64)
        for number in np.unique(batch_of).tolist():
            chosen = batch_of == number
            row[chosen] = np.searchsorted(self._batches[number].numbers, lines[chosen])
        values = {name: self._values(name, batch_of, row) for name in (*self.features.steps, *self.features.users)}
        first = sessions.offsets[:-1]
        listed = dict.fromkeys((*self.features.entries, *self.features.labels))
        entries = {name: self._entries(name, sessions, batch_of, row, report) for name in listed}
        return sessions.with_features(
            steps={name: self._column(name, values[name]) for name in self.features.steps},
            users={name: self._column(name, values[name][first]) for name in self.features.users},
            entries={name: self._column(name, entries[name]) for name in self.features.entries},
        ).with_labels({name: self._label(name, entries[name], report) for name in self.features.labels})

    def _values(self, name: str, batch_of: NDArray[np.int64], row: NDArray[np.int64]) -> NDArray[Any]:
        """Texts of single cells, None where empty; object [T]."""
        values = np.full(len(row), None, dtype=object)
        for number in np.unique(batch_of).tolist():
            cells, chosen = self._batches[number].cells[name], batch_of == number
            texts = np.array([*cells.names.to_pylist(), None], dtype=object)
            values[chosen] = texts[cells.codes[row[chosen]]]
        return values

    def _entries(
        self, name: str, sessions: Sessions, batch_of: NDArray[np.int64], row: NDArray[np.int64], report: ReadReport
    ) -> NDArray[Any]:
        """Texts of the entries, None where empty: of each slate the list of its row, cut down as the slate was."""
        values = np.full(len(sessions.slate_items), None, dtype=object)
        lengths, missing = sessions.slate_lengths, 0
        for number in np.unique(batch_of).tolist():
            batch = self._batches[number]
            told, shown = batch.lists[name], batch.slates
            texts = np.array([*told.items.names.to_pylist(), None], dtype=object)[told.items.codes]
            told_starts = np.cumsum(told.lengths.clip(min=0)) - told.lengths.clip(min=0)
            shown_starts = np.cumsum(shown.lengths.clip(min=0)) - shown.lengths.clip(min=0)
            steps = np.flatnonzero(batch_of == number)
            rows = row[steps]
            plain = (told.lengths[rows] == lengths[steps]) & (shown.lengths[rows] == lengths[steps])
            of_plain = steps[plain]
            sizes = lengths[of_plain]
            within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            places = np.repeat(sessions.slate_offsets[of_plain], sizes) + within
            values[places] = texts[np.repeat(told_starts[rows[plain]], sizes) + within]
            for step, source in zip(steps[~plain].tolist(), rows[~plain].tolist(), strict=True):
                if told.lengths[source] != shown.lengths[source]:
                    missing += int(told.lengths[source] > 0)
                    continue
                # The slate was repaired: an item's first place counts, or its largest label; what fills it up does not.
                start = int(shown_starts[source])
                codes = shown.items.codes[start : start + shown.lengths[source]].tolist()
                told_of: dict[str, list[Any]] = {}
                for place, code in enumerate(codes):
                    if code >= 0:
                        values_of_item = told_of.setdefault(shown.items.names[code].as_py(), [])
                        values_of_item.append(texts[told_starts[source] + place])
                first, end = sessions.slate_offsets[step : step + 2]
                names = sessions.item_names or ()
                for entry in range(first, end):
                    of_item = told_of[names[sessions.slate_items[entry]]]
                    values[entry] = max(of_item, key=_size) if name in self.features.labels else of_item[0]
        kind = "label" if name in self.features.labels else "feature"
        report.note(f"{kind} {name!r}: ", missing, " lists have no value for each item, none is known")
        return values

    def _texts(self, values: NDArray[Any]) -> Any:
        return pa.array([None if value in self._null_values else value for value in values.tolist()], pa.string())

    def _column(self, name: str, values: NDArray[Any]) -> FeatureColumn:
        return _as_feature(name, self._texts(values), name in self.features.categories)

    def _label(self, name: str, values: NDArray[Any], report: ReadReport) -> NDArray[np.float64]:
        found = numbers_of(with_flags_as_numbers(self._texts(values)))
        wrong = np.flatnonzero(~found.plain)
        if len(wrong):
            first = values[wrong[0]]
            report.note(f"label {name!r}: ", len(wrong), f" values are no numbers, the first is {first!r}: unknown")
        return np.where(found.plain, found.values, np.nan)


def _size(text: str | None) -> float:
    """Value of a label; less than all others where it has none."""
    try:
        size = float(_FLAGS.get(str(text).lower(), str(text)))
    except ValueError:
        return -math.inf
    return -math.inf if math.isnan(size) else size


def with_flags_as_numbers(texts: Any) -> Any:
    """Arrow texts with 1 and 0 in place of true and false."""
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
    for flag, number in _FLAGS.items():
        texts = pc.if_else(pc.is_in(lower, pa.array([flag])), number, texts)
    return texts


def _one_each(column: Any, separator: str) -> Lists:
    """Values of the entries; a single number is that of a slate of one item."""
    kind = column.type
    if not is_list(kind) and (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        cells = names_of(column)
        return Lists(np.where(cells.codes >= 0, 1, -1), Names(cells.codes[cells.codes >= 0], cells.names))
    return lists_of(column, separator)


def _as_feature(name: str, texts: Any, category: bool) -> FeatureColumn:
    """Numbers if all that are known are numbers, else categories."""
    numbers = numbers_of(texts)
    if numbers.plain.all() and not category:
        return FeatureColumn.of(numbers.values, name)
    return FeatureColumn.of(texts.to_pylist(), name)


def columns_of_texts(batch: RowBatch, features: TableFeatures, separator: str, null_values: Sequence[str]) -> set[str]:
    """Return the columns of features in which a batch has something else than numbers: they are categories.

    Args:
        batch: the rows.
        features: names of the columns.
        separator: between the values of a text, of columns of a value for each item; "" where each has one.
        null_values: texts that say that a value is not known.
    """
    found = set()
    for name in dict.fromkeys((*features.entries, *features.steps, *features.users)):
        column = batch.cells.column(name)
        several = name in features.entries and (separator or is_list(column.type))
        texts = _one_each(column, separator).items.names if several else names_of(column).names
        if not numbers_of(without_texts(texts, tuple(null_values))).plain.all():
            found.add(name)
    return found


def read_item_features(
    source: Any,
    catalogue: Catalogue,
    features: Sequence[str],
    *,
    item: str = "item",
    categories: Sequence[str] = (),
    delimiter: str = ",",
    encoding: str = "utf-8",
    null_values: Sequence[str] = NULL_VALUES,
) -> dict[str, FeatureColumn]:
    """Read features of items from a table with a row an item, for ``Sessions.with_features(items=...)``.

    Rows of items that the catalogue does not have are left out; items without a row are unknown.

    Args:
        source: anything that :func:`~irecgan_gym.readers.table.read_table_log` takes.
        catalogue: of the sessions, with names.
        features: names of the columns: texts are categories, numbers are numbers, lists of numbers are vectors.
        item: name of the column of the items' names.
        categories: columns that are categories although they look like numbers.
        delimiter: between the cells of a row, in separated text.
        encoding: of separated text.
        null_values: texts of cells that hold no value.

    Raises:
        ValueError: a catalogue without names.
        ReaderError: a source that cannot be read, a column that is missing, an item that has two rows, or vectors of
            different sizes.
    """
    if catalogue.names is None:
        raise ValueError(f"items are found in a catalogue by name, and this one has {catalogue}")
    names: list[str | None] = []
    columns: dict[str, list[Any]] = {name: [] for name in features}
    for container in open_containers(source, TextOptions(delimiter, encoding)):
        check_columns(container, (item, *features))
        for batch in container.batches(tuple(dict.fromkeys((item, *features)))):
            found = names_of(batch.cells.column(item))
            texts = [*found.names.to_pylist(), None]
            names.extend(texts[code] for code in found.codes.tolist())
            for name in features:
                columns[name].extend(_cells(batch.cells.column(name), null_values))
    rows = catalogue.positions(["" if name is None else name for name in names])
    places = np.flatnonzero(rows >= 0)
    taken, counts = np.unique(rows[places], return_counts=True)
    if (counts > 1).any():
        twice = catalogue.names[taken[counts > 1][0]]
        raise ReaderError(f"{source_name(source)}: item {twice!r} has more than one row")
    row_of_item = np.full(catalogue.num_items, -1)
    row_of_item[rows[places]] = places
    return {
        name: _item_feature(source_name(source), name, cells, name in categories).take(row_of_item)
        for name, cells in columns.items()
    }


def _cells(column: Any, null_values: Sequence[str]) -> list[Any]:
    """Cells of a column: lists of numbers, or texts; None where empty."""
    if is_list(column.type):
        return list(column.to_pylist())
    cells = names_of(column)
    texts = [None if text in null_values else text for text in cells.names.to_pylist()]
    return [None if code < 0 else texts[code] for code in cells.codes.tolist()]


def _item_feature(source: str, name: str, cells: list[Any], category: bool) -> FeatureColumn:
    if any(isinstance(cell, list) for cell in cells):
        sizes = {len(cell) for cell in cells if cell is not None}
        if len(sizes) > 1:
            raise ReaderError(f"{source}: feature {name!r} has lists of {sorted(sizes)} numbers, expected one size")
        unknown = [np.nan] * sizes.pop()
        table = [unknown if cell is None else cell for cell in cells]
        return FeatureColumn.of(np.array(table, dtype=np.float64), name)
    return _as_feature(name, pa.array(cells, pa.string()), category)
