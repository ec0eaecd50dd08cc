"""Agents of another library run on the suite's envs as they are, with and without the adversarial reward."""

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.wrappers import AdversarialReward
from tests.wrappers.test_adversarial_reward import make_score, settings


@pytest.mark.parametrize("world", ["RecSim-v0", "UserModel-v0"])
@pytest.mark.parametrize("adversarial", [False, True])
def test_ppo_learns_on_every_env(world, adversarial):
    env = gym.make(world, max_episode_steps=10, **settings(world))
    if adversarial:
        env = AdversarialReward(env, score=make_score())
    agent = PPO("MlpPolicy", env, n_steps=64, batch_size=32, n_epochs=1, seed=0, device="cpu")
    agent.learn(128)
    slate, _ = agent.predict(np.array(3))
    assert env.action_space.contains(slate)
    mean, _ = evaluate_policy(agent, gym.make(world, max_episode_steps=10, **settings(world)), 3, warn=False)
    assert 0 <= mean <= 10
