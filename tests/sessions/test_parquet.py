"""Sessions on disk: the same when read back, and every damaged file refused."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irecgan_gym.sessions import Sessions, SessionsError
from tests.sessions.test_columns import COLUMNS, assert_same, sessions_of, with_everything


@pytest.mark.parametrize("seed", range(5))
def test_there_and_back(tmp_path, seed):
    path = tmp_path / "log.parquet"
    for sessions in (with_everything(seed), sessions_of(seed), with_everything(seed).select(slice(0, 0))):
        sessions.save(path)
        assert_same(Sessions.load(path), sessions)
    assert [file.name for file in tmp_path.iterdir()] == ["log.parquet"]


def test_other_programs_can_read_it(tmp_path):
    sessions = Sessions.from_columns(**COLUMNS, propensities=[np.nan, 0.5, 1], users=[7, 7], item_names=list("abcde"))
    sessions.save(tmp_path / "log.parquet")
    table = pq.read_table(tmp_path / "log.parquet")
    assert table.column_names == ["session", "slate", "click", "reward", "truncated", "propensity", "user"]
    assert table.column("session").to_pylist() == [0, 0, 1]
    assert table.column("slate").to_pylist() == COLUMNS["slates"]
    assert table.column("user").to_pylist() == [7, 7, 7]
    metadata = json.loads(table.schema.metadata[b"irecgan_gym"])
    assert isinstance(metadata.pop("checksum"), int)
    assert metadata == {
        "format_version": 1,
        "num_items": 5,
        "item_names": list("abcde"),
        "provenance": {},
    }


def test_sessions_rows_may_come_in_many_groups(tmp_path):
    sessions = with_everything(3)
    sessions.save(tmp_path / "log.parquet")
    table = pq.read_table(tmp_path / "log.parquet")
    pq.write_table(table, tmp_path / "groups.parquet", row_group_size=4)
    assert_same(Sessions.load(tmp_path / "groups.parquet"), sessions)


def test_provenance_that_json_cannot_hold_is_refused_and_the_old_file_stays(tmp_path):
    path = tmp_path / "log.parquet"
    first = with_everything(0)
    first.save(path)
    for value, message in ((np.int64(1), "cannot be saved as JSON"), ((1, 2), "not be the same after saving")):
        with pytest.raises(SessionsError, match=message):
            Sessions.from_columns(**COLUMNS, provenance={"seed": value}).save(path)
    assert_same(Sessions.load(path), first)
    assert len(list(tmp_path.iterdir())) == 1


def test_files_that_hold_no_sessions_are_refused(tmp_path):
    path = tmp_path / "log.parquet"
    with pytest.raises(FileNotFoundError, match="no such file"):
        Sessions.load(path)
    for content in (b"", b"no parquet"):
        path.write_bytes(content)
        with pytest.raises(SessionsError, match="is not a readable Parquet file"):
            Sessions.load(path)
    pq.write_table(pa.table({"session": [0]}), path)
    with pytest.raises(SessionsError, match=r"was not written by Sessions\.save"):
        Sessions.load(path)


HEADER = {"format_version": 1, "num_items": 5, "item_names": None, "provenance": {}}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"{", "metadata that are not JSON"),
        (b"\xff", "metadata that are not JSON"),
        (b"[]", "format version None, expected 1 to 4"),
        ({**HEADER, "format_version": 7}, "format version 7, expected 1 to 4: a later version"),
        ({**HEADER, "num_items": "5"}, "wrong or missing 'num_items'"),
        ({**HEADER, "checksum": 5}, "metadata that were damaged"),
        ({**HEADER, "num_items": 0}, "num_items must be an integer of at least 1"),
        ({**HEADER, "item_names": 7}, "wrong or missing 'item_names'"),
        ({**HEADER, "item_names": ["a"]}, "item_names has 1 entries for 5 items"),
        ({"format_version": 1, "num_items": 5, "item_names": None}, "wrong or missing 'provenance'"),
    ],
)
def test_wrong_metadata_are_refused(tmp_path, header, message):
    path = tmp_path / "log.parquet"
    Sessions.from_columns(**COLUMNS).save(path)
    metadata = header if isinstance(header, bytes) else json.dumps(header).encode()
    pq.write_table(pq.read_table(path).replace_schema_metadata({b"irecgan_gym": metadata}), path)
    with pytest.raises(SessionsError, match=rf"log\.parquet.*{message}"):
        Sessions.load(path)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("session", ["a", "a", "b"], "column 'session' must be integers"),
        ("session", [0.0, 0.0, 1.0], "column 'session' must be integers"),
        ("session", [0, None, 1], "column 'session' has 1 empty cells"),
        ("session", [-1, 0, 0], "number the sessions 0, 1, 2, ... in order, row 0 has -1"),
        ("session", [0, 2, 2], "row 1 has 2"),
        ("session", [0, 1, 0], "row 2 has 0"),
        ("slate", [[0, 1, None], [2, 3, 4], [4, 0, 1]], "column 'slate' has 1 empty cells"),
        ("slate", [None, [2, 3, 4], [4, 0, 1]], "column 'slate' has 1 empty cells"),
        ("slate", [["a"], ["b"], ["c"]], "column 'slate' must hold lists of integers, got list<"),
        ("slate", [1, 2, 3], "column 'slate' must hold lists of integers, got int64"),
        ("slate", [[0, 1], [], [4]], r"slate_lengths\[1\] is 0"),
        ("click", [99, 3, 4], r"clicks\[0\] is 99"),
        ("click", [2, 1, 4], r"session 0, step 1: click 1 is not in the slate \[2, 3, 4\]"),
        ("reward", [1.0, float("inf"), 0.0], r"rewards\[1\] is inf"),
        ("truncated", [True, False, True], "column 'truncated' must be the same in all rows of a session, row 1"),
        ("truncated", [1, 1, 0], "truncated must be booleans"),
    ],
)
def test_damaged_columns_are_refused(tmp_path, name, values, message):
    path = tmp_path / "log.parquet"
    Sessions.from_columns(**COLUMNS).save(path)
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(name), name, [values]), path)
    with pytest.raises(SessionsError, match=rf"log\.parquet: .*{message}"):
        Sessions.load(path)
    pq.write_table(table.append_column("other", [[1, 2, 3]]), path)
    with pytest.raises(SessionsError, match=r"log\.parquet: sessions have no column 'other'"):
        Sessions.load(path)
    pq.write_table(table.drop_columns([name]), path)
    with pytest.raises(SessionsError, match=rf"log\.parquet: there must be one column '{name}', among"):
        Sessions.load(path)


@settings(max_examples=150)
@given(st.data())
def test_a_damaged_file_is_never_taken_for_other_sessions(tmp_path_factory, data):
    """Pages have check sums; damage elsewhere is an error or leaves the sessions as they were."""
    path = tmp_path_factory.getbasetemp() / "damaged.parquet"
    sessions = with_everything(1)
    sessions.save(path)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(content[:place])
    else:
        content[place] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
    try:
        again = Sessions.load(path)
    except SessionsError:
        return
    names = ("offsets", "slate_offsets", "slate_items", "clicks", "rewards", "truncated")
    for name in (*names, "propensities", "states", "users", "event_offsets", "event_items", "times"):
        np.testing.assert_array_equal(getattr(again, name), getattr(sessions, name))
    assert (again.num_items, again.item_names) == (sessions.num_items, sessions.item_names)
    assert again.user_names == sessions.user_names
    assert again.provenance == sessions.provenance


def test_a_catalogue_of_a_million_items_comes_back(tmp_path):
    names = [f"hotel {number}" for number in range(1_000_000)]
    sessions = Sessions.from_columns(
        num_items=len(names), lengths=[1], slates=[[5, 999_999]], clicks=[999_999], rewards=[1], item_names=names
    )
    sessions.save(tmp_path / "log.parquet")
    again = Sessions.load(tmp_path / "log.parquet")
    assert again.item_names[-1] == "hotel 999999"
    assert again.clicks.tolist() == [999_999]
