"""Users who may click nothing and go on: likelihood, simulation and fit, beside leaving and without."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from irecgan_gym.agents import LSTM, IRecGAN, IRecGANConfig, LSTMConfig
from irecgan_gym.evaluation.user_model_fidelity import fidelity
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig, fit_user_model, user_sessions
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.sessions import Sessions
from tests.agents.test_lists_without_clicks import feed

N, K = 7, 3
SMALL = EncoderConfig(hidden_size=6, embedding_size=5)


def model_of(ending):
    return UserModel.create(UserModelConfig(N, K, ending, SMALL, outside_option=True), seed=0, device="cpu")


def endless(seed=0):
    """Sessions in which nobody leaves without a click."""
    log = feed(seed)
    clicks = log.clicks.copy()
    last = log.offsets[1:] - 1
    clicks[last] = log.slate_items[log.slate_offsets[last]]
    return Sessions.from_columns(**log.to_columns() | {"clicks": clicks})


@pytest.mark.parametrize("ending", ["leave", "reward"])
@torch.no_grad()
def test_likelihood_is_that_of_a_plain_version(ending):
    model = model_of(ending)
    sessions = user_sessions(feed() if ending == "leave" else endless(), model.config)
    batch = SessionTensors(sessions, leave_option=ending == "leave").batch(np.arange(len(sessions)))
    found = torch.empty(sessions.num_steps)
    found[batch.steps] = model.log_likelihood(batch).click
    skipped = sessions.skipped
    assert skipped.any()
    for number in range(len(sessions)):
        state = model.encoder.start(1)
        for step in range(sessions.offsets[number], sessions.offsets[number + 1]):
            first, end = sessions.slate_offsets[step : step + 2]
            slate = torch.tensor(sessions.slate_items[first:end].astype(np.int64))[None]
            hidden = model.encoder.output(state)
            options = slate if ending == "reward" else torch.cat([slate, torch.tensor([[N]])], dim=1)
            logits = [*model.click_logits(hidden, options)[0].tolist(), float(model.outside_head(hidden))]
            place = len(logits) - 1
            if not skipped[step]:
                place = options[0].tolist().index(int(sessions.clicks[step]))
            assert float(found[step]) == pytest.approx(logits[place] - np.log(np.exp(logits).sum()), abs=1e-5)
            state = model.encoder.step(torch.tensor([int(sessions.clicks[step])]), state)


@pytest.mark.parametrize("ending", ["leave", "reward"])
@torch.no_grad()
def test_users_answer_by_the_probabilities_that_the_likelihood_has(ending):
    model = model_of(ending)
    state, slate = model.encoder.start(1), torch.tensor([[4, 1, 6]])
    chances = model.click_probabilities(state, slate)[0].numpy()
    number = 20_000
    answer = model.respond(state.repeat(number, 1), slate.repeat(number, 1), torch.Generator().manual_seed(0))
    nothing = ((answer.clicks == N) & ~answer.ended).numpy()
    left = ((answer.clicks == N) & answer.ended).numpy()
    shares = [float((answer.clicks == item).float().mean()) for item in (4, 1, 6)]
    np.testing.assert_allclose(shares, chances[:K], atol=0.02)
    assert nothing.mean() == pytest.approx(1 - chances.sum(), abs=0.02)
    assert nothing.mean() > 0.1
    assert left.mean() == pytest.approx(chances[K] if ending == "leave" else 0.0, abs=0.02)
    assert (answer.rewards.numpy()[nothing | left] == 0).all()
    if ending == "reward":
        clicked = answer.clicks < N
        assert torch.equal(answer.ended[clicked], answer.rewards[clicked] == 0)


def test_gradients_are_those_of_differences():
    """Of the outside option's own parameters, in double precision."""
    model = model_of("leave").double()
    sessions = user_sessions(feed(), model.config)
    batch = SessionTensors(sessions, leave_option=True).batch(np.arange(10))
    weight = model.outside_head.weight
    model.log_likelihood(batch).click.sum().backward()
    for place in range(weight.shape[1]):
        totals = []
        for step in (1e-5, -2e-5):
            with torch.no_grad():
                weight[0, place] += step
                totals.append(float(model.log_likelihood(batch).click.sum()))
        with torch.no_grad():
            weight[0, place] += 1e-5
        assert float(weight.grad[0, place]) == pytest.approx((totals[0] - totals[1]) / 2e-5, rel=1e-4, abs=1e-6)


def test_fitted_users_click_as_often_as_those_of_the_log(tmp_path):
    log = feed(share=0.3)
    # Without settings, the model has the alternatives that the log shows.
    model = fit_user_model(log, log, fit=FitConfig(max_epochs=15, learning_rate=3e-2), device="cpu")
    assert model.config.outside_option
    assert not fit_user_model(clicked(), fit=ONE, device="cpu").config.outside_option
    env = gym.make("UserModel-v0", user_model=model)
    clicks, skips, steps = 0, 0, 0
    for seed in range(60):
        env.reset(seed=seed)
        ended = False
        while not ended and steps < 600:
            observation, reward, ended, _, info = env.step(env.action_space.sample())
            steps += 1
            clicks += observation < N
            skips += observation == N and not ended
            assert info["click"] == observation
            assert reward == 0 or observation < N
    share = log.skipped.sum() / (log.skipped.sum() + (log.clicks < N).sum())
    assert skips / (skips + clicks) == pytest.approx(share, abs=0.1)
    assert np.isfinite(fidelity(model, log, seed=0).click_log_likelihood)
    model.save(tmp_path / "model.safetensors")
    assert UserModel.load(tmp_path / "model.safetensors", device="cpu").config == model.config


@torch.no_grad()
def test_fidelity_is_that_of_the_clicks_there_are():
    """Users who click any item alike are as good as chance, however often they click."""
    model, log = model_of("leave"), feed(share=0.3)
    for parameter in model.click_head.parameters():
        parameter.zero_()
    for often in (-3.0, 1.0):
        model.outside_head.bias.fill_(often)
        found = fidelity(model, log, seed=0, num_simulated=400)
        assert found.click_log_likelihood == pytest.approx(found.uniform_log_likelihood, abs=1e-5)
    # Lengths are counted in clicks on both sides: whoever never clicks has sessions of none.
    model.outside_head.bias.fill_(50.0)
    assert fidelity(model, log, seed=0, num_simulated=40).simulated_mean_length == 0


ONE = FitConfig(max_epochs=1)


def clicked():
    """Sessions in which every list has a click."""
    log = endless()
    clicks = np.where(log.clicks == N, log.slate_items[log.slate_offsets[:-1]], log.clicks)
    return Sessions.from_columns(**log.to_columns() | {"clicks": clicks})


@pytest.mark.parametrize("agent_type", [LSTM, IRecGAN])
def test_agents_learn_with_such_users(agent_type):
    settings = {"encoder": SMALL, "fit": ONE, "ending": "leave", "outside_option": True}
    config = LSTMConfig(**settings)
    if agent_type is IRecGAN:
        config = IRecGANConfig(**settings, rounds=1, user_model_fit=ONE, num_rollouts=1)
    agent = agent_type(N, K, config, seed=0, device="cpu").learn(feed(), feed(1))
    assert agent.user_model.config.outside_option
    assert np.isfinite(agent.slate_scores(feed(1))).all()
