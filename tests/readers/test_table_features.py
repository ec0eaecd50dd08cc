"""Features from columns of tables of steps, and from tables of items."""

import numpy as np
import pyarrow as pa
import pytest

from irecgan_gym.readers import ReaderError, TableColumns, TableFeatures, read, read_item_features
from irecgan_gym.readers.__main__ import main
from irecgan_gym.sessions import Catalogue, Sessions
from tests.sessions.test_session_features import told

FEATURES = TableFeatures(
    entries=("price", "label"), steps=("device", "hour"), users=("age", "zip"), categories=("zip",)
)
HEADER = "session,slate,click,price,label,device,hour,age,zip"
ROWS = [
    "b,x|y|x|z,y,1|2|9|3,s|t|u|s,web,7,30,01",  # An item twice: its first place counts.
    "a,x|y,x,5|6.5,s|,app,8,,02",
    "b,z|x,x,7|8,t|t,,,31,03",
    "a,y|x,,null|1,s|s,web,9,,02",
    "a,y|w,w,1|2|3,s|s,tv,9,,02",  # Three prices of two items.
    "a,|x|y|,y,|3|4|,|s|t|,tv,9,,02",  # Padded.
]


def check(sessions, report):
    names = np.array(sessions.item_names)
    assert [names[slate].tolist() for session in sessions for slate in session.slates] == [
        ["x", "y", "z"], ["z", "x"], ["x", "y"], ["y", "x"], ["y", "w"], ["x", "y"]
    ]  # fmt: skip
    features = sessions.features
    assert told(features.entries["price"]) == [1, 2, 3, 7, 8, 5, 6.5, None, 1, None, None, 3, 4]
    assert told(features.entries["label"]) == ["s", "t", "s", "t", "t", "s", None, "s", "s", "s", "s", "s", "t"]
    assert told(features.steps["device"]) == ["web", None, "app", "web", "tv", "tv"]
    assert told(features.steps["hour"]) == [7, None, 8, 9, 9, 9]
    assert told(features.users["age"]) == [30, None]
    assert told(features.users["zip"]) == ["01", "02"]
    assert "feature 'price': 1 lists have no value for each item, none is known" in report.notes


def test_columns_of_text(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("\n".join([HEADER, *ROWS]) + "\n")
    sessions, report = read(path, "table", features=FEATURES, padding=("",))
    check(sessions, report)
    assert report.columns_not_used == ()
    plain = read(path, "table").sessions
    assert not plain.features
    np.testing.assert_array_equal(plain.slate_items, sessions.slate_items)
    out = tmp_path / "log.parquet"
    options = ["--entries-features", "price", "--steps-features", "hour", "--users-features", "zip"]
    assert main(["table", str(path), *options, "--categories", "zip", "--out", str(out)]) == 0
    saved = Sessions.load(out)
    assert told(saved.features.users["zip"]) == ["01", "02"]
    assert told(saved.features.steps["hour"]) == [7, None, 8, 9, 9, 9]


def test_files_of_one_name_are_told_apart(tmp_path):
    for number, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "log.csv").write_text(f"session,slate,click,hour\n{folder},x|y,x,{number}\n")
    sessions = read(tmp_path, "table", features=TableFeatures(steps=("hour",))).sessions
    assert told(sessions.features.steps["hour"]) == [0, 1]


def test_columns_of_lists_and_of_many_rows():
    rng = np.random.default_rng(0)
    number = 5000
    slates = [rng.permutation(9)[:3].tolist() for _ in range(number)]
    prices = rng.normal(size=(number, 3)).astype(np.float32)
    table = pa.table(
        {
            "session": np.sort(rng.integers(0, 500, number))[rng.permutation(number)],
            "slate": slates,
            "click": [slate[1] for slate in slates],
            "row": np.arange(number),
            "price": prices.tolist(),
        }
    )
    wanted = TableFeatures(entries=("price",), steps=("row",))
    sessions = read(table, "table", columns=TableColumns(), features=wanted).sessions
    row = sessions.features.steps["row"].values.astype(int)
    assert sorted(row) == list(range(number))
    np.testing.assert_allclose(sessions.features.entries["price"].values.reshape(-1, 3), prices[row], rtol=1e-6)
    names = np.array(sessions.item_names).astype(int)
    np.testing.assert_array_equal(names[sessions.slate_items].reshape(-1, 3), np.array(slates)[row])


def test_columns_that_are_missing_are_refused(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("session,slate,click\na,x|y,x\n")
    with pytest.raises(ReaderError, match="column 'hour' is missing"):
        read(path, "table", features=TableFeatures(steps=("hour",)))
    with pytest.raises(ValueError, match="features must be a TableFeatures"):
        read(path, "table", features=["hour"])


CATALOGUE = Catalogue.of(["x", "y", "z"])


def test_tables_of_items(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("item,kind,price,zip\ny,flat,3.5,01\nw,tent,1,02\nx,,null,03\n")
    features = read_item_features(path, CATALOGUE, ["kind", "price", "zip"], categories=["zip"])
    assert {name: told(column) for name, column in features.items()} == {
        "kind": [None, "flat", None],
        "price": [None, 3.5, None],
        "zip": ["03", "01", None],
    }
    table = pa.table({"sku": ["z", "x"], "text": [[1.0, 2.0], [3.0, 4.0]]})
    text = read_item_features(table, CATALOGUE, ["text"], item="sku")["text"]
    assert told(text) == [[3, 4], None, [1, 2]]
    assert text.kind == "vector"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"item": ["x", "x"], "text": ["a", "b"]}, "Table: item 'x' has more than one row"),
        ({"item": ["x"], "kind": ["a"]}, "column 'text' is missing"),
        ({"item": ["x", "y"], "text": [[1.0], [1.0, 2.0]]}, r"has lists of \[1, 2\] numbers, expected one size"),
    ],
)
def test_wrong_tables_of_items_are_refused(table, message):
    with pytest.raises(ReaderError, match=message):
        read_item_features(pa.table(table), CATALOGUE, ["text"])
    with pytest.raises(ValueError, match="items are found in a catalogue by name"):
        read_item_features(pa.table(table), Catalogue(3), ["text"])


def test_labels_are_lists_beside_the_slates(tmp_path):
    rows = ["a,x|y|x|z,y|z,1|0|1|,true|false|true|2", "a,z|x,,0|0,", "b,y,y,1,3", "b,x|y,y,1,1|2"]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["session,slate,click,bought,seconds", *rows]) + "\n")
    wanted = TableFeatures(labels=("bought", "seconds"))
    sessions, report = read(path, "table", features=wanted)
    labels = {name: [None if x != x else x for x in values.tolist()] for name, values in sessions.labels.items()}
    assert labels == {
        "bought": [1, 0, None] * 2 + [0, 0, 1, None, None],
        "seconds": [1, 0, 2] * 2 + [None, None, 3, 1, 2],
    }
    assert "label 'bought': 1 lists have no value for each item, none is known" in report.notes
    # What other tools get of sessions is read again.
    again = read(sessions.to_arrow(), "table", columns=TableColumns(reward="reward"), features=wanted).sessions
    for name, values in sessions.labels.items():
        np.testing.assert_array_equal(again.labels[name], values)
