import numpy as np
import pytest

from irecgan_gym.models.batches import SessionTensors
from tests.conftest import random_sessions


@pytest.mark.parametrize("leave_option", [False, True])
def test_a_batch_holds_every_step_of_its_sessions(rng, leave_option):
    sessions = random_sessions(rng, ragged=True)
    numbers = np.array([7, 2, 9])
    batch = SessionTensors(sessions, leave_option=leave_option).batch(numbers)
    expected = np.concatenate([np.arange(sessions.offsets[i], sessions.offsets[i + 1]) for i in numbers])
    assert sorted(batch.steps.tolist()) == sorted(expected.tolist())
    assert batch.batch_sizes.sum() == len(expected)
    assert (np.diff(batch.batch_sizes.numpy()) <= 0).all()
    previous = sessions.previous_clicks
    for row, step in enumerate(batch.steps.tolist()):
        slate = sessions.slate_items[sessions.slate_offsets[step] : sessions.slate_offsets[step + 1]].tolist()
        alternatives = [*slate, sessions.num_items] if leave_option else slate
        assert batch.slates[row][batch.slate_mask[row]].tolist() == alternatives
        assert (batch.slates[row][~batch.slate_mask[row]] == sessions.num_items).all()
        assert batch.clicks[row] == sessions.clicks[step]
        assert batch.rewards[row] == sessions.rewards[step]
        assert batch.previous_clicks[row] == previous[step]


def test_steps_of_one_session_share_its_number(rng):
    sessions = random_sessions(rng)
    batch = SessionTensors(sessions, leave_option=False).batch(np.arange(len(sessions)))
    owner = sessions.session_of_step[batch.steps.numpy()]
    for number in range(batch.num_sessions):
        assert len(set(owner[batch.session_of_step.numpy() == number])) == 1


def test_next_rows_follow_each_session(rng):
    sessions = random_sessions(rng)
    batch = SessionTensors(sessions, leave_option=False).batch(np.arange(len(sessions)))
    last = set((sessions.offsets[1:] - 1).tolist())
    for step, following in zip(batch.steps.tolist(), batch.next_rows.tolist(), strict=True):
        assert following == -1 if step in last else batch.steps[following] == step + 1


def test_shuffled_batches_cover_every_step_once(rng):
    sessions = random_sessions(rng, num_sessions=23)
    data = SessionTensors(sessions, leave_option=False)
    seen = np.concatenate([batch.steps.numpy() for batch in data.shuffled(5, rng)])
    assert sorted(seen) == list(range(sessions.num_steps))


def test_a_constant_divisor_weighs_steps_alike(rng):
    """Summed over an epoch, losses divided by mean_steps are the sum over all steps up to one factor."""
    sessions = random_sessions(rng, num_sessions=20)
    data = SessionTensors(sessions, leave_option=False)
    value = rng.random(sessions.num_steps)
    epoch = sum(value[batch.steps.numpy()].sum() / data.mean_steps(5) for batch in data.shuffled(5, rng))
    assert epoch == pytest.approx(4 * value.mean())
