"""Logs with the quirks that real ones have: read by default, with every row accounted for and every repair counted."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from irecgan_gym.readers import ReaderError, TableColumns, read
from irecgan_gym.readers.__main__ import main
from irecgan_gym.sessions import Catalogue, Sessions, concatenate
from tests.readers.test_formats import CIKM_QUERIES, cikm_folder, names
from tests.readers.test_malformed import challenge, click

COLUMNS = TableColumns(reward="r", user="user", time="time")
HEADER = "session,user,time,slate,click,r"


def table(folder, *rows, columns=COLUMNS, **options):
    """Read rows of session, user, time, slate, click and reward."""
    path = folder / "log.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return read(path, "table", columns=columns, **options)


def parquet(folder, cells, **options):
    """Read columns by way of Parquet."""
    pq.write_table(pa.table(cells), folder / "log.parquet")
    return read(folder / "log.parquet", "table", **options)


def test_anonymous_sessions_are_not_one_users(tmp_path):
    number = 40
    columns = {
        "session": list(range(number)),
        "user": [math.nan if session % 2 else 7.0 for session in range(number)],
        "slate": [[11, 12]] * number,
        "click": [11] * number,
    }
    sessions, _ = parquet(tmp_path, columns, columns=TableColumns(user="user"))
    assert sessions.users.tolist() == [-1 if session % 2 else 0 for session in range(number)]
    assert sessions.user_names == ("7",)
    assert sessions.statistics().num_users == 1 + number // 2
    parts = sessions.split((0.5, 0.5), seed=0, by="user")
    assert all((part.users == -1).any() for part in parts)


def test_whole_numbers_with_a_gap_are_the_numbers_that_they_are(tmp_path):
    columns = {"session": [1.0, 1.0], "slate": [[11, 12], [12, 13]], "click": [11.0, math.nan]}
    sessions, report = parquet(tmp_path, columns)
    assert sessions.item_names == ("11", "12", "13")
    assert sessions.clicks.tolist() == [0, 3]
    assert report.malformed_rows == {}


def test_white_space_is_no_part_of_a_name(tmp_path):
    sessions, _ = table(tmp_path, "a, u ,1, x |y, y,1", " a,u,2,x| y ,x ,0")
    assert sessions.item_names == ("x", "y")
    assert sessions.clicks.tolist() == [1, 0]
    assert (len(sessions), sessions.user_names) == (1, ("u",))


def test_cells_that_say_that_there_is_no_value(tmp_path):
    rows = ("a,NULL,1,x|y,NaN,null", "b,nan,1,x|y,y,1", "NULL,u,1,x|y,x,1", "nan,u,1,x|y,x,1", "c,u,2,x|NULL,NULL,1")
    sessions, report = table(tmp_path, *rows)
    assert len(sessions) == 3
    assert sessions.users.tolist() == [-1, -1, 0]
    assert names(sessions, sessions.clicks[1:]) == ["y", "NULL"]  # What was shown is an item, whatever its name.
    assert sessions.clicks[0] == sessions.num_items
    assert report.malformed_rows == {"no session": 2}
    sessions, report = table(tmp_path, *rows[:2], "-,u,1,x|y,x,1", null_values=["-"], on_error="skip")
    assert report.malformed_rows == {"click not in slate": 1, "no session": 1}
    assert sessions.user_names == ("nan",)


def test_a_session_that_begins_again_becomes_two(tmp_path):
    rows = ("a,u,1,x|y,x,1", "a,u,2,x|y,y,1", "b,u,5,x|y,x,0", "a,u,1,x|y,y,1", "a,u,3,x|y,,", "a,u,2,x|y,x,1")
    sessions, report = table(tmp_path, *rows)
    assert sessions.lengths.tolist() == [2, 2, 1, 1]
    assert sessions.times.tolist() == [1, 2, 1, 3, 2, 5]
    assert report.repairs_made == {"sessions in which time goes back: cut in two there": 2}
    assert report.first_places["sessions in which time goes back: cut in two there"] == (
        "log.csv, line 5",
        "log.csv, line 7",
    )
    assert report.rows_used == 6
    assert "2  repaired: sessions in which time goes back" in str(report)
    assert table(tmp_path, *rows, on_error="skip").report.malformed_rows == {"unordered time": 2}
    with pytest.raises(ReaderError, match=r"log\.csv, line 5: unordered time"):
        table(tmp_path, *rows, on_error="raise")


def test_rows_in_no_order_of_time_are_not_taken_for_many_sessions(tmp_path):
    rows = [f"s{time % 3},u,{-time},x|y,x,1" for time in range(300)]
    with pytest.raises(ReaderError, match="time goes back at 297 of 300 steps: sort=True puts them in the order of"):
        table(tmp_path, *rows)
    sessions, report = table(tmp_path, *rows, sort=True)
    assert sessions.lengths.tolist() == [100] * 3
    assert report.repairs_made == {}


def test_an_id_that_two_users_have_is_two_sessions(tmp_path):
    rows = ("1,u,1,x|y,x,1", "1,v,1,x|y,y,1", "2,v,9,x|y,x,0", "1,u,2,x|y,y,1", "1,,3,x|y,y,1")
    sessions, report = table(tmp_path, *rows)
    assert sessions.lengths.tolist() == [2, 1, 1, 1]
    assert sessions.users.tolist() == [0, 1, 1, -1]
    assert report.repairs_made == {"sessions of several users: each has one": 1}
    assert report.first_places["sessions of several users: each has one"] == ("session 1",)
    assert table(tmp_path, *rows, on_error="skip").report.malformed_rows == {"session of two users": 2}


def test_an_id_that_comes_back_days_later_is_told_or_cut(tmp_path):
    rows = ("a,u,2026-01-01 00:00:00,x|y,x,1", "a,u,2026-01-05 00:00:00,x|y,y,1")
    sessions, report = table(tmp_path, *rows)
    assert sessions.lengths.tolist() == [2]
    assert any("1 steps come more than a day after the step before" in note for note in report.notes)
    sessions, report = table(tmp_path, *rows, max_gap=3600)
    assert sessions.lengths.tolist() == [1, 1]
    assert report.repairs_made == {"sessions in which there is a gap of more than 3600 s: cut in two there": 1}
    assert sessions.times.tolist() == [1767225600, 1767571200]
    for options in ({"max_gap": 0}, {"max_gap": 5, "columns": TableColumns()}):
        with pytest.raises(ValueError, match="max_gap must be a positive number of seconds, and needs a time column"):
            table(tmp_path, *rows, **options)


@pytest.mark.parametrize(("unit", "scale"), [("s", 1), ("ms", 1000), ("us", 10**6), ("ns", 10**9)])
def test_times_become_seconds(tmp_path, unit, scale):
    seconds = [1_767_225_600, 1_767_225_601]
    rows = [f"a,u,{second * scale},x|y,x,1" for second in seconds]
    assert table(tmp_path, *rows, time_unit=unit).sessions.times.tolist() == seconds
    columns = {"session": [1, 1], "slate": [[1, 2]] * 2, "click": [1, 1]}
    columns["time"] = pa.array([second * scale for second in seconds], pa.timestamp(unit))
    # Dates are dates, whatever the unit of numbers.
    found = parquet(tmp_path, columns, columns=TableColumns(time="time"), time_unit="ms").sessions
    assert found.times.tolist() == seconds
    columns["time"] = ["2026-01-01 00:00:00", "2026-01-01T00:00:01Z"]
    found = parquet(tmp_path, columns, columns=TableColumns(time="time"), time_unit="ms").sessions
    assert found.times.tolist() == seconds
    with pytest.raises(ValueError, match="time_unit must be one of s, ms, us, ns, got 'h'"):
        table(tmp_path, *rows, time_unit="h")


def test_a_log_of_which_too_much_is_malformed_is_refused(tmp_path):
    rows = ["a,u,1,x|y,x,1", *["a,u,1,x|y,q,1"] * 5000]
    for on_error in ("repair", "skip"):
        with pytest.raises(
            ReaderError,
            match=r"5,000 of 5,001 rows are malformed, more than max_malformed=0\.1 allows: "
            r"click not in slate: 5,000 \(first: log\.csv, line 3: item 'q' is not in \['x', 'y'\]\)",
        ):
            table(tmp_path, *rows, on_error=on_error)
    sessions, report = table(tmp_path, *rows, max_malformed=1.0)
    assert (sessions.num_steps, report.malformed_rows) == (1, {"click not in slate": 5000})
    rows = ["a,u,1,x|y,x,1"] * 90 + ["a,u,1,x|y,q,1"] * 10
    assert table(tmp_path, *rows).report.rows_used == 90
    with pytest.raises(ReaderError, match="11 of 101 rows are malformed"):
        table(tmp_path, *rows, "a,u,1,x|y,q,1")
    with pytest.raises(ReaderError, match=r"1 of 2 rows are malformed, more than max_malformed=0\.0 allows"):
        table(tmp_path, rows[0], rows[-1], max_malformed=0.0)
    with pytest.raises(ValueError, match="max_malformed must be a share from 0 to 1, got 2"):
        table(tmp_path, *rows, max_malformed=2)


def test_a_session_whose_last_row_is_left_out_has_lost_its_end(tmp_path):
    rows = ("a,u,1,x|y,x,1", "a,u,2,x|y,q,1", "b,u,1,x|y,q,1", "b,u,2,x|y,x,1", "c,u,1,x|y,q,1", "d,u,1,x|y,x,1")
    sessions, report = table(tmp_path, *rows)
    assert sessions.lengths.tolist() == [1, 1, 1]
    assert sessions.truncated.tolist() == [True, False, False]
    assert report.malformed_rows == {"click not in slate": 3}


def test_lists_without_a_click_and_with_several(tmp_path):
    rows = ("a,u,1,x|y,,", "a,u,2,x|y|z,z|x,5", 'a,u,3,x|y,"[y, x, y]",1', "a,u,4,x|y,y,2", "a,u,5,x|y,,")
    sessions, report = table(tmp_path, *rows)
    assert report.malformed_rows == {}
    assert report.rows_used == report.rows_read == 5
    assert [names(sessions, [item])[0] if item < 3 else None for item in sessions.clicks] == [
        *(None, "z", "x", "y", "x", "y", None)
    ]
    assert sessions.skipped.tolist() == [True, *[False] * 6]
    assert [names(sessions, slate) for slate in sessions[0].slates[1:3]] == [["x", "y", "z"]] * 2
    assert sessions.rewards.tolist() == [0, 0, 5, 0, 1, 2, 0]
    assert sessions.times.tolist() == [1, 2, 2, 3, 3, 4, 5]
    columns = {"session": ["a"] * 3, "slate": [[1, 2], [2, 3], [1, 3]], "click": [[1], [], [3, 1]], "p": [0.5, 1, 0.5]}
    sessions, report = parquet(tmp_path, columns, columns=TableColumns(propensity="p"))
    assert sessions.clicks.tolist() == [0, 3, 2, 0]
    assert np.isnan(sessions.propensities).tolist() == [False, False, True, True]
    with pytest.raises(ReaderError, match="click not in slate: item 'q' is not in"):
        table(tmp_path, "a,u,1,x|y,x|q,1", on_error="raise")


def test_no_click_of_a_feed_is_lost(tmp_path):
    """Users of a feed look at many lists without a click, and go on."""
    rng = np.random.default_rng(0)
    rows = [
        f"s{step // 20},u,{step},x|y|z,{'xyz'[rng.integers(3)] if rng.random() < 0.4 else ''},0" for step in range(2000)
    ]
    clicks = sum(row.split(",")[4] != "" for row in rows)
    sessions, report = table(tmp_path, *rows)
    assert (sessions.clicks < sessions.num_items).sum() == clicks > 700
    assert report.rows_used == sessions.num_steps == 2000


def test_items_that_a_list_shows_twice_and_lists_that_are_filled_up(tmp_path):
    sessions, report = table(tmp_path, "a,u,1,x|y|x,x,1", "a,u,2,x|y||,y,0", "a,u,3,|x|y,y,0", "a,u,4,x||y,y,0")
    assert [names(sessions, slate) for slate in sessions[0].slates] == [["x", "y"]] * 3
    assert report.repairs_made == {"slates that show an item twice: it counts at its first place": 1}
    assert report.malformed_rows == {"no slate": 1}
    assert "got ['x', None, 'y']" in str(report)
    assert table(tmp_path, "a,u,1,x|y,x,1", "a,u,1,x|x,x,1", on_error="skip").report.malformed_rows == {
        "repeated item": 1
    }
    columns = {"session": [1, 1, 2], "slate": [[5, 6, 0], [6, 0, 0], [0, 0, 0]], "click": [6, 6, 0]}
    sessions, report = parquet(tmp_path, columns, padding=["0"])
    assert [names(sessions, slate) for slate in sessions[0].slates] == [["5", "6"], ["6"]]
    assert report.malformed_rows == {"no slate": 1}
    columns = {"session": [1, 1], "slate": [[5, None, None], [6, 5, None]], "click": [5, 6]}
    assert parquet(tmp_path, columns).sessions.slate_lengths.tolist() == [1, 2]


def test_a_known_catalogue_keeps_its_numbers(tmp_path):
    rows = ("a,u,1,x|y,x,1", "a,u,2,x|q,x,1", "b,u,2,y|z,,")
    first = table(tmp_path, "a,u,1,z|y|x,x,1").sessions
    sessions, report = table(tmp_path, *rows, catalogue=first.catalogue)
    assert sessions.item_names == ("z", "y", "x")
    assert sessions.clicks.tolist() == [2, 3]
    assert sessions.truncated.tolist() == [True, False]
    assert report.rows_left_out == {"items that the catalogue does not have": 1}
    assert report.first_places["items that the catalogue does not have"] == ("log.csv, line 3",)
    extended = table(tmp_path, *rows, catalogue=first.catalogue, extend=True).sessions
    assert extended.item_names == ("z", "y", "x", "q")
    assert extended.clicks.tolist() == [2, 2, 4]
    both = concatenate([first, extended])
    assert both.item_names == extended.item_names
    with pytest.raises(ValueError, match="items are found in a catalogue by name, and this one has 3 items, without"):
        table(tmp_path, *rows, catalogue=Catalogue(3))
    with pytest.raises(ValueError, match="extend=True needs a catalogue to extend"):
        table(tmp_path, *rows, extend=True)


def test_all_formats_know_catalogues(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text(
        challenge(
            click("a", 1, 1, "1|2"),
            ("a", 102, 2, "interaction item image", "9", ""),
            click("a", 3, 2, "2|1"),
            click("a", 4, 3, "3|1"),
            ("a", 105, 5, "interaction item image", "1", ""),
            click("a", 6, 2, "2|1"),
        )
    )
    sessions, report = read(path, "recsys-challenge-2019", catalogue=Catalogue.of(["5", "2", "1"]))
    assert sessions.item_names == ("5", "2", "1")
    assert sessions.clicks.tolist() == [2, 1, 1]
    assert sessions.event_items.tolist() == [2]
    assert report.rows_left_out == {
        "interactions with items that the catalogue does not have": 1,
        "click-outs with items that the catalogue does not have": 1,
    }
    sessions = read(path, "recsys-challenge-2019", catalogue=Catalogue.of(["5", "2"]), extend=True).sessions
    assert sessions.item_names == ("5", "2", "1", "9", "3")
    path = tmp_path / "log.txt"
    path.write_text("0;0;0;;0\n0;1;2;2,3;0\n0;1;3;3,4;0\n0;1;3;3,2;0\n")
    sessions, report = read(path, "irecgan-text", catalogue=Catalogue.of(["3", "2"]))
    assert sessions.clicks.tolist() == [1, 0]
    assert report.rows_left_out == {"start rows": 1, "items that the catalogue does not have": 1}
    with pytest.raises(ValueError, match="num_items and catalogue both say which items there are"):
        read(path, "irecgan-text", catalogue=Catalogue.of(["3", "2"]), num_items=5)
    folder = cikm_folder(tmp_path, CIKM_QUERIES, ["5;10;6", "5;20;2", "5;30;2"], [])
    sessions, report = read(folder, "cikm-cup-2016", catalogue=Catalogue.of(["8", "2"]))
    assert sessions.item_names == ("8", "2")
    assert sessions.clicks.tolist() == [1, 1]
    assert report.rows_left_out["clicks on items that the catalogue does not have"] == 1


def test_a_challenge_session_whose_steps_begin_again_becomes_two(tmp_path):
    path = tmp_path / "train.csv"
    rows = [click("a", 1, 1), click("a", 2, 2), click("a", 1, 3, timestamp=50), click("a", 2, 1, timestamp=60)]
    path.write_text(challenge(*rows, click("b", 1, 1), click("b", 2, 2), click("b", 2, 2)))
    sessions, report = read(path, "recsys-challenge-2019")
    assert sessions.lengths.tolist() == [2, 2, 2]
    assert sessions.times.tolist() == [101, 102, 50, 60, 101, 102]
    assert sessions.rewards.tolist() == [0, 1] * 3
    assert report.repairs_made == {"sessions whose steps or times go back: cut in two there": 1}
    assert report.malformed_rows == {"duplicate key": 1}
    with pytest.raises(ReaderError, match=r"train\.csv, line 4: unordered time"):
        read(path, "recsys-challenge-2019", on_error="raise")


def test_a_challenge_session_of_two_users_becomes_two_and_lists_keep_an_item_once(tmp_path):
    path = tmp_path / "train.csv"
    rows = challenge(click("a", 1, 1, "1|2|1"), click("a", 2, 2), click("a", 1, 1), click("a", 2, 3)).splitlines()
    rows[3:] = [row.replace("user,", "other,", 1) for row in rows[3:]]
    path.write_text("\n".join(rows) + "\n")
    sessions, report = read(path, "recsys-challenge-2019")
    assert sessions.users.tolist() == [0, 1]
    assert sessions.user_names == ("user", "other")
    assert sessions.slate_lengths.tolist() == [2, 3, 3, 3]
    assert report.repairs_made == {
        "lists that show a hotel twice: it counts at its first place": 1,
        "sessions of several users: each has one": 1,
    }


def test_two_weeks_read_apart_are_one_log(tmp_path):
    first = table(tmp_path, "a,u,1,x|y,x,1", "b,v,2,y|z,y,1").sessions
    second = table(tmp_path, "a,v,1,z|y,z,1", "b,w,2,x|new,new,1").sessions
    assert first.catalogue.names[0] != second.catalogue.names[0]
    both = concatenate([first, second])
    assert both.item_names == ("x", "y", "z", "new")
    assert names(both, both.clicks) == ["x", "y", "z", "new"]
    assert [both.user_names[user] for user in both.users] == ["u", "v", "v", "w"]
    assert both.times.tolist() == [1, 2, 1, 2]


def test_the_command_keeps_numbers_too(tmp_path, capsys):
    path, out, again = tmp_path / "log.csv", tmp_path / "one.parquet", tmp_path / "two.parquet"
    path.write_text("session,slate,click,when\na,x|y,x,1000\n")
    command = ["table", str(path), "--time-column", "when", "--time-unit", "ms"]
    assert main([*command, "--out", str(out)]) == 0
    path.write_text("session,slate,click,when\na,y|x,x,1000\na,y|q,q,9000\nb,-|x|y,x,1\n")
    options = ["--max-gap", "5", "--padding=-", "--catalogue", str(out), "--extend", "--max-malformed", "0"]
    assert main([*command, *options, "--out", str(again)]) == 0
    sessions = Sessions.load(again)
    assert sessions.item_names == ("x", "y", "q")
    assert sessions.lengths.tolist() == [1, 1, 1]
    assert sessions.times.tolist() == [1, 9, 0.001]
    assert main([*command, "--catalogue", str(path)]) == 2
    assert "not a readable Parquet file" in capsys.readouterr().err
