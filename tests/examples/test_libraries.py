"""The lines of the page on agent libraries make envs of those libraries."""

import gymnasium as gym
import numpy as np
import pytest

from irecgan_gym.wrappers import SequentialSlate

ID = "irecgan_gym:RecSim-v0"


def test_workers_of_gymnasium_import_the_package():
    users = gym.make_vec(ID, num_envs=2, vectorization_mode="async")
    try:
        assert users.reset(seed=0)[0].tolist() == [50, 50]
    finally:
        users.close()


def test_torchrl_steps_the_native_vector_env():
    libraries = pytest.importorskip("torchrl.envs")
    users = gym.make_vec(ID, num_envs=8, autoreset_mode="SameStep")
    env = libraries.GymWrapper(users, categorical_action_encoding=True)
    played = env.rollout(4, break_when_any_done=False)
    assert played["action"].shape == (8, 4, 10)
    assert played["next", "reward"].sum() > 0


def test_sb3_makes_envs_with_a_wrapper():
    making = pytest.importorskip("stable_baselines3.common.env_util")
    envs = making.make_vec_env(ID, n_envs=3, wrapper_class=SequentialSlate)
    assert set(envs.reset()) == {"observation", "slate"}


def test_tianshou_steps_several_envs():
    library = pytest.importorskip("tianshou.env")
    envs = library.DummyVectorEnv([lambda: gym.make(ID)] * 3)
    assert np.asarray(envs.reset()[0]).tolist() == [50, 50, 50]
