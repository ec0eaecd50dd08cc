import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irecgan_gym.sessions import SessionFeatures, Sessions, SessionsError, concatenate, ragged
from irecgan_gym.sessions.features import SCOPES
from irecgan_gym.sessions.leaving import with_leaving_step
from tests.conftest import random_sessions

COLUMNS = {
    "num_items": 5,
    "lengths": [2, 1],
    "slates": [[0, 1, 2], [2, 3, 4], [4, 0, 1]],
    "clicks": [1, 3, 4],
    "rewards": [1, 0, 1],
}


def sessions_of(seed, **options):
    return random_sessions(np.random.default_rng(seed), **options)


def assert_same(one, other):
    for column in dataclasses.fields(Sessions):
        a, b = getattr(one, column.name), getattr(other, column.name)
        if isinstance(a, SessionFeatures):
            assert_same_features(a, b)
        elif column.name == "labels":
            assert list(a) == list(b)
            for name, values in a.items():
                assert values.dtype == b[name].dtype == np.float32
                np.testing.assert_array_equal(values, b[name], err_msg=name)
        elif isinstance(a, np.ndarray):
            assert a.dtype == b.dtype, column.name
            np.testing.assert_array_equal(a, b, err_msg=column.name)
        else:
            assert a == b, column.name


def assert_same_features(one, other):
    for scope in SCOPES:
        columns, others = one.of(scope), other.of(scope)
        assert list(columns) == list(others)
        for name, column in columns.items():
            assert column.categories == others[name].categories, name
            assert column.values.dtype == others[name].values.dtype, name
            np.testing.assert_array_equal(column.values, others[name].values, err_msg=name)


def features_of(sessions, rng):
    """Features of every kind for everything that sessions hold."""
    numbers = {
        "items": sessions.num_items,
        "entries": len(sessions.slate_items),
        "steps": sessions.num_steps,
        "events": 0 if sessions.event_items is None else len(sessions.event_items),
        "users": len(sessions),
    }
    return {
        scope: {
            "price": np.where(rng.random(number) < 0.2, np.nan, rng.normal(size=number)),
            "kind": [("a", "b", "c", None)[code] for code in rng.integers(0, 4, number)],
            "vector": rng.normal(size=(number, 3)),
        }
        for scope, number in numbers.items()
    }


