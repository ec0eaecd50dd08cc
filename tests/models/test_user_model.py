import numpy as np
import pytest
import torch

from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig, fit_user_model, user_model_loss, user_sessions
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.storage.weights import StorageError, save_weights
from tests.conftest import random_sessions
from tests.plain import gradients, plain_user_objective

TINY = EncoderConfig("lstm", 1, hidden_size=4, embedding_size=3)


def tiny_model(ending="reward", seed=0, **settings):
    return UserModel.create(UserModelConfig(7, 3, ending, TINY, **settings), seed=seed, device="cpu").double()


@pytest.mark.parametrize("ending", ["reward", "leave"])
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_and_gradient_of_eq_3_and_eq_7(ending, weighted, rng):
    model = tiny_model(ending)
    sessions = user_sessions(random_sessions(rng, ragged=True, leave=ending == "leave"), model.config)
    q = rng.random(sessions.num_steps) if weighted else np.ones(sessions.num_steps)
    batch = SessionTensors(sessions, leave_option=model.leave_option).batch(rng.permutation(len(sessions)))
    weights = torch.from_numpy(q)[batch.steps] if weighted else None
    loss = user_model_loss(model.log_likelihood(batch), 0.7, 1.0, weights)
    plain = -plain_user_objective(model, sessions, 0.7, q)
    torch.testing.assert_close(loss, plain)
    slow = gradients(model, plain)
    for name, gradient in gradients(model, loss).items():
        torch.testing.assert_close(gradient, slow[name], msg=name)


@pytest.mark.parametrize("num_items", [7, 200])
def test_few_and_many_items_take_the_same_products(num_items, rng):
    """The two ways of computing Eq 1 (a table of all items, or collected vectors) agree."""
    model = UserModel.create(UserModelConfig(num_items, 3, "reward", TINY), seed=1, device="cpu")
    state = model.encoder.start(2)
    slates = torch.tensor([[0, 3, 5], [6, 2, 1]])
    probabilities = model.click_probabilities(state, slates)
    table, hidden = model.encoder.embedding.weight, model.encoder.output(state)
    logits = (model.click_head(hidden).unsqueeze(1) * table[slates]).sum(-1) / 3**0.5
    torch.testing.assert_close(probabilities, logits.softmax(-1))


@pytest.mark.parametrize("ending", ["reward", "leave"])
def test_sampled_behaviour_has_the_law_of_eq_1_and_2(ending):
    model = tiny_model(ending).float()
    state = model.encoder.step(torch.tensor([2]), model.encoder.start(1)).repeat(40_000, 1)
    slates = torch.tensor([[1, 4, 6]]).repeat(40_000, 1)
    with torch.no_grad():
        chances = model.click_probabilities(state[:1], slates[:1])[0]
        response = model.respond(state, slates, torch.Generator().manual_seed(3))
        alternatives = model.candidates(slates[:1])[0]
        for item, chance in zip(alternatives.tolist(), chances.tolist(), strict=True):
            clicked = response.clicks == item
            assert float(clicked.float().mean()) == pytest.approx(chance, abs=0.012)
            if item < 7:
                expected = float(model.reward_probabilities(state[:1], torch.tensor([item])))
                assert float(response.rewards[clicked].mean()) == pytest.approx(expected, abs=0.03)
    left = response.clicks == 7
    assert (response.rewards[left] == 0).all()
    assert torch.equal(response.ended, left if ending == "leave" else response.rewards == 0)


def test_a_saved_model_comes_back_as_it_was(tmp_path):
    model = tiny_model("leave").float()
    model.save(tmp_path / "model.safetensors")
    again = UserModel.load(tmp_path / "model.safetensors", device="cpu")
    assert again.config == model.config
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_files_that_hold_something_else_are_refused(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(FileNotFoundError, match="file"):
        UserModel.load(path)
    path.write_bytes(b"not a model")
    with pytest.raises(StorageError, match="not a safetensors file"):
        UserModel.load(path)
    save_weights(path, "agent", {}, {"x": torch.zeros(1)})
    with pytest.raises(StorageError, match="holds a 'agent', expected a 'user_model'"):
        UserModel.load(path)


def test_sessions_that_do_not_fit_are_refused(rng):
    sessions = random_sessions(rng, leave=True)
    with pytest.raises(ValueError, match="use ending='leave'"):
        user_sessions(sessions, UserModelConfig(7, 3, "reward", TINY))
    with pytest.raises(ValueError, match="7 items, the user model 8"):
        user_sessions(sessions, UserModelConfig(8, 3, "leave", TINY))


def test_fitting_finds_a_known_user(rng):
    """A user who clicks item i of a pair with odds i + 1, and is rewarded for even items only."""
    num = 3000
    slates = np.stack([rng.permutation(5)[:2] for _ in range(num)])
    odds = slates + 1.0
    clicks = np.where(rng.random(num) < odds[:, 0] / odds.sum(1), slates[:, 0], slates[:, 1])
    from irecgan_gym.sessions import Sessions

    sessions = Sessions.from_columns(
        num_items=5, lengths=np.ones(num, int), slates=slates, clicks=clicks, rewards=1 - clicks % 2
    )
    model = UserModel.create(UserModelConfig(5, 2, "reward", EncoderConfig(hidden_size=8)), seed=0, device="cpu")
    training, validation = sessions.split((0.8, 0.2), seed=0)
    fit_user_model(training, validation, model, FitConfig(learning_rate=1e-2), seed=0)
    state = model.encoder.start(1)
    with torch.no_grad():
        chance = model.click_probabilities(state, torch.tensor([[4, 1]]))[0, 0]
        rewards = [float(model.reward_probabilities(state, torch.tensor([item]))) for item in range(5)]
    assert float(chance) == pytest.approx(5 / 7, abs=0.06)
    assert np.abs(np.array(rewards) - [1, 0, 1, 0, 1]).max() < 0.1
