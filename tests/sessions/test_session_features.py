"""Features of sessions: what is taken, and that it goes where its items, entries, steps, events and users go."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from irecgan_gym.sessions import Catalogue, CatalogueError, FeatureColumn, Sessions, SessionsError, concatenate
from irecgan_gym.sessions.leaving import with_leaving_step

COLUMNS = {
    "num_items": 4,
    "lengths": [2, 1],
    "slates": [0, 1, 2, 3, 3, 0],
    "slate_lengths": [2, 2, 2],
    "clicks": [1, 3, 0],
    "rewards": [0, 0, 1],
    "event_lengths": [1, 0, 2],
    "event_items": [2, 3, 1],
    "item_names": ["a", "b", "c", "d"],
}


def sessions():
    return Sessions.from_columns(**COLUMNS).with_features(
        items={"kind": ["hotel", "flat", None, "hotel"], "text": [[0, 1], [2, 3], [4, 5], [6, 7]]},
        entries={"price": [10, 20, 30, np.nan, 50, 60]},
        steps={"device": ["mobile", "", "desktop"]},
        events={"seconds": [5.0, 7.0, 1.0]},
        users={"age": [30, 40]},
    )


def told(column):
    """Values of a feature as Python has them, None where unknown."""
    values = column.values.tolist()
    if column.categories is not None:
        return [None if code < 0 else column.categories[code] for code in values]
    return [None if not known else value for known, value in zip(column.known, values, strict=True)]


def test_values_are_what_was_given():
    features = sessions().features
    assert told(features.items["kind"]) == ["hotel", "flat", None, "hotel"]
    assert told(features.items["text"]) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert told(features.entries["price"]) == [10, 20, 30, None, 50, 60]
    assert told(features.steps["device"]) == ["mobile", None, "desktop"]
    kinds = {scope: next(iter(getattr(features, scope).values())).kind for scope in ("items", "entries", "users")}
    assert kinds == {"items": "category", "entries": "number", "users": "number"}
    assert features.items["text"].kind == "vector"
    with pytest.raises(ValueError, match="read-only"):
        features.entries["price"].values[0] = 1


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"items": {"price": [1, 2, 3]}}, "feature 'price' has 3 values for 4 items"),
        ({"users": {"age": [1, 2, 3]}}, "feature 'age' has 3 values for 2 users"),
        ({"steps": {"": [1, 2, 3]}}, "features of steps need texts as names, got ''"),
        ({"steps": {"x": [1, np.inf, 3]}}, "feature 'x' is inf at 1, expected a finite number of 32 bits"),
        ({"steps": {"x": [1, 1e39, 3]}}, r"feature 'x' is 1e\+39 at 1"),
        ({"steps": {"x": ["a", 3, "b"]}}, "feature 'x' has 3 at 1, expected a text"),
        ({"steps": {"x": ["a", object(), "b"]}}, "feature 'x' has <object.*> at 1, expected a text"),
        ({"steps": {"x": [[1], [2, 3], [4]]}}, "feature 'x' must be one number, text or vector"),
        ({"steps": {"x": np.zeros((3, 2, 2))}}, r"must be numbers \[N\] or vectors \[N, D\], got shape \(3, 2, 2\)"),
        ({"steps": {"x": FeatureColumn(np.array([0, 2, 0]), ("a", "b"))}}, "has code 2 at 1, expected -1 to 1"),
        ({"steps": {"x": FeatureColumn(np.array([0, 1, 0]), ("a", "a"))}}, "must be different texts"),
    ],
)
def test_wrong_features_are_refused(features, message):
    with pytest.raises(SessionsError, match=message):
        Sessions.from_columns(**COLUMNS).with_features(**features)


def test_features_go_with_what_they_are_of():
    chosen = sessions().select([1, 0])
    features = chosen.features
    assert told(features.items["kind"]) == ["hotel", "flat", None, "hotel"]
    assert told(features.entries["price"]) == [50, 60, 10, 20, 30, None]
    assert told(features.steps["device"]) == ["desktop", "mobile", None]
    assert told(features.events["seconds"]) == [7, 1, 5]
    assert told(features.users["age"]) == [40, 30]
    longer = with_leaving_step(sessions()).features
    assert told(longer.entries["price"]) == [10, 20, 30, None, 30, None, 50, 60, 50, 60]
    assert told(longer.steps["device"]) == ["mobile", None, None, "desktop", "desktop"]
    assert told(longer.events["seconds"]) == [5, 7, 1]


def test_parts_join_by_name_of_item_and_of_category():
    other = Sessions.from_columns(**{**COLUMNS, "item_names": ["d", "e", "a", "b"]}).with_features(
        items={"kind": ["boat", "tent", None, "flat"], "text": np.ones((4, 2)), "new": [1, 2, 3, 4]},
        steps={"device": ["tablet", "mobile", "mobile"]},
        users={"age": [1, 2]},
    )
    joined = concatenate([sessions(), other])
    assert joined.item_names == ("a", "b", "c", "d", "e")
    features = joined.features
    # The first part that knows an item's feature says it; d is a hotel there.
    assert told(features.items["kind"]) == ["hotel", "flat", None, "hotel", "tent"]
    assert told(features.items["text"]) == [[0, 1], [2, 3], [4, 5], [6, 7], [1, 1]]
    assert told(features.steps["device"]) == ["mobile", None, "desktop", "tablet", "mobile", "mobile"]
    assert told(features.users["age"]) == [30, 40, 1, 2]
    assert list(features.items) == ["kind", "text"]
    assert not features.entries
    assert not features.events
    words = other.with_features(steps={"device": [1, 2, 3]})
    with pytest.raises(SessionsError, match="feature 'device' is of another kind in each part: category, number"):
        concatenate([sessions(), words])


def test_catalogues_have_the_features_of_their_items():
    catalogue = sessions().catalogue
    assert told(catalogue.features["kind"]) == ["hotel", "flat", None, "hotel"]
    larger = catalogue.extended(["e"])
    assert told(larger.features["kind"]) == ["hotel", "flat", None, "hotel", None]
    assert larger.features["text"].values.shape == (5, 2)
    moved = sessions().reindexed(Catalogue.of(["z", "d", "c", "b", "a"]))
    assert told(moved.features.items["kind"]) == [None, "hotel", None, "flat", "hotel"]
    with pytest.raises(CatalogueError, match="not in the catalogue: 'a'"):
        sessions().reindexed(Catalogue.of(["z", "d", "c", "b"]))
    named = Catalogue.of(["a", "b"]).with_features({"price": [1, 2]})
    assert told(named.features["price"]) == [1, 2]
    with pytest.raises(SessionsError, match="feature 'price' has 3 values for 2 items"):
        named.with_features({"price": [1, 2, 3]})


def test_tables_for_other_tools_have_them():
    table = sessions().to_arrow()
    assert table["price"].to_pylist() == [[10, 20], [30, None], [50, 60]]
    assert table["device"].to_pylist() == ["mobile", None, "desktop"]
    assert table["age"].to_pylist() == [30, 30, 40]
    assert table["seconds"].to_pylist() == [[5], [], [7, 1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda header: header.pop("features"), "describe the features"),
        (lambda header: header["features"]["steps"].pop("device"), "are in the metadata or in the columns alone"),
        (lambda header: header["features"]["steps"]["device"].update(categories=None), "cells of another kind"),
        (lambda header: header["features"]["entries"]["price"].update(width=2), "lists of other lengths"),
        (lambda header: header["features"]["items"]["kind"].update(values="?"), "features: "),
        (lambda header: header["features"]["items"]["kind"].update(values=""), "feature 'kind' has 0 values for 4"),
        (lambda header: header["features"]["items"]["kind"].update(categories=["hotel"]), "has code 1 at 1"),
        (lambda header: header.update(features=7), "do not describe the features"),
    ],
)
def test_files_whose_features_do_not_fit_are_refused(tmp_path, change, message):

    path = tmp_path / "log.parquet"
    sessions().save(path)
    table = pq.read_table(path)
    header = json.loads(table.schema.metadata[b"irecgan_gym"])
    del header["checksum"]
    change(header)
    pq.write_table(table.replace_schema_metadata({b"irecgan_gym": json.dumps(header)}), path)
    with pytest.raises(SessionsError, match=message):
        Sessions.load(path)