def with_everything(seed):
    """Sessions with all optional columns."""
    sessions = sessions_of(seed, ragged=True, leave=True)
    rng = np.random.default_rng(seed + 1)
    event_lengths = rng.integers(0, 3, sessions.num_steps)
    full = Sessions.from_columns(
        num_items=sessions.num_items,
        lengths=sessions.lengths,
        slates=sessions.slate_items,
        slate_lengths=sessions.slate_lengths,
        clicks=sessions.clicks,
        rewards=sessions.rewards,
        truncated=sessions.truncated,
        propensities=np.where(rng.random(sessions.num_steps) < 0.2, np.nan, 0.5),
        states=rng.integers(0, 3, sessions.num_steps),
        users=rng.integers(-1, 4, len(sessions)),
        user_names=["ada", "bo", "cy", "di"],
        times=np.cumsum(rng.integers(0, 100, sessions.num_steps)) / 8,
        event_lengths=event_lengths,
        event_items=rng.integers(0, sessions.num_items, event_lengths.sum()),
        item_names=[f"item {number}" for number in range(sessions.num_items)],
        provenance={"source": "chance", "seed": seed},
    )
    entries = len(full.slate_items)
    labels = {
        "bought": rng.random(entries) < 0.3,
        "seconds": np.where(rng.random(entries) < 0.2, np.nan, rng.integers(0, 50, entries) / 4),
    }
    return full.with_features(**features_of(full, rng)).with_labels(labels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_items": 0}, "num_items must be an integer of at least 1, got 0"),
        ({"num_items": 5.0}, "num_items must be an integer"),
        ({"num_items": 2**31}, r"num_items must be below 2\*\*31, got 2147483648"),
        ({"lengths": [3, 0]}, r"lengths\[1\] is 0, expected at least 1"),
        ({"lengths": [2, 2]}, "lengths add up to 4 steps, but there are 3 slates"),
        ({"lengths": [2.0, 1.0]}, "lengths must be a flat array of integers"),
        ({"slates": [0, 1, 2]}, r"slates must have shape \[T, k\]"),
        ({"slates": [[0, 1], [2, 3], [5, 4]]}, r"slates\[4\] is 5, expected an id from 0 to 4"),
        ({"slates": [[0, 1], [3, 3], [0, 4]]}, "session 0, step 1: item 3 is in the slate more than once"),
        ({"clicks": [1, 3, 3]}, r"session 1, step 0: click 3 is not in the slate \[4, 0, 1\]"),
        ({"clicks": [1, 3]}, r"clicks must have shape \(3,\), got \(2,\)"),
        ({"clicks": [1.0, 3.0, 4.0]}, "clicks must be integers, got float64"),
        ({"rewards": [1, np.nan, 0]}, r"rewards\[1\] is nan, expected a finite number"),
        ({"rewards": ["1", "0", "1"]}, "rewards must be numbers"),
        ({"propensities": [0.5, 0.0, 1.0]}, r"propensities\[1\] is 0.0, expected a probability in \(0, 1\]"),
        ({"truncated": [0, 1]}, "truncated must be booleans, got int64"),
        ({"states": [0, -1, 0]}, r"states\[1\] is -1"),
        ({"users": [1]}, r"users must have shape \(2,\), got \(1,\)"),
        ({"event_lengths": [0, 1, 0]}, "event_lengths and event_items must be given together"),
        ({"event_lengths": [0, 1], "event_items": [2]}, "event_lengths has 2 entries for 3 steps"),
        ({"event_lengths": [0, 1, 0], "event_items": [5]}, r"event_items\[0\] is 5"),
        ({"rewards": [1, 1e39, 0]}, r"rewards\[1\] is 1e\+39, expected a finite number of 32 bits"),
        ({"propensities": [0.5, 1e-48, 1.0]}, r"propensities\[1\] is 1e-48, expected a probability in \(0, 1\]"),
        ({"times": [1, np.nan, 2]}, r"times\[1\] is nan, expected a finite number"),
        ({"times": [5, 4, 2]}, "session 0, step 1: time 4 is before 5, that of the step before"),
        ({"times": [1, 2]}, r"times must have shape \(3,\), got \(2,\)"),
        ({"times": ["1", "2", "3"]}, "times must be real numbers"),
        ({"user_names": ["ada"]}, "user_names need users"),
        ({"users": [0, 1], "user_names": ["ada"]}, r"users\[1\] is 1, expected the number of one of 1 names, or -1"),
        ({"users": [0, -2], "user_names": ["ada"]}, r"users\[1\] is -2"),
        ({"users": [0, 1], "user_names": ["ada", "ada"]}, "user_names must differ"),
        ({"item_names": ["a", "b"]}, "item_names has 2 entries for 5 items"),
        ({"item_names": ["a", "b", "c", "d", "a"]}, "item_names must differ"),
        ({"item_names": ["a", "b", "c", "d", 5]}, r"item_names\[4\] is 5, expected text"),
    ],
)
def test_wrong_columns_are_refused_with_place_and_value(changes, message):
    with pytest.raises(SessionsError, match=message):
        Sessions.from_columns(**{**COLUMNS, **changes})


def test_columns_cannot_be_changed_and_the_callers_can():
    clicks = np.array([1, 3, 4], dtype=np.int32)
    sessions = Sessions.from_columns(**{**COLUMNS, "clicks": clicks})
    with pytest.raises(ValueError, match="read-only"):
        sessions.clicks[0] = 2
    clicks[0] = 2
    assert sessions.clicks[0] == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        sessions.num_items = 6


def test_one_session_is_easy_to_look_at():
    sessions = Sessions.from_columns(**COLUMNS)
    assert [slate.tolist() for slate in sessions[0].slates] == [[0, 1, 2], [2, 3, 4]]
    assert sessions[-1].clicks.tolist() == [4]
    assert sessions.previous_clicks.tolist() == [5, 1, 5]
    assert repr(sessions) == "Sessions(2 sessions, 3 steps, 5 items)"
    with pytest.raises(IndexError):
        sessions[2]
    printed = str(sessions.statistics())
    assert "mean session reward" in printed
    assert sessions.statistics().mean_session_reward == 1.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.data())
def test_selected_sessions_are_the_sessions_named(seed, data):
    sessions = with_everything(seed)
    numbers = data.draw(st.lists(st.integers(0, len(sessions) - 1), max_size=20))
    chosen = sessions.select(np.array(numbers, dtype=int))
    assert len(chosen) == len(numbers)
    for row, number in enumerate(numbers):
        assert_same_session(chosen[row], sessions[number])
        assert chosen.users[row] == sessions.users[number]
        steps = slice(chosen.offsets[row], chosen.offsets[row + 1])
        original = slice(sessions.offsets[number], sessions.offsets[number + 1])
        np.testing.assert_array_equal(chosen.propensities[steps], sessions.propensities[original])
        np.testing.assert_array_equal(chosen.states[steps], sessions.states[original])
        assert events_of(chosen, steps) == events_of(sessions, original)


def events_of(sessions, steps):
    bounds = sessions.event_offsets
    return [sessions.event_items[bounds[i] : bounds[i + 1]].tolist() for i in range(steps.start, steps.stop)]


