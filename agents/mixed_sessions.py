"""Logged and generated sessions in one."""

from __future__ import annotations

from dataclasses import replace

from irecgan_gym.sessions import Sessions, concatenate


def both_kinds(offline: Sessions, generated: Sessions) -> Sessions:
    """Offline and generated sessions in one, with the columns that both kinds have."""
    return concatenate([_bare(offline), _bare(generated)])


def _bare(sessions: Sessions) -> Sessions:
    return replace(
        sessions,
        propensities=None,
        states=None,
        users=None,
        event_offsets=None,
        event_items=None,
        item_names=None,
        provenance={},
    )
