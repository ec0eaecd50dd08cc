"""Columns of any Arrow type as what readers need: names, lists of names, numbers and times."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
_DATE_AND_TIME = r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?$"


class Names(NamedTuple):
    """Texts as numbers.

    Attributes:
        codes: number of each text, -1 where there is none; int64 [R].
        names: the different texts, Arrow strings.
    """

    codes: NDArray[np.int64]
    names: Any


class Lists(NamedTuple):
    """Lists of texts.

    Attributes:
        lengths: of each row's list, -1 where there is none; int64 [R].
        items: of all lists, one behind the other.
    """

    lengths: NDArray[np.int64]
    items: Names


class NumberCells(NamedTuple):
    """Numbers, as far as they are plain.

    Attributes:
        values: float64 [R], NaN where the cell is empty or not plain.
        empty: whether there is no cell; bool [R].
        plain: whether the cell is empty or a number that is written as most are; bool [R].
    """

    values: NDArray[np.float64]
    empty: NDArray[np.bool_]
    plain: NDArray[np.bool_]


def names_of(column: Any, null_values: Sequence[str] = ()) -> Names:
    """Texts of a column of texts, numbers or anything else; cells of white space alone are empty.

    Whole numbers are written without a fraction, whatever their type: a column of whole numbers with a gap comes as
    floating-point numbers from many a tool.

    Args:
        column: Arrow array.
        null_values: texts of cells that are empty too; numbers that would be written so are not.
    """
    column = _plain(column)
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    return _named(_filled(column.indices, -1), column.dictionary, null_values)


def _named(codes: NDArray[np.int64], dictionary: Any, null_values: Sequence[str] = ()) -> Names:
    """Names by their places in a dictionary of any type, some of whose entries may mean the same name, or none."""
    texts = texts_of(dictionary)
    if null_values and pa.types.is_string(dictionary.type):
        says_null = pc.is_in(texts, value_set=pa.array(null_values, pa.string()))
        texts = replaced(texts, says_null, None)
    if texts is not dictionary or texts.null_count:
        # Texts that differed by white space or type alone are one now.
        again = pc.dictionary_encode(texts)
        new_codes = np.append(_filled(again.indices, -1), -1)
        codes, texts = new_codes[codes], again.dictionary
    return Names(codes, texts)


def texts_of(values: Any) -> Any:
    """Arrow strings of an array of any type, stripped, null where nothing is left; the array itself if it is that."""
    values = _plain(values)
    kind = values.type
    if pa.types.is_floating(kind):
        numbers = values.to_numpy(zero_copy_only=False).astype(np.float64)
        whole = np.isfinite(numbers) & (np.floor(numbers) == numbers) & (np.abs(numbers) < 2**63)
        if (whole | np.isnan(numbers)).all():
            return pa.array(np.where(whole, numbers, 0).astype(np.int64), mask=~whole).cast(pa.string())
        return pa.array(
            [None if math.isnan(x) else str(int(x)) if w else str(x) for x, w in zip(numbers, whole, strict=True)],
            pa.string(),
        )
    if not pa.types.is_string(kind):
        if pa.types.is_boolean(kind) or pa.types.is_nested(kind) or pa.types.is_decimal(kind):
            values = pa.array([None if x is None else str(x) for x in values.to_pylist()], pa.string())
        else:
            values = values.cast(pa.string())
    if not _has_space(values):
        return replaced(values, pc.equal(values, ""), None)
    stripped = pc.utf8_trim_whitespace(values)
    return replaced(stripped, pc.equal(stripped, ""), None)


def lists_of(column: Any, separator: str) -> Lists:
    """Lists of a column of lists, of texts joined by a separator, or of texts that are list literals.

    ``[1, 2]`` in a cell of text is the list of 1 and 2, with the separator, commas or spaces between the items; a text
    that begins so but is no list of texts and numbers is none.

    Args:
        column: Arrow array.
        separator: between the items of a text.
    """
    column = _plain(column)
    if is_list(column.type):
        lengths = _filled(pc.list_value_length(column), -1)
        return Lists(lengths, names_of(pc.list_flatten(column)))
    if pa.types.is_null(column.type):
        return Lists(np.full(len(column), -1), Names(np.zeros(0, np.int64), pa.array([], pa.string())))
    texts = texts_of(column)
    literal = np.flatnonzero(_filled(pc.and_(pc.starts_with(texts, "["), pc.ends_with(texts, "]")), False))
    if not len(literal) and (found := _cut_in_place(texts, separator)) is not None:
        return found
    split = pc.split_pattern(texts, separator)
    if len(literal):
        split = _with_literals(texts, split, literal, separator)
    return Lists(_filled(pc.list_value_length(split), -1), names_of(pc.list_flatten(split)))


def _cut_in_place(texts: Any, separator: str) -> Lists | None:
    """Lists of texts joined by a separator, without a copy of the texts; None where that is not possible.

    Each item is a piece of the same bytes, with the separator behind it, which is taken off the different ones alone.
    """
    mark = separator.encode()
    if len(mark) != 1 or len(texts) == 0 or texts.buffers()[2] is None:
        return None
    offsets, data = _text_bytes(texts)
    lengths, there = np.diff(offsets), _flags(texts.is_valid())
    if (lengths[~there] != 0).any() or (lengths[there] == 0).any():
        return None
    last = offsets[1:][there] - 1
    begin, end = int(offsets[0]), int(offsets[-1])
    ends_item = data[begin:end] == mark[0]
    if ends_item[last - begin].any():
        return None  # The empty item behind it has no bytes.
    ends_item[last - begin] = True
    borders = np.flatnonzero(ends_item)
    is_last = np.zeros(end - begin, dtype=bool)
    is_last[last - begin] = True
    counts = np.full(len(texts), -1, dtype=np.int64)
    counts[there] = np.diff(np.flatnonzero(is_last[borders]), prepend=-1)
    pieces = np.empty(len(borders) + 1, dtype=np.int32)
    pieces[0] = begin
    np.add(borders, begin + 1, out=pieces[1:], casting="unsafe")
    buffers = [None, pa.py_buffer(pieces), texts.buffers()[2]]
    items = pc.dictionary_encode(pa.Array.from_buffers(pa.string(), len(borders), buffers))
    # An item is there with and without the separator: two entries of one name.
    names = pc.dictionary_encode(pc.utf8_rtrim(items.dictionary, characters=separator))
    codes = _filled(names.indices, -1)[_filled(items.indices, -1)]
    return Lists(counts, _named(codes, names.dictionary))


def numbers_of(column: Any, null_values: Sequence[str] = ()) -> NumberCells:
    """Numbers of a column of numbers or texts.

    Args:
        column: Arrow array.
        null_values: texts of cells that are empty too.
    """
    column = _plain(column)
    if pa.types.is_string(column.type):
        if not any(map(_says_number, null_values)) and (found := _only_numbers(column)) is not None:
            return found
        column = without_texts(column, ("", *null_values))
    empty = column.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_string(column.type):
        plain = _filled(pc.match_substring_regex(column, NUMBER), True)
        values = pc.cast(replaced(column, pa.array(~plain), None), pa.float64())
    else:
        plain = np.ones(len(column), dtype=bool)
        try:
            values = column.cast(pa.float64(), safe=False)
        except pa.ArrowException:
            values, plain = pa.nulls(len(column), pa.float64()), empty
        # Many a tool has no other way to leave a number out.
        empty = empty | np.isnan(np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64))
    return NumberCells(np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64), empty, plain)


def _only_numbers(texts: Any) -> NumberCells | None:
    """The numbers of texts that are all finite ones, or empty; None where some are anything else."""
    try:
        values: NDArray[np.float64] = texts.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowException:
        return None
    finite = np.isfinite(values)
    if int(finite.sum()) != len(texts) - texts.null_count:
        return None  # "nan" and "inf" are texts of other meanings.
    return NumberCells(values, ~finite, np.ones(len(texts), dtype=bool))


def _says_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def without_texts(column: Any, null_values: Sequence[str]) -> Any:
    """Arrow strings with null in place of some texts, whatever white space is around them."""
    says_null = pc.is_in(pc.utf8_trim_whitespace(column), value_set=pa.array(null_values, column.type))
    return replaced(column, says_null, None)


def replaced(texts: Any, where: Any, value: str | None) -> Any:
    """Arrow strings with one value in some places, the array itself if there are none; a null where ``where`` is one.

    Not by ``if_else``: with a null, releases of Arrow before 24 make other texts of a slice of an array.

    Args:
        texts: Arrow strings.
        where: Arrow flags.
        value: text, or None for a null.
    """
    return pc.replace_with_mask(texts, where, pa.scalar(value, texts.type)) if pc.any(where).as_py() else texts


def times_of(column: Any, scale: float = 1.0, null_values: Sequence[str] = ()) -> NumberCells:
    """Numbers times a scale, or seconds since 1970 of dates and times (UTC) such as ``2026-01-31 08:00:00``.

    Args:
        column: Arrow array.
        scale: of the numbers.
        null_values: texts of cells that are empty too.
    """
    column = _plain(column)
    numbers = numbers_of(column, null_values)
    if scale != 1.0:
        numbers = numbers._replace(values=numbers.values * scale)
    if numbers.plain.all() or not pa.types.is_string(column.type):
        return numbers
    dates = _filled(pc.match_substring_regex(column, _DATE_AND_TIME), False)
    try:
        moments = replaced(column, pa.array(~dates), None).cast(pa.timestamp("us"))
    except pa.ArrowException:
        return numbers  # One of them is no date that exists: which, is found row by row.
    seconds = _filled(moments.cast(pa.int64()), 0) / 1e6
    return NumberCells(np.where(dates, seconds, numbers.values), numbers.empty, numbers.plain | dates)


def _plain(column: Any) -> Any:
    """The same values in one of fewer types: no views, no large variants, times as whole numbers."""
    kind = column.type
    if pa.types.is_dictionary(kind) and not pa.types.is_string(kind.value_type):
        dictionary = _plain(column.dictionary)
        if pa.types.is_string(dictionary.type):
            return pa.DictionaryArray.from_arrays(column.indices, dictionary)
        return dictionary.take(column.indices)
    if pa.types.is_timestamp(kind):
        return column.cast(pa.int64())  # Python's own times have no nanoseconds.
    if pa.types.is_large_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or _is_view(kind):
        return column.cast(pa.string())
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    return column


def without_views(column: Any) -> Any:
    """The same values without views of texts, from which Arrow takes no rows."""
    kind = column.type
    if _is_view(kind):
        return column.cast(pa.string())
    if pa.types.is_dictionary(kind) and _is_view(kind.value_type):
        return pa.DictionaryArray.from_arrays(column.indices, column.dictionary.cast(pa.string()))
    if is_list(kind) and _is_view(kind.value_type):
        return column.cast(pa.large_list(pa.string()))
    return column


def _is_view(kind: Any) -> bool:
    return str(kind) in ("string_view", "binary_view")


def is_list(kind: Any) -> bool:
    """Tell whether an Arrow type is one of lists."""
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _filled(array: Any, value: Any) -> NDArray[Any]:
    """A NumPy array with a value in place of nulls."""
    if pa.types.is_integer(array.type):
        array = array.cast(pa.int64())
    if array.null_count:
        array = pc.fill_null(array, value)
    result: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return result


def _has_space(texts: Any) -> bool:
    """Tell whether any byte could be white space: ASCII's, or part of a letter beyond ASCII."""
    data = texts.buffers()[2]
    if data is None or len(texts) == 0:
        return False
    offsets, bytes_of_texts = _text_bytes(texts)
    # As signed numbers, bytes beyond ASCII are negative.
    return bool((bytes_of_texts[offsets[0] : offsets[-1]].view(np.int8) <= 32).any())


