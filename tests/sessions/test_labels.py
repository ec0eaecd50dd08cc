"""Labels: what became of the items shown, kept with their entries, and rewards made of it."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from irecgan_gym.sessions import Catalogue, SessionDataset, Sessions, SessionsError, concatenate
from irecgan_gym.sessions.digest import digest_of_sessions
from irecgan_gym.sessions.late_feedback import join_late_feedback
from irecgan_gym.sessions.leaving import with_leaving_step
from irecgan_gym.sessions.lists import one_step_a_list, with_clicks_as_label
from irecgan_gym.sessions.state import sessions_of_state, state_of_sessions
from tests.sessions.test_columns import assert_same, with_everything
from tests.sessions.test_lists import NONE, log

NAN = float("nan")
COLUMNS = {
    "num_items": 4,
    "lengths": [2, 1],
    "slates": [0, 1, 2, 3, 0, 1, 2],
    "slate_lengths": [3, 2, 2],
    "clicks": [1, 4, 2],
    "rewards": [1, 0, 1],
    "item_names": ["a", "b", "c", "d"],
}
LABELS = {"bought": [False, True, False, False, False, True, False], "seconds": [0, 2.5, NAN, 0, 0, NAN, 9]}


def sessions(**changes):
    return Sessions.from_columns(**COLUMNS | changes, labels=LABELS)


def told(values):
    return [None if value != value else value for value in values.tolist()]


def test_labels_go_with_their_entries():
    chosen = sessions().select([1, 0])
    assert told(chosen.labels["bought"]) == [1, 0, 0, 1, 0, 0, 0]
    assert told(chosen.labels["seconds"]) == [None, 9, 0, 2.5, None, 0, 0]
    assert told(sessions().reindexed(Catalogue.of("dcba")).labels["seconds"]) == [0, 2.5, None, 0, 0, None, 9]
    # Of the list that stands in for the one on which the user left, nothing is known.
    assert told(with_leaving_step(sessions()).labels["bought"]) == [0, 1, 0, 0, 0, 1, 0, None, None]
    with pytest.raises(ValueError, match="read-only"):
        chosen.labels["bought"][0] = 0


def test_parts_keep_the_labels_that_all_have():
    other = Sessions.from_columns(**COLUMNS).with_labels({"liked": np.ones(7), "bought": np.arange(7)})
    joined = concatenate([sessions(), other])
    assert list(joined.labels) == ["bought"]
    assert told(joined.labels["bought"]) == [0, 1, 0, 0, 0, 1, 0, *range(7)]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"bought": [1, 0]}, r"label 'bought' must have shape \(7,\), got \(2,\)"),
        ({"bought": list("abcdefg")}, "label 'bought' must be real numbers or truth values, got <U1"),
        ({"bought": np.zeros(7, dtype=complex)}, "real numbers or truth values, got complex128"),
        ({"bought": [0, 0, 0, 1e39, 0, 0, 0]}, r"label 'bought' is 1e\+39 at 3, expected a finite number"),
        ({"": np.zeros(7)}, "labels need texts as names, got ''"),
        ([("bought", np.zeros(7))], "labels must be a mapping of names to values, got a list"),
    ],
)
def test_wrong_labels_are_refused(labels, message):
    with pytest.raises(SessionsError, match=message):
        Sessions.from_columns(**COLUMNS, labels=labels)


def test_rewards_are_made_of_a_label_by_one_call():
    assert sessions().with_rewards_from("bought").rewards.tolist() == [1, 0, 0]
    assert sessions().with_rewards_from("seconds").rewards.tolist() == [2.5, 0, 9]
    with pytest.raises(SessionsError, match=r"no label 'liked', but \['bought', 'seconds'\]"):
        sessions().with_rewards_from("liked")
    unknown = sessions(clicks=[2, 4, 1])
    with pytest.raises(SessionsError, match="session 0, step 0: label 'seconds' is not known of the clicked item, as "):
        unknown.with_rewards_from("seconds")
    assert unknown.with_rewards_from("seconds", unknown=-1).rewards.tolist() == [-1, 0, -1]


def test_several_clicks_on_a_list_stay_known():
    clicked = with_clicks_as_label(log())
    assert clicked.labels["click"].tolist() == [1, 1, 1] * 3 + [0, 0, 0] + [0, 1] + [1, 0] * 2
    assert one_step_a_list(log()).labels["click"].tolist() == [1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 1, 0]
    assert one_step_a_list(log(), places=2).labels["click"].tolist() == [1, 1, 0, 0, 0, 1, 1, 0, 1, 0]
    two = log(clicks=[0, 2, NONE, NONE, 4, 3, 3])
    assert with_clicks_as_label(two).labels["click"].tolist()[:9] == [1, 0, 1, 1, 0, 1, 0, 0, 0]
    own = log().with_labels({"click": np.zeros(18)})
    assert with_clicks_as_label(own) is own
    assert not with_clicks_as_label(Sessions.from_columns(**COLUMNS), "seen").labels["seen"][0]


def test_late_feedback_is_a_label_of_the_item_that_was_clicked():
    found = join_late_feedback(
        log(), users=["ada", "bo", "bo"], items=["b", "d", "d"], times=[9, 4.5, 6], values=[10, 5, 7]
    )
    assert found.entries.tolist() == [0, 10, 0] * 3 + [0] * 5 + [5, 0, 7, 0]
    paid = log().with_labels({"paid": found.entries})
    np.testing.assert_array_equal(paid.with_rewards_from("paid").rewards, found.values)
    # A list with several clicks is one list, whose sum is the same.
    assert one_step_a_list(paid.with_rewards_from("paid")).rewards.tolist() == [10, 0, 0, 5, 7]


def test_statistics_count_each_list_once():
    paid = log().with_labels({"paid": [0, 10, 0] * 3 + [NAN] * 3 + [0, 2, 5, 0, 7, 0], "nothing": [NAN] * 18})
    about = {label.name: label[1:] for label in paid.statistics().labels}
    assert about["paid"] == (9, 4, 24 / 9)
    assert about["nothing"][:2] == (0, 0)
    assert np.isnan(about["nothing"][2])
    lines = str(paid.statistics()).splitlines()
    assert lines[-4].split() == ["paid,", "not", "0", "4"]
    assert lines[-3].split() == ["paid,", "mean", "2.667"]
    assert log().statistics().labels == ()


def test_labels_are_part_of_the_digest_where_there_are_some():
    bare = Sessions.from_columns(**COLUMNS)
    assert digest_of_sessions(bare) != digest_of_sessions(sessions())
    assert digest_of_sessions(sessions()) == digest_of_sessions(sessions().select([0, 1]))
    # As it was before there were labels.
    assert digest_of_sessions(bare)[:16] == "5efdd465558b0be8"


def test_checkpoints_keep_labels():
    full = with_everything(3)
    assert_same(sessions_of_state(state_of_sessions(full)), full)
    old = state_of_sessions(full)
    del old["labels"]
    assert sessions_of_state(old).labels == {}


def test_tables_for_other_tools_have_them():
    table = sessions().with_labels({"click": np.zeros(7)}).to_arrow()
    assert table["bought"].to_pylist() == [[0, 1, 0], [0, 0], [1, 0]]
    assert table["seconds"].to_pylist() == [[0, 2.5, None], [0, 0], [None, 9]]
    assert table["click (label)"].to_pylist() == [[0, 0, 0], [0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (
            pa.array([[1.0], [1.0, 2.0], [0.0, 0.0]]),
            "'label.bought' must have a number for each item of the slate, row 0",
        ),
        (pa.array([["x"] * 3, ["x"] * 2, ["x"] * 2]), "'label.bought' must hold lists of numbers"),
        (pa.array([[1.0, None, 1.0], [1.0, 2.0], [0.0, 0.0]]), "'label.bought' has empty cells"),
        (pa.array([[1.0, np.inf, 1.0], [1.0, 2.0], [0.0, 0.0]]), "label 'bought' is inf at 1"),
    ],
)
def test_files_whose_labels_do_not_fit_are_refused(tmp_path, column, message):
    path = tmp_path / "log.parquet"
    sessions().save(path)
    table = pq.read_table(path)
    header = json.loads(table.schema.metadata[b"irecgan_gym"])
    assert header["format_version"] == 4
    place = table.schema.get_field_index("label.bought")
    pq.write_table(table.set_column(place, "label.bought", column), path)
    with pytest.raises(SessionsError, match=message):
        Sessions.load(path)


def test_logs_on_disk_have_the_same_labels(tmp_path):
    dataset = SessionDataset.write(tmp_path / "log", [sessions(), sessions()], sessions_a_part=1)
    assert_same(dataset.load(), concatenate([sessions(), sessions()]))
    assert dataset.statistics().labels == dataset.load().statistics().labels
    with pytest.raises(ValueError, match="must have the same columns: label 'seen' is not in all"):
        SessionDataset.write(tmp_path / "other", [sessions(), sessions().with_labels({"seen": np.ones(7)})])
