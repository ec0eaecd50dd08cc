"""Generation: sessions of the policy with the user model, their adversarial rewards, and both kinds in one."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from irecgan_gym.agents.policy_gradient import PGConfig, ReturnsData, offline_rewards
from irecgan_gym.collection import play
from irecgan_gym.envs.user_model_device import UsersOnDevice
from irecgan_gym.kernels.low_precision import LowPrecision, Precision
from irecgan_gym.models.predictor_policy import PolicyPredictor
from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import UserModel
from irecgan_gym.sessions import Sessions, concatenate
from irecgan_gym.wrappers.adversarial_reward_sessions import SessionAdversarialReward


def both_kinds(offline: Sessions, generated: Sessions) -> Sessions:
    """Join offline and generated sessions, with the columns that both kinds have.

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


class Generated(NamedTuple):
    """Generated sessions with their adversarial scores and rewards.

    Attributes:
        sessions: slates, clicks and the user model's own rewards.
        rewards: the agent's rewards q_D (1 + lambda_r r), float32 [T].
        scores: q_D(tau_0:t), float32 [T]; 1 without a discriminator.
    """

    sessions: Sessions
    rewards: NDArray[np.float32]
    scores: NDArray[np.float32]

    def metrics(self) -> dict[str, float]:
        """Return means over the sessions, by name."""
        number = len(self.sessions)
        return {
            "adversarial/generated_length": self.sessions.num_steps / number,
            "adversarial/generated_reward": float(self.sessions.rewards.sum()) / number,
            "adversarial/rescaled_reward": float(self.rewards.sum()) / number,
        }


def returns_of_both(offline: Sessions, generated: Generated, config: PGConfig, device: torch.device) -> ReturnsData:
    """Return B = [B^s, B^r] with the agent's rewards of Eq 10, where q_D = 1 on the offline sessions."""
    rewards = np.concatenate([offline_rewards(offline, config.lambda_r), generated.rewards])
    return ReturnsData(both_kinds(offline, generated.sessions), rewards, config.gamma, device)


def generate_sessions(
    policy: SlatePolicy,
    user_model: UserModel,
    num_sessions: int,
    *,
    max_session_steps: int,
    seed: int,
    precision: Precision = "float32",
) -> Sessions:
    """Roll the policy out in ``UserModel-v0``, without rewards from a discriminator.

    Args:
        policy: draws the slates (Eq 4).
        user_model: plays the users.
        num_sessions: sessions to generate, all started at once; those that end leave the batch.
        max_session_steps: length at which a session is cut.
        seed: of the users and of the slates.
        precision: of large matrix products (see :class:`~irecgan_gym.kernels.low_precision.LowPrecision`).

    Raises:
        ValueError: no sessions, no steps, or models of different catalogues.
    """
    if policy.num_items != user_model.config.num_items:
        raise ValueError(f"the policy knows {policy.num_items} items, the user model {user_model.config.num_items}")
    lowered = LowPrecision(precision)
    users = UsersOnDevice(num_sessions, lowered(user_model), max_session_steps)
    played = play(PolicyPredictor(lowered(policy)), users, num_sessions, seed, deterministic=False, one_each=True)
    return played.trusted_sessions({"source": "UserModel-v0", "seed": seed})


def generate_adversarial_sessions(
    policy: SlatePolicy,
    score: SequenceScore,
    num_sessions: int,
    *,
    lambda_r: float,
    seed: int,
    precision: Precision = "float32",
) -> Generated:
    """Roll the policy out in ``UserModel-v0`` and give every step the adversarial reward q_D (1 + lambda_r r) of Eq 10.

    Args:
        policy: draws the slates (Eq 4).
        score: Eq 6, with the user model that plays the users.
        num_sessions: sessions to generate.
        lambda_r: weight of the user model's rewards.
        seed: of the users, of the slates and of the roll-outs.
        precision: of large matrix products (see :class:`~irecgan_gym.kernels.low_precision.LowPrecision`).
    """
    lowered = LowPrecision(precision)
    score = SequenceScore(
        lowered(score.user_model),
        lowered(score.policy) if isinstance(score.policy, nn.Module) else score.policy,
        lowered(score.discriminator),
        num_rollouts=score.num_rollouts,
        max_session_steps=score.max_session_steps,
    )
    # The networks have that precision already.
    sessions = generate_sessions(
        lowered(policy), score.user_model, num_sessions, max_session_steps=score.max_session_steps, seed=seed
    )
    reward = SessionAdversarialReward(score, mode="generation", lambda_r=lambda_r)
    rescaled = reward.rescale(sessions, seed=seed)
    return Generated(sessions, rescaled.rewards.astype(np.float32), rescaled.q.astype(np.float32))
