"""Sessions as plain columns, as checkpoints keep them, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from irecgan_gym.sessions.features import SCOPES, FeatureColumn, SessionFeatures
from irecgan_gym.sessions.logged_sessions import Sessions
from irecgan_gym.sessions.slate_propensities import SlatePropensities


def state_of_sessions(sessions: Sessions) -> dict[str, Any]:
    """Return the columns of sessions by name: arrays, numbers, texts, and mappings of them."""
    columns = {field.name: getattr(sessions, field.name) for field in fields(sessions)}
    given = sessions.slate_propensities
    if given is not None:
        columns["slate_propensities"] = {field.name: getattr(given, field.name) for field in fields(given)}
    columns["features"] = {
        scope: {
            name: {"values": column.values, "categories": column.categories}
            for name, column in sessions.features.of(scope).items()
        }
        for scope in SCOPES
    }
    return columns


def sessions_of_state(columns: Mapping[str, Any]) -> Sessions:
    """Return the sessions of such columns, which are trusted as they are."""
    columns = dict(columns)
    for name in ("item_names", "user_names"):
        if columns[name] is not None:
            columns[name] = tuple(columns[name])
    if columns["slate_propensities"] is not None:
        columns["slate_propensities"] = SlatePropensities(**columns["slate_propensities"])
    columns["features"] = SessionFeatures(
        **{
            scope: {
                name: FeatureColumn(told["values"], None if told["categories"] is None else tuple(told["categories"]))
                for name, told in of_scope.items()
            }
            for scope, of_scope in columns["features"].items()
        }
    )
    return Sessions(**columns)
