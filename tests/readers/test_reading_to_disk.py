"""Logs read to disk, bucket by bucket, hold what they hold when they are read into memory, row for row."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from irecgan_gym.readers import (
    ImpressionColumns,
    ReaderError,
    TableColumns,
    TableFeatures,
    read,
    read_to_disk,
)
from irecgan_gym.readers.__main__ import main
from irecgan_gym.readers.report import NoSessionsError
from irecgan_gym.readers.session_buckets import SessionBuckets
from irecgan_gym.sessions import Catalogue
from irecgan_gym.sessions.dataset import SessionDataset
from tests.readers.test_table_batches import COLUMNS, HEADER, rows


def stories(sessions):
    """Each session as what happened in it, by the names of items and users; in an order of their own."""
    names = [*(sessions.item_names or ()), "nothing"]
    entries, steps = sessions.features.entries, sessions.features.steps
    told = []
    for session in range(len(sessions)):
        first, end = sessions.offsets[session : session + 2]
        user = None if sessions.users is None or sessions.users[session] < 0 else int(sessions.users[session])
        who = None if user is None else sessions.user_names[user] if sessions.user_names else user
        story = [who, bool(sessions.truncated[session])]
        for step in range(first, end):
            shown = slice(*sessions.slate_offsets[step : step + 2])
            story += [
                [names[item] for item in sessions.slate_items[shown]],
                names[sessions.clicks[step]],
                float(sessions.rewards[step]),
                None if sessions.times is None else float(sessions.times[step]),
                None if sessions.propensities is None else repr(sessions.propensities[step]),
                {name: texts(column)[shown] for name, column in entries.items()},
                {name: texts(column)[step] for name, column in steps.items()},
                {name: repr(values[shown].tolist()) for name, values in sessions.labels.items()},
            ]
        told.append(repr(story))
    return sorted(told)


def texts(column):
    """Values of a feature, categories by name."""
    values = column.values.tolist()
    if column.categories is None:
        return [repr(value) for value in values]
    return [[*column.categories, None][value] for value in values]


def account(report):
    """Numbers of a report; which of the rows are shown of each kind depends on the order."""
    return (
        report.rows_read,
        report.rows_used,
        report.malformed_rows,
        report.rows_left_out,
        report.repairs_made,
        report.sessions_left_out,
        sorted(report.notes),
    )


def sessions_of(reader):
    """Sessions and report, or None and the report where no session is left."""
    try:
        return reader()
    except NoSessionsError as error:
        return None, error.report


@settings(max_examples=60, deadline=None)
@given(lines=rows())
def test_any_table_gives_the_same_sessions_and_the_same_account(tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("log")
    half = len(lines) // 2
    for number, part in enumerate((lines[:half], lines[half:])):
        (folder / f"part-{number}.csv").write_bytes("\n".join([HEADER, *part, ""]).encode("latin-1", "replace"))
    options = {"columns": COLUMNS, "max_malformed": 1.0, "min_length": 2, "max_gap": 30.0}
    disk = folder.parent / f"{folder.name}-disk"
    sessions, report = sessions_of(lambda: read(folder, "table", **options))
    dataset, on_disk = sessions_of(lambda: read_to_disk(folder, "table", disk, buckets=5, **options))
    assert account(on_disk) == account(report)
    assert (dataset is None) == (sessions is None)
    if dataset is not None:
        assert stories(dataset.load()) == stories(sessions)
        assert set(dataset.catalogue.names) == set(sessions.item_names)


@pytest.fixture
def shop(tmp_path, rng):
    """A log in parts of Parquet, its sessions spread over them, one of them of other types."""
    number = np.arange(600)
    slates = [[f"sku-{item}" for item in rng.permutation(30)[:4]] for _ in number]
    table = pa.table(
        {
            "session": rng.integers(100, 180, 600),
            "slate": slates,
            "click": [
                slate[where] if where < 4 else None
                for slate, where in zip(slates, rng.integers(5, size=600), strict=True)
            ],
            "time": number,
            "price": [[str(price) for price in rng.integers(1, 9, 4)] for _ in number],
            "query": ["12" if step != 77 else "red shoes" for step in number],
            "bought": rng.integers(2, size=(600, 4)).tolist(),
            "unused": number,
        }
    )
    folder = tmp_path / "shop"
    for part in range(6):
        rows_of_part = table.slice(100 * part, 100)
        if part == 3:
            texts_of_sessions = pa.array([str(value) for value in rows_of_part["session"].to_pylist()])
            rows_of_part = rows_of_part.set_column(0, "session", texts_of_sessions)
        place = folder / f"day={part}"
        place.mkdir(parents=True)
        pq.write_table(rows_of_part, place / "part.parquet")
    return folder


SHOP = {
    "columns": TableColumns(time="time", reward=None),
    "features": TableFeatures(entries=("price",), steps=("query", "day"), labels=("bought",), categories=("day",)),
}


def test_sessions_spread_over_files_of_other_types_are_whole(shop, tmp_path):
    sessions, report = read(shop, "table", **SHOP)
    dataset, on_disk = read_to_disk(shop, "table", tmp_path / "disk", buckets=7, **SHOP)
    assert len(dataset) == len(sessions) == 80
    assert stories(dataset.load()) == stories(sessions)
    assert account(on_disk) == account(report)
    assert on_disk.columns_not_used == ("unused",)
    # A text in one row of all makes a category of it in all buckets.
    assert dataset.features.steps["query"].categories is not None
    assert dataset.features.entries["price"].categories is None
    again = SessionDataset.open(tmp_path / "disk")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["disk", "shop"]
    assert len(again) == 80


def test_rows_of_items_shown_are_read_to_disk(tmp_path, rng):
    number = np.arange(900)
    table = pa.table(
        {
            "session": [f"s{(row // 3) % 40}" for row in number],
            "step": number // 3,
            "item": [f"item {item}" for item in rng.integers(20, size=900)],
            "click": (number % 3 == 1).astype(np.int64),
            "position": number % 3,
            "time": (number // 3).astype(np.float64),
            "price": rng.random(900),
        }
    )
    options = {"columns": ImpressionColumns(position="position", time="time"), "features": TableFeatures(("price",))}
    sessions, report = read(table, "impressions", **options)
    dataset, on_disk = read_to_disk(table, "impressions", tmp_path / "disk", buckets=3, **options)
    assert stories(dataset.load()) == stories(sessions)
    assert account(on_disk) == account(report)


def test_items_of_a_known_catalogue_keep_their_numbers(shop, tmp_path):
    known = Catalogue.of([f"sku-{item}" for item in range(29, 4, -1)])
    closed, report = read_to_disk(shop, "table", tmp_path / "closed", buckets=4, catalogue=known, **SHOP)
    assert closed.catalogue.names == known.names
    assert account(report) == account(read(shop, "table", catalogue=known, **SHOP).report)
    extended, _ = read_to_disk(shop, "table", tmp_path / "extended", catalogue=known, extend=True, **SHOP)
    assert extended.catalogue.names[:25] == known.names
    assert extended.num_items == 30


def broken(shop, share):
    """Give a part rows that are malformed."""
    path = shop / "day=5" / "part.parquet"
    table = pq.ParquetFile(path).read()
    clicks = table["click"].to_pylist()
    clicks[: int(share * 600)] = ["nothing that was shown"] * int(share * 600)
    pq.write_table(table.set_column(2, "click", pa.array(clicks)), path)


def test_a_log_of_too_many_malformed_rows_leaves_nothing_behind(shop, tmp_path):
    broken(shop, 0.05)
    _, report = read_to_disk(shop, "table", tmp_path / "disk", **SHOP)
    assert sum(report.malformed_rows.values()) == 30
    broken(shop, 0.15)
    (tmp_path / "empty").mkdir()
    for folder in ("another", "empty"):
        with pytest.raises(ReaderError, match=r"90 of 600 rows are malformed, more than max_malformed=0\.1 allows"):
            read_to_disk(shop, "table", tmp_path / folder, **SHOP)
    with pytest.raises(ReaderError, match="on_error='repair' leaves such rows out"):
        read_to_disk(shop, "table", tmp_path / "another", on_error="raise", **SHOP)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["disk", "empty", "shop"]
    assert not any((tmp_path / "empty").iterdir())


def test_times_in_no_order_are_refused_as_in_memory(shop, tmp_path, rng):
    table = read_parts(shop).drop_columns(["time"])
    table = table.append_column("time", pa.array(rng.random(600)))
    for reader in (lambda: read(table, "table", **SHOP), lambda: read_to_disk(table, "table", tmp_path / "d", **SHOP)):
        with pytest.raises(ReaderError, match="sort=True puts them in the order of time"):
            reader()
    dataset, _ = read_to_disk(table, "table", tmp_path / "d", sort=True, **SHOP)
    assert stories(dataset.load()) == stories(read(table, "table", sort=True, **SHOP).sessions)


def read_parts(folder):
    """All rows as one table, with the folder's day as a column."""
    parts = []
    for part in sorted(folder.rglob("*.parquet")):
        table = pq.ParquetFile(part).read()
        table = table.set_column(0, "session", pa.array([str(value) for value in table["session"].to_pylist()]))
        parts.append(table.append_column("day", pa.array([part.parent.name[-1]] * 100)))
    return pa.concat_tables(parts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "mind"}, "format must be 'table' or 'impressions', got 'mind'"),
        ({"buckets": 0}, "buckets must be from 1 to 512, files that are open at a time, got 0"),
        ({"buckets": 1.5}, "buckets must be"),
        ({"sessions_a_part": 0}, "sessions_a_part must be at least 1, got 0"),
        ({"max_malformed": 2}, "max_malformed must be a share from 0 to 1, got 2"),
        ({"columns": ImpressionColumns()}, "columns must be"),
        ({"max_gap": -1.0}, "max_gap must be a positive number of seconds"),
        ({"columns": TableColumns(reward=None), "sort": True}, "sort=True needs a time column"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_rows_are_read(shop, tmp_path, options, message, monkeypatch):
    monkeypatch.setattr(SessionBuckets, "add", None)
    settings_of = {**SHOP, "format": "table", **options}
    with pytest.raises((ValueError, TypeError), match=message):
        read_to_disk(shop, folder=tmp_path / "disk", **settings_of)
    assert not (tmp_path / "disk").exists()


def test_a_folder_that_holds_something_is_left_as_it_is(shop, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "mine").write_text("mine")
    with pytest.raises(FileExistsError, match="is no empty folder"):
        read_to_disk(shop, "table", tmp_path / "disk", **SHOP)
    assert [file.name for file in (tmp_path / "disk").iterdir()] == ["mine"]


def test_the_command_reads_to_disk(shop, tmp_path, capsys):
    arguments = ["table", str(shop), "--time-column", "time", "--steps-features", "query", "--buckets", "3"]
    assert main([*arguments, "--on-disk", str(tmp_path / "disk")]) == 0
    printed = capsys.readouterr().out
    assert "600  rows in the sessions" in printed
    assert printed.endswith(f"written to {tmp_path / 'disk'}\n")
    assert len(SessionDataset.open(tmp_path / "disk")) == 80
    assert main([*arguments, "--on-disk", str(tmp_path / "disk")]) == 2
    assert "is no empty folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*arguments, "--on-disk", str(tmp_path / "more"), "--out", str(tmp_path / "sessions.parquet")])


@pytest.mark.parametrize("kind", ["polars", "categories", "pandas", "views", "texts"])
def test_data_frames_and_arrow_of_any_text_type_are_read_to_disk(kind, tmp_path):
    table = pa.table(
        {
            "session": ["a", "a", "b", "c"],
            "slate": [["x", "y"], ["y", "z"], ["x", "z"], ["z", "x"]],
            "click": ["x", None, "z", "x"],
            "reward": [1.0, None, 2.0, 0.5],
        }
    )
    log = table
    if kind in ("polars", "categories"):
        polars = pytest.importorskip("polars")
        log = polars.from_arrow(table)
        if kind == "categories":
            log = log.with_columns(polars.col("click", "session").cast(polars.Categorical))
    elif kind == "pandas":
        pytest.importorskip("pandas")
        log = table.to_pandas()
    elif kind == "views":
        if not hasattr(pa, "string_view") or tuple(map(int, pa.__version__.split(".")[:2])) < (18, 0):
            pytest.skip("this Arrow casts no views")
        views = pa.string_view()
        types = {"session": views, "slate": pa.list_(views), "click": views, "reward": pa.float64()}
        log = table.cast(pa.schema(types.items()))
    elif kind == "texts":
        log = table.set_column(1, "slate", pa.array(["x|y", "y|z", "x|z", "z|x"], pa.large_string()))
    options = {"columns": TableColumns(reward="reward")}
    dataset, report = read_to_disk(log, "table", tmp_path / "disk", buckets=2, **options)
    assert report.rows_used == 4
    assert stories(dataset.load()) == stories(read(table, "table", **options).sessions)
