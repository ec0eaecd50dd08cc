"""Rewards beyond 0 and 1: likelihoods against SciPy, gradients against differences, samples against their law."""

import numpy as np
import pytest
import torch
from scipy import stats

from irecgan_gym.agents import AC, LSTM, PG, PGIS, IRecGAN, LSTMConfig, PGConfig
from irecgan_gym.evaluation.user_model_fidelity import fidelity
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.building import build
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig, fit_user_model, user_sessions
from irecgan_gym.models.reward_laws import reward_law
from irecgan_gym.models.slate_policy import UserModelPolicy
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.sessions import Sessions
from tests.conftest import random_sessions

STARS = (1.0, 2.0, 4.0)
KINDS = {"gaussian": (), "poisson": (), "binned": STARS}
SMALL = EncoderConfig(hidden_size=6, embedding_size=5)
N, K = 7, 3


def rewards_of(kind, rng, number):
    if kind == "gaussian":
        return rng.normal(50, 20, number)
    return rng.poisson(3, number) if kind == "poisson" else rng.choice(STARS, number)


def log(kind, seed=0, **options):
    rng = np.random.default_rng(seed)
    sessions = random_sessions(rng, num_items=N, slate_size=K, leave=True, **options)
    rewards = rewards_of(kind, rng, sessions.num_steps)
    return sessions.with_rewards(np.where(sessions.clicks < N, rewards, 0))


def law_of(kind, sessions):
    law = build(lambda: reward_law(kind, KINDS[kind]), torch.Generator().manual_seed(0))
    if kind != "binned":
        law.take(sessions)
    with torch.no_grad():
        for parameter in law.parameters():
            parameter.add_(torch.linspace(0.1, 0.5, parameter.numel()).view(parameter.shape))
    return law


def scipy_law(kind, law, scores):
    """The distribution of one reward, its values, and its mean."""
    if kind == "gaussian":
        center, scale, deviation = (value.item() for value in (law.center, law.scale, law.log_deviation.exp()))
        return stats.norm(center + scale * scores[0], scale * deviation)
    if kind == "poisson":
        return stats.poisson(float(law.center) * np.exp(scores[0]))
    weights = np.exp(scores + law.bias.detach().numpy())
    return stats.rv_discrete(values=(STARS, weights / weights.sum()))


