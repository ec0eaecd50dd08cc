from itertools import combinations

import numpy as np
import pytest
import torch

from irecgan_gym.models.belief_user_model import BeliefUserModel
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.planned_policy import (
    PlannedPolicy,
    StateValue,
    iterate_values,
    rolled_out_states,
    set_temperature,
)
from irecgan_gym.models.tied_user_model import TiedUserModel
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.planning.hidden_states import Moves
from irecgan_gym.planning.learned_world import LearnedWorld
from irecgan_gym.planning.ratio_slates import best_ratio_slates

ITEMS, SIZE, STATES = 6, 2, 3
ENCODER = EncoderConfig(hidden_size=5, embedding_size=4, embedding_std=1.0)


def policy_of(model, foresight=1.0, num_candidates=ITEMS):
    value = StateValue(model.encoder.state_size, 0, torch.Generator().manual_seed(0))
    return PlannedPolicy(model, value, SIZE, foresight, num_candidates)


@pytest.fixture(name="world")
def world_of_known_states(rng):
    """Users whose state the last click tells, so that V is linear in the belief, which is certain."""
    target = np.eye(STATES)[np.arange(ITEMS) % STATES]
    shape = (STATES, ITEMS)
    return LearnedWorld(
        np.eye(STATES)[0],
        rng.uniform(0.1, 1, shape),
        rng.uniform(0.1, 0.95, shape),
        Moves.of(np.ones((STATES, STATES)), target),
    )


def test_values_and_slates_are_exact_where_they_can_be(world):
    policy = policy_of(BeliefUserModel(world, SIZE))
    generator = torch.Generator().manual_seed(0)
    states = rolled_out_states(policy, 60, 8, generator, random_share=0.5)
    iterate_values(policy, states, sweeps=200, ridge=0.0)
    certain = torch.eye(STATES, dtype=torch.float64)
    best = world.known_state_values(SIZE)
    np.testing.assert_allclose(policy.value(certain), best, rtol=1e-2)
    slates = np.sort(policy.top(certain).numpy(), axis=1)
    np.testing.assert_array_equal(slates, best_ratio_slates(world.weights, world.click_values(best), SIZE))
    myopic = policy_of(BeliefUserModel(world, SIZE), foresight=0.0)
    greedy = np.sort(myopic.top(certain).numpy(), axis=1)
    np.testing.assert_array_equal(greedy, best_ratio_slates(world.weights, world.successes, SIZE))
    assert world.slate_values(slates)[0] > world.slate_values(greedy)[0]


@pytest.mark.parametrize("kind", [UserModel, TiedUserModel])
@pytest.mark.parametrize("ending", ["reward", "leave"])
def test_the_slate_is_the_best_of_all(kind, ending):
    """Against every slate, by the model's own probabilities and the values of the states after clicks."""
    model = kind.create(UserModelConfig(ITEMS, SIZE, ending, ENCODER), seed=3, device="cpu")
    policy = policy_of(model)
    generator = torch.Generator().manual_seed(1)
    policy.value.weights.normal_(generator=generator)
    policy.value.bounds.copy_(torch.tensor([-1.0, 3.0]))
    state = rolled_out_states(policy, 4, 3, generator, random_share=1.0)
    with torch.no_grad():
        chosen = np.sort(policy.top(state).numpy(), axis=1)
        for number, one in enumerate(state):
            worth = {}
            for slate in combinations(range(ITEMS), SIZE):
                items = torch.tensor(slate)
                after = policy.value(model.encoder.step(items, one.repeat(SIZE, 1)))
                rewards = model.expected_rewards(one.repeat(SIZE, 1), items)
                earned = rewards * (1 + after) if ending == "reward" else rewards + after
                clicks = model.click_probabilities(one[None], items[None])[0, :SIZE]
                worth[slate] = float((clicks * earned).sum())
            assert worth[tuple(chosen[number])] == pytest.approx(max(worth.values()), rel=1e-5)


def test_items_that_are_no_candidates_are_valued_as_candidates_are_on_average():
    model = UserModel.create(UserModelConfig(ITEMS, SIZE, encoder=ENCODER), seed=3, device="cpu")
    few, all_items = policy_of(model, num_candidates=3), policy_of(model)
    for policy in (few, all_items):
        policy.value.weights[1:] = 0.5
        policy.value.bounds.copy_(torch.tensor([-9.0, 9.0]))
    state = model.encoder.start(1)
    (found, values), (_, exact) = next(few.plans(state)), next(all_items.plans(state))
    assert found.candidates.shape == (1, 3)
    candidates = found.candidates[0]
    np.testing.assert_allclose(values[0, candidates], exact[0, candidates], rtol=1e-5)
    rest = np.setdiff1d(np.arange(ITEMS), candidates)
    later = values[0] / found.rewards[0] - 1
    np.testing.assert_allclose(later[rest], later[candidates].mean())


def test_sampled_slates_lose_about_what_they_may(world):
    policy = policy_of(BeliefUserModel(world, SIZE))
    generator = torch.Generator().manual_seed(0)
    states = rolled_out_states(policy, 400, 6, generator, random_share=0.5)
    iterate_values(policy, states, sweeps=100, ridge=1e-4)
    temperatures = []
    for loss in (0.01, 0.2):
        set_temperature(policy, states, loss, generator)
        temperatures.append(float(policy.temperature))
        plan, values = next(policy.plans(states))
        best = plan.slates(values, SIZE)[1]
        drawn = plan.worth(values, policy.sample(states, generator).numpy())
        assert np.mean(best - drawn) < 1.5 * loss * np.mean(best / (1 + best))
    assert temperatures[0] < temperatures[1]


def test_users_who_click_nothing_and_go_on_are_refused():
    config = UserModelConfig(ITEMS, SIZE, encoder=ENCODER, outside_option=True)
    with pytest.raises(ValueError, match="outside_option"):
        policy_of(UserModel.create(config, seed=0, device="cpu"))


def test_weights_of_choice_are_the_chances_of_success(tmp_path):
    model = TiedUserModel.create(UserModelConfig(ITEMS, SIZE, encoder=ENCODER), seed=1, device="cpu")
    state, slates = model.encoder.start(1), torch.tensor([[1, 4]])
    with torch.no_grad():
        chances = model.reward_probabilities(state.repeat(2, 1), slates[0])
        torch.testing.assert_close(model.click_probabilities(state, slates)[0], chances / chances.sum())
        catalogue = model.catalogue_log_rewards(model.encoder.output(state))
        torch.testing.assert_close(model.catalogue_click_logits(model.encoder.output(state)), catalogue)
    model.save(tmp_path / "users.safetensors")
    loaded = TiedUserModel.load(tmp_path / "users.safetensors", device="cpu")
    with torch.no_grad():
        torch.testing.assert_close(loaded.catalogue_click_logits(model.encoder.output(state)), catalogue)
    with pytest.raises(ValueError, match="no places"):
        TiedUserModel.create(UserModelConfig(ITEMS, SIZE, encoder=ENCODER, position_term=True), seed=1)
