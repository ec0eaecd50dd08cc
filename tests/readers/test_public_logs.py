"""Readers of public logs, each on a few rows in the exact layout of its files."""

import zipfile
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest

from irecgan_gym.readers import FORMATS, PUBLIC_LOGS, ReaderError, read
from irecgan_gym.readers.__main__ import main
from irecgan_gym.sessions import Sessions

WHEELS = Path(__file__).parents[2] / "build" / "wheels"


def steps_of(sessions):
    """(slate, click, reward) of every step, by session; names, None for no click."""
    names = np.array([*sessions.item_names, None], dtype=object)
    return [
        [(names[slate].tolist(), names[click], float(reward)) for slate, click, reward in zip(*session, strict=True)]
        for session in sessions
    ]


OPEN_BANDIT_HEADER = (
    ",timestamp,item_id,position,click,propensity_score,user_feature_0,user_feature_1,user_feature_2,user_feature_3,"
    "user-item_affinity_0,user-item_affinity_1"
)


def test_open_bandit(tmp_path):
    path = tmp_path / "all.csv"
    rows = [
        "0,2019-11-24 00:00:00.000000+00:00,79,2,0,0.0125,81ce,03a5,7bc9,c39b,0.0,1.0",
        "1,2019-11-24 00:00:00.500000+00:00,14,1,1,0.0375,81ce,03a5,7bc9,c39b,0.0,0.0",
        "2,2019-11-24 00:00:01+00:00,14,3,yes,0.0375,81ce,03a5,7bc9,c39b,0.0,0.0",
    ]
    path.write_text("\n".join([OPEN_BANDIT_HEADER, *rows]) + "\n")
    sessions, report = read(tmp_path, "open-bandit")
    assert steps_of(sessions) == [[(["79"], None, 0)], [(["14"], "14", 1)]]
    np.testing.assert_array_equal(sessions.propensities, np.float32([0.0125, 0.0375]))
    np.testing.assert_allclose(np.exp(sessions.slate_propensities.slates), [0.0125, 0.0375])
    np.testing.assert_array_equal(sessions.times, [1574553600, 1574553600.5])
    assert report.malformed_rows == {"no slate": 1}
    assert sessions.provenance["licence"].startswith("CC BY 4.0")


def test_the_real_samples_of_open_bandit():
    wheels = sorted(WHEELS.glob("obp-*.whl"))
    if not wheels:
        pytest.skip("needs OBP's wheel: pip download --no-deps --dest build/wheels obp==0.4.1")
    for policy in ("random", "bts"):
        for campaign, num_items in (("all", 80), ("men", 34), ("women", 46)):
            with zipfile.ZipFile(wheels[-1]) as archive:
                content = archive.read(f"obp/dataset/obd/{policy}/{campaign}/{campaign}.csv")
            table = pcsv.read_csv(pa.BufferReader(content))
            sessions, report = read(table, "open-bandit")
            assert report.rows_used == len(sessions) == 10_000
            assert sessions.num_items == num_items
            assert sessions.rewards.sum() == pc.sum(table["click"]).as_py()
            if policy == "random":
                np.testing.assert_allclose(sessions.propensities, 1 / num_items, rtol=1e-5)
            known = sessions.slate_propensities
            assert not known.estimated
            np.testing.assert_allclose(np.exp(known.slates), sessions.propensities, rtol=1e-5)


def test_kuairand(tmp_path):
    header = (
        "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
        "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab"
    )
    rows = [
        "0,3784,20220422,1400,1650606895123,1,0,0,0,0,0,1,100,100,0,0,0,1,1",
        "0,1094,20220422,1400,1650606800000,0,0,0,0,0,0,0,0,90,0,0,0,0,1",
        "0,3784,20220422,1500,1650610000000,1,1,0,0,0,0,0,3,100,0,0,0,0,1",
        "1,1094,20220423,1500,1650700000000,0,0,0,0,0,0,0,3,100,0,0,0,1,1",
    ]
    (tmp_path / "log_random_4_22_to_5_08_pure.csv").write_text("\n".join([header, *rows]) + "\n")
    (tmp_path / "user_features_pure.csv").write_text("user_id\n0\n")
    sessions, report = read(tmp_path, "kuairand")
    assert steps_of(sessions) == [
        [(["1094"], None, 0), (["3784"], "3784", 1), (["3784"], "3784", 0)],
        [(["1094"], None, 0)],
    ]
    np.testing.assert_array_equal(sessions.propensities, np.float32([np.nan, 1 / 7583, np.nan, 1 / 7583]))
    assert sessions.times[1] == 1650606895.123
    assert sessions.user_names == ("0", "1")
    assert report.rows_used == 4
    assert "columns not used: hourmin, is_like" in str(report)
    assert sessions.labels == {}
    sessions, report = read(tmp_path, "kuairand", labels=["like", "play_time_ms"])
    assert sessions.labels["like"].tolist() == [0, 0, 1, 0]
    assert sessions.labels["play_time_ms"].tolist() == [0, 100, 3, 3]
    assert "columns not used: hourmin, is_follow" in str(report)
    out = tmp_path / "sessions.parquet"
    assert main(["kuairand", str(tmp_path), "--labels", "like", "--out", str(out)]) == 0
    assert Sessions.load(out).labels["like"].tolist() == [0, 0, 1, 0]
    with pytest.raises(ValueError, match=r"labels: KuaiRand has no 'love'; it has like, follow, .*, play_time_ms"):
        read(tmp_path, "kuairand", labels=["love"])


