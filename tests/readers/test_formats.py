"""What each format becomes."""

import gzip
import os
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.readers import PAPER_SPLIT, TableColumns, read, write_irecgan_text
from irecgan_gym.readers.__main__ import main
from irecgan_gym.sessions import Sessions
from tests.readers.test_malformed import challenge, click


def names(sessions, ids):
    return [sessions.item_names[item] for item in ids]


def test_challenge_sessions_steps_and_events(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text(
        challenge(
            ("a", 1, 1, "search for destination", "Bonn", ""),
            ("a", 2, 2, "interaction item image", "7", ""),
            ("a", 3, 3, "interaction item info", "2", ""),
            click("a", 4, 2),
            ("a", 105, 5, "interaction item rating", "unknown", ""),
            click("a", 6, 3, "3|4"),
            ("a", 200, 7, "interaction item deals", "1", ""),
            click("b", 1, 1),
            ("c", 1, 1, "filter selection", "x", ""),
            ("d", 1, 1, "interaction item image", "1", ""),
            click("d", 2, 1),
            click("e", 1, 4, "4|5"),
            click("e", 2, 5, "4|5"),
        )
    )
    sessions, report = read(path, "recsys-challenge-2019")
    assert sessions.lengths.tolist() == [2, 2]
    assert names(sessions, sessions[0].slates[0]) == ["1", "2", "3"]
    assert names(sessions, sessions.clicks) == ["2", "3", "4", "5"]
    assert sessions.rewards.tolist() == [0, 1, 0, 1]
    assert names(sessions, sessions.event_items) == ["7", "2"]
    assert np.diff(sessions.event_offsets).tolist() == [2, 0, 0, 0]
    assert sessions.users.tolist() == [0, 0]
    assert sessions.user_names == ("user",)
    assert sessions.times.tolist() == [104, 106, 101, 102]
    assert not sessions.truncated.any()
    assert report.rows_read == 13
    assert report.rows_used == 6
    assert report.malformed_rows == {}
    assert report.rows_left_out == {
        "action 'search for destination'": 1,
        "interactions whose reference is no item": 1,
        "action 'filter selection'": 1,
        "interactions after the last click-out of a session": 1,
        "of sessions of fewer than 2 click-outs": 2,
        "interactions in sessions that are left out": 1,
    }
    assert report.sessions_left_out == {"sessions of fewer than 2 click-outs": 2, "sessions without click-outs": 1}
    every = read(path, "recsys-challenge-2019", reward="every").sessions
    assert (every.rewards == 1).all()
    assert read(path, "recsys-challenge-2019", min_length=1).sessions.lengths.tolist() == [2, 1, 1, 2]


def test_a_skipped_last_click_out_leaves_the_session_without_its_end(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text(
        challenge(
            click("a", 1, 1),
            click("b", 1, 1),
            ("a", 102, 2, "interaction item image", "3", ""),
            click("a", 3, 9),
            click("b", 2, 9),
            click("a", 4, 2),
            ("a", 105, 5, "interaction item image", "8", ""),
            click("b", 3, 3),
            click("b", 4, 9),
        )
    )
    sessions, report = read(path, "recsys-challenge-2019", on_error="skip")
    assert sessions.lengths.tolist() == [2, 2]
    assert sessions.rewards.tolist() == [0, 1, 0, 0]
    assert sessions.truncated.tolist() == [False, True]
    assert names(sessions, sessions.event_items) == ["3"]
    assert np.diff(sessions.event_offsets).tolist() == [0, 1, 0, 0]
    assert report.malformed_rows == {"click not in slate": 3}
    assert report.first_places["interactions after the last click-out of a session"] == ("train.csv, line 8",)
    every = read(path, "recsys-challenge-2019", on_error="skip", reward="every").sessions
    assert every.rewards.tolist() == [1, 1, 1, 1]


def test_too_long_sessions_are_left_out_with_their_places(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text(challenge(*(click("a", step, 1) for step in range(41)), *(click("b", step, 2) for step in (1, 2))))
    sessions, report = read(path, "recsys-challenge-2019")
    assert sessions.lengths.tolist() == [2]
    assert report.rows_left_out == {"of sessions of more than 40 click-outs": 41}
    assert report.first_places["of sessions of more than 40 click-outs"][0] == "train.csv, line 2"


@pytest.mark.skipif("IRECGAN_GYM_CHALLENGE_FILE" not in os.environ, reason="names a real file of the challenge")
def test_a_real_file_of_the_challenge_is_read_whole():
    sessions, report = read(os.environ["IRECGAN_GYM_CHALLENGE_FILE"], "recsys-challenge-2019", on_error="skip")
    assert report.rows_read == report.rows_used + sum(report.rows_left_out.values()) + sum(
        report.malformed_rows.values()
    )
    assert 2 <= sessions.lengths.min() <= sessions.lengths.max() <= 40
    assert set(report.malformed_rows) <= {"click not in slate"}


def cikm_folder(folder, queries, clicks, purchases):
    header = "queryId;sessionId;userId;timeframe;duration;eventdate;searchstring.tokens;categoryId;items;is.test"
    rows = [f"{q};{s};{u};{t};300;2016-05-09;;0;{items};{test}" for q, s, u, t, items, test in queries]
    (folder / "train-queries.csv").write_text("\n".join([header, *rows]) + "\n")
    (folder / "train-clicks.csv").write_text("\n".join(["queryId;timeframe;itemId", *clicks]) + "\n")
    bought = ["sessionId;userId;timeframe;eventdate;ordernumber;itemId", *purchases]
    (folder / "train-purchases.csv").write_text("\n".join(bought) + "\n")
    return folder


CIKM_QUERIES = [
    (1, 10, 5, 0, "1,2,3,4", "FALSE"),
    (2, 10, 5, 900, "3,5", "FALSE"),
    (3, 11, "NA", 0, "1,2", "FALSE"),
    (4, 12, 5, 0, "1,2", "TRUE"),
    (5, 13, "NA", 0, "2,6", "FALSE"),
]


def test_cikm_sessions_purchases_and_filters(tmp_path):
    clicks = ["2;1000;5", "1;400;3", "1;100;1", "3;50;1", "4;10;1", "5;10;6", "5;20;2", "5;30;2"]
    folder = cikm_folder(
        tmp_path,
        CIKM_QUERIES,
        clicks,
        ["10;5;1500;2016-05-09;1;3", "13;NA;5;2016-05-09;2;2", "13;NA;25;2016-05-09;3;2"],
    )
    sessions, report = read(folder, "cikm-cup-2016")
    assert sessions.lengths.tolist() == [3, 3]
    assert names(sessions, sessions.clicks) == ["1", "3", "5", "6", "2", "2"]
    assert [names(sessions, slate) for slate in sessions[0].slates] == [["1", "2", "3"], ["1", "2", "3"], ["3", "5"]]
    assert sessions.rewards.tolist() == [0, 1, 0, 0, 1, 0]
    assert sessions.users.tolist() == [0, -1]
    assert sessions.user_names == ("5",)
    assert sessions.times.tolist() == [100, 400, 1000, 10, 20, 30]
    assert report.rows_read == 5 + 8 + 3
    assert report.rows_left_out["test queries, whose clicks are not published"] == 1
    assert report.rows_left_out["clicks of test queries"] == 1
    assert report.rows_left_out["purchases without a click before them"] == 1
    assert report.sessions_left_out == {"sessions of fewer than 2 clicks": 1}
    small = read(folder, "cikm-cup-2016", max_items=3)
    assert small.report.rows_left_out["clicks on items beyond the 3 most clicked"] == 2
    assert small.sessions.item_names == ("1", "2", "3")
    assert sum(PAPER_SPLIT) == pytest.approx(1)


@pytest.mark.parametrize(
    ("clicks", "message"),
    [
        (["9;1;1"], "train-clicks.csv, line 2: unknown query: train-queries.csv has no query '9'"),
        (["1;1;6"], "train-clicks.csv, line 2: click not in slate: query 1 did not return item '6'"),
        (["1;5;1", "1;5;1"], "train-clicks.csv, line 3: duplicate key"),
        (["1;soon;1"], "train-clicks.csv, line 2: wrong type: timeframe must be a whole number, got 'soon'"),
    ],
)
def test_cikm_malformed_clicks(tmp_path, clicks, message):
    folder = cikm_folder(tmp_path, CIKM_QUERIES, [*clicks, "5;10;6", "5;20;2"], [])
    with pytest.raises(ValueError, match=message):
        read(folder, "cikm-cup-2016", on_error="raise")
    report = read(folder, "cikm-cup-2016", on_error="skip").report
    assert sum(report.malformed_rows.values()) == 1


def test_cikm_files_may_be_compressed_and_must_be_there(tmp_path):
    folder = cikm_folder(tmp_path, CIKM_QUERIES, ["5;10;6", "5;20;2"], ["13;NA;25;2016-05-09;3;2"])
    plain = read(folder, "cikm-cup-2016").sessions
    for file in list(folder.iterdir()):
        (folder / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    again = read(folder, "cikm-cup-2016").sessions
    np.testing.assert_array_equal(again.clicks, plain.clicks)
    assert again.rewards.tolist() == [0, 1]
    (folder / "train-clicks.csv.gz").write_bytes(b"")
    with pytest.raises(ValueError, match=r"train-clicks\.csv\.gz is empty"):
        read(folder, "cikm-cup-2016", on_error="raise")
    (folder / "train-clicks.csv.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"train-clicks\.csv"):
        read(folder, "cikm-cup-2016")
    with pytest.raises(ValueError, match="max_items must be at least 1, got 0"):
        read(folder, "cikm-cup-2016", max_items=0, on_error="raise")


@pytest.mark.parametrize(
    ("queries", "purchases", "message"),
    [
        ([(6, 14, 1, 0, "1,,2", "FALSE")], [], r"train-queries\.csv, line 7: no list of different items: .*'1,,2'"),
        ([(6, 14, 1, 0, "1,1", "FALSE")], [], r"train-queries\.csv, line 7: no list of different items: .*'1,1'"),
        ([(6, "", 1, 0, "1,2", "FALSE")], [], r"train-queries\.csv, line 7: no session: query '6'"),
        ([], ["10;5;late;2016-05-09;1;3"], r"train-purchases\.csv, line 2: wrong type: timeframe .* got 'late'"),
        ([], ["10;5"], r"train-purchases\.csv, line 2: wrong number of cells: got 2, the header has 6"),
    ],
)
def test_cikm_malformed_queries_and_purchases(tmp_path, queries, purchases, message):
    folder = cikm_folder(tmp_path, [*CIKM_QUERIES, *queries], ["5;10;6", "5;20;2"], purchases)
    with pytest.raises(ValueError, match=message):
        read(folder, "cikm-cup-2016", on_error="raise")
    assert sum(read(folder, "cikm-cup-2016", on_error="skip").report.malformed_rows.values()) == 1


def test_cikm_malformed_queries(tmp_path):
    queries = [*CIKM_QUERIES, (5, 13, 1, 0, "2,6", "FALSE"), (6, 14, 1, 0, "", "FALSE"), (7, 14, 1, 0, "1", "maybe")]
    folder = cikm_folder(tmp_path, queries, ["5;10;6", "5;20;2"], [])
    with pytest.raises(ValueError, match=r"train-queries\.csv, line 7: duplicate key: query '5'"):
        read(folder, "cikm-cup-2016", on_error="raise")
    report = read(folder, "cikm-cup-2016", on_error="skip").report
    assert report.malformed_rows == {"duplicate key": 1, "no list of different items": 1, "wrong type": 1}


def test_the_authors_format_there_and_back(tmp_path):
    log = gym.make("RecSim-v0", logging_policy="random").unwrapped.collect(300, seed=0)
    path = tmp_path / "log.txt"
    write_irecgan_text(log, path)
    again, report = read(path, "irecgan-text", max_rows=10_000)
    success = log.rewards > 0
    np.testing.assert_array_equal(names(again, again.clicks), log.clicks[success].astype(str))
    np.testing.assert_array_equal(again.states, log.states[success])
    np.testing.assert_array_equal(
        names(again, again.slate_items), log.slate_items.reshape(-1, 10)[success].ravel().astype(str)
    )
    assert (again.rewards == 1).all()
    assert again.truncated.all()
    assert report.rows_read == 300 + success.sum()
    write_irecgan_text(again, tmp_path / "twice.txt")
    short = read(path, "irecgan-text", max_rows=3)
    assert short.sessions.lengths.max() == 2
    bought = read(path, "irecgan-text", reward="purchase").sessions
    assert (bought.rewards == 0).all()
    assert not bought.truncated.any()


def test_the_authors_items_keep_their_numbers(tmp_path):
    log = gym.make("RecSim-v0", logging_policy="max").unwrapped.collect(200, seed=3)
    path = tmp_path / "log.txt"
    write_irecgan_text(log, path)
    success = log.rewards > 0
    again = read(path, "irecgan-text", max_rows=10_000, num_items=log.num_items).sessions
    assert again.num_items == log.num_items
    np.testing.assert_array_equal(again.clicks, log.clicks[success])
    np.testing.assert_array_equal(again.slate_items, log.slate_items.reshape(-1, 10)[success].ravel())
    smaller = read(path, "irecgan-text", max_rows=10_000).sessions
    assert list(smaller.item_names) == sorted(smaller.item_names, key=int)
    with pytest.raises(ValueError, match=r"log\.txt, line \d+: item out of range: items must be below num_items=30"):
        read(path, "irecgan-text", num_items=30, on_error="raise")
    with pytest.raises(ValueError, match="num_items must be at least 1, got 0"):
        read(path, "irecgan-text", num_items=0, on_error="raise")


def test_a_file_of_the_authors_simulator(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("0;0;0;;0\n0;0;7;7,2,10;0\n0;4;2;2,3;1\n1;0;0;;0\n2;0;0;;0\n2;9;3;3,7;0\n")
    sessions, report = read(path, "irecgan-text")
    assert sessions.item_names == ("2", "3", "7", "10")
    assert sessions.clicks.tolist() == [2, 0, 1]
    assert sessions.states.tolist() == [0, 4, 9]
    assert report.rows_left_out == {"start rows": 3}
    assert report.sessions_left_out == {"sessions of a start row alone": 1}
    assert read(path, "irecgan-text", reward="purchase").sessions.rewards.tolist() == [0, 1, 0]
    leaving = Sessions.from_columns(
        num_items=4, lengths=[2, 1], slates=[[0, 1], [2, 3], [1, 2]], clicks=[1, 4, 2], rewards=[2, 0, 0]
    )
    write_irecgan_text(leaving, path)
    assert path.read_text() == "0;0;0;;0\n0;0;1;0,1;0\n1;0;0;;0\n"


TIMES = {
    "numbers": ["10", "9.5", "11"],
    "texts": ["2019-03-01T10:00:00", "2019-03-01 09:59:59.5Z", "2019-03-01T12:00:00+01:00"],
}


@pytest.mark.parametrize("kind", TIMES)
def test_steps_are_ordered_by_time_only_when_asked(tmp_path, kind):
    path = tmp_path / "log.csv"
    lines = [f"s,x|y|z,{item},{time}" for item, time in zip("xyz", TIMES[kind], strict=True)]
    path.write_text("\n".join(["session,slate,click,when", *lines, f"t,x|y,,{TIMES[kind][0]}"]) + "\n")
    columns = TableColumns(time="when")
    with pytest.raises(ValueError, match=r"log\.csv, line 3: unordered time: session s is at .*, this step at"):
        read(path, "table", columns=columns, on_error="raise")
    sessions, report = read(path, "table", columns=columns, sort=True)
    assert names(sessions, sessions.clicks[:3]) == ["y", "x", "z"]
    assert report.rows_used == 4
    with pytest.raises(ValueError, match="sort=True needs a time column"):
        read(path, "table", sort=True, on_error="raise")


def test_a_list_without_a_click_does_not_end_a_session(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("session,slate,click,time\ns,x|y,,3\ns,x|y,x,1\ns,x|y,y,4\ns,x|y,y,2\nt,x|y,x,1\nt,x|y,,2\n")
    for on_error in ("repair", "skip", "raise"):
        sessions, report = read(path, "table", columns=TableColumns(time="time"), sort=True, on_error=on_error)
        assert sessions.clicks.tolist() == [0, 1, 2, 1, 0, 2]
        assert sessions.skipped.tolist() == [False, False, True, False, False, False]
        assert report.rows_used == report.rows_read == 6


def test_empty_cells_of_tables(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("session,slate,click,r,u\na,x|y,x,1,\nb,x|y,y,2,\nc,x|y,,,ann\nd,x|y,x,3,ann\n")
    sessions = read(path, "table", columns=TableColumns(reward="r", user="u")).sessions
    assert sessions.users.tolist() == [-1, -1, 0, 0]
    assert sessions.user_names == ("ann",)
    assert sessions.rewards.tolist() == [1, 2, 0, 3]
    path.write_text("session,slate,click,r\na,x|y,x,\n")
    with pytest.raises(
        ValueError, match=r"log\.csv, line 2: wrong type: reward must be a number where there is a click"
    ):
        read(path, "table", columns=TableColumns(reward="r"), on_error="raise")
    for options in ({"separator": ""}, {"delimiter": ""}, {"delimiter": "::"}):
        with pytest.raises(ValueError, match="separator must not be empty and delimiter one character"):
            read(path, "table", **options, on_error="raise")


def test_numbers_times_and_unknown_propensities_in_parquet(tmp_path):
    rows = {
        "session": [1, 1, 2],
        "slate": [[10, 20], [20, 30], [30, 10]],
        "click": [20, 20, 10],
        "propensity": [0.5, float("nan"), None],
        "time": pa.array([2_000_000_001, 2_000_000_003, 5], pa.timestamp("ns")),
    }
    pq.write_table(pa.table(rows), tmp_path / "log.parquet", row_group_size=2)
    columns = TableColumns(propensity="propensity", time="time", user="session")
    sessions, _ = read(tmp_path / "log.parquet", "table", columns=columns)
    assert sessions.item_names == ("10", "20", "30")
    assert sessions.users.tolist() == [0, 1]
    assert np.isnan(sessions.propensities).tolist() == [False, True, True]


def test_csv_and_parquet_tables_are_the_same(tmp_path):
    rows = {
        "who": ["u", "u", "v"],
        "visit": ["s", "s", "t"],
        "list": [["x", "y"], ["y", "z"], ["w", "x"]],
        "choice": ["y", None, "w"],
        "gain": [2.5, 0.0, 1.0],
        "chance": [0.5, None, 0.25],
    }
    pq.write_table(pa.table(rows), tmp_path / "log.parquet")
    lines = ["who,visit,list,choice,gain,chance"]
    for who, visit, shown, choice, gain, chance in zip(*rows.values(), strict=True):
        lines.append(f"{who},{visit},{'|'.join(shown)},{choice or ''},{gain},{'' if chance is None else chance}")
    (tmp_path / "log.csv").write_text("\n".join(lines) + "\n")
    columns = TableColumns("visit", "list", "choice", reward="gain", propensity="chance", user="who")
    for name in ("log.csv", "log.parquet"):
        sessions, report = read(tmp_path / name, "table", columns=columns)
        assert sessions.item_names == ("x", "y", "z", "w")
        assert sessions.clicks.tolist() == [1, 4, 3]
        assert sessions.rewards.tolist() == [2.5, 0, 1]
        np.testing.assert_array_equal(sessions.propensities, np.array([0.5, np.nan, 0.25], dtype=np.float32))
        assert sessions.users.tolist() == [0, 1]
        assert (report.rows_read, report.rows_used) == (3, 3)


def test_millions_of_items_are_no_burden(tmp_path):
    path = tmp_path / "log.csv"
    slates = np.arange(2_000_000).reshape(-1, 50)
    rows = [f"{number // 4},{'|'.join(map(str, slate))},{slate[3]}" for number, slate in enumerate(slates)]
    path.write_text("session,slate,click\n" + "\n".join(rows) + "\n")
    sessions = read(path, "table").sessions
    assert sessions.num_items == 2_000_000
    assert len(sessions) == 10_000


def test_the_command_reports_and_saves(tmp_path, capsys):
    path = tmp_path / "train.csv"
    path.write_text(challenge(click("a", 1, 1), click("a", 2, 9), click("a", 3, 3)))
    assert main(["recsys-challenge-2019", str(path), "--on-error", "raise"]) == 2
    assert "error: train.csv, line 3: click not in slate" in capsys.readouterr().err
    out = tmp_path / "sessions.parquet"
    assert main(["recsys-challenge-2019", str(path), "--on-error", "skip", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "1  malformed rows skipped: click not in slate" in printed
    assert "num sessions" in printed
    assert Sessions.load(out).num_steps == 2
    table = tmp_path / "log.csv"
    table.write_text("visit;slate;click\n1;a/b;a\n")
    options = ["--session-column", "visit", "--separator", "/", "--delimiter", ";"]
    assert main(["table", str(table), *options]) == 0


def test_the_command_says_in_one_line_what_is_wrong(tmp_path, capsys):
    path = tmp_path / "log.csv"
    path.write_text("session\tslate\tclick\twhen\na\tx|y\tx\t2\na\tx|y\ty\t1\n")
    for arguments, message in (
        (["table", str(tmp_path / "none.csv")], "no such file"),
        (["table", str(path)], "log.csv, line 1: column 'session' is missing"),
        (["table", str(path), "--delimiter", "tab"], "delimiter one character, got '|', 'tab'"),
        (
            ["table", str(path), "--delimiter", r"\t", "--time-column", "when", "--on-error", "raise"],
            "log.csv, line 3: unordered time",
        ),
        (["table", str(path), "--delimiter", r"\t", "--min-length", "3"], "no session is left to read: 2 rows read; 2"),
        (["irecgan-text", str(path), "--on-error", "raise"], "log.csv, line 1: wrong number of cells"),
        (["cikm-cup-2016", str(tmp_path)], "no such file"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert message in error
        assert error.count("\n") == 1
    assert main(["table", str(path), "--delimiter", r"\t", "--time-column", "when", "--sort"]) == 0
    assert main(["table", str(path), "--delimiter", r"\t", "--out", str(path / "below" / "a file")]) == 2


def test_the_command_runs_without_torch(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("0;0;0;;0\n0;0;7;7,2;0\n")
    code = "import sys; sys.modules['torch'] = None; from irecgan_gym.readers.__main__ import main; sys.exit(main())"
    arguments = [sys.executable, "-c", code, "irecgan-text", str(path), "--num-items", "50"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert "num items                         50" in done.stdout


def test_the_challenges_prices_devices_and_kinds_of_events(tmp_path):
    header = "user_id,session_id,timestamp,step,action_type,reference,platform,device,impressions,prices"
    rows = [
        "u,a,100,1,interaction item image,7,DE,mobile,,",
        "u,a,130,2,interaction item info,2,DE,mobile,,",
        "u,a,140,3,clickout item,2,DE,mobile,1|2|1|3,50|60|55|70",
        "u,a,150,4,clickout item,3,DE,,3|4,80",
        "u,b,100,1,clickout item,3,DE,desktop,3|4,80|x",
        "u,b,110,2,search for item,4,DE,desktop,,",
        "u,b,120,3,clickout item,4,DE,desktop,4|3,30|20.5",
    ]
    path = tmp_path / "train.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    sessions, report = read(path, "recsys-challenge-2019")
    features = sessions.features
    np.testing.assert_array_equal(
        features.entries["price"].values,
        np.array([50, 60, 70, np.nan, np.nan, np.nan, np.nan, 30, 20.5], dtype=np.float32),
    )
    assert features.steps["device"].categories == ("mobile", "desktop")
    assert features.steps["device"].values.tolist() == [0, -1, 1, 1]
    assert features.events["seconds"].values.tolist() == [40, 10, 10]
    kinds = ("interaction item image", "interaction item info", "search for item")
    assert features.events["action"].categories == kinds
    assert features.events["action"].values.tolist() == [0, 1, 2]
    assert "2 lists do not have one price for each hotel: none is known" in report.notes
    path.write_text("\n".join([header.partition(",platform")[0] + ",impressions", "u,a,1,1,clickout item,1,1|2"] * 1))
    assert read(path, "recsys-challenge-2019", min_length=1).sessions.features.steps == {}
