"""Lines, quotes, compression and encodings, which all text formats share."""

import gzip
import tracemalloc

import pytest

from irecgan_gym.readers import ReaderError, ReadReport
from irecgan_gym.readers.byte_source import LONGEST_LINE
from irecgan_gym.readers.lines import read_rows, read_table, whole_number
from irecgan_gym.readers.text_table import DelimitedTable


def rows_of(path, report, **options):
    return [(str(row.place), row.cells) for row in read_rows(path, ",", report, **options)]


def test_a_stray_quote_costs_its_own_line_only(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text('a,"b, c"\nd,"e\nf,g\nh,"i"\nj,k\n')
    with pytest.raises(ReaderError, match=r"log\.csv, line 2: not a row of separated cells"):
        rows_of(path, ReadReport())
    report = ReadReport("skip")
    assert rows_of(path, report) == [
        ("log.csv, line 1", ["a", "b, c"]),
        ("log.csv, line 3", ["f", "g"]),
        ("log.csv, line 4", ["h", "i"]),
        ("log.csv, line 5", ["j", "k"]),
    ]
    assert (report.rows_read, report.malformed_rows) == (5, {"not a row of separated cells": 1})


def test_quoted_cells_may_span_lines_and_blank_lines_do_not_count(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text('a,b\n\n"c\nd",e\n\nf,g\n')
    report = ReadReport()
    assert rows_of(path, report) == [
        ("log.csv, line 1", ["a", "b"]),
        ("log.csv, lines 3 to 4", ["c\nd", "e"]),
        ("log.csv, line 6", ["f", "g"]),
    ]
    assert report.rows_read == 3
    assert rows_of(path, ReadReport(), quotes=False)[1] == ("log.csv, line 3", ['"c'])


def test_a_file_without_an_end_of_a_quote_is_not_swallowed(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("a,b\n" + 'c,"d\n' + "e,f\n" * 30_000)
    report = ReadReport("skip")
    assert len(rows_of(path, report)) == 30_001
    assert report.rows_read == 30_002


def test_compressed_files_are_known_by_their_bytes_and_marks_are_ignored(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(gzip.compress(b'\xef\xbb\xbf"session",b\r\n1,2\r\n'))
    report = ReadReport()
    rows = [row.cells for row in read_table(path, ",", ("b", "session"), report)]
    assert rows == [["2", "1"]]
    assert report.rows_read == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"b,c\n1,2\n", r"line 1: column 'a' is missing, the header has \['b', 'c'\]"),
        (b"a,b,a\n1,2,3\n", "line 1: column 'a' is there more than once"),
        (b'"a,b\n1,2\n', "line 1: not a row of separated cells: .*no header"),
    ],
)
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_without_a_header_nothing_can_be_read(tmp_path, content, message, on_error):
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    report = ReadReport(on_error)
    report.rows_read = 5  # of a file before this one
    with pytest.raises(ReaderError, match=rf"log\.csv.*{message}"):
        list(read_table(path, ",", ("a",), report))


@pytest.mark.parametrize("text", ["", "-1", "1.0", " 1", "1_0", "²", "\u0661", "x", "1" * 19])
def test_only_plain_digits_are_whole_numbers(text):
    assert whole_number(text) is None
    assert whole_number("0042") == 42


@pytest.mark.parametrize("before", ["", "session,slate\n", "session,slate\n1,2\n"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(tmp_path, before, pack):
    path = tmp_path / "log.csv"
    path.write_bytes(pack(before.encode() + bytes(3 * LONGEST_LINE)))
    expected = rf"log\.csv, line {before.count(chr(10)) + 1}: a line of more than 16,777,216 bytes"
    tracemalloc.start()
    try:
        with pytest.raises(ReaderError, match=expected):
            list(read_rows(path, ",", ReadReport("skip")))
        with pytest.raises(ReaderError, match=expected):
            list(DelimitedTable(path).batches(["slate"]))
        assert tracemalloc.get_traced_memory()[1] < 2.5 * LONGEST_LINE
    finally:
        tracemalloc.stop()
