"""Sessions that the agent and the user model generate together, with their adversarial rewards."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.utils.seeding import np_random
from numpy.typing import NDArray
from torch import Tensor, nn

from irecgan_gym.models.lower_precision import ProductsIn
from irecgan_gym.models.precision import Precision
from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import Response, UserModel
from irecgan_gym.sessions import Sessions
from irecgan_gym.wrappers.adversarial_reward_sessions import SessionAdversarialReward


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
    """Roll the policy out against the users of ``UserModel-v0`` (without rewards from a discriminator).

    Args:
        policy: draws the slates (Eq 4).
        user_model: plays the users.
        num_sessions: how many sessions, all started at once; those that end leave the batch.
        max_session_steps: length at which a session is cut.
        seed: of the users and of the slates.
        precision: of large matrix products (see :class:`~irecgan_gym.models.lower_precision.ProductsIn`).
    """
    lowered = ProductsIn(precision)
    return _generate(lowered(policy), lowered(user_model), num_sessions, max_session_steps, seed)


@torch.no_grad()
def _generate(
    policy: SlatePolicy, user_model: UserModel, num_sessions: int, max_session_steps: int, seed: int
) -> Sessions:
    for name, value in (("num_sessions", num_sessions), ("max_session_steps", max_session_steps)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if policy.num_items != user_model.config.num_items:
        raise ValueError(f"the policy knows {policy.num_items} items, the user model {user_model.config.num_items}")
    device = policy.device
    user_seed, slate_seed = np.random.SeedSequence(seed).generate_state(2)
    generator = torch.Generator(device).manual_seed(int(slate_seed))
    users = _Users(user_model, num_sessions, int(user_seed))
    state, sessions = policy.start(num_sessions), torch.arange(num_sessions, device=device)
    # All sessions begin in the same state.
    slates = policy.sample(state[:1], generator, draws=num_sessions)
    steps: list[_Step] = []
    while True:
        steps.append(_Step(sessions, slates, *users.respond(slates)))
        if len(steps) == max_session_steps:
            break
        going = (~steps[-1].ended).nonzero().squeeze(1)
        if len(going) == 0:
            break
        clicks = steps[-1].clicks
        users.go_on(clicks, going)
        state, sessions = policy.observe(clicks[going], state[going]), sessions[going]
        slates = policy.sample(state, generator)
    return _as_sessions(steps, policy.num_items, num_sessions, {"source": "UserModel-v0", "seed": seed})


class _Step(NamedTuple):
    """What happened in the t-th step of all sessions that have one, on the device of the models.

    Attributes:
        sessions: their numbers, ascending, int64 [B].
        slates: int64 [B, k].
        clicks: int64 [B].
        rewards: float32 [B].
        ended: whether the user ended the session, bool [B].
    """

    sessions: Tensor
    slates: Tensor
    clicks: Tensor
    rewards: Tensor
    ended: Tensor


class _Users:
    """The users of ``UserModel-v0``, to the bit, whose actions and answers stay on the device of the model.

    Args:
        user_model: plays them.
        number: how many.
        seed: what the vector env would be reset with.
    """

    def __init__(self, user_model: UserModel, number: int, seed: int) -> None:
        self._model = user_model
        self._states = user_model.encoder.start(number)
        self._rng, _ = np_random(seed)
        self._generator = torch.Generator(user_model.device)
        self._reseed()

    def respond(self, slates: Tensor) -> Response:
        """What everybody does with a slate, [B, k]."""
        return self._model.respond(self._states, slates, self._generator)

    def go_on(self, clicks: Tensor, going: Tensor) -> None:
        """Take note of everybody's clicks, [B], and leave only some of the users, by ascending number."""
        self._states = self._model.encoder.step(clicks, self._states)
        if len(going) < len(clicks):
            # As the env's ``branch`` does.
            self._states = self._states[going]
            self._rng = np.random.Generator(np.random.PCG64(self._rng.integers(2**63)))
            self._reseed()

    def _reseed(self) -> None:
        self._generator.manual_seed(int(self._rng.integers(2**62)))


def _as_sessions(steps: list[_Step], num_items: int, num_sessions: int, provenance: dict[str, Any]) -> Sessions:
    """Steps, which lie by their number, as sessions one after the other; right by construction, and not checked."""
    number = torch.cat([step.sessions for step in steps])
    order = number.argsort(stable=True)
    slates, clicks, rewards = (
        torch.cat(columns)[order].to(dtype).cpu().numpy()
        for columns, dtype in (
            ([step.slates for step in steps], torch.int32),
            ([step.clicks for step in steps], torch.int32),
            ([step.rewards for step in steps], torch.float32),
        )
    )
    # Whoever has not left by the last step was cut there.
    truncated = np.zeros(num_sessions, dtype=bool)
    truncated[steps[-1].sessions.cpu().numpy()] = ~steps[-1].ended.cpu().numpy()
    offsets = np.zeros(num_sessions + 1, dtype=np.int64)
    np.cumsum(np.bincount(number.cpu().numpy(), minlength=num_sessions), out=offsets[1:])
    return Sessions(
        num_items=num_items,
        offsets=offsets,
        slate_offsets=np.arange(len(clicks) + 1, dtype=np.int64) * slates.shape[1],
        slate_items=slates.reshape(-1),
        clicks=clicks,
        rewards=rewards,
        truncated=truncated,
        provenance=provenance,
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
        precision: of large matrix products (see :class:`~irecgan_gym.models.lower_precision.ProductsIn`).
    """
    lowered = ProductsIn(precision)
    score = SequenceScore(
        lowered(score.user_model),
        lowered(score.policy) if isinstance(score.policy, nn.Module) else score.policy,
        lowered(score.discriminator),
        num_rollouts=score.num_rollouts,
        max_session_steps=score.max_session_steps,
    )
    sessions = _generate(lowered(policy), score.user_model, num_sessions, score.max_session_steps, seed)
    reward = SessionAdversarialReward(score, mode="generation", lambda_r=lambda_r)
    rescaled = reward.rescale(sessions, seed=seed)
    return Generated(sessions, rescaled.rewards.astype(np.float32), rescaled.q.astype(np.float32))
