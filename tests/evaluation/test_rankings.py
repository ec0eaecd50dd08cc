import numpy as np
import pytest

from irecgan_gym.evaluation.rankings import CoClick, LastInteraction, LoggedOrder, last_touched
from irecgan_gym.sessions import Sessions


def sessions(lengths, slates, clicks, **more):
    return Sessions.from_columns(
        num_items=8, lengths=lengths, slates=slates, clicks=clicks, rewards=np.ones(len(clicks)), **more
    )


LOG = sessions(
    [2, 1],
    [[4, 2, 6], [6, 2, 5], [1, 3, 7]],
    [2, 5, 3],
    event_lengths=[0, 2, 1],
    event_items=[7, 5, 3],
)


def test_last_touched_is_an_event_or_else_the_click_before():
    assert last_touched(LOG).tolist() == [8, 5, 3]
    bare = sessions([2, 1], [[4, 2, 6], [6, 2, 5], [1, 3, 7]], [2, 5, 3])
    assert last_touched(bare).tolist() == [8, 2, 8]


def test_logged_order_and_last_interaction():
    assert LoggedOrder().slate_scores(LOG).tolist() == [0, -1, -2] * 3
    assert LastInteraction().slate_scores(LOG).tolist() == [0, -1, -2, 0, -1, 1, 0, 1, -2]


def test_co_click_counts_sessions_in_common():
    # Items 1 and 2 share two sessions of three and two; 1 and 3 share one of three and one.
    training = sessions([2, 3, 2], [[0, 1, 2, 3]] * 7, [1, 2, 1, 1, 2, 1, 3])
    test = sessions([2], [[1, 4, 5, 6], [2, 3, 4, 5]], [1, 2])
    weight = 1e-3
    scores = CoClick(weight).learn(training).slate_scores(test)
    popularity = weight * np.log1p([0, 4, 2, 1, 0, 0])
    np.testing.assert_allclose(scores[:4], popularity[[1, 4, 5, 5]], atol=1e-6)
    expected = [2 / np.sqrt(3 * 2), 1 / np.sqrt(3), 0, 0] + popularity[[2, 3, 4, 5]]
    np.testing.assert_allclose(scores[4:], expected, rtol=1e-5, atol=1e-6)


def test_co_click_must_learn_first():
    with pytest.raises(ValueError, match="must learn first"):
        CoClick().slate_scores(LOG)
