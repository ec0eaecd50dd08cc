"""Policies with Stable-Baselines3's ``predict`` in the roll-outs of Eq 6."""

import numpy as np
import pytest
import torch
from sb3_contrib import RecurrentPPO
from scipy.stats import ks_2samp
from stable_baselines3 import PPO

from irecgan_gym.agents import PG
from irecgan_gym.envs.user_model import UserModelEnv
from irecgan_gym.models.predictor_policy import PredictorPolicy, as_rollout_policy
from irecgan_gym.models.sequence_score import SequenceScore
from tests.models.test_sequence_score import HORIZON, ITEMS, SLATE, exact_score, observe_all, tiny_models


class SurfaceOf:
    """A SlatePolicy behind ``predict``: its state as an array [B, S], or as a tuple of arrays [1, B, S/2]."""

    def __init__(self, policy, *, layers):
        self.policy, self.layers = policy, layers

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        clicks = torch.from_numpy(np.asarray(observation))
        recurrent = self.policy.encoder.initial_state(len(clicks))
        if state is not None:
            recurrent = torch.from_numpy(np.concatenate([part[0] for part in state], axis=1) if self.layers else state)
            recurrent = recurrent.masked_fill(torch.from_numpy(episode_start)[:, None], 0.0)
        recurrent = self.policy.observe(clicks, recurrent)
        # What draws from the global generator, as Stable-Baselines3's policies do.
        slates = self.policy.sample(recurrent, torch.default_generator)
        after = recurrent.numpy()
        return slates.numpy(), tuple(np.split(after[None], 2, axis=2)) if self.layers else after


HISTORY = [((0, 1), 0, 1)]


def scores_of_completions(models, policy, number, seed):
    """The scores of single completions of one prefix, [number]."""
    score = SequenceScore(models[0], policy, models[2], num_rollouts=1, max_session_steps=HORIZON)
    prefixes = observe_all(score, [HISTORY] * number)
    return score.score(prefixes, torch.zeros(number, dtype=torch.bool), torch.Generator().manual_seed(seed)).numpy()


@torch.no_grad()
@pytest.mark.parametrize("layers", [False, True])
def test_our_own_policy_through_predict_gives_the_same_scores(layers):
    models = tiny_models("reward")
    number = 6000
    direct = scores_of_completions(models, models[1], number, seed=0)
    through = scores_of_completions(models, SurfaceOf(models[1], layers=layers), number, seed=1)
    assert ks_2samp(direct, through).pvalue > 0.01
    expected = exact_score(models, HISTORY)
    assert through.mean() == pytest.approx(expected, abs=4 * through.std() / np.sqrt(number))
    # The test can tell policies apart: another one has other scores.
    other = scores_of_completions(models, lambda clicks: np.tile([2, 1], (len(clicks), 1)), number, seed=2)
    assert ks_2samp(direct, other).pvalue < 1e-6


@torch.no_grad()
@pytest.mark.parametrize("layers", [False, True])
def test_states_are_those_of_the_policy_itself_whatever_rows_are_taken(layers):
    policy = tiny_models("reward")[1]
    adapted = PredictorPolicy(SurfaceOf(policy, layers=layers), ITEMS, "cpu")
    clicks = torch.tensor([[0, 1, 2, 1], [2, 2, 0, 1]])
    own, state = policy.start(4), adapted.start(4)
    for step in clicks:
        own, state = policy.observe(step, own), adapted.observe(step, state)
    rows = torch.tensor([3, 0, 0, 2])
    own, state = own[rows], state[rows]
    # One of the sessions ends, and another begins in its place.
    own[1], state[1] = policy.start(1)[0], adapted.start(1)[0]
    for click in ([1, 2, 0, 0], [0, 1, 1, 2]):
        own, state = policy.observe(torch.tensor(click), own), adapted.observe(torch.tensor(click), state)
    # The state before the last click, which the policy sees when it draws.
    draws = 4000
    slates = adapted.sample(state, torch.Generator().manual_seed(0), draws=draws).view(4, draws, SLATE)
    shares = torch.stack([(slates[:, :, 0] == item).double().mean(1) for item in range(ITEMS)], dim=1)
    expected = policy.log_probabilities(policy.encoder.output(own)).exp().double()
    torch.testing.assert_close(shares, expected, rtol=0, atol=4 * 0.5 / np.sqrt(draws))


