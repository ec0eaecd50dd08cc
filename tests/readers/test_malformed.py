"""Every kind of malformed input, for every format: an error with file and line, or a counted report."""

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from irecgan_gym.readers import FORMATS, ReaderError, TableColumns, read
from irecgan_gym.sessions import SessionsError

CHALLENGE_HEADER = (
    "user_id,session_id,timestamp,step,action_type,reference,platform,city,device,current_filters,impressions,prices"
)


def challenge(*rows):
    """Rows of (session, timestamp, step, action, reference, impressions)."""
    lines = [CHALLENGE_HEADER]
    for session, timestamp, step, action, reference, impressions in rows:
        lines.append(f"user,{session},{timestamp},{step},{action},{reference},DE,Bonn,mobile,,{impressions},")
    return "\n".join(lines) + "\n"


def click(session, step, item, shown="1|2|3", timestamp=None):
    return (session, 100 + step if timestamp is None else timestamp, step, "clickout item", item, shown)


GOOD = [click("a", 1, 1), click("a", 2, 2)]

CHALLENGE_CASES = {
    "click not in slate": ([*GOOD, click("a", 3, 9)], r"line 4: click not in slate: hotel '9' is not in 1\|2\|3"),
    "no impressions": ([*GOOD, click("a", 3, 1, "")], "line 4: no impressions"),
    "repeated impression": ([*GOOD, click("a", 3, 1, "1|1")], "line 4: repeated impression"),
    "duplicate key": ([*GOOD, click("a", 2, 1)], "line 4: duplicate key: session a has step 2 already"),
    "unordered time": ([*GOOD, click("a", 3, 1, timestamp=5)], "line 4: unordered time: session a: step 3 at 5 after"),
    "wrong type": ([*GOOD, click("a", "x", 1, timestamp=1)], "line 4: wrong type: timestamp '1' and step 'x'"),
    "no session or user": ([*GOOD, click("", 3, 1)], "line 4: no session or user"),
}


@pytest.mark.parametrize("reason", CHALLENGE_CASES)
def test_the_challenges_malformed_rows(tmp_path, reason):
    rows, message = CHALLENGE_CASES[reason]
    path = tmp_path / "train.csv"
    path.write_text(challenge(*rows))
    with pytest.raises(ReaderError, match=f"train.csv, {message}"):
        read(path, "recsys-challenge-2019", on_error="raise")
    sessions, report = read(path, "recsys-challenge-2019", on_error="skip")
    assert report.malformed_rows == {reason: 1}
    assert len(sessions) == 1
    assert sessions.num_steps == 2
    assert reason in str(report)
    assert "line 4" in str(report)


TABLE = TableColumns(reward="reward", propensity="propensity", user="user", time="time")
TABLE_HEADER = "session,slate,click,reward,propensity,user,time"
TABLE_CASES = {
    "click not in slate": ("s,x|y,z,1,0.5,u,3", "item 'z' is not in"),
    "repeated item": ("s,x|x,x,1,0.5,u,3", "twice"),
    "no slate": ("s,,x,1,0.5,u,3", "slate must be a list of items, got None"),
    "wrong type": ("s,x|y,x,many,0.5,u,3", "reward must be a finite number, got 'many'"),
    "wrong propensity": ("s,x|y,x,1,1.5,u,3", r"got 1.5, expected a number in \(0, 1\]"),
    "unordered time": ("s,x|y,x,1,0.5,u,0", "session s is at 2, this step at 0"),
    "session of two users": ("s,x|y,x,1,0.5,v,3", "has another user 'v'"),
    "no session": (",x|y,x,1,0.5,u,3", "the session's cell is empty"),
    "wrong number of cells": ("s,x|y,x", "got 3, the header has 7"),
}


@pytest.mark.parametrize("reason", TABLE_CASES)
def test_a_tables_malformed_rows(tmp_path, reason):
    row, message = TABLE_CASES[reason]
    path = tmp_path / "log.csv"
    good = ["s,x|y,x,1,0.5,u,1", "s,y|z,z,0,,u,2", "t,x|y,,,,u,1"]
    path.write_text("\n".join([TABLE_HEADER, *good, row]) + "\n")
    with pytest.raises(ReaderError, match=f"log.csv, line 5: {reason}: .*{message}"):
        read(path, "table", columns=TABLE, on_error="raise")
    sessions, report = read(path, "table", columns=TABLE, on_error="skip")
    assert report.malformed_rows == {reason: 1}
    assert (len(sessions), sessions.num_steps) == (2, 3)


TEXT_CASES = {
    "click not in slate": ("0;1;9;1,2,3;0", "item 9 is not in 1,2,3"),
    "repeated item": ("0;1;1;1,1;0", "twice"),
    "wrong type": ("0;one;1;1,2;0", "must be whole numbers"),
    "duplicate key": ("0;0;0;;0", "session 0 has started already"),
    "session without start": ("7;1;1;1,2;0", "session 7 has no row without a slate"),
    "wrong number of cells": ("0;1;1;1,2", "got 4, expected 5"),
}


