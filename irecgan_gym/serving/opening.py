"""Opening a service on a policy and the folder of its log."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from irecgan_gym.serving.catalogue_file import catalogue_digest, keep_catalogue
from irecgan_gym.serving.event_log import Durability, EventLog, read_open_sessions
from irecgan_gym.serving.events import Header
from irecgan_gym.serving.named_policy import Recommends
from irecgan_gym.serving.service import Limits, RecommendationService


def open_service(
    policy: Recommends,
    folder: str | Path,
    *,
    policy_digest: str,
    item_names: Sequence[str] | None = None,
    sampled: bool = True,
    durability: Durability = "fsync",
    limits: Limits | None = None,
    seed: int | None = None,
) -> RecommendationService:
    """Open the log of a service, and go on with the sessions that are open in it.

    Args:
        policy: chooses slates; its state must follow from the clicks alone.
        folder: of the log; made where it is missing.
        policy_digest: names the policy in the log.
        item_names: the catalogue's own names.
        sampled: True draws slates, False shows the best ones.
        durability: see :data:`~irecgan_gym.serving.event_log.Durability`.
        limits: of memory.
        seed: of the slates drawn; a random one when None. It is in the log.

    Raises:
        LogError: the log is damaged, written to by another server, or of another catalogue.
    """
    folder = Path(folder)
    names = None if item_names is None else tuple(item_names)
    keep_catalogue(folder, names, policy.num_items)
    # Starting with the same draws after every restart would show the same slates again.
    drawn = secrets.randbits(62) if seed is None else seed
    header = Header(policy.num_items, policy_digest, sampled, catalogue_digest(names), drawn, time.time())
    log = EventLog(folder, header, durability=durability)
    try:
        service = RecommendationService(policy, log, sampled=sampled, limits=limits)
        service.restore(read_open_sessions(folder))
    except BaseException:
        log.close()
        raise
    policy.set_random_seed(drawn)
    return service