def test_kuairec(tmp_path):
    header = "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio"
    rows = [
        "14,148,4381,6067,2020-07-05 05:27:48.378,20200705,1593898068.378,0.722103",
        "14,183,11635,6100,2020-07-05 05:20:00.0,20200705,1593897600.0,1.90737",
        "19,148,100,6067,,,,0.0164",
    ]
    path = tmp_path / "small_matrix.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    sessions, report = read(path, "kuairec")
    ((first, second),) = steps_of(sessions)
    assert first[:2] == (["183"], "183")
    assert second[:2] == (["148"], "148")
    np.testing.assert_allclose(sessions.rewards, [1.90737, 0.722103])
    assert report.rows_left_out == {"views without a time": 1}
    assert report.first_places["views without a time"] == ("small_matrix.csv, line 4",)
    assert read(path, "kuairec", labels=["play_duration"]).sessions.labels["play_duration"].tolist() == [
        11635,
        4381,
    ]


def test_rl4rs(tmp_path):
    header = (
        "timestamp@session_id@sequence_id@exposed_items@user_feedback@user_seqfeature@user_protrait@item_feature@"
        "behavior_policy_id"
    )
    rows = [
        "1603720000@7@2@33,14,2,29,76,51,142,110,121@0,0,0,0,0,0,0,0,0@1,2@0.1,2@1,2;3@1",
        "1603720000@7@1@17,14,15,25,38,19,41,42,43@1,0,1,0,0,0,0,0,0@1,2@0.1,2@1,2;3@1",
        "1603720000@7@3@33,14,2,29,76,51,142,110,121@0,0,0,0,0,0,0,0,1@1,2@0.1,2@1,2;3@1",
        "1603720001@8@1@33,14,2@0,1@1,2@0.1,2@1,2;3@1",
    ]
    (tmp_path / "rl4rs_dataset_a_sl.csv").write_text("\n".join([header, *rows]) + "\n")
    sessions, report = read(tmp_path, "rl4rs")
    ((*bought, unmoved, last),) = steps_of(sessions)
    first = ["17", "14", "15", "25", "38", "19", "41", "42", "43"]
    assert bought == [(first, "17", 1), (first, "15", 1)]
    assert unmoved[1:] == (None, 0)
    assert last[1:] == ("121", 1)
    assert report.malformed_rows == {"no slate": 1}
    assert report.first_places["no slate"][0].startswith("rl4rs_dataset_a_sl.csv, line 5")
    assert sessions.users is None


def test_finn_no(tmp_path):
    slate = np.zeros((2, 3, 5), dtype=np.int32)
    slate[0, 0, :4] = [1, 10, 11, 12]
    slate[0, 1, :3] = [1, 11, 2]
    slate[1, 0, :5] = [1, 13, 12, 14, 10]
    slate[1, 1, :3] = [1, 10, 2]
    click = np.array([[11, 1, 0], [14, 2, 0]], dtype=np.int32)
    path = tmp_path / "data.npz"
    arrays = {"userId": np.array([5, 9]), "click": click, "slate": slate, "click_idx": click, "slate_lengths": click}
    np.savez_compressed(path, **arrays)
    sessions, report = read(tmp_path, "finn-no-slates")
    assert steps_of(sessions) == [
        [(["10", "11", "12"], "11", 1), (["11"], None, 0)],
        [(["13", "12", "14", "10"], "14", 1)],
    ]
    assert report.rows_read == 6
    assert report.rows_left_out == {
        "empty steps, of users with fewer": 2,
        "clicks on items that are not named": 1,
    }
    assert report.first_places["clicks on items that are not named"] == ("data.npz, row 5",)
    np.savez(path, userId=np.array([5]), click=click)
    with pytest.raises(ReaderError, match=r"data\.npz is not an archive of userId, click, slate: .*slate\.npy"):
        read(path, "finn-no-slates")
    np.savez(path, **{**arrays, "slate": slate[:, :2]})
    with pytest.raises(ReaderError, match=r"have shapes \(\(2,\), \(2, 3\), \(2, 2, 5\)\), expected"):
        read(path, "finn-no-slates")


