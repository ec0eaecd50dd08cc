import gymnasium as gym
import numpy as np
import pytest
import torch

import irecgan_gym  # noqa: F401
from irecgan_gym.evaluation.user_model_fidelity import fidelity
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.belief_user_model import BeliefUserModel
from irecgan_gym.models.choice_model import ChoiceModel, ChoiceModelConfig
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.latent_fitting import random_start
from irecgan_gym.models.latent_user_model import LatentUserConfig, LatentUserModel
from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.models.slate_policy import UserModelPolicy
from irecgan_gym.planning.logged_steps import LoggedSteps
from irecgan_gym.sessions import Sessions
from irecgan_gym.storage.weights import StorageError

N, K = 7, 3


@pytest.fixture
def latent(rng):
    config = LatentUserConfig(4)
    parameters = {name: value + rng.normal(0, 1, value.shape) for name, value in random_start(config, N, rng).items()}
    return LatentUserModel(config, parameters, N)


@pytest.fixture
def log(rng):
    lengths = rng.integers(1, 6, 30)
    steps = int(lengths.sum())
    slates = [rng.permutation(N)[: rng.integers(2, 5)].tolist() for _ in range(steps)]
    rewards = np.ones(steps, dtype=int)
    rewards[np.cumsum(lengths) - 1] = 0
    clicks = [slate[0] for slate in slates]
    sizes = [len(slate) for slate in slates]
    flat = np.concatenate(slates)
    columns = {"slates": flat, "slate_lengths": sizes, "clicks": clicks, "rewards": rewards}
    return Sessions.from_columns(num_items=N, lengths=lengths, **columns)


def by_step(batch, values):
    found = np.empty(len(values))
    found[batch.steps.numpy()] = values.numpy()
    return found


def test_it_gives_logged_steps_the_likelihood_of_the_latent_model(latent, log):
    batch = next(iter(SessionTensors(log, leave_option=False).all(100)))
    click, reward = latent.as_user_model(K).log_likelihood(batch)
    np.testing.assert_allclose(by_step(batch, click + reward), latent.log_likelihood(log))


def test_it_gives_clicks_and_rewards_the_likelihoods_of_the_choice_model(log):
    model = ChoiceModel.fit(log, ChoiceModelConfig("last-click"))
    click, reward = model.log_likelihood(log)
    batch = next(iter(SessionTensors(log, leave_option=False).all(100)))
    found = model.as_user_model(K).log_likelihood(batch)
    np.testing.assert_allclose(by_step(batch, found.click), click)
    np.testing.assert_allclose(by_step(batch, found.reward), reward)


def test_states_are_the_beliefs_that_planners_keep(latent, log):
    model = latent.as_user_model(K)
    batch = next(iter(SessionTensors(log, leave_option=False).all(100)))
    found = np.empty((log.num_steps, 4))
    found[batch.steps.numpy()] = model.states_before(batch).numpy()
    np.testing.assert_allclose(found, latent.world().beliefs_along(LoggedSteps.of(log)))


def test_user_model_v0_plays_it_by_its_law(latent):
    number, model = 10_000, latent.as_user_model(K)
    users = gym.make_vec("UserModel-v0", num_envs=number, user_model=model)
    users.reset(seed=0)
    slate = np.array([4, 1, 6])
    clicks, rewards, ended, _, _ = users.step(np.tile(slate, (number, 1)))
    world = latent.world()
    shares = world.weights[:, slate] / world.weights[:, slate].sum(axis=1, keepdims=True)
    joint = world.start @ (shares * world.successes[:, slate])
    chance = world.start @ shares
    np.testing.assert_allclose([(clicks == item).mean() for item in slate], chance, atol=0.02)
    np.testing.assert_allclose([rewards[clicks == item].sum() / number for item in slate], joint, atol=0.02)
    np.testing.assert_array_equal(ended, rewards == 0)
    going = np.flatnonzero(~ended)[:50]
    beliefs = world.update(world.first_beliefs(50), world.totals(np.tile(slate, (50, 1))), clicks[going])
    np.testing.assert_allclose(users.unwrapped.recurrent_states().numpy()[going], beliefs)


def test_eq_6_rolls_it_out(latent, log):
    model = latent.as_user_model(K)
    judge = Discriminator.create(DiscriminatorConfig(N), seed=0, device="cpu")
    score = SequenceScore(model, UserModelPolicy(model, K), judge, num_rollouts=200, max_session_steps=4)
    whole = score.score_sessions(log.select(slice(0, 5)), torch.Generator().manual_seed(0))
    assert ((whole > 0) & (whole < 1)).all()
    # Step by step, with the same law: means over many roll-outs agree.
    first = log.select(np.flatnonzero(log.lengths > 1)[:1])
    slates = torch.from_numpy(first.slate_items[: first.slate_offsets[1]].astype(np.int64))[None]
    prefix = score.observe(
        score.start(1), slates, torch.tensor([int(first.clicks[0])]), torch.tensor([float(first.rewards[0])])
    )
    alone = score.score(prefix, torch.tensor([False]), torch.Generator().manual_seed(1))
    again = score.score_sessions(first, torch.Generator().manual_seed(2))
    assert float(alone[0]) == pytest.approx(float(again[0]), abs=0.02)


def test_fidelity_ranks_it_beside_others(log):
    model = ChoiceModel.fit(log, ChoiceModelConfig("none"))
    found = fidelity(model.as_user_model(K), log, seed=0, num_simulated=200)
    click, reward = model.log_likelihood(log)
    assert found.click_log_likelihood == pytest.approx(click.mean())
    assert found.reward_log_likelihood == pytest.approx(reward.mean())
    assert found.length_distance < 0.25


def test_saved_and_loaded_it_is_the_same(latent, log, tmp_path):
    model = latent.as_user_model(K)
    model.save(tmp_path / "model.safetensors")
    loaded = BeliefUserModel.load(tmp_path / "model.safetensors", device="cpu")
    batch = next(iter(SessionTensors(log, leave_option=False).all(100)))
    for mine, other in zip(model.log_likelihood(batch), loaded.log_likelihood(batch), strict=True):
        torch.testing.assert_close(mine, other)
    assert loaded.config == model.config
    latent.save(tmp_path / "latent.safetensors")
    with pytest.raises(StorageError, match="holds a 'latent_user_model'"):
        BeliefUserModel.load(tmp_path / "latent.safetensors")


def test_rewards_of_items_shown_alone_are_those_of_the_states(latent):
    model, world = latent.as_user_model(K), latent.world()
    state = model.encoder.start(1)
    expected = world.start @ world.successes
    found = model.expected_rewards(state.expand(N, -1), torch.arange(N))
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(model.catalogue_log_rewards(state).exp()[0], expected)
    slate = torch.tensor([[4, 1, 6]])
    shares = world.weights[:, slate[0]] / world.weights[:, slate[0]].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.click_probabilities(state, slate)[0], world.start @ shares)