def env():
    return UserModelEnv(user_model=tiny_models("reward")[0])


SB3 = {
    "ppo": lambda: PPO("MlpPolicy", env(), n_steps=8, batch_size=8, seed=0, device="cpu"),
    "recurrent": lambda: RecurrentPPO("MlpLstmPolicy", env(), n_steps=8, batch_size=8, seed=0, device="cpu"),
}


@torch.no_grad()
@pytest.mark.parametrize("name", SB3)
def test_a_trained_sb3_model_rolls_out_as_it_is(name):
    models, model = tiny_models("reward"), SB3[name]()
    score = SequenceScore(models[0], model, models[2], num_rollouts=4, max_session_steps=HORIZON)
    histories = [HISTORY, [((2, 0), 2, 1)]]
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    open_sessions = torch.tensor([False, False])
    prefixes = observe_all(score, histories)
    first, again = (score.score(prefixes, open_sessions, torch.Generator().manual_seed(3)) for _ in range(2))
    other = score.score(prefixes, open_sessions, torch.Generator().manual_seed(4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert ((first > 0) & (first < 1)).all()
    # The training of the model must not notice.
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


@torch.no_grad()
def test_a_recurrent_sb3_model_remembers_in_rollouts_what_it_would_remember_in_an_env():
    model = SB3["recurrent"]()
    adapted = PredictorPolicy(model, ITEMS, "cpu")
    clicks = np.array([[ITEMS, ITEMS], [0, 2], [1, 1]])
    lstm = None
    for step, observation in enumerate(clicks):
        _, lstm = model.predict(observation, lstm, np.full(2, step == 0), deterministic=True)
    state = adapted.start(2)
    for observation in (*clicks[1:], [0, 0]):  # One more, for a state holds what was before its click.
        state = adapted.observe(torch.tensor(np.asarray(observation)), state)
    np.testing.assert_allclose(adapted._layout.restore(state[:, 2:].numpy()), lstm, rtol=1e-6)


@torch.no_grad()
def test_repeated_items_are_replaced_as_in_the_envs():
    policy = as_rollout_policy(lambda clicks: np.zeros((len(clicks), SLATE), dtype=np.int64), ITEMS, "cpu")
    slates = policy.sample(policy.start(3), torch.Generator().manual_seed(0), draws=100)
    assert (slates[:, 0] == 0).all()
    assert set(slates[:, 1].tolist()) == {1, 2}


def test_what_is_a_policy_and_what_is_not():
    own = tiny_models("reward")[1]
    assert as_rollout_policy(own, ITEMS, "cpu") is own
    assert isinstance(as_rollout_policy(PG(ITEMS, SLATE), ITEMS, "cpu"), PredictorPolicy)
    with pytest.raises(TypeError, match="or be a function of the last clicks; got int"):
        as_rollout_policy(3, ITEMS, "cpu")
    flat = as_rollout_policy(lambda clicks: clicks, ITEMS, "cpu")
    with pytest.raises(ValueError, match=r"must choose slates \[2, k\]"):
        flat.sample(flat.start(2), torch.Generator())
    scores = as_rollout_policy(lambda clicks: np.zeros((len(clicks), ITEMS)), ITEMS, "cpu")
    with pytest.raises(ValueError, match="must hold integers, got float64"):
        scores.sample(scores.start(2), torch.Generator())


class WithoutSessions:
    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.zeros((len(observation), SLATE), dtype=np.int64), np.zeros(5)


def test_a_state_without_an_axis_for_sessions_is_refused():
    with pytest.raises(ValueError, match=r"one axis for the sessions, got \(5,\) for one session"):
        PredictorPolicy(WithoutSessions(), ITEMS, "cpu").start(1)