@pytest.mark.parametrize("kind", KINDS)
def test_likelihoods_means_and_samples_are_those_of_the_law(kind):
    law = law_of(kind, log(kind))
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(20, law.num_scores))
    rewards = rewards_of(kind, rng, 20)
    tensor = torch.tensor(scores, dtype=torch.float32)
    found = law.log_likelihood(tensor, torch.tensor(rewards, dtype=torch.float32)).detach().numpy()
    for row in range(20):
        plain = scipy_law(kind, law, scores[row])
        density = plain.logpdf if kind == "gaussian" else plain.logpmf
        assert found[row] == pytest.approx(density(rewards[row]), rel=1e-4)
        assert float(law.mean(tensor[row])) == pytest.approx(plain.mean(), rel=1e-4)
    plain = scipy_law(kind, law, scores[0])
    drawn = law.sample(tensor[:1].expand(20_000, -1), torch.Generator().manual_seed(0)).detach().numpy()
    assert drawn.mean() == pytest.approx(plain.mean(), abs=5 * plain.std() / np.sqrt(20_000))
    assert drawn.std() == pytest.approx(plain.std(), rel=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_a_plain_version(kind):
    """Differences of the plain likelihood, in every score and parameter of the law."""
    law = law_of(kind, log(kind)).double()
    rng = np.random.default_rng(2)
    scores = torch.tensor(rng.normal(size=(5, law.num_scores)), requires_grad=True)
    rewards = torch.tensor(rewards_of(kind, rng, 5), dtype=torch.float64)
    law.log_likelihood(scores, rewards).sum().backward()

    def plain():
        total = 0.0
        for row in range(5):
            distribution = scipy_law(kind, law, scores[row].detach().numpy())
            total += (distribution.logpdf if kind == "gaussian" else distribution.logpmf)(float(rewards[row]))
        return total

    for variable in (scores, *law.parameters()):
        flat, gradient = variable.data.view(-1), variable.grad.view(-1)
        for place in range(len(flat)):
            value, step = flat[place].item(), 1e-5
            flat[place] = value + step
            above = plain()
            flat[place] = value - step
            below = plain()
            flat[place] = value
            assert float(gradient[place]) == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_users_are_fitted_to_what_items_earn(kind, tmp_path):
    """Two items earn differently; the fitted model, its env and its fidelity say so."""
    rng = np.random.default_rng(0)
    clicks = rng.integers(0, 2, 600)
    means = {"gaussian": (100.0, 140.0), "poisson": (1.0, 6.0), "binned": (1.2, 3.6)}[kind]
    rewards = rng.normal(np.array(means)[clicks], 5.0)
    if kind == "poisson":
        rewards = rng.poisson(np.array(means)[clicks])
    if kind == "binned":
        rewards = np.where(rng.random(600) < 0.9, np.array([1.0, 4.0])[clicks], 2.0)
        means = (1.1, 3.8)
    sessions = Sessions.from_columns(
        num_items=4, lengths=[3] * 200, slates=np.tile([0, 1, 2], (600, 1)), clicks=clicks, rewards=rewards
    )
    shape = UserModelConfig(4, 3, "leave", SMALL, reward_kind=kind, reward_bins=KINDS[kind])
    model = fit_user_model(sessions, sessions, shape, FitConfig(learning_rate=2e-2, max_epochs=30), device="cpu")
    state = model.encoder.start(2)
    with torch.no_grad():
        expected = model.expected_rewards(state, torch.tensor([0, 1])).numpy()
        np.testing.assert_allclose(expected, means, rtol=0.15)
        with pytest.raises(ValueError, match="have no probability"):
            model.reward_probabilities(state, torch.tensor([0, 1]))
        answer = model.respond(
            state.repeat(3000, 1)[:3000], torch.tensor([[0, 1, 2]] * 3000), torch.Generator().manual_seed(0)
        )
        for item in range(2):
            drawn = answer.rewards[answer.clicks == item].numpy()
            assert drawn.mean() == pytest.approx(means[item], rel=0.2)
        assert (answer.rewards[answer.ended] == 0).all()
        policy = UserModelPolicy(model, 2)
        hidden = model.encoder.output(state)
        log_rewards = policy.logits(hidden) - model.catalogue_click_logits(hidden)
        np.testing.assert_allclose(log_rewards[0, :2].exp().numpy(), expected, rtol=1e-4)
    told = fidelity(model, sessions, seed=0)
    assert told.reward_calibration_error < 0.15 * rewards.std() + 0.2 * abs(means[0] - means[1])
    model.save(tmp_path / "model.safetensors")
    loaded = UserModel.load(tmp_path / "model.safetensors", device="cpu")
    batch = SessionTensors(user_sessions(sessions, shape), leave_option=True).batch(np.arange(5))
    torch.testing.assert_close(loaded.log_likelihood(batch).reward, model.log_likelihood(batch).reward)


AGENTS = {"lstm": LSTM, "pg": PG, "pgis": PGIS, "ac": AC, "irecgan": IRecGAN}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", AGENTS)
def test_agents_learn_from_them(name, kind, tmp_path):
    agent_type = AGENTS[name]
    settings = {"encoder": SMALL, "fit": FitConfig(max_epochs=1)}
    if name in ("lstm", "irecgan"):
        settings |= {"ending": "leave", "reward_kind": kind, "reward_bins": KINDS[kind]}
    if name == "irecgan":
        settings |= {"rounds": 1, "user_model_fit": FitConfig(max_epochs=1), "num_rollouts": 1}
    agent = agent_type(N, K, agent_type.config_type(**settings), device="cpu").learn(log(kind, num_sessions=20))
    assert np.isfinite(agent.slate_scores(log(kind, seed=1))).all()
    agent.save(tmp_path / "agent.safetensors")
    loaded = agent_type.load(tmp_path / "agent.safetensors", device="cpu")
    np.testing.assert_array_equal(loaded.slate_scores(log(kind)), agent.slate_scores(log(kind)))


def test_policies_go_for_what_earns_more():
    """All items are clicked alike, and item 0 earns a price of 90, the others of 10."""
    rng = np.random.default_rng(0)
    slates = np.array([rng.permutation(4)[:3] for _ in range(300)])
    clicks = slates[np.arange(300), rng.integers(0, 3, 300)]
    sessions = Sessions.from_columns(
        num_items=4, lengths=[1] * 300, slates=slates, clicks=clicks, rewards=np.where(clicks == 0, 90.0, 10.0)
    )
    settings = {"encoder": SMALL, "fit": FitConfig(max_epochs=15, learning_rate=1e-2)}
    for agent in (
        PG(4, 1, PGConfig(**settings), device="cpu"),
        LSTM(4, 1, LSTMConfig(**settings, ending="leave", reward_kind="gaussian"), device="cpu"),
    ):
        slate, _ = agent.learn(sessions).predict(np.array([4]), None, np.ones(1, dtype=bool), deterministic=True)
        assert slate.tolist() == [[0]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reward_kind": "binned"}, "reward_bins are at least two ascending values"),
        ({"reward_bins": (1.0, 2.0)}, "reward_bins are at least two ascending values of reward_kind='binned'"),
        ({"reward_kind": "binned", "reward_bins": (2.0, 1.0)}, "ascending"),
        ({"reward_kind": "gaussian", "ending": "reward"}, "rewards of kind 'gaussian' neither end sessions nor"),
        ({"reward_kind": "poisson", "rewards": "thresholded"}, "rewards of kind 'poisson' neither end sessions nor"),
        ({"reward_kind": "cauchy"}, "reward_kind must be 'bernoulli', 'gaussian', 'poisson' or 'binned'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        UserModelConfig(**{"num_items": N, "slate_size": K, "ending": "leave", **changes})


@pytest.mark.parametrize(
    ("kind", "reward", "message"),
    [
        ("bernoulli", 0.5, r"is 0.5: the user model's rewards are 0 or 1"),
        ("poisson", 1.5, r"is 1.5: the user model's rewards are whole numbers from 0"),
        ("poisson", -1.0, "is -1.0"),
        ("binned", 3.0, "is 3.0: the user model's rewards are one of 1, 2, 4"),
    ],
)
def test_rewards_of_another_law_are_refused(kind, reward, message):
    sessions = random_sessions(np.random.default_rng(0), num_items=N)
    shape = UserModelConfig(N, K, "leave", reward_kind=kind, reward_bins=KINDS.get(kind, ()))
    with pytest.raises(ValueError, match=message):
        user_sessions(sessions.with_rewards(np.full(sessions.num_steps, reward)), shape)


def test_the_scale_of_the_first_log_stays():
    law = law_of("gaussian", log("gaussian"))
    center = law.center.clone()
    law.take(log("gaussian", seed=5))
    assert law.center == center
