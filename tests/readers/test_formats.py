"""What each format becomes."""

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
    assert sessions.users.tolist() == [0, 2]
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
        read(folder, "cikm-cup-2016")
    report = read(folder, "cikm-cup-2016", on_error="skip").report
    assert sum(report.malformed_rows.values()) == 1


def test_cikm_malformed_queries(tmp_path):
    queries = [*CIKM_QUERIES, (5, 13, 1, 0, "2,6", "FALSE"), (6, 14, 1, 0, "", "FALSE"), (7, 14, 1, 0, "1", "maybe")]
    folder = cikm_folder(tmp_path, queries, ["5;10;6", "5;20;2"], [])
    with pytest.raises(ValueError, match=r"train-queries\.csv, line 7: duplicate key: query '5'"):
        read(folder, "cikm-cup-2016")
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
    slates = np.arange(1_000_000).reshape(-1, 50)
    rows = [f"{number // 4},{'|'.join(map(str, slate))},{slate[3]}" for number, slate in enumerate(slates)]
    path.write_text("session,slate,click\n" + "\n".join(rows) + "\n")
    sessions = read(path, "table").sessions
    assert sessions.num_items == 1_000_000
    assert len(sessions) == 5000
    sessions.save(tmp_path / "log.parquet")
    assert Sessions.load(tmp_path / "log.parquet").item_names == sessions.item_names


def test_the_command_reports_and_saves(tmp_path, capsys):
    path = tmp_path / "train.csv"
    path.write_text(challenge(click("a", 1, 1), click("a", 2, 9), click("a", 3, 3)))
    assert main(["recsys-challenge-2019", str(path)]) == 2
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
