"""Wrappers for the suite's envs: adversarial rewards, and adaptors for agents of other libraries.

Every wrapper of a single env has a twin for vector envs. The adaptors need no PyTorch; it is imported when one of the
adversarial rewards is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from irecgan_gym._lazy import lazily

if TYPE_CHECKING:
    from irecgan_gym.wrappers.adapted_predictors import SequentialPredictor, TranslatedPredictor, WindowPredictor
    from irecgan_gym.wrappers.adversarial_reward import AdversarialReward, VectorAdversarialReward
    from irecgan_gym.wrappers.adversarial_reward_sessions import SessionAdversarialReward
    from irecgan_gym.wrappers.click_history import ClickHistory, VectorClickHistory
    from irecgan_gym.wrappers.one_hot_history import OneHotHistory, VectorOneHotHistory
    from irecgan_gym.wrappers.sequential_slate import SequentialSlate, VectorSequentialSlate
    from irecgan_gym.wrappers.single_item import SingleItem, VectorSingleItem
    from irecgan_gym.wrappers.slate_scores import SlateScores, VectorSlateScores
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "irecgan_gym.wrappers.adapted_predictors": "SequentialPredictor TranslatedPredictor WindowPredictor",
            "irecgan_gym.wrappers.adversarial_reward": "AdversarialReward VectorAdversarialReward",
            "irecgan_gym.wrappers.adversarial_reward_sessions": "SessionAdversarialReward",
            "irecgan_gym.wrappers.click_history": "ClickHistory VectorClickHistory",
            "irecgan_gym.wrappers.one_hot_history": "OneHotHistory VectorOneHotHistory",
            "irecgan_gym.wrappers.sequential_slate": "SequentialSlate VectorSequentialSlate",
            "irecgan_gym.wrappers.single_item": "SingleItem VectorSingleItem",
            "irecgan_gym.wrappers.slate_scores": "SlateScores VectorSlateScores",
        },
    )

__all__ = [
    "AdversarialReward",
    "ClickHistory",
    "OneHotHistory",
    "SequentialPredictor",
    "SequentialSlate",
    "SessionAdversarialReward",
    "SingleItem",
    "SlateScores",
    "TranslatedPredictor",
    "VectorAdversarialReward",
    "VectorClickHistory",
    "VectorOneHotHistory",
    "VectorSequentialSlate",
    "VectorSingleItem",
    "VectorSlateScores",
    "WindowPredictor",
]
