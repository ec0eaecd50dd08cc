"""Sessions on disk: the same as in memory, whatever is asked of them."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.dataset as ds
import pytest

from irecgan_gym.sessions import Sessions, SessionsError, concatenate
from irecgan_gym.sessions.dataset import SessionDataset, in_memory
from tests.sessions.test_columns import assert_same, sessions_of, with_everything


@pytest.fixture
def sessions():
    """Sessions with all columns, of users with and without names."""
    return concatenate([with_everything(seed) for seed in range(4)])


@pytest.fixture
def dataset(tmp_path, sessions):
    return SessionDataset.write(tmp_path / "log", sessions, sessions_a_part=7)


def test_there_and_back(dataset, sessions):
    assert (len(dataset), dataset.num_steps, dataset.slate_size) == (48, sessions.num_steps, sessions.slate_size)
    assert dataset.part_sizes.tolist() == [7, 7, 7, 7, 7, 7, 6]
    assert_same(in_memory(dataset), sessions)
    assert in_memory(sessions) is sessions


def test_statistics_are_those_of_all_at_once(dataset, sessions):
    for one, other in (
        (dataset.statistics(), sessions.statistics()),
        *zip(dataset.statistics_by_day().values(), sessions.statistics_by_day().values(), strict=True),
    ):
        assert one.labels == other.labels
        assert {**vars(one), "labels": 0} == pytest.approx({**vars(other), "labels": 0}, rel=1e-6)


@pytest.mark.parametrize("by", ["session", "user", "time", "user-and-time"])
def test_splits_are_those_of_all_at_once(dataset, sessions, by):
    seed = None if by == "time" else 3
    for one, other in zip(
        dataset.split((0.5, 0.3, 0.2), seed=seed, by=by), sessions.split((0.5, 0.3, 0.2), seed=seed, by=by), strict=True
    ):
        assert one.num_steps == other.num_steps
        assert_same(one.load(), other)
    first = dataset.split((0.6, 0.4), seed=1)[0]
    again, in_one = first.split((0.5, 0.5), seed=2), sessions.split((0.6, 0.4), seed=1)[0].split((0.5, 0.5), seed=2)
    assert_same(again[1].load(), in_one[1])


def test_splits_need_the_columns_that_they_go_by(tmp_path):
    dataset = SessionDataset.write(tmp_path / "log", replace(sessions_of(0), users=None))
    with pytest.raises(ValueError, match="no user column"):
        dataset.split((0.5, 0.5), seed=0, by="user")
    with pytest.raises(ValueError, match="no times"):
        dataset.split((0.5, 0.5), by="time")
    with pytest.raises(ValueError, match="have no times"):
        dataset.statistics_by_day()


def test_some_sessions_by_mask_or_number(dataset, sessions):
    numbers = np.array([40, 3, 6, 7])
    assert_same(dataset.select(numbers).load(), sessions.select(np.sort(numbers)))
    assert_same(dataset.select(np.isin(np.arange(48), numbers)).load(), sessions.select(np.sort(numbers)))
    assert len(dataset.select(np.zeros(48, dtype=bool)).load()) == 0
    with pytest.raises(ValueError, match="must differ"):
        dataset.select([1, 1])
    with pytest.raises(ValueError, match=r"shape \(48,\)"):
        dataset.select([True])


def test_logs_one_after_the_other_are_one_log(tmp_path):
    """Items and users that a later log brings get the next numbers; "no click" is the number behind the last of all."""
    logs = [with_everything(seed) for seed in range(3)]
    logs[1] = replace(logs[1], item_names=tuple(f"item {number + 3}" for number in range(7)), user_names=tuple("abcd"))
    dataset = SessionDataset.write(tmp_path / "log", iter(logs), sessions_a_part=5)
    assert dataset.num_items == 10
    assert_same(dataset.load(), concatenate(logs))


def test_features_of_all_logs_go_by_one_code_and_items_keep_what_any_log_knows(tmp_path):
    """Categories have other codes in each log; a part written early tells of categories and items that came later."""
    logs = [
        replace(sessions_of(seed), item_names=tuple("abcdefg" if seed == 0 else "gfedcxy")).with_features(
            items={"stars": np.where(np.arange(7) == 2 * seed + 2, np.nan, np.arange(7) + 10.0 * seed)},
            steps={
                "device": [("web", "phone", None)[(step + seed) % 3] for step in range(sessions_of(seed).num_steps)]
            },
            users={"tier": [("gold", "new", "old")[seed]] * len(sessions_of(seed))},
        )
        for seed in range(3)
    ]
    dataset = SessionDataset.write(tmp_path / "log", iter(logs), sessions_a_part=5)
    together = concatenate(logs)
    assert_same(dataset.load(), together)
    assert_same(dataset.part(1), replace(together.select(slice(5, 10)), provenance=dataset.provenance))
    assert dataset.part(0).features.users["tier"].categories == ("gold", "new", "old")
    np.testing.assert_array_equal(dataset.catalogue.features["stars"].values, together.features.items["stars"].values)
    assert dataset.part(0).catalogue.features["stars"].values[[2, 7]].tolist() == [24, 15]
    # The files themselves have these codes, for other programs.
    codes = dataset.to_arrow_dataset().to_table(columns=["step.device"])["step.device"]
    assert codes.to_pylist() == together.features.steps["device"].values.tolist()


def test_features_that_not_all_logs_have_are_refused_by_name(tmp_path, dataset, sessions):
    log = sessions_of(0)
    prices, names = {"price": np.ones(log.num_steps)}, {"price": ["low"] * log.num_steps}
    with pytest.raises(ValueError, match="same columns: number 'price' of steps is not in all"):
        SessionDataset.write(tmp_path / "a", [log, log.with_features(steps=prices)])
    with pytest.raises(ValueError, match="category 'price' of steps, number 'price' of steps is not in all"):
        SessionDataset.write(tmp_path / "b", [log.with_features(steps=names), log.with_features(steps=prices)])
    other = replace(dataset.part(0), features=log.features, item_names=None)
    other.save(dataset.folder / dataset.parts[0].file)
    with pytest.raises(SessionsError, match="other features than the data set: category 'kind' of entries"):
        dataset.part(0)


def test_logs_that_do_not_go_together_are_refused(tmp_path):
    with pytest.raises(ValueError, match="same columns: states"):
        SessionDataset.write(tmp_path / "a", [sessions_of(0), replace(sessions_of(1), states=sessions_of(1).clicks)])
    with pytest.raises(ValueError, match="items"):
        SessionDataset.write(tmp_path / "b", [sessions_of(0), sessions_of(1, num_items=9)])
    with pytest.raises(ValueError, match="at least one log"):
        SessionDataset.write(tmp_path / "c", [])
    with pytest.raises(SessionsError, match="it has no _sessions"):
        SessionDataset.open(tmp_path / "c")
    with pytest.raises(FileExistsError, match="no empty folder"):
        SessionDataset.write(tmp_path / "a", sessions_of(0))
    with pytest.raises(ValueError, match="at least 1"):
        SessionDataset.write(tmp_path / "d", sessions_of(0), sessions_a_part=0)


def test_other_programs_can_read_it(dataset, sessions):
    table = dataset.to_arrow_dataset().to_table(columns=["click", "reward"])
    assert table["click"].to_pylist() == sessions.clicks.tolist()
    assert ds.dataset(str(dataset.folder), format="parquet").count_rows() == sessions.num_steps


def test_damaged_folders_are_refused(dataset, sessions):
    header = dataset.folder / "_sessions.json"
    content = json.loads(header.read_text())
    header.write_text(json.dumps({**content, "num_items": 6}))
    with pytest.raises(SessionsError, match="check sum is wrong"):
        SessionDataset.open(dataset.folder)
    header.write_text(json.dumps({**content, "format_version": 9}))
    with pytest.raises(SessionsError, match="format version 9"):
        SessionDataset.open(dataset.folder)
    header.write_text("{")
    with pytest.raises(SessionsError, match="not JSON"):
        SessionDataset.open(dataset.folder)
    header.write_text(json.dumps(content))
    sessions.select(slice(0, 3)).save(dataset.folder / "part-00001.parquet")
    with pytest.raises(SessionsError, match="has 3 sessions"):
        dataset.load()
    with pytest.raises(SessionsError, match="has 3 sessions"):
        dataset.split((0.5, 0.5), seed=0)
    (dataset.folder / "part-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(SessionsError, match="not a readable Parquet file"):
        dataset.split((0.5, 0.5), seed=0)
    (dataset.folder / "part-00001.parquet").unlink()
    with pytest.raises(FileNotFoundError, match="part-00001"):
        SessionDataset.open(dataset.folder)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        SessionDataset.open(dataset.folder / "other")


def test_a_folder_is_written_in_whole_parts(tmp_path):
    """A log that ends in the middle leaves no data set behind."""

    def logs():
        yield sessions_of(0)
        raise OSError("the line is dead")

    with pytest.raises(OSError, match="dead"):
        SessionDataset.write(tmp_path / "log", logs())
    with pytest.raises(SessionsError):
        SessionDataset.open(tmp_path / "log")
    assert isinstance(Sessions.load(tmp_path / "log" / "part-00000.parquet"), Sessions)
