"""The adversarial reward of sessions that are over: what the wrappers give step by step, for all steps at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.sessions import Sessions
from irecgan_gym.wrappers.adversarial_reward import RewardMode, RewardRule, seed_generator


class RescaledRewards(NamedTuple):
    """Rewards of whole sessions, in the order of their steps.

    Attributes:
        rewards: rescaled, float64 [T].
        q: q_D(tau_0:t), float64 [T].
    """

    rewards: NDArray[np.float64]
    q: NDArray[np.float64]


class SessionAdversarialReward:
    """Rescale the rewards of whole sessions by q_D(tau_0:t) (Eq 6).

    An env under :class:`~irecgan_gym.wrappers.adversarial_reward.VectorAdversarialReward` knows q at every step,
    but has to complete each prefix before the next step is taken. Where nobody asks before the sessions are over,
    all their prefixes can be completed together, in far fewer and larger batches.

    Args:
        score: the models and numbers of Eq 6.
        mode: ``"multiply"`` for q r (§5.2) or ``"generation"`` for q (1 + lambda_r r) (Eq 10).
        lambda_r: see ``mode``.
    """

    def __init__(self, score: SequenceScore, *, mode: RewardMode = "multiply", lambda_r: float = 3.0) -> None:
        self._score = score
        self._rule = RewardRule(mode, lambda_r)

    def rescale(self, sessions: Sessions, *, seed: int) -> RescaledRewards:
        """Rewards as the vector wrapper would have given them (with other roll-outs, of the same distribution).

        Args:
            sessions: with the leaving step where users leave; the last step of each is scored by D itself.
            seed: of the roll-outs.

        Raises:
            ValueError: the sessions have another catalogue than the user model.
        """
        known = self._score.user_model.catalogue
        known.check_agrees(sessions.catalogue, "the user model of the score", "the sessions")
        generator = torch.Generator(self._score.user_model.device)
        seed_generator(generator, seed)
        q = self._score.score_sessions(sessions, generator).double().cpu().numpy()
        left = sessions.clicks == sessions.num_items
        return RescaledRewards(self._rule.rescale(q, sessions.rewards.astype(np.float64), left), q)
