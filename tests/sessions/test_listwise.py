"""Listwise features against a plain version that reads sessions in a loop, entry by entry."""

import numpy as np
import pytest

from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.listwise import listwise_features, with_listwise_features
from tests.conftest import random_sessions

NAN = float("nan")


def plain_features(sessions, session):
    """The features of one session's entries, a dictionary each."""
    prices, seconds = sessions.features.entries["price"].values, sessions.features.events["seconds"].values
    touches, shown, result = [], [], []
    for step in range(sessions.offsets[session], sessions.offsets[session + 1]):
        for event in range(sessions.event_offsets[step], sessions.event_offsets[step + 1]):
            touches.append((sessions.event_items[event], sessions.times[step] - seconds[event], False))
        first, end = sessions.slate_offsets[step], sessions.slate_offsets[step + 1]
        items, price = sessions.slate_items[first:end].tolist(), prices[first:end].astype(float)
        names = [item for item, _, _ in touches]
        recent = list(dict.fromkeys(reversed(names)))
        last = recent[0] if recent else None
        place_of_last = items.index(last) if last in items else NAN
        own = [item in names for item in items]
        for place, item in enumerate(items):
            mine = [touch for touch in touches if touch[0] == item]
            since = sessions.times[step] - mine[-1][1] if mine else NAN
            cheaper = [other for other in range(len(items)) if (price[other], other) < (price[place], place)]
            result.append(
                {
                    "place": place,
                    "list_length": len(items),
                    "step_of_session": step - sessions.offsets[session],
                    "touched_rank": recent.index(item) if mine else NAN,
                    "touched_count": len(mine),
                    "clicked_count": sum(touch[2] for touch in mine),
                    "touched_last": item == last,
                    "touched_items": len(recent),
                    "place_of_last": place_of_last,
                    "place_to_last": place - place_of_last,
                    "touched_above": sum(own[:place]),
                    "touched_below": sum(own[place + 1 :]),
                    "touched_before": place > 0 and own[place - 1],
                    "touched_behind": place < len(items) - 1 and own[place + 1],
                    "shown_count": sum(item in earlier for earlier in shown),
                    "seconds_since_touched": since,
                    "seconds_since_last": sessions.times[step] - touches[-1][1] if last in items else NAN,
                    "price": price[place],
                    "price_rank": len(cheaper),
                    "price_share": len(cheaper) / len(items),
                    "price_to_list": price[place] / price.mean(),
                    "price_to_lowest": price[place] / price.min(),
                    "price_to_last": price[place] / price[place_of_last] if last in items else NAN,
                    "price_to_touched": price[place] / price[own].mean() if any(own) else NAN,
                }
            )
        shown.append(items)
        if sessions.clicks[step] < sessions.num_items:
            touches.append((sessions.clicks[step], sessions.times[step], True))
    return result


def log(seed):
    """Sessions with times, events and prices."""
    rng = np.random.default_rng(seed)
    sessions = random_sessions(rng, num_sessions=12, num_items=9, ragged=True, leave=True)
    lengths = rng.integers(0, 4, sessions.num_steps)
    columns = sessions.to_columns() | {
        "event_lengths": lengths,
        "event_items": rng.integers(0, sessions.num_items, lengths.sum()),
        "times": np.cumsum(rng.integers(1, 9, sessions.num_steps) * 100.0),
    }
    order = [sorted(rng.random(number) * 90, reverse=True) for number in lengths]
    return Sessions.from_columns(**columns).with_features(
        entries={"price": rng.integers(10, 20, len(sessions.slate_items)).astype(float)},
        events={"seconds": np.concatenate([np.zeros(0), *order])},
    )


@pytest.mark.parametrize("seed", range(4))
def test_features_are_those_of_the_plain_version(seed, monkeypatch):
    sessions = log(seed)
    plain = [entry for session in range(len(sessions)) for entry in plain_features(sessions, session)]
    for pairs in (2**20, 5):
        monkeypatch.setattr("irecgan_gym.sessions.listwise._PAIRS_AT_ONCE", pairs)
        features = listwise_features(sessions)
        assert set(features) == set(plain[0])
        for name, column in features.items():
            expected = np.array([entry[name] for entry in plain], dtype=np.float32)
            # Times are large numbers, of which the features are differences.
            np.testing.assert_allclose(column, expected, rtol=1e-5, atol=1e-3, err_msg=name)


def test_what_is_not_known_has_no_features():
    sessions = random_sessions(np.random.default_rng(0))
    features = listwise_features(sessions)
    assert not any("price" in name or "seconds" in name for name in features)
    assert with_listwise_features(sessions).features.entries.keys() == features.keys()
    assert len(listwise_features(sessions.select([]))["place"]) == 0


def test_nothing_of_a_click_is_told_before_it():
    """Other clicks at the last steps change nothing."""
    sessions = log(7)
    last = sessions.offsets[1:] - 1
    clicks = sessions.clicks.copy()
    clicks[last] = sessions.slate_items[sessions.slate_offsets[last + 1] - 1]
    assert (clicks != sessions.clicks).any()
    other = Sessions.from_columns(**sessions.to_columns() | {"clicks": clicks})
    for name, column in listwise_features(other).items():
        np.testing.assert_array_equal(column, listwise_features(sessions)[name], err_msg=name)
