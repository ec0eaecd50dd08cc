"""Eq 6 rolled out by policies of another library, through the wrappers."""

import pickle

import gymnasium as gym
import numpy as np
import pytest
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.models.predictor_policy import PredictorPolicy
from irecgan_gym.wrappers import AdversarialReward, VectorAdversarialReward
from tests.wrappers.test_adversarial_reward import B, K, make_score, user_model


def always_the_first_items(clicks):
    return np.tile(np.arange(K), (len(clicks), 1))


class ThatPolicy:
    """The same policy as a predictor."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return always_the_first_items(observation), None


def rewards_of(wrapper, env, policy, score):
    env = wrapper(env, score=score, policy=policy)
    env.reset(seed=5)
    env.action_space.seed(0)
    rewards = []
    for _ in range(12):
        _, reward, terminated, *_ = env.step(env.action_space.sample())
        rewards.append(np.copy(reward))
        if wrapper is AdversarialReward and terminated:
            env.reset()
    return np.array(rewards)


@pytest.mark.parametrize("wrapper", [AdversarialReward, VectorAdversarialReward])
def test_the_policy_given_rolls_the_sessions_out(wrapper):
    def env():
        if wrapper is AdversarialReward:
            return gym.make("UserModel-v0", user_model=user_model())
        return gym.make_vec("UserModel-v0", num_envs=B, user_model=user_model())

    score = make_score()
    as_function = rewards_of(wrapper, env(), always_the_first_items, score)
    np.testing.assert_array_equal(as_function, rewards_of(wrapper, env(), ThatPolicy(), score))
    in_the_score = rewards_of(wrapper, env(), None, score.with_policy(always_the_first_items))
    np.testing.assert_array_equal(as_function, in_the_score)
    assert (as_function != rewards_of(wrapper, env(), None, score)).any()


def test_branches_and_copies_keep_the_policy():
    vector = VectorAdversarialReward(
        gym.make_vec("UserModel-v0", num_envs=B, user_model=user_model()), score=make_score(), policy=ThatPolicy()
    )
    vector.reset(seed=0)
    assert isinstance(vector.branch(np.array([0, 0]))._score.policy.predictor, ThatPolicy)
    env = AdversarialReward(gym.make("UserModel-v0", user_model=user_model()), score=make_score(), policy=ThatPolicy())
    env.reset(seed=0)
    twin = pickle.loads(pickle.dumps(env))
    assert twin.step(np.arange(K))[1] == env.step(np.arange(K))[1]
    assert isinstance(env.spec.make()._score.policy.predictor, ThatPolicy)


@pytest.mark.parametrize("algorithm", [PPO, RecurrentPPO])
def test_a_model_trains_on_rewards_that_it_rolls_out_itself(algorithm):
    world = gym.make("UserModel-v0", max_episode_steps=6, user_model=user_model())
    name = "MlpPolicy" if algorithm is PPO else "MlpLstmPolicy"
    model = algorithm(name, world, n_steps=32, batch_size=32, n_epochs=1, seed=0, device="cpu")
    score = make_score(num_rollouts=2)
    model.set_env(AdversarialReward(world, score=score, policy=model))
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(64)
    assert any((old != new).any() for old, new in zip(before, model.policy.parameters(), strict=True))
    wrapped = model.get_env().envs[0]
    while not isinstance(wrapped, AdversarialReward):
        wrapped = wrapped.env
    assert isinstance(wrapped._score.policy, PredictorPolicy)
    assert wrapped._score.policy.predictor is model
