"""Infos: the same keys and NumPy types at every step of every env and adaptor, as collectors elsewhere want."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from irecgan_gym.models.building import build
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.wrappers import (
    AdversarialReward,
    ClickHistory,
    SequentialSlate,
    SingleItem,
    SlateScores,
    VectorSequentialSlate,
)

SHAPE = EncoderConfig(hidden_size=4, embedding_size=3)
NUM_ITEMS, SLATE_SIZE = 8, 3


def user_model():
    return UserModel.create(UserModelConfig(NUM_ITEMS, SLATE_SIZE, "leave", SHAPE), seed=0, device="cpu")


def history(env):
    return ClickHistory(env, 4)


def single(env):
    return SingleItem(env, np.arange(int(env.action_space.nvec[0])))


def adversarial(env):
    model = user_model()
    policy = build(lambda: SlatePolicy(NUM_ITEMS, SLATE_SIZE, SHAPE), torch.Generator().manual_seed(1))
    discriminator = Discriminator.create(DiscriminatorConfig(NUM_ITEMS, SHAPE), seed=0, device="cpu")
    score = SequenceScore(model, policy, discriminator, num_rollouts=2, max_session_steps=8)
    return AdversarialReward(env, score=score)


ENVS = {
    "RecSim-v0": {"num_items": NUM_ITEMS, "slate_size": SLATE_SIZE},
    "RecSim-Observable-v0": {"num_items": NUM_ITEMS, "slate_size": SLATE_SIZE},
    "RecSim-Planning-v0": {"slate_size": SLATE_SIZE},
    "UserModel-v0": {"slate_size": SLATE_SIZE},
}
WRAPPERS = {
    "none": (),
    "history": (history,),
    "single": (single,),
    "scores": (SlateScores,),
    "sequential": (SequentialSlate,),
    "sequential of histories": (history, SequentialSlate),
}


def made(name, wrappers=()):
    kwargs = dict(ENVS[name])
    if name == "UserModel-v0":
        kwargs = {"user_model": user_model()}
    env = gym.make(name, **kwargs)
    for wrapper in wrappers:
        env = wrapper(env)
    return env


def kinds(info):
    """Type and shape of every entry, all of them NumPy's."""
    assert all(isinstance(value, (np.generic, np.ndarray)) for value in info.values()), info
    return {name: (value.dtype, value.shape) for name, value in info.items()}


@pytest.mark.parametrize("wrappers", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize("name", ENVS)
def test_infos_have_the_same_keys_and_types_at_every_step(name, wrappers):
    env = made(name, wrappers)
    _, info = env.reset(seed=0)
    env.action_space.seed(0)
    first = kinds(info)
    for _ in range(40):
        mask = {"mask": info["action_mask"]} if "action_mask" in info else {}
        _, _, terminated, truncated, info = env.step(env.action_space.sample(**mask))
        assert kinds(info) == first
        if terminated or truncated:
            _, info = env.reset()
            assert kinds(info) == first


def test_infos_of_adversarial_rewards_have_them_too():
    for env in (adversarial(made("UserModel-v0")), SequentialSlate(adversarial(made("RecSim-v0")))):
        _, info = env.reset(seed=0)
        first = kinds(info)
        for _ in range(12):
            env.action_space.seed(0)
            _, _, terminated, truncated, info = env.step(env.action_space.sample())
            assert kinds(info) == first
            if terminated or truncated:
                env.reset()


def test_between_picks_nothing_has_been_shown():
    env = SequentialSlate(adversarial(made("RecSim-v0")))
    _, begun = env.reset(seed=3)
    seen = []
    for pick in range(2 * SLATE_SIZE):
        _, reward, terminated, _, info = env.step(pick % SLATE_SIZE)
        seen.append(info)
        if pick % SLATE_SIZE < SLATE_SIZE - 1:
            assert reward == 0
            np.testing.assert_array_equal(info["slate"], [-1] * SLATE_SIZE)
            assert (info["click"], info["shown_in_state"], info["raw_reward"]) == (NUM_ITEMS, -1, 0)
            assert np.isnan(info["adversarial_score"])
            assert info["state"] == (seen[SLATE_SIZE - 1] if pick >= SLATE_SIZE else begun)["state"]
        else:
            np.testing.assert_array_equal(info["slate"], range(SLATE_SIZE))
        if terminated:
            break
    assert len(seen) == 2 * SLATE_SIZE  # The first slate has earned a reward with this seed.
    # What one info holds is its own.
    seen[0]["slate"][:] = 7
    assert seen[1]["slate"].tolist() == [-1] * SLATE_SIZE


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED])
def test_infos_of_many_envs_are_those_of_single_ones(mode):
    envs = gym.make_vec("RecSim-v0", 3, autoreset_mode=mode, **ENVS["RecSim-v0"])
    envs = VectorSequentialSlate(envs)
    _, info = envs.reset(seed=0)
    first, picks = set(info), np.random.default_rng(0)
    state = info["state"]
    for step in range(1, 31):
        action = np.array([picks.choice(np.flatnonzero(mask)) for mask in info["action_mask"]])
        _, _, terminated, truncated, info = envs.step(action)
        ended = terminated | truncated
        assert set(info) - {"final_obs", "_final_obs", "final_info", "_final_info"} == first
        if step % SLATE_SIZE:
            assert (info["slate"] == -1).all()
            assert (info["click"] == NUM_ITEMS).all()
            np.testing.assert_array_equal(info["state"], state)
        state = info["state"]
        if mode == AutoresetMode.DISABLED and ended.any():
            _, begun = envs.reset(options={"reset_mask": ended})
            state = np.where(ended, begun["state"], state)
            info = {**info, "action_mask": np.ones_like(info["action_mask"])}


@pytest.mark.parametrize("name", ["RecSim-v0", "UserModel-v0"])
def test_minari_records_the_infos_of_picks(name):
    minari = pytest.importorskip("minari")
    env = minari.DataCollector(made(name, (SequentialSlate,)), record_infos=True)
    for seed in range(2):
        _, info = env.reset(seed=seed)
        ended = False
        while not ended:
            _, _, terminated, truncated, info = env.step(env.action_space.sample(info["action_mask"]))
            ended = terminated or truncated
    assert all(len(episode.infos["click"]) == len(episode.rewards) + 1 for episode in env._buffer or [])
    env.close()


@pytest.mark.parametrize("wrappers", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize("name", ["RecSim-v0", "UserModel-v0"])
def test_torchrl_registers_the_infos(name, wrappers):
    libs = pytest.importorskip("torchrl.envs")
    env = libs.GymWrapper(made(name, wrappers)).auto_register_info_dict()
    played = env.rollout(4, break_when_any_done=False)
    assert {"click", "slate"} <= set(played["next"].keys())


@pytest.mark.parametrize("wrappers", WRAPPERS.values(), ids=WRAPPERS)
def test_tianshou_keeps_the_infos(wrappers):
    data = pytest.importorskip("tianshou.data")
    env, buffer = made("RecSim-v0", wrappers), data.ReplayBuffer(20)
    observation, info = env.reset(seed=0)
    for _ in range(8):
        action = env.action_space.sample()
        after, reward, terminated, truncated, info = env.step(action)
        step = {"obs": observation, "act": action, "rew": reward, "terminated": terminated, "truncated": truncated}
        buffer.add(data.Batch(**step, obs_next=after, info=info))
        observation = env.reset()[0] if terminated or truncated else after
    assert buffer.info.click.shape == (20,)
    assert buffer.info.slate.shape == (20, SLATE_SIZE)
