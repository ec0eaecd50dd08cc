"""Models trained under the adaptors act without them as they would under them."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from sb3_contrib import MaskablePPO, RecurrentPPO
from stable_baselines3 import DQN, PPO

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.evaluation.online import evaluate_online
from irecgan_gym.models.predictor_policy import PredictorPolicy
from irecgan_gym.sb3 import ItemHistoryExtractor
from irecgan_gym.wrappers import (
    ClickHistory,
    SequentialSlate,
    SingleItem,
    SlateScores,
    VectorClickHistory,
    VectorSequentialSlate,
    VectorSingleItem,
    VectorSlateScores,
)
from irecgan_gym.wrappers.adapted_predictors import SequentialPredictor, TranslatedPredictor, WindowPredictor
from irecgan_gym.wrappers.single_item import Completion
from irecgan_gym.wrappers.slate_scores import Ranking

N, K, H, B = 12, 4, 3, 5
WORLD = {"num_items": N, "slate_size": K, "num_states": 3}
RANKING = np.arange(N)[::-1]
EXTRACTOR = {"policy_kwargs": {"features_extractor_class": ItemHistoryExtractor}, "seed": 0, "device": "cpu"}


def single():
    return ClickHistory(gym.make("RecSim-v0", **WORLD), H)


def plain(**options):
    return gym.make_vec("RecSim-v0", num_envs=B, **WORLD, **options)


def slates_by_scores(model):
    return TranslatedPredictor(model, Ranking(plain().single_action_space, None).slates)


def slates_of_items(model):
    completion = Completion(plain().single_action_space, RANKING)
    return TranslatedPredictor(model, lambda items: completion.slates(items, len(items)))


CASES = {
    "slates": (lambda: PPO("MlpPolicy", single(), **EXTRACTOR), lambda envs: envs, lambda model: model),
    "scores": (lambda: PPO("MlpPolicy", SlateScores(single()), **EXTRACTOR), VectorSlateScores, slates_by_scores),
    "items": (
        lambda: DQN("MlpPolicy", SingleItem(single(), RANKING), **EXTRACTOR),
        lambda envs: VectorSingleItem(envs, RANKING),
        slates_of_items,
    ),
    "recurrent": (
        lambda: RecurrentPPO("MlpLstmPolicy", single(), n_steps=8, batch_size=8, **EXTRACTOR),
        lambda envs: envs,
        lambda model: model,
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("deterministic", [True, False])
def test_a_model_earns_the_same_with_the_wrappers_and_without(case, deterministic):
    make, wrap, choose = CASES[case]
    model = make()
    under = evaluate_online(model, wrap(VectorClickHistory(plain(), H)), 40, deterministic=deterministic, seed=3)
    without = evaluate_online(WindowPredictor(choose(model), H, N), plain(), 40, deterministic=deterministic, seed=3)
    np.testing.assert_array_equal(under.rewards, without.rewards)
    np.testing.assert_array_equal(under.coverage, without.coverage)
    assert under.rewards.any()


def test_slates_picked_one_by_one_are_those_of_the_wrapper():
    model = MaskablePPO("MultiInputPolicy", SequentialSlate(single()), n_steps=8, batch_size=8, **EXTRACTOR)
    policy = WindowPredictor(SequentialPredictor(model, N, K), H, N)
    envs = VectorSequentialSlate(VectorClickHistory(plain(autoreset_mode=AutoresetMode.SAME_STEP), H))
    observation, _ = envs.reset(seed=0)
    clicks, state, starts = np.full(B, N), None, np.ones(B, dtype=bool)
    ended = 0
    for _ in range(8):
        slates, state = policy.predict(clicks, state, starts, deterministic=True)
        picks = []
        for _ in range(K):
            picked, _ = model.predict(observation, deterministic=True, action_masks=envs.action_masks())
            picks.append(picked)
            observation, _, terminated, _, _ = envs.step(picked)
        np.testing.assert_array_equal(slates, np.stack(picks, axis=1))
        assert all(len(set(slate)) == K for slate in slates.tolist())
        clicks, starts = observation["observation"][:, -1], terminated
        ended += terminated.sum()
    assert ended > 0


@torch.no_grad()
def test_windows_and_memories_are_branched_in_rollouts():
    """A recurrent model behind a window: its states in roll-outs are those of sessions played on their own."""
    model = CASES["recurrent"][0]()
    policy = PredictorPolicy(WindowPredictor(model, H, N), N, "cpu")
    state = policy.start(2)
    for clicks in ([0, 1], [2, 3]):
        state = policy.observe(torch.tensor(clicks), state)
    state = policy.observe(torch.tensor([4, 5, 6]), state[torch.tensor([1, 0, 1])])
    window, memory, cell = policy._known_layout.restore(state[:, 2:].numpy())
    # What the model was shown last before each branch's last click.
    np.testing.assert_array_equal(window, [[1, 3], [0, 2], [1, 3]])
    expected = None
    for step, shown in enumerate([[[N, N, N]] * 2, [[N, N, 0], [N, N, 1]], [[N, 0, 2], [N, 1, 3]]]):
        _, expected = model.predict(np.array(shown), expected, np.full(2, step == 0), deterministic=True)
    np.testing.assert_allclose(memory, expected[0][:, [1, 0, 1]], atol=1e-6)
    np.testing.assert_allclose(cell, expected[1][:, [1, 0, 1]], atol=1e-6)
    slates = policy.sample(state, torch.Generator().manual_seed(0), draws=2)
    assert slates.shape == (6, K)
    assert all(len(set(slate)) == K for slate in slates.tolist())