def _text_bytes(texts: Any) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return the start of each of some Arrow strings, and the end of the last one, in the bytes of all."""
    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return starts, np.frombuffer(data, dtype=np.uint8)


def _flags(array: Any) -> NDArray[np.bool_]:
    flags: NDArray[np.bool_] = array.to_numpy(zero_copy_only=False)
    return flags


def _with_literals(texts: Any, split: Any, rows: NDArray[np.int64], separator: str) -> Any:
    """The lists, those of some rows being read as literals."""
    lists = split.to_pylist()
    for row, text in zip(rows.tolist(), texts.take(pa.array(rows)).to_pylist(), strict=True):
        lists[row] = list_literal(text, separator)
    return pa.array(lists, pa.list_(pa.string()))


def list_literal(text: str, separator: str) -> list[str] | None:
    """Return the items of a text such as ``[1, 2]`` or ``['a', 'b']``, or None where it is no list of one level.

    Args:
        text: begins with a bracket and ends with one.
        separator: that may stand between the items, beside commas and spaces.
    """
    inner = text[1:-1].strip()
    if "[" in inner or "]" in inner:
        # "[a]|[b]": names with brackets, not a list; anything else is nested.
        items = text.split(separator)
        return items if len(items) > 1 and all(item[:1] == "[" and item[-1:] == "]" for item in items) else None
    if '"' in inner or "'" in inner:
        for parse in (json.loads, ast.literal_eval):
            try:
                values = parse(text)
            except (ValueError, SyntaxError):
                continue
            if all(isinstance(value, (str, int, float)) for value in values):
                return [str(value) for value in values]
        return None
    for mark in (separator, ","):
        if mark.strip() and mark in inner:
            return [item.strip() for item in inner.split(mark)]
    return inner.split()