def assert_same_session(one, other):
    assert [slate.tolist() for slate in one.slates] == [slate.tolist() for slate in other.slates]
    np.testing.assert_array_equal(one.clicks, other.clicks)
    np.testing.assert_array_equal(one.rewards, other.rewards)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 11))
def test_cut_and_joined_sessions_are_the_same(seed, cut):
    sessions = with_everything(seed)
    assert_same(concatenate([sessions.select(slice(0, cut)), sessions.select(slice(cut, None))]), sessions)
    mask = np.arange(len(sessions)) < cut
    assert_same(sessions.select(mask), sessions.select(slice(0, cut)))
    assert_same(sessions.select([]), sessions.select(slice(0, 0)))


def test_joining_needs_one_catalogue_and_drops_what_one_part_lacks():
    first, second = with_everything(0), sessions_of(1)
    joined = concatenate([first, second])
    assert joined.states is None
    assert joined.event_items is None
    assert len(joined) == len(first) + len(second)
    with pytest.raises(ValueError, match=r"catalogues of different sizes: \[7, 9\]"):
        concatenate([first, sessions_of(0, num_items=9)])
    renamed = dataclasses.replace(first, item_names=first.item_names[::-1])
    with pytest.raises(ValueError, match="catalogues of different names, and some have none"):
        concatenate([first, renamed, second])
    assert concatenate([first, dataclasses.replace(first, item_names=None)]).item_names == first.item_names
    with pytest.raises(ValueError, match="at least one part"):
        concatenate([])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(0.5, 0.5), (0.8, 0.1, 0.1), (1.0, 0.0), (0.33, 0.67)]))
def test_a_split_has_every_session_once(seed, fractions):
    sessions = with_everything(seed)
    parts = sessions.split(fractions, seed=seed)
    assert sum(len(part) for part in parts) == len(sessions)
    assert all(abs(len(part) - share * len(sessions)) <= 1 for part, share in zip(parts, fractions, strict=True))
    together = sorted((tuple(s.clicks), tuple(s.rewards)) for part in parts for s in part)
    assert together == sorted((tuple(s.clicks), tuple(s.rewards)) for s in sessions)
    by_user = sessions.split(fractions, seed=seed, by="user")
    users = [set(part.users.tolist()) - {-1} for part in by_user]
    assert sum(len(group) for group in users) == len(set().union(*users))


def test_splits_are_reproducible_and_checked():
    sessions = sessions_of(0)
    assert_same(sessions.split((0.5, 0.5), seed=1)[0], sessions.split((0.5, 0.5), seed=1)[0])
    with pytest.raises(ValueError, match="fractions must be non-negative and add up to 1"):
        sessions.split((0.5, 0.6), seed=0)
    with pytest.raises(ValueError, match="no user column"):
        sessions.split((0.5, 0.5), seed=0, by="user")
    with pytest.raises(ValueError, match="by must be 'session', 'user', 'time' or 'user-and-time', got 'day'"):
        sessions.split((0.5, 0.5), seed=0, by="day")
    with pytest.raises(ValueError, match="a split by session is random: give a seed"):
        sessions.split((0.5, 0.5))
    for by in ("time", "user-and-time"):
        with pytest.raises(ValueError, match=r"no user column|no times to split by"):
            sessions.split((0.5, 0.5), seed=0, by=by)


def at(times, users):
    """Sessions of one step each, that begin at some times."""
    number = len(times)
    return Sessions.from_columns(
        num_items=2,
        lengths=[1] * number,
        slates=[[0, 1]] * number,
        clicks=[0] * number,
        rewards=range(number),
        times=times,
        users=users,
    )


def test_a_split_by_time_has_training_before_testing():
    sessions = at([50, 10, 30, 30, 20, 40, 60, 30, 0, 70], [0] * 10)
    training, validation, test = sessions.split((0.6, 0.2, 0.2), by="time")
    assert training.times.tolist() == [10, 30, 30, 20, 30, 0]
    assert validation.times.tolist() == [50, 40]
    assert test.times.tolist() == [60, 70]
    # Half of ten sessions is in the middle of those that begin at 30: they stay together.
    assert [len(part) for part in sessions.split((0.5, 0.5), by="time")] == [6, 4]
    assert [len(part) for part in at([5] * 4, [0] * 4).split((0.5, 0.5), by="time")] == [4, 0]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_a_split_by_user_and_time_tests_new_users_later(seed):
    rng = np.random.default_rng(seed)
    sessions = at(rng.integers(0, 40, 60), rng.integers(0, 12, 60))
    training, test = sessions.split((0.5, 0.5), seed=seed, by="user-and-time")
    by_user, by_time = sessions.split((0.5, 0.5), seed=seed, by="user"), sessions.split((0.5, 0.5), by="time")
    for part, of_users, of_time in zip((training, test), by_user, by_time, strict=True):
        assert set(part.rewards) == set(of_users.rewards) & set(of_time.rewards)
    assert not set(training.users) & set(test.users)
    assert training.times.max(initial=-1) < test.times.min(initial=99)


