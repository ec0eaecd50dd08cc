"""The extractor: its size, what it tells apart, and the library's agents on it at 50 and at 10,000 items."""

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from sb3_contrib import RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO, SAC

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.sb3 import ItemHistoryExtractor, NativeVecEnv
from irecgan_gym.wrappers import (
    ClickHistory,
    SequentialSlate,
    VectorClickHistory,
    VectorSequentialSlate,
    VectorSingleItem,
    VectorSlateScores,
)

ENCODERS = ["gru", "mean", "attention"]


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


def history(num_items, length=10):
    return ClickHistory(gym.make("RecSim-v0", num_items=num_items, slate_size=5, num_states=2), length)


def test_sizes_are_those_of_the_docstring():
    extractor = ItemHistoryExtractor(history(50).observation_space)
    assert size(extractor) == 20_448
    assert size(ItemHistoryExtractor(history(10_000).observation_space)) == 338_848
    for num_items, one_hot in ((50, 32_704), (10_000, 6_400_704)):
        assert size(torch.nn.Linear(10 * (num_items + 1), 64)) == one_hot


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_window_costs_nothing_a_catalogue(encoder):
    """Longer windows add at most a number a place."""
    short, long = (ItemHistoryExtractor(history(9, length).observation_space, encoder=encoder) for length in (5, 50))
    assert size(long) - size(short) == (45 if encoder == "attention" else 0)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_features_of_histories(encoder):
    torch.manual_seed(0)
    extractor = ItemHistoryExtractor(history(9, 4).observation_space, features_dim=16, encoder=encoder)
    windows = torch.tensor([[9, 9, 9, 9], [9, 9, 9, 3], [9, 9, 2, 3], [9, 9, 3, 2], [9, 9, 9, 3]], dtype=torch.float32)
    features = extractor(windows)
    assert features.shape == (5, extractor.features_dim)
    assert features.isfinite().all()
    torch.testing.assert_close(features[1], features[4])
    assert not torch.allclose(features[0], features[1])
    assert not torch.allclose(features[1], features[2])
    # A mean knows no order; the place weights of attention start at 0, so that it has yet to learn one.
    assert torch.allclose(features[2], features[3], atol=1e-6) == (encoder != "gru")


def test_mean_features_are_of_the_clicks_alone():
    extractor = ItemHistoryExtractor(history(9, 4).observation_space, encoder="mean")
    embedding, layer = extractor.embedding.weight, extractor.encoder.layer
    features = extractor(torch.tensor([[9.0, 9.0, 2.0, 3.0], [9.0, 9.0, 9.0, 9.0]]))
    torch.testing.assert_close(features[0], torch.relu(layer((embedding[2] + embedding[3]) / 2)))
    torch.testing.assert_close(features[1], torch.relu(layer.bias))


def test_partial_slates_are_features_too():
    env = SequentialSlate(history(50, 3))
    extractor = ItemHistoryExtractor(env.observation_space, embedding_size=8, features_dim=16)
    assert extractor.features_dim == 16 + 8 + 1
    slate = torch.full((2, 5), 50.0)
    slate[1, :2] = torch.tensor([4.0, 7.0])
    features = extractor({"observation": torch.full((2, 3), 50.0), "slate": slate})
    torch.testing.assert_close(features[0, :16], features[1, :16])
    assert (features[0, 16:] == 0).all()
    torch.testing.assert_close(features[1, 16:24], extractor.embedding.weight[[4, 7]].mean(dim=0))
    assert features[1, 24].item() == pytest.approx(0.4)


def test_what_it_does_not_take():
    for env in (gym.make("RecSim-v0"), SequentialSlate(gym.make("RecSim-v0"))):
        with pytest.raises(ValueError, match="a window of item ids: wrap the env in ClickHistory"):
            ItemHistoryExtractor(env.observation_space)
    with pytest.raises(ValueError, match="encoder must be 'gru', 'mean' or 'attention', got 'lstm'"):
        ItemHistoryExtractor(history(5).observation_space, encoder="lstm")


def scores(envs):
    return VectorSlateScores(envs, bound=10.0)


def queries(envs):
    embeddings = np.random.default_rng(0).normal(size=(envs.single_action_space.nvec[0], 8))
    return VectorSlateScores(envs, item_embeddings=embeddings)


def single_item(envs):
    return VectorSingleItem(envs, np.arange(10))


ROLLOUT = {"n_steps": 4, "device": "cpu"}
AGENTS = {
    "PPO": (PPO, "MlpPolicy", scores, {**ROLLOUT, "batch_size": 16, "n_epochs": 1}),
    "PPO, queries": (PPO, "MlpPolicy", queries, {**ROLLOUT, "batch_size": 16, "n_epochs": 1}),
    "PPO, item by item": (PPO, "MultiInputPolicy", VectorSequentialSlate, {**ROLLOUT, "batch_size": 16, "n_epochs": 1}),
    "A2C": (A2C, "MlpPolicy", scores, ROLLOUT),
    "RecurrentPPO": (RecurrentPPO, "MlpLstmPolicy", scores, {**ROLLOUT, "batch_size": 16, "n_epochs": 1}),
    "DQN": (
        DQN,
        "MlpPolicy",
        single_item,
        {"learning_starts": 8, "batch_size": 8, "buffer_size": 100, "device": "cpu"},
    ),
    "DQN, item by item": (
        DQN,
        "MultiInputPolicy",
        VectorSequentialSlate,
        {"learning_starts": 8, "batch_size": 8, "buffer_size": 100, "device": "cpu"},
    ),
    "SAC": (SAC, "MlpPolicy", queries, {"learning_starts": 8, "batch_size": 8, "buffer_size": 100, "device": "cpu"}),
}


@pytest.mark.parametrize("num_items", [50, 10_000])
@pytest.mark.parametrize("name", AGENTS)
def test_agents_run_on_it(name, num_items):
    make_agent, policy, wrap, settings = AGENTS[name]
    envs = gym.make_vec(
        "RecSim-v0", num_envs=4, num_items=num_items, num_states=2, autoreset_mode=AutoresetMode.SAME_STEP
    )
    envs = NativeVecEnv(wrap(VectorClickHistory(envs, 1 if name == "RecurrentPPO" else 5)))
    agent = make_agent(
        policy, envs, policy_kwargs={"features_extractor_class": ItemHistoryExtractor}, seed=0, **settings
    )
    before = [parameter.clone() for parameter in agent.policy.parameters()]
    agent.learn(32)
    assert any(not torch.equal(old, new) for old, new in zip(before, agent.policy.parameters(), strict=True))
    envs.seed(1)
    actions, _ = agent.predict(envs.reset(), deterministic=True)
    assert all(envs.action_space.contains(action) for action in actions)


def test_without_the_library_the_error_names_the_extra():
    program = (
        "import sys\n"
        "sys.modules['stable_baselines3'] = None\n"
        "import irecgan_gym.wrappers\n"
        "from gymnasium.error import DependencyNotInstalled\n"
        "try:\n"
        "    import irecgan_gym.sb3\n"
        "except DependencyNotInstalled as error:\n"
        "    assert \"pip install 'irecgan-gym[sb3]'\" in str(error)\n"
        "else:\n"
        "    raise SystemExit('imported')\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
