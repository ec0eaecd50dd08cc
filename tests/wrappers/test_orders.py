"""Every order of two or three of the suite's wrappers: it works, or an error names the two that cannot stand so."""

import re
from itertools import product

import gymnasium as gym
import pytest
import torch

from irecgan_gym import wrappers
from irecgan_gym.models.building import build
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import UserModel, UserModelConfig

SHAPE = EncoderConfig(hidden_size=4, embedding_size=3)
N, K = 8, 3
OBSERVATIONS = {"ClickHistory": ("env", "ClickHistory"), "OneHotHistory": ("ClickHistory", "OneHotHistory")}
ACTIONS = ("SlateScores", "SingleItem", "SequentialSlate")


@pytest.fixture(scope="module")
def score():
    model = UserModel.create(UserModelConfig(N, K, "leave", SHAPE), seed=0, device="cpu")
    policy = build(lambda: SlatePolicy(N, K, SHAPE), torch.Generator().manual_seed(1))
    discriminator = Discriminator.create(DiscriminatorConfig(N, SHAPE), seed=0, device="cpu")
    return SequenceScore(model, policy, discriminator, num_rollouts=1, max_session_steps=4)


def first_conflict(names):
    """The wrappers of an order, from the inside, that are refused: the outer and the inner one; None if it works."""
    observation, action, rewards = "env", None, False
    for name in names:
        if name in OBSERVATIONS:
            needed, given = OBSERVATIONS[name]
            if observation != needed:
                return name, "ClickHistory" if observation == "env" else observation
            observation = given
        elif name in ACTIONS:
            if action is not None:
                return name, action
            action = name
            if name == "SequentialSlate":
                observation = name
        else:
            if "SequentialSlate" in (action, observation):
                return name, "SequentialSlate"
            if rewards:
                return name, name
            rewards = True
    return None


def arguments(score):
    return {"ClickHistory": {"length": 3}, "SingleItem": {"ranking": range(K)}, "AdversarialReward": {"score": score}}


def worlds(score):
    return {"RecSim-v0": {"num_items": N, "slate_size": K}, "UserModel-v0": {"user_model": score.user_model}}


ORDERS = [
    order
    for length in (2, 3)
    for order in product(("AdversarialReward", *OBSERVATIONS, *ACTIONS), repeat=length)
    if first_conflict(order[:-1]) is None
]
"""Those that begin like one that works: what is around a conflict is never made."""


def wrapped(env, order, prefix, score):
    for name in order:
        env = getattr(wrappers, prefix + name)(env, **arguments(score).get(name, {}))
    return env


@pytest.mark.parametrize("world", ["RecSim-v0", "UserModel-v0"])
@pytest.mark.parametrize("prefix", ["", "Vector"])
def test_orders_work_or_are_refused_by_name(prefix, world, score):
    made, worked = {"": gym.make, "Vector": gym.make_vec}[prefix], 0
    options = {"num_envs": 2, "autoreset_mode": "SameStep"} if prefix else {}
    for order in ORDERS:
        env, conflict = made(world, **options, **worlds(score)[world]), first_conflict(order)
        if conflict is not None:
            outer, inner = conflict
            with pytest.raises(ValueError, match=rf"^{prefix}{outer}\b.*\b{inner}\b") as refused:
                wrapped(env, order, prefix, score)
            # Without the one inside, the message says which that is; otherwise it tells the order of all.
            assert re.search("wrap the env in ClickHistory|from the inside out, the order is", str(refused.value))
            continue
        env = wrapped(env, order, prefix, score)
        observation, _ = env.reset(seed=0)
        env.action_space.seed(0)
        for _ in range(3):
            assert env.observation_space.contains(observation), order
            observation, *_ = env.step(env.action_space.sample())
        worked += 1
    assert worked == 37


def test_what_builds_slates_out_of_sight_is_noticed(score):
    envs = gym.make_vec(
        "RecSim-v0",
        num_envs=2,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": "SameStep"},
        wrappers=[wrappers.SequentialSlate],
        **worlds(score)["RecSim-v0"],
    )
    rewarded = wrappers.VectorAdversarialReward(envs, score=score)
    rewarded.reset(seed=0)
    with pytest.raises(ValueError, match=r"shown no slate in this step, only \[-1 -1 -1\]; from the inside out"):
        rewarded.step(rewarded.action_space.sample())
    envs.close()
