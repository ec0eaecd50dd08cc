"""One log in every container: the same sessions, and places that can be looked up."""

import bz2
import gzip
import lzma
import sqlite3

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.dataset as ds
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from irecgan_gym.readers import ReaderError, TableColumns, read
from irecgan_gym.sessions import SessionsError
from tests.conftest import random_sessions

COLUMNS = TableColumns(reward="reward", user="user", time="time", propensity="propensity")
LOG = {
    "session": ["a", "a", "b", "c", "c"],
    "user": ["u", "u", None, "v", "v"],
    "time": [1, 2, 3, 4, 5],
    "slate": ["x|y", "y|z|w", "x|z", "w|x", "w|z"],
    "click": ["y", "w", "x", "x", None],
    "reward": [1.0, 0.5, 0.0, 2.0, None],
    "propensity": [0.5, None, 1.0, 0.25, None],
}
LISTS = {**LOG, "slate": [slate.split("|") for slate in LOG["slate"]]}


def columns_of(sessions):
    columns = sessions.to_columns()
    columns.pop("provenance")
    return repr({name: None if value is None else np.asarray(value).tolist() for name, value in columns.items()})


@pytest.fixture(scope="module")
def expected():
    return columns_of(read(pa.table(LISTS), "table", columns=COLUMNS).sessions)


def csv_text(delimiter=",", log=LOG):
    rows = zip(*log.values(), strict=True)
    lines = [delimiter.join(log), *(delimiter.join("" if cell is None else str(cell) for cell in row) for row in rows)]
    return "\n".join(lines) + "\n"


def test_what_is_expected_is_right(expected):
    sessions = read(pa.table(LISTS), "table", columns=COLUMNS).sessions
    assert sessions.item_names == ("x", "y", "z", "w")
    assert sessions.lengths.tolist() == [2, 1, 2]
    assert sessions.clicks.tolist() == [1, 3, 0, 0, 4]
    assert sessions.rewards.tolist() == [1, 0.5, 0, 2, 0]
    assert sessions.users.tolist() == [0, -1, 1]
    np.testing.assert_array_equal(sessions.propensities, [0.5, np.nan, 1, 0.25, np.nan])


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("log.csv", bytes),
        ("log.csv.gz", gzip.compress),
        ("log.csv.bz2", bz2.compress),
        ("log.csv.xz", lzma.compress),
        ("log.csv.zst", lambda data: pa.compress(data, codec="zstd", asbytes=True)),
    ],
)
def test_compressed_text_is_known_by_its_name_or_its_bytes(tmp_path, expected, name, pack):
    for file in (tmp_path / name, tmp_path / "log"):
        file.write_bytes(pack(csv_text().encode()))
        assert columns_of(read(file, "table", columns=COLUMNS).sessions) == expected


