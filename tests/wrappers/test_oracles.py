"""Agents that see the true state: ``observation="state"`` is all that they need, under every adaptor and vector env."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode
from stable_baselines3 import DQN
from stable_baselines3.common.evaluation import evaluate_policy

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.sb3 import NativeVecEnv
from irecgan_gym.wrappers import SequentialSlate, SingleItem, VectorSingleItem

WORLD = {"num_items": 6, "slate_size": 1, "num_states": 3, "observation": "state"}


def test_observations_are_the_states():
    env = SingleItem(gym.make("RecSim-v0", **WORLD))
    assert env.observation_space == Discrete(3)
    observation, info = env.reset(seed=0)
    states = set()
    for _ in range(60):
        assert observation == info["state"]
        states.add(int(observation))
        observation, _, terminated, _, info = env.step(env.action_space.sample())
        if terminated:
            # No other state follows a failure.
            assert observation == info["state"] == info["shown_in_state"]
            observation, info = env.reset()
    assert states == {0, 1, 2}


def test_slates_built_item_by_item_see_the_state_at_every_pick():
    env = SequentialSlate(gym.make("RecSim-v0", **{**WORLD, "slate_size": 2}))
    _, info = env.reset(seed=0)
    state = info["state"]
    for _ in range(10):
        assert env.step(0)[0]["observation"] == state
        observation, _, terminated, _, info = env.step(1)
        state = info["state"]
        assert observation["observation"] == state
        if terminated:
            state = env.reset()[1]["state"]


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_states_of_the_native_vector_env(mode):
    envs = gym.make_vec("RecSim-v0", num_envs=9, autoreset_mode=mode, **WORLD)
    observations, info = envs.reset(seed=0)
    for _ in range(20):
        np.testing.assert_array_equal(observations, info["state"])
        observations, _, terminated, _, info = envs.step(envs.action_space.sample())
        if mode == "SameStep" and terminated.any():
            final = info["final_obs"][terminated].astype(int)
            np.testing.assert_array_equal(final, info["final_info"]["state"][terminated])


def test_dqn_finds_the_best_item_of_every_state():
    """One item a slate, next states that do not depend on it: the best action is the item with the highest reward."""
    arguments = {**WORLD, "transitions": "dirichlet", "concentration": 5.0, "mdp_seed": 2}
    envs = gym.make_vec("RecSim-v0", num_envs=16, autoreset_mode=AutoresetMode.SAME_STEP, **arguments)
    envs = NativeVecEnv(VectorSingleItem(envs))
    agent = DQN(
        "MlpPolicy",
        envs,
        learning_rate=5e-3,
        gamma=0.0,
        learning_starts=200,
        batch_size=128,
        train_freq=1,
        exploration_fraction=0.9,
        exploration_final_eps=0.3,
        policy_kwargs={"net_arch": []},
        seed=0,
        device="cpu",
    ).learn(12_000)
    rewards = envs.get_attr("mdp")[0].rewards
    chosen = agent.predict(np.arange(3), deterministic=True)[0]
    assert (rewards[np.arange(3), chosen] > rewards.max(axis=1) - 0.05).all(), (rewards, chosen)
    assert evaluate_policy(agent, envs, 200, warn=False)[0] > 3
