"""Clicks on one list as one step, and purchases that come later."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irecgan_gym.sessions import Sessions, SessionsError
from irecgan_gym.sessions.late_feedback import join_late_feedback
from irecgan_gym.sessions.lists import one_step_a_list
from tests.sessions.test_columns import sessions_of

NONE = 5


def log(**changes):
    """Two sessions: a list with three clicks, the same list again without one, another; and one list shown twice."""
    columns = {
        "num_items": NONE,
        "lengths": [5, 2],
        "slates": [0, 1, 2] * 4 + [3, 4] + [3, 4] * 2,
        "slate_lengths": [3, 3, 3, 3, 2, 2, 2],
        "clicks": [0, 2, 1, NONE, 4, 3, 3],
        "rewards": [1, 2, 4, 0, 8, 16, 32],
        "times": [1, 1, 1, 2, 3, 4, 5],
        "item_names": list("abcde"),
        "users": [0, 1],
        "user_names": ["ada", "bo"],
    }
    return Sessions.from_columns(**columns | changes)


def test_clicks_on_one_list_are_one_step():
    lists = one_step_a_list(log())
    assert lists.lengths.tolist() == [3, 2]
    assert lists.slate_lengths.tolist() == [3, 3, 2, 2, 2]
    assert lists.clicks.tolist() == [1, NONE, 4, 3, 3]
    assert lists.rewards.tolist() == [7, 0, 8, 16, 32]
    assert lists.times.tolist() == [1, 2, 3, 4, 5]
    # Without times, the list that is shown twice is one list with two clicks.
    assert one_step_a_list(log(times=None)).rewards.tolist() == [7, 0, 8, 48]


@pytest.mark.parametrize("places", [None, 2])
def test_features_go_with_their_lists(places):
    sessions = log(event_lengths=[1, 0, 1, 0, 2, 0, 1], event_items=[0, 1, 2, 3, 4])
    sessions = sessions.with_features(
        items={"stars": np.arange(5)},
        entries={"price": np.arange(18)},
        steps={"device": list("abcdefg")},
        events={"seconds": [10, 20, 30, 40, 50]},
        users={"age": [30, 40]},
    )
    features = one_step_a_list(sessions, places=places).features
    kept = [0, 1, 2, 9, 10, 11, 12, 13, 14, 15, 16, 17] if places is None else [0, 1, 9, 10, 12, 13, 14, 15, 16, 17]
    assert features.entries["price"].values.tolist() == kept
    assert [features.steps["device"].categories[code] for code in features.steps["device"].values] == list("adefg")
    assert features.events["seconds"].values.tolist() == [10, 30, 40, 50]
    assert features.items["stars"].values.tolist() == [0, 1, 2, 3, 4]
    assert features.users["age"].values.tolist() == [30, 40]


def test_lists_are_cut_to_their_first_places():
    lists = one_step_a_list(log(), places=2)
    assert lists.slate_items.reshape(-1, 2).tolist() == [[0, 1], [0, 1], [3, 4], [3, 4], [3, 4]]
    assert lists.clicks.tolist() == [1, NONE, 4, 3, 3]
    assert lists.rewards.tolist() == [5, 0, 8, 16, 32]
    assert one_step_a_list(log(), places=1).clicks.tolist() == [0, NONE, NONE, 3, 3]
    with pytest.raises(SessionsError, match="first 3 places: step 4 shows 2 items"):
        one_step_a_list(log(), places=3)
    with pytest.raises(SessionsError, match="that is no place"):
        one_step_a_list(log(), places=0)


@pytest.mark.parametrize("seed", range(4))
def test_lists_with_one_click_stay_as_they_are(seed):
    sessions = sessions_of(seed, ragged=True, leave=True)
    times = np.arange(sessions.num_steps) * 1.0
    sessions = Sessions.from_columns(**sessions.to_columns() | {"times": times})
    lists = one_step_a_list(sessions)
    for name in ("offsets", "slate_offsets", "slate_items", "clicks", "rewards", "times", "truncated"):
        np.testing.assert_array_equal(getattr(lists, name), getattr(sessions, name))


def test_purchases_belong_to_the_last_click_before_them():
    sessions = log()
    found = join_late_feedback(
        sessions,
        users=["ada", "ada", "bo", "bo", "bo", "cy", "ada", "bo"],
        items=["b", "b", "d", "d", "d", "a", "z", "a"],
        times=[1, 9, 4.5, 6, 3, 9, 9, 9],
        values=[10, 1, 5, 7, 100, 100, 100, 100],
    )
    assert found.steps.tolist() == [2, 2, 5, 6, -1, -1, -1, -1]
    assert found.values.tolist() == [0, 0, 11, 0, 0, 5, 7]
    assert found.joined == 4
    late = join_late_feedback(sessions, users=["ada", "ada"], items=["b", "b"], times=[2, 9], within=5)
    assert late.steps.tolist() == [2, -1]
    assert sessions.with_rewards(late.values).rewards.sum() == 1


@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["ada", "bo", "cy"]), st.sampled_from("abcdez"), st.integers(0, 7)), max_size=9
    ),
    within=st.sampled_from([0, 2, np.inf]),
)
def test_feedback_is_joined_as_a_loop_would(rows, within):
    sessions = log()
    expected = []
    for user, item, time in rows:
        fits = [
            step
            for step in range(sessions.num_steps)
            if sessions.clicks[step] < NONE
            and sessions.item_names[sessions.clicks[step]] == item
            and sessions.user_names[sessions.users[sessions.session_of_step[step]]] == user
            and 0 <= time - sessions.times[step] <= within
        ]
        expected.append(fits[-1] if fits else -1)
    users, items, times = zip(*rows, strict=True) if rows else ((), (), ())
    found = join_late_feedback(sessions, users=users, items=items, times=times, within=within)
    assert found.steps.tolist() == expected


def test_feedback_needs_names_and_times():
    with pytest.raises(SessionsError, match="lack times or names"):
        join_late_feedback(log(times=None), users=[], items=[], times=[])
    with pytest.raises(SessionsError, match="items has 1 entries for 2 users"):
        join_late_feedback(log(), users=["ada", "bo"], items=["a"], times=[1, 2])
