"""What readers do by default and at their borders; their report and their command to the letter."""

import gzip
import inspect
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from irecgan_gym.readers import FORMATS, ReaderError, TableColumns, read
from irecgan_gym.readers.__main__ import main
from irecgan_gym.readers.assembly import StepColumns
from irecgan_gym.readers.lines import whole_number
from irecgan_gym.readers.report import Place, ReadReport, length_reason
from irecgan_gym.readers.table_cells import CellRules, _number, _time, _unknown
from irecgan_gym.sessions import Sessions
from tests.readers.test_formats import CIKM_QUERIES, cikm_folder
from tests.readers.test_malformed import challenge, click


def text_log(folder, rows_of_sessions, name="log.txt"):
    lines = []
    for session, rows in enumerate(rows_of_sessions):
        lines += [f"{session};0;0;;0"] + [f"{session};1;2;2,3;0"] * (rows - 1)
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_logs_are_repaired_by_default(name):
    parameters = inspect.signature(FORMATS[name]).parameters
    assert (parameters["on_error"].default, parameters["max_malformed"].default) == ("repair", 0.1)
    assert inspect.signature(read).parameters["on_error"].default == "repair"


def test_default_lengths(tmp_path):
    path = text_log(tmp_path, [1, 2, 3, 40, 41])
    assert read(path, "irecgan-text").sessions.lengths.tolist() == [1, 2, 39]
    rows = [
        click(name, step, 1) for name, length in (("a", 40), ("b", 41), ("c", 2), ("d", 1)) for step in range(length)
    ]
    path = tmp_path / "train.csv"
    path.write_text(challenge(*rows))
    assert read(path, "recsys-challenge-2019").sessions.lengths.tolist() == [40, 2]
    clicks = [f"{query};{moment};{item}" for query, item, count in ((1, 1, 40), (3, 1, 41)) for moment in range(count)]
    found = read(cikm_folder(tmp_path, CIKM_QUERIES, clicks, []), "cikm-cup-2016").sessions.lengths.tolist()
    assert found == [40]
    path = tmp_path / "log.csv"
    path.write_text("session,slate,click\na,x|y,x\n" + "b,x|y,x\n" * 50)
    assert read(path, "table").sessions.lengths.tolist() == [1, 50]


def test_where_sessions_come_from(tmp_path):
    path = text_log(tmp_path, [3])
    provenance = {"source": "IRecGAN text format", "file": "log.txt", "reward": "success"}
    assert dict(read(path, "irecgan-text").sessions.provenance) == provenance
    path = tmp_path / "train.csv"
    path.write_text(challenge(click("a", 1, 1), click("a", 2, 2)))
    provenance = {"source": "RecSys Challenge 2019", "file": "train.csv", "reward": "every"}
    assert dict(read(path, "recsys-challenge-2019", reward="every").sessions.provenance) == provenance
    path = tmp_path / "log.csv"
    path.write_text("session,slate,click\na,x|y,x\n")
    columns = {"session": "session", "slate": "slate", "click": "click"}
    assert dict(read(path, "table").sessions.provenance) == {"source": "table", "file": "log.csv", "columns": columns}


