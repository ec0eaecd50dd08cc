"""Wrappers for the suite's envs: adversarial rewards, and adaptors for agents of other libraries.

Every wrapper of a single env has a twin for vector envs. The adaptors need no PyTorch; it is imported when one of the
adversarial rewards is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from irecgan_gym.wrappers.adversarial_reward import AdversarialReward, VectorAdversarialReward
    from irecgan_gym.wrappers.adversarial_reward_sessions import SessionAdversarialReward
    from irecgan_gym.wrappers.click_history import ClickHistory, VectorClickHistory
    from irecgan_gym.wrappers.one_hot_history import OneHotHistory, VectorOneHotHistory
    from irecgan_gym.wrappers.sequential_slate import SequentialSlate, VectorSequentialSlate
    from irecgan_gym.wrappers.single_item import SingleItem, VectorSingleItem
    from irecgan_gym.wrappers.slate_scores import SlateScores, VectorSlateScores

__all__ = [
    "AdversarialReward",
    "ClickHistory",
    "OneHotHistory",
    "SequentialSlate",
    "SessionAdversarialReward",
    "SingleItem",
    "SlateScores",
    "VectorAdversarialReward",
    "VectorClickHistory",
    "VectorOneHotHistory",
    "VectorSequentialSlate",
    "VectorSingleItem",
    "VectorSlateScores",
]

_MODULES = {
    "AdversarialReward": "adversarial_reward",
    "ClickHistory": "click_history",
    "OneHotHistory": "one_hot_history",
    "SequentialSlate": "sequential_slate",
    "SessionAdversarialReward": "adversarial_reward_sessions",
    "SingleItem": "single_item",
    "SlateScores": "slate_scores",
    "VectorAdversarialReward": "adversarial_reward",
    "VectorClickHistory": "click_history",
    "VectorOneHotHistory": "one_hot_history",
    "VectorSequentialSlate": "sequential_slate",
    "VectorSingleItem": "single_item",
    "VectorSlateScores": "slate_scores",
}


def __getattr__(name: str) -> Any:
    """Import the module of a wrapper when the wrapper is first asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
