"""Sessions that the agent and the user model generate together, with their adversarial rewards."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from irecgan_gym.collection import collect
from irecgan_gym.kernels.low_precision import LowPrecision, Precision
from irecgan_gym.models.predictor_policy import PolicyPredictor
from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import UserModel
from irecgan_gym.sessions import Sessions, concatenate
from irecgan_gym.wrappers.adversarial_reward_sessions import SessionAdversarialReward


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


class Generated(NamedTuple):
    """Generated sessions and what the adversarial reward made of them.

    Attributes:
        sessions: slates, clicks and the user model's own rewards.
        rewards: rescaled rewards, float32 [T].
        scores: q_D(tau_0:t), float32 [T].
    """

    sessions: Sessions
    rewards: NDArray[np.float32]
    scores: NDArray[np.float32]


def generate_sessions(
    policy: SlatePolicy,
    user_model: UserModel,
    num_sessions: int,
    *,
    max_session_steps: int,
    seed: int,
    precision: Precision = "float32",
) -> Sessions:
    """Roll the policy out against ``UserModel-v0`` (without rewards from a discriminator).

    Args:
        policy: draws the slates (Eq 4).
        user_model: plays the users.
        num_sessions: how many sessions, all started at once; those that end leave the batch.
        max_session_steps: length at which a session is cut.
        seed: of the users and of the slates.
        precision: of large matrix products (see :class:`~irecgan_gym.kernels.low_precision.LowPrecision`).
    """
    lowered = LowPrecision(precision)
    return collect(
        PolicyPredictor(lowered(policy)),
        "UserModel-v0",
        num_sessions,
        seed,
        max_session_steps=max_session_steps,
        env_kwargs={"user_model": lowered(user_model), "slate_size": policy.slate_size},
    )


def generate_adversarial_sessions(
    policy: SlatePolicy,
    score: SequenceScore,
    num_sessions: int,
    *,
    lambda_r: float,
    seed: int,
    precision: Precision = "float32",
) -> Generated:
    """Sessions of the policy in ``UserModel-v0`` with the adversarial reward q_D (1 + lambda_r r) of Eq 10.

    Args:
        policy: draws the slates (Eq 4).
        score: Eq 6, with the user model that plays the users.
        num_sessions: how many sessions.
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
