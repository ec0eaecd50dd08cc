"""Logged sessions: columns with checks, files, and what is derived from them."""

from irecgan_gym.sessions.catalogue import Catalogue, CatalogueError
from irecgan_gym.sessions.checks import SessionsError
from irecgan_gym.sessions.columns import Session
from irecgan_gym.sessions.dataset import SessionDataset, SessionLog
from irecgan_gym.sessions.features import FeatureColumn, SessionFeatures
from irecgan_gym.sessions.joining import concatenate
from irecgan_gym.sessions.leaving import with_leaving_step
from irecgan_gym.sessions.logged_sessions import Sessions
from irecgan_gym.sessions.slate_propensities import SlatePropensities
from irecgan_gym.sessions.statistics import SessionStatistics
from irecgan_gym.sessions.transitions import Transitions, flat_transitions

__all__ = [
    "Catalogue",
    "CatalogueError",
    "FeatureColumn",
    "Session",
    "SessionDataset",
    "SessionFeatures",
    "SessionLog",
    "SessionStatistics",
    "Sessions",
    "SessionsError",
    "SlatePropensities",
    "Transitions",
    "concatenate",
    "flat_transitions",
    "with_leaving_step",
]