@pytest.mark.parametrize("suffix", ["bz2", "xz", "zst"])
def test_truncated_and_damaged_files_of_every_compression(tmp_path, suffix):
    pack = {
        "bz2": lambda data: bz2.compress(data, 1),
        "xz": lzma.compress,
        "zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
    }
    rng = np.random.default_rng(0)
    lines = [f"s{number},{rng.integers(1 << 60)}|x,x" for number in range(30_000)]
    whole = pack[suffix](("session,slate,click\n" + "\n".join(lines) + "\n").encode())
    path = tmp_path / f"log.csv.{suffix}"
    path.write_bytes(whole[: len(whole) // 2 + 40_000])
    with pytest.raises(ReaderError, match=rf"log\.csv\.{suffix}, line \d+: truncated file"):
        read(path, "table", on_error="raise")
    sessions, report = read(path, "table", on_error="skip")
    assert report.malformed_rows == {"truncated file": 1}
    assert 10_000 < sessions.num_steps == report.rows_read - 1 < 30_000
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ReaderError, match=rf"log\.csv\.{suffix}, line 1: not a sound \w+ file"):
        read(path, "table", on_error="raise")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("delimiter", [";", "\t", "¦"])
def test_delimiters_and_encodings(tmp_path, encoding, delimiter):
    log = {**LOG, "slate": ["café|y", "y|z|w", "café|z", "w|x", "w|z"], "click": ["café", "w", "z", "x", None]}
    path = tmp_path / "log.csv"
    path.write_bytes(csv_text(delimiter, log).encode(encoding))
    sessions = read(path, "table", columns=COLUMNS, delimiter=delimiter, encoding=encoding).sessions
    assert sessions.item_names == ("café", "y", "z", "w", "x")
    assert sessions.clicks.tolist() == [0, 3, 2, 4, 5]


def test_text_in_another_encoding_than_was_said(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes("session,slate,click\na,x|y,x\nb,café|y,y\n".encode("latin-1"))
    with pytest.raises(ReaderError, match=r"log\.csv, line 3: bad encoding: byte 0xe9 at 5 is not UTF-8"):
        read(path, "table", on_error="raise")
    path.write_bytes(b"session,slate,click\na,x|y,x\n" + b"b,\x81|y,y\n")
    with pytest.raises(ReaderError, match=r"log\.csv, line 3: bad encoding: byte 0x81 at 2 is not cp1252"):
        read(path, "table", encoding="cp1252", on_error="raise")
    with pytest.raises(ValueError, match="encoding must be one that Python knows, got 'latin-99'"):
        read(path, "table", encoding="latin-99")


@pytest.mark.parametrize("log", [LOG, LISTS], ids=["text", "lists"])
@pytest.mark.parametrize("name", ["log.parquet", "log.pq", "log", "log.snappy.parquet"])
def test_parquet_by_any_name(tmp_path, expected, name, log):
    pq.write_table(pa.table(log), tmp_path / name, row_group_size=2)
    assert columns_of(read(tmp_path / name, "table", columns=COLUMNS).sessions) == expected


def test_feather(tmp_path, expected):
    feather.write_feather(pa.table(LISTS), tmp_path / "log.feather")
    assert columns_of(read(tmp_path / "log.feather", "table", columns=COLUMNS).sessions) == expected
    (tmp_path / "log.arrow").write_bytes(b"ARROW1 and no more")
    with pytest.raises(ReaderError, match=r"log\.arrow is not a readable Arrow file"):
        read(tmp_path / "log.arrow", "table", columns=COLUMNS, on_error="raise")


def test_folders_and_patterns_of_parts(tmp_path, expected):
    """Spark's: parts of any number, empty ones among them, marks that are none of the data."""
    table = pa.table(LISTS)
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "_SUCCESS").touch()
    (folder / ".part-00000.parquet.crc").write_bytes(b"crc")
    pq.write_table(table.slice(0, 2), folder / "part-00000.snappy.parquet")
    (folder / "part-00001.csv").touch()
    pq.write_table(table.slice(2), folder / "part-00002.snappy.parquet")
    for source in (folder, str(folder), tmp_path / "l*" / "part-*", sorted(folder.glob("part-*"))[::2]):
        assert columns_of(read(source, "table", columns=COLUMNS).sessions) == expected
    rows = {**LISTS, "click": ["y", "w", "x", "q", None]}
    pq.write_table(pa.table(rows).slice(2), folder / "part-00002.snappy.parquet")
    with pytest.raises(ReaderError, match=r"part-00002\.snappy\.parquet, row 2: click not in slate"):
        read(folder, "table", columns=COLUMNS, on_error="raise")
    with pytest.raises(FileNotFoundError, match="no files to read in"):
        read(str(folder / "*.json"), "table")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no files to read in"):
        read(tmp_path / "empty", "table")


def test_parts_of_csv_each_have_their_own_header_and_lines(tmp_path, expected):
    lines = csv_text().splitlines(keepends=True)
    (tmp_path / "part-0.csv.gz").write_bytes(gzip.compress("".join(lines[:3]).encode()))
    (tmp_path / "part-1.csv").write_text("".join([lines[0], *lines[3:]]))
    assert columns_of(read(tmp_path, "table", columns=COLUMNS).sessions) == expected
    (tmp_path / "part-1.csv").write_text("".join([lines[0], *lines[3:], "d,w,9,x|x,x,1,\n"]))
    report = read(tmp_path, "table", columns=COLUMNS, on_error="skip", min_length=2).report
    assert report.first_places["repeated item"][0].startswith("part-1.csv, line 5: ")
    assert report.first_places["of sessions of fewer than 2 steps"] == ("part-1.csv, line 2",)
    (tmp_path / "part-1.csv").write_text("session\nd\n")
    with pytest.raises(ReaderError, match=r"part-1\.csv, line 1: column 'slate' is missing"):
        read(tmp_path, "table", columns=COLUMNS, on_error="raise")


def test_folders_that_are_columns(tmp_path, expected):
    table = pa.table(LISTS)
    for user in ("u", "__HIVE_DEFAULT_PARTITION__", "v"):
        folder = tmp_path / "log" / f"user={user}"
        folder.mkdir(parents=True)
        rows = table.filter(ds.field("user") == user) if len(user) == 1 else table.filter(ds.field("user").is_null())
        pq.write_table(rows.drop_columns("user"), folder / "part-0.parquet")
    sessions = read(tmp_path / "log", "table", columns=COLUMNS).sessions
    assert sorted(sessions.lengths.tolist()) == [1, 2, 2]
    assert len(set(sessions.users.tolist())) == 3
    names = {"session", "slate", "click", "reward", "time", "propensity", "user"}
    dataset = ds.dataset(tmp_path / "log", partitioning="hive")
    assert set(dataset.schema.names) == names
    by_dataset = read(dataset, "table", columns=COLUMNS).sessions
    assert sorted(by_dataset.lengths.tolist()) == [1, 2, 2]
    bad = pa.table({**LISTS, "click": ["q"] * 5}).slice(3).drop_columns("user")
    pq.write_table(bad, tmp_path / "log" / "user=v" / "part-0.parquet")
    for source in (tmp_path / "log", ds.dataset(tmp_path / "log", partitioning="hive")):
        with pytest.raises(ReaderError, match=r"^user=v/part-0\.parquet, row 1: click not in slate"):
            read(source, "table", columns=COLUMNS, on_error="raise")
    only = ds.dataset(tmp_path / "log", partitioning="hive").filter(ds.field("user") == "u")
    assert read(only, "table", columns=COLUMNS).sessions.num_steps == 2


def arrow_sources():
    table = pa.table(LISTS)
    yield "table", lambda: table
    yield "chunks", lambda: pa.concat_tables([table.slice(0, 1), table.slice(1)])
    yield "batch", lambda: table.to_batches()[0]
    yield "reader", lambda: pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=2))
    yield "dataset in memory", lambda: ds.dataset(table)
    yield "large types", lambda: pa.table({**LISTS, "click": pa.array(LOG["click"], pa.large_string())})
    yield "categories", lambda: pa.table({**LISTS, "click": pa.array(LOG["click"]).dictionary_encode()})
    yield "large lists", lambda: pa.table({**LISTS, "slate": pa.array(LISTS["slate"], pa.large_list(pa.string()))})
    yield "bytes", lambda: pa.table({**LISTS, "session": pa.array([b"a", b"a", b"b", b"c", b"c"])})