def test_finn_no_in_pieces(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    slate = np.zeros((7, 4, 6), dtype=np.int64)
    slate[:, :, 1:] = rng.permuted(np.tile(np.arange(3, 20), (28, 1)), axis=1)[:, :5].reshape(7, 4, 5)
    slate[:, :, 0] = 1
    arrays = {"userId": np.arange(7), "click": slate[:, :, 2], "slate": slate}
    np.savez(tmp_path / "data.npz", **arrays)
    whole = read(tmp_path, "finn-no-slates").sessions
    monkeypatch.setattr("irecgan_gym.readers.formats.finn_no._USERS", 2)
    assert steps_of(read(tmp_path, "finn-no-slates").sessions) == steps_of(whole)
    assert whole.lengths.tolist() == [4] * 7


def test_mind(tmp_path):
    rows = [
        "1\tU13740\t11/11/2019 9:05:58 AM\tN55189 N42782\tN55689-1 N35729-0",
        '2\tU13740\t11/11/2019 8:15:00 PM\t\tN1-0 "N2"-1 N3-1',
        "3\tU91836\t11/12/2019 6:11:30 PM\tN31739\tN50014-0 N23877-0 N35389-1",
        "4\tU91836\t11/12/2019 6:12:30 PM\tN31739\tN50014 N23877",
        "5\tU91836\t11/12/2019 6:13:30 PM\tN31739\tN50014-0 N23877-7",
        "6\tU91836\t13/12/2019 6:13:30 PM\tN31739\tN50014-0 N23877-1",
    ]
    (tmp_path / "behaviors.tsv").write_text("\n".join(rows) + "\n")
    sessions, report = read(tmp_path, "mind")
    lists = ["N1", '"N2"', "N3"]
    assert steps_of(sessions) == [
        [(["N55689", "N35729"], "N55689", 1), (lists, '"N2"', 1), (lists, "N3", 1)],
        [(["N50014", "N23877", "N35389"], "N35389", 1)],
    ]
    moments = [datetime(2019, 11, 11, 9, 5, 58), datetime(2019, 11, 11, 20, 15), datetime(2019, 11, 12, 18, 11, 30)]
    seconds = [(moment - datetime(1970, 1, 1)).total_seconds() for moment in moments]
    assert sessions.times.tolist() == [seconds[0], seconds[1], seconds[1], seconds[2]]
    assert report.rows_left_out == {"impressions without labels, as in the test part": 1}
    assert report.malformed_rows == {"no slate": 1, "wrong type": 1}
    assert report.first_places["no slate"][0].startswith("behaviors.tsv, line 5")


def test_eb_nerd(tmp_path):
    moments = [datetime(2023, 5, 21, 21, 6, 50), datetime(2023, 5, 21, 21, 7, 50), datetime(2023, 5, 21, 21, 5)]
    table = pa.table(
        {
            "impression_id": pa.array([1, 2, 3], pa.uint32()),
            "article_id": pa.array([None, 9, None], pa.int32()),
            "impression_time": pa.array(moments, pa.timestamp("us")),
            "read_time": pa.array([1.0, 2.0, 3.0], pa.float32()),
            "next_read_time": pa.array([5.0, 8.0, None], pa.float32()),
            "article_ids_inview": pa.array([[11, 12, 13], [12, 14], [11, 15]], pa.list_(pa.int32())),
            "article_ids_clicked": pa.array([[12, 11], [14], [15]], pa.list_(pa.int32())),
            "user_id": pa.array([100, 100, 200], pa.uint32()),
            "session_id": pa.array([7, 7, 7], pa.uint32()),
        }
    )
    (tmp_path / "train").mkdir()
    pq.write_table(table, tmp_path / "train" / "behaviors.parquet")
    pq.write_table(pa.table({"user_id": [1]}), tmp_path / "train" / "history.parquet")
    sessions, report = read(tmp_path, "eb-nerd")
    shown = ["11", "12", "13"]
    assert steps_of(sessions) == [
        [(shown, "12", 1), (shown, "11", 1), (["12", "14"], "14", 1)],
        [(["11", "15"], "15", 1)],
    ]
    assert sessions.user_names == ("100", "200")
    assert report.rows_used == 3
    read_time = read(tmp_path, "eb-nerd", labels=["read_time"]).sessions.labels["read_time"]
    # Of the first list two articles were read, and nobody knows which one for five seconds.
    np.testing.assert_array_equal(read_time, [*[np.nan] * 7, 8.0, np.nan, np.nan])
    with pytest.raises(ReaderError, match="column 'article_ids_clicked' is missing"):
        read(table.drop_columns("article_ids_clicked"), "eb-nerd")


@pytest.mark.parametrize("name", PUBLIC_LOGS)
def test_every_description_is_whole(name, tmp_path):
    description = PUBLIC_LOGS[name]
    assert set(description.used) <= {column.name for column in description.columns}
    assert all([description.title, description.source, description.licence, description.step, description.files])
    assert FORMATS[name].__doc__.startswith(f"Read the log of {description.title}.")
    with pytest.raises(FileNotFoundError, match=f"no files such as {description.files[0].replace('*', '.')}"):
        read(tmp_path, name)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read(tmp_path / "gone.npz", name)