def test_numbers_that_32_and_64_bits_hold(tmp_path):
    assert whole_number("9" * 18) == 10**18 - 1
    assert whole_number("9" * 19) is None
    for text in ("", "-1", "+1", "1.0", "²", "٣"):
        assert whole_number(text) is None
    path = tmp_path / "log.txt"
    path.write_text(f"0;0;0;;0\n0;1;{2**31 - 2};{2**31 - 2},3;0\n0;1;3;3,4;0\n")
    assert read(path, "irecgan-text").sessions.item_names == ("3", "4", str(2**31 - 2))
    for row in (f"0;{2**31 - 1};3;3,4;0", f"0;1;{2**31 - 1};3,{2**31 - 1};0"):
        path.write_text(f"0;0;0;;0\n0;1;3;3,4;0\n{row}\n")
        with pytest.raises(
            ReaderError, match=r"log\.txt, line 3: wrong type: states and items must be below 2\*\*31 - 1"
        ):
            read(path, "irecgan-text", on_error="raise")
    with np.errstate(all="raise"):
        assert _number(3.4e38) == 3.4e38
        assert _number(3.5e38) is None
        assert _number(-3.5e38) is None
    assert _number(None) == 0
    assert _number("x") is None
    assert [_unknown(value) for value in (None, float("nan"), " NaN ", 0.0, "0")] == [True, True, True, False, False]
    assert _time({}, CellRules()) == 0
    assert _time({"time": "inf"}, CellRules()) is None
    assert _time({"time": "1970-01-01T00:01:00"}, CellRules()) == 60
    assert _time({"time": "1970-01-01T02:01:00+02:00"}, CellRules()) == 60