@pytest.mark.parametrize(
    ("name", "make"), list(arrow_sources()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_arrow(expected, name, make):
    assert columns_of(read(make(), "table", columns=COLUMNS).sessions) == expected


@pytest.mark.parametrize("log", [LOG, LISTS], ids=["text", "lists"])
def test_pandas_data_frames(expected, log):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(log)
    assert columns_of(read(frame, "table", columns=COLUMNS).sessions) == expected
    assert columns_of(read(frame.set_index(frame.index + 7), "table", columns=COLUMNS).sessions) == expected
    with pytest.raises(ReaderError, match="DataFrame, row 2: click not in slate: item 'q' is not in"):
        read(frame.assign(click=["y", "q", "x", "x", None]), "table", columns=COLUMNS, on_error="raise")


def test_numbers_as_pandas_holds_them():
    """Whole numbers with a gap are floating-point numbers there, times are of nanoseconds, columns of mixed types."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "session": [7, 7, 8],
            "slate": [[11, 12], [12, 13], [11, 13]],
            "click": [11.0, 12.0, np.nan],
            "user": [1.0, 1.0, np.nan],
            "time": pandas.to_datetime(["2026-01-01", "2026-01-02", "2026-01-01"]),
            "reward": [1, 2, np.nan],
            "page": ["a", 1, None],
        }
    )
    columns = TableColumns(user="user", time="time", reward="reward")
    sessions = read(frame, "table", columns=columns).sessions
    assert sessions.item_names == ("11", "12", "13")
    assert sessions.clicks.tolist() == [0, 1, 3]
    assert sessions.users.tolist() == [0, -1]
    by_page = read(frame.iloc[[0, 1]], "table", columns=TableColumns(session="page")).sessions
    assert by_page.lengths.tolist() == [1, 1]


def test_polars_data_frames(expected):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(LISTS)
    assert columns_of(read(frame, "table", columns=COLUMNS).sessions) == expected
    as_categories = frame.with_columns(polars.col("click").cast(polars.Categorical))
    assert columns_of(read(as_categories, "table", columns=COLUMNS).sessions) == expected


def test_queries_of_duckdb(tmp_path, expected):
    duckdb = pytest.importorskip("duckdb")
    pq.write_table(pa.table(LISTS), tmp_path / "log.parquet")
    query = f"select * from '{tmp_path / 'log.parquet'}'"
    with duckdb.connect() as connection:
        assert columns_of(read(connection.sql(query), "table", columns=COLUMNS).sessions) == expected
        assert columns_of(read(connection.execute(query), "table", columns=COLUMNS).sessions) == expected


def test_queries_of_any_database(expected):
    with sqlite3.connect(":memory:") as connection:
        connection.execute(f"create table log ({', '.join(LOG)})")
        connection.executemany(f"insert into log values ({', '.join('?' * len(LOG))})", zip(*LOG.values(), strict=True))
        cursor = connection.execute("select * from log order by time")
        assert columns_of(read(cursor, "table", columns=COLUMNS).sessions) == expected
        cursor = connection.execute("select *, case time when 1 then 1 else 'one' end as mixed from log")
        assert read(cursor, "table", columns=TableColumns(session="mixed")).sessions.lengths.tolist() == [1, 4]
    connection.close()


def test_what_is_no_container_is_named():
    for source in (7, {"session": ["a"]}, [], sqlite3.connect(":memory:").cursor()):
        with pytest.raises(TypeError, match=f"expected a path, .* got {type(source).__name__}"):
            read(source, "table")
    with pytest.raises(ReaderError, match="Table is empty"):
        read(pa.table(LISTS).slice(0, 0), "table", on_error="raise")
    with pytest.raises(ReaderError, match=r"^Table: column 'click' is missing, the file has \['session'\]"):
        read(
            pa.table({"session": ["a"], "slate": [["a"]]}).select(["session"]),
            "table",
            columns=TableColumns(slate="session"),
        )


@pytest.mark.parametrize(
    ("cell", "items"),
    [
        ("[1, 2]", ["1", "2"]),
        ("[1 2]", ["1", "2"]),
        ("[1|2]", ["1", "2"]),
        ("['1', '2']", ["1", "2"]),
        ('[""1"", ""2, 3""]', ["1", "2, 3"]),
        ("[1]", ["1"]),
        ("[1]|[2]", ["[1]", "[2]"]),
        ("[1|2", ["[1", "2"]),
    ],
)
def test_list_literals_are_lists(tmp_path, cell, items):
    path = tmp_path / "log.csv"
    path.write_text(f'session,slate,click\na,"{cell}",{items[0]}\n')
    assert list(read(path, "table").sessions.item_names) == items


@pytest.mark.parametrize("cell", ["[[1, 2], 3]", "['1', 2", "['1', {2: 3}]", "[]", "['1' '2', [3]]", "['1, 2]"])
def test_what_looks_like_a_list_and_is_none_is_refused_by_name(tmp_path, cell):
    path = tmp_path / "log.csv"
    path.write_text(f'session,slate,click\na,"{cell}",1\n')
    with pytest.raises(ReaderError, match=r"log\.csv, line 2: (no slate: slate must be a list of items|click not in)"):
        read(path, "table", on_error="raise")


@pytest.mark.parametrize("named", [True, False])
def test_there_and_back_again(named):
    rng = np.random.default_rng(0)
    sessions = random_sessions(rng)
    if not named:
        sessions = type(sessions).from_columns(**{**sessions.to_columns(), "item_names": None})
    table = sessions.to_arrow()
    assert table.num_rows == sessions.num_steps
    columns = TableColumns(reward="reward", user="user" if sessions.users is not None else None)
    back = read(table, "table", columns=columns).sessions
    names = sessions.item_names or tuple(map(str, range(sessions.num_items)))
    for first, second in zip(sessions, back, strict=True):
        shown = [[back.item_names[item] for item in slate] for slate in second.slates]
        assert shown == [[names[item] for item in slate] for slate in first.slates]
        np.testing.assert_array_equal(first.rewards, second.rewards)
        left = [click == back.num_items for click in second.clicks]
        assert left == [click == sessions.num_items for click in first.clicks]
    if sessions.users is not None:
        same = np.unique(sessions.users, return_inverse=True)[1], np.unique(back.users, return_inverse=True)[1]
        assert len(set(zip(*map(np.ndarray.tolist, same), strict=True))) == len(set(same[0].tolist()))


def test_to_pandas():
    pytest.importorskip("pandas")
    sessions = read(pa.table(LISTS), "table", columns=COLUMNS).sessions
    frame = sessions.to_pandas()
    assert [list(slate) for slate in frame["slate"]] == LISTS["slate"]
    assert frame["click"].tolist()[:4] == ["y", "w", "x", "x"]
    assert frame["click"].isna().tolist() == [False, False, False, False, True]
    back = read(frame, "table", columns=TableColumns(reward="reward", user="user", propensity="propensity")).sessions
    assert columns_of(back).replace("'users'", "") != ""
    np.testing.assert_array_equal(back.clicks, sessions.clicks)
    np.testing.assert_array_equal(back.propensities, sessions.propensities)


def test_csv_that_arrow_writes_is_read(tmp_path, expected):
    pcsv.write_csv(pa.table(LOG), tmp_path / "log.csv")
    assert columns_of(read(tmp_path / "log.csv", "table", columns=COLUMNS).sessions) == expected
    (tmp_path / "log.csv").write_text(csv_text().splitlines()[0] + "\n")
    with pytest.raises(SessionsError, match="no session is left to read: 0 rows read"):
        read(tmp_path / "log.csv", "table", columns=COLUMNS)


def test_slices_of_a_table_are_read_as_they_are(expected):
    """Cells that are none, or no numbers, lie before and within the slice; Arrow keeps those before in its memory."""
    before = pa.table(
        {
            "session": ["nobody"] * 3,
            "user": ["", " ", "somebody else"],
            "time": ["2026-01-31T08:00:00Z", "", "none"],
            "slate": ["a long list|of others"] * 3,
            "click": ["", "NULL", "of others"],
            "reward": ["many", "", "inf"],
            "propensity": ["", "2e-2", "nan"],
        }
    )
    texts = {name: [None if cell is None else str(cell) for cell in cells] for name, cells in LOG.items()}
    texts["reward"][-1], texts["user"][2], texts["propensity"][1] = " ", "", "nan"
    both = pa.concat_tables([before, pa.table(texts)]).combine_chunks()
    assert columns_of(read(both.slice(3), "table", columns=COLUMNS).sessions) == expected
    batch = both.to_batches()[0].slice(3)
    assert columns_of(read(batch, "table", columns=COLUMNS).sessions) == expected
