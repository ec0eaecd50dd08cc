"""Generation on a card: valid sessions of the CPU's law, with scores of the CPU's law; envs and wrappers on a card."""

from __future__ import annotations

import copy
import functools
import pickle

import gymnasium as gym
import numpy as np
import pytest
import torch

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.agents.generation import generate_adversarial_sessions
from irecgan_gym.agents.returns import ReturnSettings
from irecgan_gym.models.building import build
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.sessions import Sessions
from irecgan_gym.wrappers import VectorAdversarialReward

N, K = 1100, 5
SHAPE = EncoderConfig(hidden_size=128, embedding_size=16, embedding_std=1.0)


def models(device):
    model = UserModel.create(UserModelConfig(N, K, "leave", SHAPE), seed=0, device=device)
    policy = build(lambda: SlatePolicy(N, K, SHAPE), torch.Generator().manual_seed(1), device)
    return model, policy, Discriminator.create(DiscriminatorConfig(N, SHAPE), seed=2, device=device)


@functools.cache
def generated(device, precision):
    model, policy, discriminator = models(device)
    score = SequenceScore(model, policy, discriminator, num_rollouts=2, max_session_steps=6)
    return generate_adversarial_sessions(policy, score, 3_000, rewards=ReturnSettings(), seed=0, precision=precision)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_sessions_and_their_scores_have_the_law_of_the_cpu(precision):
    exact, ours = generated("cpu", "float32"), generated("cuda", precision)
    columns = [
        (exact.sessions.lengths, ours.sessions.lengths),
        (exact.sessions.rewards, ours.sessions.rewards),
        (exact.sessions.slate_items, ours.sessions.slate_items),
        (exact.scores[exact.sessions.offsets[:-1]], ours.scores[ours.sessions.offsets[:-1]]),
    ]
    for left, right in columns:
        error = np.hypot(left.std() / np.sqrt(len(left)), right.std() / np.sqrt(len(right)))
        assert abs(left.mean() - right.mean()) < 4 * error


def test_sessions_pass_the_checks_of_logged_data_and_depend_on_the_seed_alone():
    sessions = generated("cuda", "float32").sessions
    checked = Sessions.from_columns(
        num_items=N,
        lengths=sessions.lengths,
        slates=sessions.slate_items.reshape(-1, K),
        clicks=sessions.clicks,
        rewards=sessions.rewards,
        truncated=sessions.truncated,
    )
    assert (sessions.truncated == (sessions.clicks[sessions.offsets[1:] - 1] != N)).all()
    generated.cache_clear()
    again = generated("cuda", "float32").sessions
    for name in ("offsets", "slate_items", "clicks", "rewards", "truncated"):
        np.testing.assert_array_equal(getattr(again, name), getattr(checked, name))


@torch.no_grad()
def test_users_and_rewards_live_on_the_card():
    model, policy, discriminator = models("cuda")
    score = SequenceScore(model, policy, discriminator, num_rollouts=3, max_session_steps=6)
    env = gym.make_vec("UserModel-v0", num_envs=9, user_model=model, max_episode_steps=6)
    env = VectorAdversarialReward(env, score=score)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(8):
        _, _, _, _, info = env.step(rng.integers(0, N, (9, K)))
    assert (
        (info["adversarial_score"] >= 0) & (info["adversarial_score"] <= 1) | np.isnan(info["adversarial_score"])
    ).all()
    twin = env.branch(np.array([3, 3, 0]))
    assert twin.step(rng.integers(0, N, (3, K)))[0].shape == (3,)


def test_an_env_on_the_card_is_copied_and_pickled(tmp_path):
    models("cpu")[0].save(tmp_path / "model.safetensors")
    env = gym.make("UserModel-v0", user_model=str(tmp_path / "model.safetensors"), max_episode_steps=7, device="cuda")
    env.reset(seed=1)
    twins = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
    slate = np.arange(K)
    expected = env.step(slate)[:4]
    for twin in twins:
        assert twin.step(slate)[:4] == expected