@pytest.mark.parametrize("reason", TEXT_CASES)
def test_the_authors_formats_malformed_rows(tmp_path, reason):
    row, message = TEXT_CASES[reason]
    path = tmp_path / "log.txt"
    path.write_text(f"0;0;0;;0\n0;3;1;1,2;0\n{row}\n")
    with pytest.raises(ReaderError, match=f"log.txt, line 3: {reason}: .*{message}"):
        read(path, "irecgan-text", on_error="raise")
    sessions, report = read(path, "irecgan-text", on_error="skip")
    assert report.malformed_rows == {reason: 1}
    assert sessions.num_steps == 1


@pytest.mark.parametrize("format_name", ["recsys-challenge-2019", "table"])
def test_files_that_are_no_tables(tmp_path, format_name):
    path = tmp_path / "log.csv"
    with pytest.raises(FileNotFoundError, match=r"log\.csv"):
        read(path, format_name)
    path.write_text("")
    with pytest.raises(ReaderError, match=r"log\.csv is empty"):
        read(path, format_name, on_error="raise")
    path.write_text("one,two\n1,2\n")
    with pytest.raises(ReaderError, match=r"log\.csv, line 1: column '.*' is missing, the header has \['one', 'two'\]"):
        read(path, format_name, on_error="raise")


def test_broken_bytes_are_found_by_line(tmp_path):
    path = tmp_path / "train.csv"
    content = challenge(*GOOD).encode()
    path.write_bytes(content + b"user,\xff\n")
    with pytest.raises(ReaderError, match=r"train\.csv, line 4: bad encoding: byte 0xff at 5 is not UTF-8"):
        read(path, "recsys-challenge-2019", on_error="raise")
    sessions, report = read(path, "recsys-challenge-2019", on_error="skip")
    assert (sessions.num_steps, report.rows_read, report.malformed_rows) == (2, 3, {"bad encoding": 1})
    path.write_bytes(b"\xff" + content)
    for on_error in ("raise", "skip"):
        with pytest.raises(ReaderError, match=r"train\.csv, line 1: bad encoding: .*\(no header"):
            read(path, "recsys-challenge-2019", on_error=on_error)


def test_truncated_and_false_gzip_files(tmp_path):
    path = tmp_path / "train.csv.gz"
    whole = gzip.compress(challenge(*(click("a", step, 1) for step in range(2000))).encode())
    path.write_bytes(whole)
    assert read(path, "recsys-challenge-2019", max_length=9999).sessions.num_steps == 2000
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ReaderError, match=r"train\.csv\.gz, line \d+: truncated file: the gzip file ends in the mid"):
        read(path, "recsys-challenge-2019", on_error="raise")
    sessions, report = read(path, "recsys-challenge-2019", max_length=9999, on_error="skip")
    assert report.malformed_rows == {"truncated file": 1}
    assert 0 < sessions.num_steps == report.rows_read - 1 < 2000
    path.write_bytes(whole[:-8] + bytes(8))
    for on_error in ("raise", "skip"):
        with pytest.raises(ReaderError, match=r"train\.csv\.gz, line 2002: not a sound gzip file: CRC check failed"):
            read(path, "recsys-challenge-2019", on_error=on_error)
    path.write_bytes(b"no gzip at all")
    with pytest.raises(ReaderError, match=r"train\.csv\.gz, line 1: not a sound gzip file"):
        read(path, "recsys-challenge-2019", on_error="raise")


def test_parquet_tables_that_are_none(tmp_path):
    path = tmp_path / "log.parquet"
    path.write_bytes(b"no parquet")
    with pytest.raises(ReaderError, match=r"log\.parquet is not a readable Parquet file"):
        read(path, "table", on_error="raise")
    pq.write_table(pa.table({"session": ["a"], "slate": [["x", "y"]]}), path)
    with pytest.raises(ReaderError, match="column 'click' is missing"):
        read(path, "table", on_error="raise")
    pq.write_table(pa.table({"session": ["a", "a"], "slate": [["x", "y"], ["x"]], "click": ["y", "y"]}), path)
    with pytest.raises(ReaderError, match=r"log\.parquet, row 2: click not in slate"):
        read(path, "table", on_error="raise")


def test_nothing_left_is_an_error(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text(challenge(click("a", 1, 1)))
    with pytest.raises(SessionsError, match="no session is left"):
        read(path, "recsys-challenge-2019")


def test_unknown_formats_and_modes_are_named(tmp_path):
    with pytest.raises(ValueError, match=f"format must be one of {', '.join(FORMATS)}, got 'excel'"):
        read(tmp_path, "excel", on_error="raise")
    with pytest.raises(ValueError, match="on_error must be 'repair', 'skip' or 'raise', got 'ignore'"):
        read(tmp_path, "table", on_error="ignore")
