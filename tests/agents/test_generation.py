"""Generated sessions are those of a policy in ``UserModel-v0``, to the bit."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.agents.generation import generate_sessions
from irecgan_gym.models.building import build
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.sessions import Sessions

N, K = 12, 3
SHAPE = EncoderConfig(hidden_size=8, embedding_size=4)


def models(ending="leave", num_items=N):
    model = UserModel.create(UserModelConfig(num_items, K, ending, SHAPE), seed=0, device="cpu")
    return build(lambda: SlatePolicy(N, K, SHAPE), torch.Generator().manual_seed(1)), model


@torch.no_grad()
def played(policy, user_model, number, longest, seed):
    """Slates, clicks and rewards of every session, from the env, which forgets the sessions that are over."""
    env = gym.make_vec(
        "UserModel-v0",
        num_envs=number,
        user_model=user_model,
        max_episode_steps=longest,
        autoreset_mode=AutoresetMode.DISABLED,
    )
    user_seed, slate_seed = np.random.SeedSequence(seed).generate_state(2)
    generator = torch.Generator().manual_seed(int(slate_seed))
    env.reset(seed=int(user_seed))
    sessions, rows = [[] for _ in range(number)], np.arange(number)
    state = policy.start(number)
    slates = policy.sample(state[:1], generator, draws=number)
    while True:
        clicks, rewards, terminated, truncated, info = env.step(slates.numpy())
        cut = truncated & ~terminated
        for row, step in zip(rows, zip(info["slate"].tolist(), clicks, rewards, cut, strict=True), strict=True):
            sessions[row].append(step)
        going = np.flatnonzero(~(terminated | truncated))
        if len(going) == 0:
            return sessions
        rows = rows[going]
        state = policy.observe(torch.from_numpy(clicks[going]), state[torch.from_numpy(going)])
        slates = policy.sample(state, generator)
        if len(going) < env.num_envs:
            env = env.branch(going)


@pytest.mark.parametrize("ending", ["reward", "leave"])
@pytest.mark.parametrize("longest", [1, 2, 9])
def test_sessions_are_those_of_the_env(ending, longest):
    policy, user_model = models(ending)
    ours = generate_sessions(policy, user_model, 40, max_session_steps=longest, seed=5)
    theirs = played(policy, user_model, 40, longest, 5)
    steps = [step for session in theirs for step in session]
    expected = Sessions.from_columns(
        num_items=N,
        lengths=[len(session) for session in theirs],
        slates=np.array([slate for slate, *_ in steps]),
        clicks=[click for _, click, *_ in steps],
        rewards=[reward for *_, reward, _ in steps],
        truncated=[session[-1][-1] for session in theirs],
    )
    for name in ("offsets", "slate_offsets", "slate_items", "clicks", "rewards", "truncated"):
        column, other = getattr(ours, name), getattr(expected, name)
        assert column.dtype == other.dtype
        np.testing.assert_array_equal(column, other)
    assert 1 <= ours.lengths.max() <= longest
    assert ours.provenance == {"source": "UserModel-v0", "seed": 5}


def test_what_cannot_be_generated_is_refused():
    policy, user_model = models()
    with pytest.raises(ValueError, match="num_sessions must be at least 1, got 0"):
        generate_sessions(policy, user_model, 0, max_session_steps=3, seed=0)
    with pytest.raises(ValueError, match="max_session_steps must be at least 1, got 0"):
        generate_sessions(policy, user_model, 3, max_session_steps=0, seed=0)
    with pytest.raises(ValueError, match="the policy knows 12 items, the user model 11"):
        generate_sessions(policy, models(num_items=11)[1], 3, max_session_steps=3, seed=0)