def test_statistics_are_had_by_day():
    day = 86_400
    sessions = at([3 * day + 5, day, 4 * day - 0.5, -1], [0, 1, 1, 0])
    found = sessions.statistics_by_day()
    assert [str(day) for day in found] == ["1969-12-31", "1970-01-02", "1970-01-04"]
    assert [one.num_sessions for one in found.values()] == [1, 1, 2]
    assert list(found.values())[2].mean_session_reward == 1.0
    with pytest.raises(ValueError, match="these sessions have no times"):
        sessions_of(0).statistics_by_day()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_returns_to_go_add_up_what_follows(seed, gamma):
    sessions = sessions_of(seed)
    values = np.random.default_rng(seed).normal(size=sessions.num_steps)
    returns = sessions.returns_to_go(values, gamma)
    for first, last in zip(sessions.offsets[:-1], sessions.offsets[1:], strict=True):
        for step in range(first, last):
            plain = sum(gamma ** (later - step) * values[later] for later in range(step, last))
            assert returns[step] == pytest.approx(plain, abs=1e-5)


def test_the_leaving_step_follows_sessions_that_their_users_ended():
    sessions = Sessions.from_columns(
        num_items=5,
        lengths=[2, 1, 1],
        slates=[[0, 1], [2, 3], [4, 0], [1, 2]],
        clicks=[1, 3, 4, 5],
        rewards=[1, 1, 1, 0],
        truncated=[False, True, False],
        propensities=[0.5, 0.5, 0.5, 0.5],
        event_lengths=[1, 0, 0, 2],
        event_items=[0, 3, 4],
    )
    longer = with_leaving_step(sessions)
    assert longer.lengths.tolist() == [3, 1, 1]
    assert longer.clicks.tolist() == [1, 3, 5, 4, 5]
    assert longer.rewards.tolist() == [1, 1, 0, 1, 0]
    assert [slate.tolist() for slate in longer[0].slates] == [[0, 1], [2, 3], [2, 3]]
    assert np.isnan(longer.propensities).tolist() == [False, False, True, False, False]
    assert np.diff(longer.event_offsets).tolist() == [1, 0, 0, 0, 2]
    assert longer.event_items.tolist() == [0, 3, 4]
    assert_same(with_leaving_step(longer), longer)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_with_leaving_steps_all_columns_still_fit_together(seed):
    sessions = with_leaving_step(with_everything(seed))
    checked = Sessions.from_columns(
        num_items=sessions.num_items,
        lengths=sessions.lengths,
        slates=sessions.slate_items,
        slate_lengths=sessions.slate_lengths,
        clicks=sessions.clicks,
        rewards=sessions.rewards,
        truncated=sessions.truncated,
        propensities=sessions.propensities,
        states=sessions.states,
        users=sessions.users,
        event_lengths=np.diff(sessions.event_offsets),
        event_items=sessions.event_items,
        item_names=sessions.item_names,
        provenance=sessions.provenance,
        user_names=sessions.user_names,
        times=sessions.times,
        features=sessions.features,
        labels=sessions.labels,
    )
    assert_same(checked, sessions)
    assert ((sessions.clicks[sessions.offsets[1:] - 1] == sessions.num_items) | sessions.truncated).all()


def test_arrays_are_copied_unless_nobody_can_change_them():
    """Those of a caller may change later, read-only views of them too; those of a reader are taken as they are."""
    rewards = np.array([1, 0, 1], dtype=np.float32)
    view = rewards.view()
    view.flags.writeable = False
    final = np.array([1, 3, 4], dtype=np.int32)
    final.flags.writeable = False
    sessions = Sessions.from_columns(**COLUMNS | {"rewards": view, "clicks": final})
    rewards[0] = 7
    assert sessions.rewards.tolist() == [1, 0, 1]
    assert np.shares_memory(sessions.clicks, final)


def test_a_repeated_item_is_found_in_any_block_of_rows(monkeypatch):
    monkeypatch.setattr(ragged, "_VALUES_AT_ONCE", 4)
    values = np.arange(30).reshape(10, 3)
    values[[3, 8], 2] = values[[3, 8], 0]
    offsets = np.arange(11) * 3
    assert ragged.rows_with_repeats(offsets, values.reshape(-1)).tolist() == [3, 8]
    lengths = np.array([1, 3, 2, 3, 3, 2, 3])
    values = np.array([5, 1, 2, 1, 4, 4, *range(6), 7, 8, 3, 9, 3])
    found = ragged.rows_with_repeats(np.append(0, np.cumsum(lengths)), values)
    assert found.tolist() == [1, 2, 6]
