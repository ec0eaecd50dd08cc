import numpy as np

from irecgan_gym.agents.generation import both_kinds
from irecgan_gym.sessions import Sessions


def sessions(**more):
    return Sessions.from_columns(
        num_items=5, lengths=[1, 1], slates=[[0, 1], [2, 3]], clicks=[1, 2], rewards=[1, 0], **more
    )


def test_generated_sessions_hold_no_events_beside_offline_ones_that_do():
    both = both_kinds(sessions(event_lengths=[2, 1], event_items=[4, 3, 0], users=[1, 2]), sessions())
    assert np.diff(both.event_offsets).tolist() == [2, 1, 0, 0]
    assert both.event_items.tolist() == [4, 3, 0]
    assert both.users is None


def test_events_are_left_out_where_offline_sessions_have_none():
    assert both_kinds(sessions(), sessions()).event_offsets is None