def test_steps_of_one_time_are_in_order(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text(challenge(click("a", 1, 1, timestamp=5), click("a", 2, 2, timestamp=5)))
    assert read(path, "recsys-challenge-2019").sessions.lengths.tolist() == [2]
    path = tmp_path / "log.csv"
    path.write_text("session,slate,click,t\na,x|y,x,1\na,x|y,y,1\n")
    for sort in (False, True):
        sessions = read(path, "table", columns=TableColumns(time="t"), sort=sort).sessions
        assert sessions.clicks.tolist() == [0, 1]


def test_impressions_that_are_no_hotels(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text(challenge(click("a", 1, 1), click("a", 2, 1), click("a", 3, 1, "1||2")))
    with pytest.raises(ReaderError, match=r"train\.csv, line 4: wrong type: impressions must be hotel ids joined by"):
        read(path, "recsys-challenge-2019", on_error="raise")


def test_sessions_without_click_outs_are_counted(tmp_path):
    path = tmp_path / "train.csv"
    searches = [(name, 1, 1, "search for destination", "Bonn", "") for name in "bcd"]
    path.write_text(challenge(click("a", 1, 1), click("a", 2, 2), *searches))
    report = read(path, "recsys-challenge-2019").report
    assert report.sessions_left_out == {"sessions without click-outs": 3}
    path = text_log(tmp_path, [1, 3, 1, 1])
    assert read(path, "irecgan-text").report.sessions_left_out == {"sessions of a start row alone": 3}


def test_places_of_cikm_rows_that_are_left_out(tmp_path):
    clicks = ["5;10;6", "5;20;2", "4;10;1"]
    folder = cikm_folder(tmp_path, CIKM_QUERIES, clicks, ["13;NA;25;2016-05-09;3;2", "13;NA;26;2016-05-09;3;1"])
    report = read(folder, "cikm-cup-2016").report
    assert report.first_places["test queries, whose clicks are not published"] == ("train-queries.csv, line 5",)
    assert report.first_places["clicks of test queries"] == ("train-clicks.csv, line 4",)
    places = {reason: found for reason, found in report.first_places.items() if "purchases" in reason}
    assert places == {
        "purchases (they are the rewards of their clicks)": ("train-purchases.csv, line 2",),
        "purchases without a click before them": ("train-purchases.csv, line 3",),
    }


def test_parquet_tables_of_one_row_and_of_none(tmp_path):
    path = tmp_path / "log.parquet"
    rows = {"session": ["a"], "slate": [["x", "y"]], "click": ["y"], "unread": [1]}
    pq.write_table(pa.table(rows), path)
    sessions, report = read(path, "table")
    assert (sessions.num_steps, report.rows_read) == (1, 1)
    pq.write_table(pa.table(rows).slice(0, 0), path)
    with pytest.raises(ReaderError, match=r"log\.parquet is empty"):
        read(path, "table", on_error="raise")


def test_the_report_to_the_letter():
    report = ReadReport("skip")
    report.rows_read, report.rows_used = 12345, 3
    report.left_out("searches")
    report.left_out("searches", 2, [Place("a.csv", 7), Place("a.csv", 8, last=9)])
    report.left_out("nothing", 0)
    for number in range(1, 6):
        report.malformed(Place("a.csv", number, "row"), "wrong type", f"got {number}")
    report.malformed(Place("a.csv", 9), "no slate", "none")
    report.session_left_out("sessions of fewer than 2 clicks")
    report.session_left_out("sessions of fewer than 2 clicks", 3)
    report.session_left_out("sessions of more", 0)
    report.note("a note")
    assert str(report).splitlines() == [
        "      12,345  rows read",
        "           3  rows in the sessions",
        "           3  rows left out: searches",
        "              first: a.csv, line 7; a.csv, lines 8 to 9",
        "           5  malformed rows skipped: wrong type",
        "              a.csv, row 1: got 1",
        "              a.csv, row 2: got 2",
        "              a.csv, row 3: got 3",
        "              and 2 more",
        "           1  malformed rows skipped: no slate",
        "              a.csv, line 9: none",
        "           4  sessions left out: sessions of fewer than 2 clicks",
        "a note",
    ]
    assert report.summary() == (
        "12,345 rows read; 3 left out: searches; 5 malformed: wrong type; 1 malformed: no slate"
    )
    with pytest.raises(AssertionError, match="12345 rows were read, but 12 are accounted for"):
        report.check()
    report.rows_read = 12
    report.check()


def test_lengths_at_their_borders():
    assert length_reason(1, 2, 4, "clicks") == "sessions of fewer than 2 clicks"
    assert length_reason(5, 2, 4, "clicks") == "sessions of more than 4 clicks"
    assert [length_reason(length, 2, 4, "clicks") for length in (2, 4)] == [None, None]


OF_ALL = ["--help", "--out", "--on-error", "--max-malformed", "--catalogue", "--extend"]
OF_TABLES = ["--on-disk", "--buckets", "--delimiter", "--sort", "--time-unit", "--max-gap", "--labels", "--categories"]
OF_TABLES += ["--entries-features", "--steps-features", "--users-features"]
OPTIONS = {
    "recsys-challenge-2019": ["--min-length", "--max-length", "--reward"],
    "cikm-cup-2016": ["--min-length", "--max-length", "--max-items"],
    "irecgan-text": ["--min-rows", "--max-rows", "--reward", "--num-items"],
    "table": ["--min-length", "--max-length", "--separator", "--padding", *OF_TABLES]
    + [f"--{name}-column" for name in ("session", "slate", "click", "reward", "propensity", "user", "time")]
    + ["--slate_propensity-column", "--place_propensities-column"],
    "impressions": ["--min-length", "--max-length", "--step-column", "--item-column", "--position-column", *OF_TABLES]
    + [f"--{name}-column" for name in ("session", "click", "reward", "propensity", "user", "time")],
}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_options_of_each_format(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    found = {word for word in shown.replace("[", " ").replace("]", " ").replace(",", " ").split() if word[:2] == "--"}
    assert found == {*OF_ALL, *OPTIONS[name]}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["excel", "log"],
        ["table"],
        ["table", "log.csv", "--on-error", "ignore"],
        ["irecgan-text", "log.txt", "--reward", "every"],
        ["recsys-challenge-2019", "log.txt", "--reward", "success"],
        ["irecgan-text", "log.txt", "--max-rows", "many"],
    ],
)
def test_arguments_that_the_command_refuses(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m irecgan_gym.readers" in capsys.readouterr().err


def test_the_command_hands_all_options_on(tmp_path, capsys):
    path, out = text_log(tmp_path, [2, 3, 4, 5]), tmp_path / "sessions.parquet"
    command = ["irecgan-text", str(path), "--out", str(out)]
    assert main([*command, "--min-rows", "3", "--max-rows", "4", "--reward", "purchase", "--num-items", "9"]) == 0
    assert capsys.readouterr().out.endswith(f"\nsaved to {out}\n")
    sessions = Sessions.load(out)
    assert (sessions.lengths.tolist(), sessions.num_items, sessions.rewards.sum()) == ([2, 3], 9, 0)
    assert main([*command, "--reward", "success"]) == 0
    assert Sessions.load(out).rewards.sum() == Sessions.load(out).num_steps
    path = tmp_path / "train.csv"
    path.write_text(challenge(*(click("a", step, 1) for step in range(3)), *(click("b", step, 1) for step in range(5))))
    for reward, expected in (("last", 1), ("every", 3)):
        arguments = ["recsys-challenge-2019", str(path), "--out", str(out), "--reward", reward, "--max-length", "4"]
        assert main(arguments) == 0
        assert Sessions.load(out).rewards.sum() == expected
    np.testing.assert_array_equal(Sessions.load(out).lengths, [3])


def test_readers_need_nothing_but_a_path(tmp_path):
    assert FORMATS["irecgan-text"](text_log(tmp_path, [3])).sessions.num_steps == 2
    path = tmp_path / "train.csv"
    path.write_text(challenge(click("a", 1, 1), click("a", 2, 2)))
    assert FORMATS["recsys-challenge-2019"](path).sessions.num_steps == 2
    path = tmp_path / "log.csv"
    path.write_text("session,slate,click\na,x|y,x\n")
    plain = FORMATS["table"](path).sessions
    assert plain.num_steps == 1
    assert plain.states is plain.propensities is plain.users is plain.event_items is None
    folder = cikm_folder(tmp_path, CIKM_QUERIES, ["5;10;6", "5;20;2"], [])
    assert FORMATS["cikm-cup-2016"](folder).sessions.num_steps == 2


def test_steps_stay_as_they_were_added_unless_time_is_asked_for():
    steps = StepColumns()
    for number, (session, moment) in enumerate([(1, 5.0), (0, 3.0), (1, 4.0), (0, 2.0)], start=1):
        steps.add(Place("log.csv", number), session, [0], 0, time=moment)
    assert steps.in_order().tolist() == [1, 3, 0, 2]
    assert steps.in_order(by_time=True).tolist() == [3, 1, 2, 0]


def test_what_the_steps_of_a_table_are_called_and_times_that_are_none(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("session,slate,click,t\na,x|y,x,1\nb,x|y,y,1\nb,x|y,y,1\n")
    report = read(path, "table", min_length=2).report
    assert report.sessions_left_out == {"sessions of fewer than 2 steps": 1}
    path.write_text("session,slate,click,t\na,x|y,x,soon\n")
    with pytest.raises(ReaderError, match=r"line 2: wrong type: time must be a number or a date and time, got 'soon'"):
        read(path, "table", columns=TableColumns(time="t"), on_error="raise")


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone of a process is set as on Unix")
def test_times_without_a_zone_are_utc_wherever_they_are_read(monkeypatch):
    monkeypatch.setenv("TZ", "Etc/GMT+5")
    time.tzset()
    try:
        assert _time({"time": "1970-01-01T00:01:00"}, CellRules()) == 60
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_end_of_a_truncated_file_is_missed_once(tmp_path):
    # The quote that is opened near the end does not close: the lines behind it are read again.
    lines = [f"s{number},x|y,x" for number in range(3000)]
    lines[1200] = 's1200,"x|y,x'
    path = tmp_path / "log.csv.gz"
    whole = gzip.compress(("session,slate,click\n" + "\n".join(lines) + "\n").encode())
    path.write_bytes(whole[: len(whole) // 2])
    sessions, report = read(path, "table", on_error="skip")
    assert sessions.num_steps > 1200
    assert report.malformed_rows == {"truncated file": 1, "not a row of separated cells": 1}
