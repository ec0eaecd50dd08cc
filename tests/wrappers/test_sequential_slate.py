"""Slates built item by item: observations, masks, rewards and ends, step by step."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.wrappers import SequentialSlate, VectorSequentialSlate

WORLD = {"num_items": 6, "slate_size": 3, "num_states": 2}


def make(**arguments):
    return SequentialSlate(gym.make("RecSim-v0", **{**WORLD, **arguments}))


def make_vector(num_envs, autoreset_mode="SameStep"):
    return VectorSequentialSlate(gym.make_vec("RecSim-v0", num_envs=num_envs, autoreset_mode=autoreset_mode, **WORLD))


def test_one_slate():
    env = make()
    observation, info = env.reset(seed=0)
    assert observation["observation"] == 6
    assert observation["slate"].tolist() == [6, 6, 6]
    assert info["action_mask"].dtype == np.int8
    assert info["click"] == 6
    observation, reward, terminated, truncated, info = env.step(4)
    assert (observation["slate"].tolist(), reward, terminated, truncated) == ([4, 6, 6], 0.0, False, False)
    # The same keys as after reset: nothing has been shown yet.
    assert set(info) == {"action_mask", "slate", "click", "state", "shown_in_state"}
    assert info["slate"].tolist() == [-1, -1, -1]
    assert info["click"] == 6
    assert info["action_mask"].tolist() == [1, 1, 1, 1, 0, 1]
    observation = env.step(0)[0]
    assert observation["slate"].tolist() == [4, 0, 6]
    assert env.action_masks().tolist() == [False, True, True, True, False, True]
    observation, reward, _, _, info = env.step(5)
    assert info["slate"].tolist() == [4, 0, 5]
    assert info["click"] == observation["observation"]
    assert info["click"] in (4, 0, 5)
    assert observation["slate"].tolist() == [6, 6, 6]
    assert env.action_masks().all()


def test_sessions_earn_what_the_same_slates_earn():
    sequential, whole = make(), gym.make("RecSim-v0", **WORLD)
    sequential.reset(seed=7)
    whole.reset(seed=7)
    slates, sessions = np.random.default_rng(0), 0
    while sessions < 10:
        slate = slates.permutation(6)[:3]
        *first, last = slate
        assert all(sequential.step(item)[1] == 0 for item in first)
        observation, *result, info = sequential.step(last)
        expected_observation, *expected, expected_info = whole.step(slate)
        assert observation["observation"] == expected_observation
        assert result == expected
        assert info["state"] == expected_info["state"]
        if result[1]:
            with pytest.raises(ResetNeeded):
                sequential.step(0)
            sequential.reset(), whole.reset()
            sessions += 1


def test_time_limits_count_slates():
    env = make(max_episode_steps=1)
    env.reset(seed=0)
    assert [env.step(item)[3] for item in range(3)] == [False, False, True]


def test_repeats_are_left_to_the_env():
    env = make()
    env.reset(seed=0)
    env.step(2), env.step(2)
    slate = env.step(1)[4]["slate"].tolist()
    assert (slate[0], slate[2], len(set(slate))) == (2, 1, 3)
    env = make(duplicates="error")
    env.reset(seed=0)
    env.step(2), env.step(2)
    with pytest.raises(ValueError, match="names an item more than once"):
        env.step(1)


def test_a_reset_empties_the_slate():
    for env, item in ((make(), 2), (make_vector(2), np.array([2, 3]))):
        env.reset(seed=0)
        env.step(item)
        assert (env.reset()[0]["slate"] == 6).all()
        assert env.action_masks().all()


def test_masks_of_many_envs():
    envs = make_vector(3)
    envs.reset(seed=0)
    _, _, _, _, info = envs.step(np.array([0, 1, 5]))
    masks = np.ones((3, 6), dtype=bool)
    masks[[0, 1, 2], [0, 1, 5]] = False
    np.testing.assert_array_equal(envs.action_masks(), masks)
    np.testing.assert_array_equal(info["action_mask"], masks)
    assert info["action_mask"].dtype == np.int8


def test_modes_and_moments_that_would_let_envs_part():
    with pytest.raises(
        ValueError, match=r"the env has NEXT_STEP: make it with autoreset_mode=AutoresetMode\.SAME_STEP"
    ):
        make_vector(2, "NextStep")
    envs = make_vector(2, "Disabled")
    envs.reset(seed=0)
    envs.step(np.array([0, 1]))
    with pytest.raises(ValueError, match=r"while slates are being built \(1 of 3 picked\)"):
        envs.reset(options={"reset_mask": np.array([True, False])})
    while not envs.step(envs.action_space.sample())[2].any():
        pass
    with pytest.raises(ResetNeeded, match="have ended: reset them before"):
        envs.step(np.array([0, 1]))


def test_before_reset_and_wrong_actions():
    with pytest.raises(ResetNeeded):
        make().step(0)
    with pytest.raises(ResetNeeded):
        make_vector(2).step(np.array([0, 1]))
    envs = make_vector(2)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="one item id for each of 2 envs"):
        envs.step(np.array([0]))
    with pytest.raises(ValueError, match="item ids run from 0 to 5, got 6"):
        envs.step(np.array([0, 6]))
