"""One row for each item shown: rows of a list are one step, and every row is accounted for."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from irecgan_gym.readers import ImpressionColumns, ReaderError, TableFeatures, read
from irecgan_gym.readers.__main__ import main
from irecgan_gym.sessions import Catalogue, Sessions
from irecgan_gym.sessions.lists import with_clicks_as_label
from tests.readers.test_formats import names
from tests.sessions.test_columns import assert_same
from tests.sessions.test_session_features import told as told_of

COLUMNS = ImpressionColumns(position="place", reward="paid", propensity="p", user="user", time="time")
HEADER = "session,step,item,click,place,paid,p,user,time"
ROWS = (
    "a,1,x,0,2,0,,u,10",
    "a,1,y,1,1,5,0.5,u,10",
    "b,1,y,false,1,,,NULL,7",
    "a,2,z,1,1,2,0.1,u,20",
    "b,1,z,,2,,,NULL,7",
    "a,2,x,True,2,3,0.2,u,21",
    "a,2,y,0,3,0,,u,22",
    "b,2,x,1.0,1,0,1,NULL,8",
)


def table(folder, *rows, columns=COLUMNS, **options):
    """Read rows with all columns."""
    path = folder / "log.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return read(path, "impressions", columns=columns, **options)


def test_rows_of_a_list_are_a_step(tmp_path):
    sessions, report = table(tmp_path, *ROWS)
    assert sessions.lengths.tolist() == [3, 2]
    shown = [names(sessions, slate) for session in sessions for slate in session.slates]
    assert shown == [["y", "x"], ["z", "x", "y"], ["z", "x", "y"], ["y", "z"], ["x"]]
    assert [names(sessions, [item])[0] if item < 3 else None for item in sessions.clicks] == ["y", "z", "x", None, "x"]
    assert sessions.skipped.tolist() == [False, False, False, True, False]
    assert sessions.rewards.tolist() == [5, 2, 3, 0, 0]
    assert [round(float(p), 3) if p == p else None for p in sessions.propensities] == [0.5, None, None, None, 1]
    assert sessions.times.tolist() == [10, 20, 20, 7, 8]
    assert sessions.users.tolist() == [0, -1]
    assert (report.rows_read, report.rows_used, report.malformed_rows) == (8, 8, {})


def test_without_positions_items_are_in_the_order_of_rows(tmp_path):
    columns = {"session": [1] * 4, "step": [2, 2, 1, 2], "item": [30, 10, 20, 20], "click": [False, True, True, False]}
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    sessions, report = read(tmp_path / "log.parquet", "impressions")
    assert [names(sessions, slate) for slate in sessions[0].slates] == [["30", "10", "20"], ["20"]]
    assert names(sessions, sessions.clicks) == ["10", "20"]
    assert report.rows_used == 4


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        (",1,x,0,2,0,,u,10", "no session", "session is None"),
        ("a,NULL,x,0,2,0,,u,10", "no step", "step is None"),
        ("a,1,,0,2,0,,u,10", "no item", "item is None"),
        ("a,1,q,maybe,2,0,,u,10", "wrong type", "click is 'maybe'"),
        ("a,1,q,0,,0,,u,10", "wrong type", "position is None"),
        ("a,1,q,1,2,many,,u,10", "wrong type", "reward is 'many'"),
        ("a,1,q,0,2,0,,u,soon", "wrong type", "time is 'soon'"),
        ("a,1", "wrong number of cells", "got 2, the header has 9"),
    ],
)
def test_a_malformed_row_takes_its_list_along(tmp_path, row, reason, detail):
    with pytest.raises(ReaderError, match=rf"log\.csv, line 10: {reason}: {detail}"):
        table(tmp_path, *ROWS, row, on_error="raise")
    sessions, report = table(tmp_path, *ROWS, row)
    assert report.malformed_rows == {reason: 1}
    known = row.startswith("a,1,")
    assert report.rows_left_out == ({"of lists with a malformed row": 2} if known else {})
    assert report.rows_used == (6 if known else 8)
    assert sessions.num_steps == (4 if known else 5)


def test_lists_that_cannot_be_are_counted_by_their_rows(tmp_path):
    rows = ("c,1,x,1,1,1,2.0,u,1", "c,1,y,0,2,0,,u,1", "c,2,x,1,1,1,,u,2", "c,2,x,1,2,1,,u,2", "c,2,y,0,3,0,,u,2")
    sessions, report = table(tmp_path, *ROWS, *rows)
    assert report.malformed_rows == {"wrong propensity": 2}
    assert report.repairs_made == {"slates that show an item twice: it counts at its first place": 1}
    assert sessions.lengths.tolist() == [3, 2, 1]
    assert report.rows_used == 11
    assert table(tmp_path, *ROWS, *rows, on_error="skip").report.malformed_rows == {
        "wrong propensity": 2,
        "repeated item": 3,
    }
    report = table(tmp_path, *ROWS, min_length=3).report
    assert report.rows_left_out == {"of sessions of fewer than 3 steps": 3}
    sessions, report = table(tmp_path, *ROWS, catalogue=Catalogue.of(["z", "y"]))
    assert report.rows_left_out == {"items that the catalogue does not have": 6}
    assert (report.rows_used, sessions.num_steps) == (2, 1)
    assert sessions.truncated.tolist() == [True]
    with pytest.raises(ReaderError, match="50 of 58 rows are malformed"):
        table(tmp_path, *ROWS, *(f"d,{step},x,1,1,1,7,u,{step}" for step in range(50)))


def test_rewards_without_clicks_are_told(tmp_path):
    report = table(tmp_path, *ROWS, "e,1,x,0,1,9,,u,1").report
    assert "1 rows have a reward and no click: sessions earn by clicks alone" in report.notes


def test_the_command_reads_impressions(tmp_path):
    path, out = tmp_path / "log.csv", tmp_path / "out.parquet"
    path.write_text("session;step;sku;click\n1;1;x;1\n1;1;y;0\n")
    assert main(["impressions", str(path), "--item-column", "sku", "--delimiter", ";", "--out", str(out)]) == 0
    assert Sessions.load(out).item_names == ("x", "y")
    for options in ({"sort": True}, {"max_gap": 5}, {"time_unit": "h"}):
        with pytest.raises(ValueError, match=r"sort=True needs|max_gap must be|time_unit must be"):
            read(path, "impressions", delimiter=";", **options)
    path.write_text("session,step,item,click\n")
    with pytest.raises(ReaderError, match=r"log\.csv is empty"):
        read(path, "impressions")


MORE_HEADER = "session,step,item,click,place,price,device,age,bought,seconds"
MORE_ROWS = (
    "a,1,x,1,2,5,web,30,true,1.5",
    "a,1,y,1,1,6,app,31,False,",
    "b,1,z,0,1,,tv,,0,NULL",
    "a,1,z,0,3,7,web,32,,soon",
    "b,1,x,1,2,8,tv,,1,9",
    "b,2,x,0,2,3,app,33,0,2",
    "b,2,y,1,1,4,web,34,0,3",
    "b,2,x,1,3,9,tv,35,1,4",
    "c,1,x,maybe,1,1,web,36,1,1",
    "c,1,y,0,2,1,web,36,1,1",
)
WANTED = TableFeatures(
    entries=("price",), steps=("device",), users=("age",), labels=("click", "bought", "seconds"), categories=("age",)
)


def test_features_and_labels_stand_in_the_rows_of_their_items(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("\n".join([MORE_HEADER, *MORE_ROWS]) + "\n")
    columns = ImpressionColumns(position="place")
    sessions, report = read(path, "impressions", columns=columns, features=WANTED)
    shown = [names(sessions, slate) for session in sessions for slate in session.slates]
    # An item that is shown twice counts at its first place, here the second of the list, with its largest label.
    assert shown == [["y", "x", "z"], ["y", "x", "z"], ["z", "x"], ["y", "x"], ["y", "x"]]
    assert names(sessions, sessions.clicks) == ["y", "x", "x", "y", "x"]
    features = sessions.features
    assert told_of(features.entries["price"]) == [6, 5, 7] * 2 + [None, 8] + [4, 3] * 2
    assert told_of(features.steps["device"]) == ["app", "app", "tv", "web", "web"]
    assert told_of(features.users["age"]) == ["31", None]
    labels = {name: [None if x != x else x for x in values.tolist()] for name, values in sessions.labels.items()}
    assert labels == {
        "click": [1, 1, 0] * 2 + [0, 1] + [1, 1] * 2,
        "bought": [0, 1, None] * 2 + [0, 1] + [0, 1] * 2,
        "seconds": [None, 1.5, None] * 2 + [None, 9] + [3, 4] * 2,
    }
    assert "label 'seconds': 2 values are no numbers, the first is 'soon': unknown" in report.notes
    assert report.columns_not_used == ()
    assert (report.rows_read, report.rows_used) == (10, 8)
    assert sessions.with_rewards_from("bought").rewards.tolist() == [0, 1, 1, 0, 1]
    # Without them, the sessions are the same.
    bare = read(path, "impressions", columns=columns).sessions
    assert_same(bare.with_features(**{s: features.of(s) for s in ("entries", "steps", "users")}), unlabelled(sessions))
    assert with_clicks_as_label(bare).labels["click"].tolist() == labels["click"]


def unlabelled(sessions):
    return Sessions.from_columns(**sessions.to_columns() | {"labels": None})


def test_lists_of_files_of_one_name_keep_their_own_labels(tmp_path):
    for number, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        pairs = [(step, place, item) for step in (0, 1) for place, item in enumerate("xy")]
        rows = [f"{folder},{step},{item},0,{10 * number + step + place}" for step, place, item in pairs]
        (tmp_path / folder / "log.csv").write_text("\n".join(["session,step,item,click,seconds", *rows]) + "\n")
    sessions = read(tmp_path, "impressions", features=TableFeatures(labels=("seconds",))).sessions
    assert sessions.labels["seconds"].tolist() == [0, 1, 1, 2, 10, 11, 11, 12]


def test_the_command_reads_labels(tmp_path):
    path, out = tmp_path / "log.csv", tmp_path / "out.parquet"
    path.write_text("\n".join([MORE_HEADER, *MORE_ROWS[:-2]]) + "\n")
    options = ["--position-column", "place", "--labels", "bought", "--entries-features", "price", "--out", str(out)]
    assert main(["impressions", str(path), *options]) == 0
    assert list(Sessions.load(out).labels) == ["bought"]
    assert list(Sessions.load(out).features.entries) == ["price"]
