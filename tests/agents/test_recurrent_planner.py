from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

import irecgan_gym  # noqa: F401
from irecgan_gym.agents.recurrent_planner import RecurrentPlanner, RecurrentPlannerConfig
from irecgan_gym.agents.references.simple import RandomPolicy
from irecgan_gym.evaluation.online import evaluate_online
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig

WORLD = {"num_items": 12, "slate_size": 3, "mdp_seed": 1}
SMALL = RecurrentPlannerConfig(
    EncoderConfig(hidden_size=16, embedding_size=8),
    FitConfig(learning_rate=1e-2, max_epochs=6),
    num_features=8,
    rollouts=60,
    rounds=1,
    sweeps=20,
)


@pytest.fixture(scope="module", name="log")
def some_log():
    return gym.make("RecSim-v0", logging_policy="random", **WORLD).get_wrapper_attr("collect")(300, seed=0)


@pytest.fixture(scope="module", params=["untied", "tied"], name="learned")
def learned_agent(request, log):
    return RecurrentPlanner(12, 3, replace(SMALL, link=request.param), seed=0, device="cpu").learn(log)


def reward(agent, deterministic):
    found = evaluate_online(
        agent, "RecSim-v0", 600, deterministic=deterministic, seed=5, num_envs=600, env_kwargs=WORLD
    )
    return found.reward.mean


def test_it_earns_more_than_random_slates_and_nearly_as_much_when_sampled(learned):
    top, sampled, random = reward(learned, True), reward(learned, False), reward(RandomPolicy(12, 3), True)
    assert top > random + 0.3
    assert sampled > 0.8 * top


def test_saved_and_loaded_it_acts_alike(learned, log, tmp_path):
    learned.save(tmp_path / "agent.safetensors")
    loaded = RecurrentPlanner.load(tmp_path / "agent.safetensors", device="cpu")
    few = log.select(slice(0, 20))
    np.testing.assert_array_equal(loaded.slate_scores(few), learned.slate_scores(few))
    for agent in (learned, loaded):
        agent.set_random_seed(2)
    for deterministic in (True, False):
        slates, state = learned.predict(np.full(5, 12), deterministic=deterministic)
        other, other_state = loaded.predict(np.full(5, 12), deterministic=deterministic)
        np.testing.assert_array_equal(slates, other)
        clicks = slates[:, 0]
        np.testing.assert_array_equal(
            learned.predict(clicks, state, deterministic=deterministic)[0],
            loaded.predict(clicks, other_state, deterministic=deterministic)[0],
        )
        assert (np.diff(np.sort(slates, axis=1), axis=1) > 0).all()


def test_requests_are_heeded(learned):
    slates, _ = learned.predict(np.full(2, 12), deterministic=True, k=4, exclude=[[0, 1], [2]])
    assert slates.shape == (2, 4)
    assert not set(slates[0]) & {0, 1}
    assert 2 not in slates[1]


def test_the_myopic_twin_has_the_same_users_and_no_values(log, learned):
    twin = RecurrentPlanner(12, 3, replace(learned.config, foresight=0.0), seed=0, device="cpu").learn(log)
    for name, tensor in learned.user_model.state_dict().items():
        np.testing.assert_array_equal(tensor, twin.user_model.state_dict()[name])
    assert not twin.policy.value.weights.any()
    assert learned.policy.value.weights.any()
