"""Native vector envs under Stable-Baselines3: the steps of its own DummyVecEnv, masks, limits, both kinds of agents."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.evaluation import evaluate_policy as evaluate_masked_policy
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.agents import PG
from irecgan_gym.agents.references.simple import RandomPolicy
from irecgan_gym.sb3 import ItemHistoryExtractor, NativeVecEnv
from irecgan_gym.wrappers import (
    ClickHistory,
    SequentialSlate,
    VectorAdversarialReward,
    VectorClickHistory,
    VectorSequentialSlate,
    VectorSlateScores,
)
from tests.wrappers.test_adversarial_reward import make_score, user_model

WORLD = {"num_items": 12, "slate_size": 4, "num_states": 3, "max_episode_steps": 4}
SAME_STEP = {"autoreset_mode": AutoresetMode.SAME_STEP}


def native(num_envs, wrap=lambda envs: envs, **arguments):
    return NativeVecEnv(wrap(gym.make_vec("RecSim-v0", num_envs=num_envs, **SAME_STEP, **{**WORLD, **arguments})))


def assert_same(got, expected):
    if isinstance(expected, dict):
        assert set(got) == set(expected)
        for key, value in expected.items():
            assert_same(got[key], value)
    else:
        np.testing.assert_array_equal(got, expected)


def assert_same_steps(envs, expected, steps):
    """Equal resets, observations, rewards, ends and infos; how many sessions ended, and how many of them were cut."""
    assert envs.observation_space == expected.observation_space
    assert envs.action_space == expected.action_space
    for each in (envs, expected):
        each.seed(3)
        each.action_space.seed(0)
    assert_same(envs.reset(), expected.reset())
    ended, cut = 0, 0
    for _ in range(steps):
        actions = np.stack([envs.action_space.sample() for _ in range(envs.num_envs)])
        observations, rewards, dones, infos = envs.step(actions)
        same_observations, same_rewards, same_dones, same_infos = expected.step(actions)
        assert_same(observations, same_observations)
        assert rewards.dtype == same_rewards.dtype
        assert_same(rewards, same_rewards)
        assert_same(dones, same_dones)
        for got, info in zip(infos, same_infos, strict=True):
            assert_same(got, info)
        for got, info in zip(envs.reset_infos, expected.reset_infos, strict=True):
            assert_same(got, info)
        ended += int(dones.sum())
        cut += sum(info["TimeLimit.truncated"] for info in infos)
    return ended, cut


@pytest.mark.parametrize("wrap", [lambda env: env, lambda env: SequentialSlate(ClickHistory(env, 3))])
def test_many_envs_step_as_in_dummy_vec_env(wrap):
    """Around Gymnasium's SyncVectorEnv, whose envs take the same seeds."""
    makes = [lambda: wrap(gym.make("RecSim-v0", **WORLD))] * 5
    steps = 200 if "SequentialSlate" in str(makes[0]()) else 60
    ended, cut = assert_same_steps(NativeVecEnv(SyncVectorEnv(makes, **SAME_STEP)), DummyVecEnv(makes), steps)
    assert ended - cut > 20
    assert cut > 5


def test_one_native_env_steps_as_in_dummy_vec_env():
    ended, cut = assert_same_steps(native(1), DummyVecEnv([lambda: gym.make("RecSim-v0", **WORLD)]), 200)
    assert ended - cut > 20
    assert cut > 5


def test_one_native_env_under_wrappers_steps_as_in_dummy_vec_env():
    envs = native(1, lambda envs: VectorSequentialSlate(VectorClickHistory(envs, 3)))
    single = DummyVecEnv([lambda: SequentialSlate(ClickHistory(gym.make("RecSim-v0", **WORLD), 3))])
    assert assert_same_steps(envs, single, 400)[0] > 20


def test_rewards_of_wrappers_come_with_their_infos():
    envs = gym.make_vec("UserModel-v0", num_envs=6, max_episode_steps=5, user_model=user_model(), **SAME_STEP)
    envs = NativeVecEnv(VectorAdversarialReward(envs, score=make_score(constant=0.5)))
    envs.seed(0)
    envs.reset()
    ended = 0
    for _ in range(20):
        _, rewards, dones, infos = envs.step(np.tile(np.arange(4), (6, 1)))
        assert [0.5 * info["raw_reward"] for info in infos] == rewards.tolist()
        assert all(info["slate"].tolist() == [0, 1, 2, 3] for info in infos)
        ended += int(dones.sum())
    assert ended > 10


def test_rewards_of_wrappers_under_slates_built_item_by_item():
    envs = gym.make_vec("UserModel-v0", num_envs=6, max_episode_steps=5, user_model=user_model(), **SAME_STEP)
    envs = VectorAdversarialReward(envs, score=make_score(constant=0.5), mode="generation", lambda_r=3.0)
    envs = NativeVecEnv(VectorSequentialSlate(VectorClickHistory(envs, 3)))
    envs.reset()
    for _ in range(10):
        for pick in range(4):
            _, rewards, dones, infos = envs.step(np.full(6, pick))
            if pick < 3:
                assert not rewards.any()
                assert not dones.any()
                of_wrappers = {"raw_reward", "adversarial_score", "action_mask", "TimeLimit.truncated"}
                assert all(set(info) == {"slate", "click", *of_wrappers} for info in infos)
                # Nothing has been shown or scored, whatever the last slate earned.
                assert all((info["slate"] == -1).all() and info["click"] == 12 for info in infos)
                assert all(info["raw_reward"] == 0 and np.isnan(info["adversarial_score"]) for info in infos)
        assert rewards.tolist() == [0.5 * (1 + 3 * info["raw_reward"]) for info in infos]
        assert all(info["slate"].tolist() == [0, 1, 2, 3] for info in infos)
        for info in (infos[row] for row in np.flatnonzero(dones)):
            assert info["terminal_observation"]["observation"][-1] == info["click"]
            assert (info["terminal_observation"]["slate"] == 12).all()


