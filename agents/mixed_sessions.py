"""Logged and generated sessions in one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from irecgan_gym.sessions import Sessions, concatenate


def both_kinds(offline: Sessions, generated: Sessions) -> Sessions:
    """Offline and generated sessions in one, with the columns that both kinds have.

    Where the offline sessions hold events other than clicks, generated ones hold none.
    """
    events = offline.event_offsets is not None
    return concatenate([_bare(offline, events), _bare(generated, events)])


def _bare(sessions: Sessions, events: bool) -> Sessions:
    bare = replace(sessions, propensities=None, states=None, users=None, item_names=None, provenance={})
    if not events:
        return replace(bare, event_offsets=None, event_items=None)
    if bare.event_offsets is not None:
        return bare
    return replace(
        bare,
        event_offsets=np.zeros(bare.num_steps + 1, dtype=np.int64),
        event_items=np.zeros(0, dtype=np.int32),
    )
