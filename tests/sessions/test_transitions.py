import numpy as np
import pytest

from irecgan_gym.sessions import Sessions, SessionsError, flat_transitions


def test_steps_become_rows_of_transitions():
    sessions = Sessions.from_columns(
        num_items=5,
        lengths=[2, 1],
        slates=[[0, 1], [2, 3], [4, 0]],
        clicks=[1, 5, 4],
        rewards=[1, 0, 0.5],
        truncated=[False, True],
    )
    flat = flat_transitions(sessions)
    assert flat.observations.tolist() == [[5], [1], [5]]
    assert flat.actions.tolist() == [[0, 1], [2, 3], [4, 0]]
    assert flat.rewards.tolist() == [1, 0, 0.5]
    assert flat.terminals.tolist() == [0, 1, 0]
    assert flat.timeouts.tolist() == [0, 0, 1]
    assert flat.rewards.flags.writeable


@pytest.mark.parametrize("lengths", [[2, 1], []])
def test_slates_must_have_one_size(lengths):
    sessions = Sessions.from_columns(
        num_items=5,
        lengths=[1] * len(lengths),
        slates=np.arange(sum(lengths)) % 5,
        slate_lengths=lengths,
        clicks=[0, 2][: len(lengths)],
        rewards=[0] * len(lengths),
    )
    with pytest.raises(SessionsError, match="slates of one size, got sizes"):
        flat_transitions(sessions)