def test_statistics_of_sessions():
    """Gymnasium's statistics in the vector env and Stable-Baselines3's around it say the same."""
    envs = VecMonitor(native(8, RecordEpisodeStatistics))
    envs.reset()
    for _ in range(20):
        _, _, dones, infos = envs.step(np.tile(np.arange(4), (8, 1)))
        assert [("episode" in info) for info in infos] == dones.tolist()
    inner = native(8, RecordEpisodeStatistics)
    outer = VecMonitor(native(8))
    for each in (inner, outer):
        each.seed(1)
        each.reset()
    for _ in range(20):
        infos, same = (each.step(np.tile(np.arange(4), (8, 1)))[3] for each in (inner, outer))
        for info, other in zip(infos, same, strict=True):
            assert ("episode" in info) == ("episode" in other)
            if "episode" in info:
                assert (info["episode"]["r"], info["episode"]["l"]) == (other["episode"]["r"], other["episode"]["l"])


def test_masks_for_maskable_ppo():
    envs = native(3, lambda envs: VectorSequentialSlate(VectorClickHistory(envs, 3)))
    assert is_masking_supported(envs)
    assert not is_masking_supported(native(3))
    envs.reset()
    envs.step(np.array([0, 5, 7]))
    masks = get_action_masks(envs)
    assert masks.shape == (3, 12)
    assert (~masks).nonzero()[1].tolist() == [0, 5, 7]
    assert [mask.tolist() for mask in envs.env_method("action_masks", indices=[2, 0])] == masks[[2, 0]].tolist()

    policy_kwargs = {"features_extractor_class": ItemHistoryExtractor}
    agent = MaskablePPO(
        "MultiInputPolicy",
        envs,
        n_steps=16,
        batch_size=24,
        n_epochs=1,
        policy_kwargs=policy_kwargs,
        seed=0,
        device="cpu",
    )
    agent.learn(96)
    # Duplicates would be an error: no slate holds one.
    strict = native(3, lambda envs: VectorSequentialSlate(VectorClickHistory(envs, 3)), duplicates="error")
    mean, _ = evaluate_masked_policy(agent, strict, 12, deterministic=False, warn=False)
    assert 0 < mean <= 4


def test_attributes_and_methods():
    envs = native(3, lambda envs: VectorClickHistory(envs, 2))
    assert envs.get_attr("slate_size") == [4, 4, 4]
    assert envs.get_attr("num_items", indices=[0]) == [12]
    assert envs.has_attr("mdp")
    assert not envs.has_attr("weather")
    envs.set_attr("logging_policy", "max")
    assert envs.get_attr("logging_policy", indices=1) == ["max"]
    assert envs.env_is_wrapped(VectorClickHistory) == [True] * 3
    assert envs.env_is_wrapped(VectorSlateScores, indices=[0]) == [False]
    with pytest.raises(ValueError, match="logging_policy belongs to all 3 envs"):
        envs.set_attr("logging_policy", "mix", indices=[0])
    with pytest.raises(AttributeError, match="has an attribute 'sing'"):
        envs.env_method("sing")
    with pytest.raises(TypeError, match="close must return one row for each of 3 envs, got None"):
        envs.env_method("close")


def test_other_autoreset_modes_are_refused():
    for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED):
        envs = gym.make_vec("RecSim-v0", num_envs=2, autoreset_mode=mode)
        with pytest.raises(ValueError, match=f"the env is in autoreset mode {mode.name}: make it with"):
            NativeVecEnv(envs)


def test_one_seed_owns_all_envs():
    def run(seed):
        envs = native(4)
        envs.seed(seed)
        first = envs.reset()
        return first.tolist(), [envs.step(np.tile(np.arange(4), (4, 1)))[0].tolist() for _ in range(10)]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_evaluate_policy_takes_their_agents_and_ours():
    """The same number, within noise, for the random policy and for theirs and ours before they learnt anything."""
    envs = native(50, max_episode_steps=10)
    random = RandomPolicy(12, 4, seed=0)
    ours = PG(12, 4, device="cpu").learn(envs.env.unwrapped.collect(60, seed=0))
    theirs = PPO("MlpPolicy", envs, n_steps=4, batch_size=100, n_epochs=1, seed=0, device="cpu").learn(400)
    rewards = {}
    for name, agent in {"random": random, "ours": ours, "theirs": theirs}.items():
        envs.seed(1)
        episodes, lengths = evaluate_policy(
            agent, envs, 300, deterministic=False, warn=False, return_episode_rewards=True
        )
        assert len(episodes) == 300
        # A session earns 1 a step but for the failing one, if it was not cut.
        assert all(length - reward in (0, 1) for reward, length in zip(episodes, lengths, strict=True))
        rewards[name] = np.mean(episodes)
    # Few sessions teach little: all are near what random slates earn, and all earn something.
    assert all(0.5 * rewards["random"] < reward < 3 * rewards["random"] for reward in rewards.values())
