"""Returns of both kinds of sessions (Eq 10) and the choices that the paper leaves open, against slow plain versions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from irecgan_gym.agents.generation import (
    Generated,
    GeneratedPool,
    RescalingSettings,
    generate_sessions,
    returns_of_both,
    with_rewards,
)
from irecgan_gym.agents.irecgan import IRecGANConfig
from irecgan_gym.agents.policy_gradient import PGConfig
from irecgan_gym.agents.returns import (
    Reinforce,
    ReturnSettings,
    known_propensities,
    offline_returns,
    offline_rewards,
)
from irecgan_gym.models.building import build
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from tests.conftest import random_sessions
from tests.plain import (
    gradients,
    plain_policy_log_probabilities,
    plain_returns,
    plain_reward_log_probability,
    plain_states,
)

N, K, CPU = 7, 3, torch.device("cpu")
TINY = EncoderConfig("lstm", 1, hidden_size=4, embedding_size=3)


@pytest.fixture
def offline(rng):
    return random_sessions(rng, ragged=True, leave=True)


@pytest.fixture
def generated(rng):
    sessions = random_sessions(rng, num_sessions=9, leave=True)
    return with_rewards(sessions, PGConfig(), rng.uniform(0.05, 0.6, sessions.num_steps))


def test_rewards_by_hand(rng):
    sessions = random_sessions(rng, leave=True)
    for step, reward in enumerate(offline_rewards(sessions, 3.0, 0.25)):
        if sessions.clicks[step] == N:
            assert reward == 0
        else:
            assert reward == (4 if sessions.rewards[step] else 0.25)
    np.testing.assert_array_equal(offline_rewards(sessions, 3.0), offline_rewards(sessions, 3.0, 1.0))
    assert 0.25 in offline_rewards(sessions, 3.0, 0.25)
    assert 0 in offline_rewards(sessions, 3.0)


@pytest.mark.parametrize("unrewarded_click", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0])
def test_returns_of_logged_sessions(gamma, unrewarded_click, offline):
    settings = ReturnSettings(gamma, 2.0, unrewarded_click)
    data = offline_returns(offline, settings, CPU)
    plain = plain_returns(offline, np.ones(offline.num_steps), gamma, 2.0, unrewarded_click=unrewarded_click)
    batch = data.sessions.batch(np.arange(len(offline)))
    np.testing.assert_allclose(data.returns(batch).numpy(), np.array(plain)[batch.steps.numpy()], rtol=1e-5)


@pytest.mark.parametrize("unrewarded_click", [0.0, 1.0])
@pytest.mark.parametrize("score_at", ["reward", "click"])
def test_returns_of_generated_sessions(score_at, unrewarded_click, generated):
    config = PGConfig(gamma=0.8, lambda_r=2.0, unrewarded_click=unrewarded_click)
    given = with_rewards(generated.sessions, config, generated.scores.astype(np.float64))
    plain = plain_returns(given.sessions, given.scores, 0.8, 2.0, score_at=score_at, unrewarded_click=unrewarded_click)
    np.testing.assert_allclose(given.returns(0.8, RescalingSettings(score_at)), plain, rtol=1e-5)
    # The two are different things, but for the last step of a session.
    other = given.returns(0.8, RescalingSettings("click" if score_at == "reward" else "reward"))
    last = given.sessions.offsets[1:] - 1
    np.testing.assert_allclose(other[last], np.array(plain)[last], rtol=1e-5)
    assert not np.allclose(other, plain)


def test_scores_are_divided_by_their_mean_where_settings_say_so(generated):
    scaled = generated.scaled(RescalingSettings(score_scale="mean"))
    total = sum(float(score) for score in generated.scores)
    expected = [float(score) * len(generated.scores) / total for score in generated.scores]
    np.testing.assert_allclose(scaled.scores, expected, rtol=1e-5)
    assert scaled.scores.mean() == pytest.approx(1)
    assert generated.scaled(RescalingSettings(score_scale="none")) is generated
    assert scaled.sessions is generated.sessions
    np.testing.assert_array_equal(scaled.rewards, generated.rewards)
    # Scores that are all 0 have no scale.
    nothing = generated._replace(scores=np.zeros_like(generated.scores))
    np.testing.assert_array_equal(nothing.scaled(RescalingSettings()).scores, 0)


@pytest.mark.parametrize("score_at", ["reward", "click"])
def test_a_baseline_is_the_mean_return_of_generated_clicks(score_at, generated):
    plain = plain_returns(generated.sessions, generated.scores, 0.9, 3.0, score_at=score_at)
    clicked = [click != N for click in generated.sessions.clicks]
    mean = np.mean([back for back, chosen in zip(plain, clicked, strict=True) if chosen])
    expected = [back - mean if chosen else back for back, chosen in zip(plain, clicked, strict=True)]
    found = generated.returns(0.9, RescalingSettings(score_at, return_baseline=True))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert found.min() < 0 < found.max()


@pytest.mark.parametrize("baseline", [False, True])
@pytest.mark.parametrize("score_scale", ["mean", "none"])
@pytest.mark.parametrize("score_at", ["reward", "click"])
def test_the_gradient_of_eq_10_with_both_kinds_of_sessions(score_at, score_scale, baseline, offline, generated):
    config = PGConfig(gamma=0.9, lambda_r=3.0)
    rescaling = RescalingSettings(score_at, score_scale, baseline)
    policy = build(lambda: SlatePolicy(N, K, TINY), torch.Generator().manual_seed(1)).double()
    data = returns_of_both(offline, generated.scaled(rescaling), config, rescaling, CPU)
    batch = data.sessions.batch(np.arange(data.num_sessions))
    fast = Reinforce().losses(policy, data, batch).sum()

    q = generated.scores / (np.mean(generated.scores) if score_scale == "mean" else 1)
    own = plain_returns(offline, np.ones(offline.num_steps), 0.9, 3.0)
    theirs = np.array(plain_returns(generated.sessions, q, 0.9, 3.0, score_at=score_at))
    if baseline:
        theirs = theirs - theirs[generated.sessions.clicks < N].mean()
    chosen = [
        *plain_policy_log_probabilities(policy, offline),
        *plain_policy_log_probabilities(policy, generated.sessions),
    ]
    slow = -sum(back * one for back, one in zip([*own, *theirs], chosen, strict=True) if one is not None)
    assert float(fast) == pytest.approx(float(slow), rel=1e-4)
    expected = gradients(policy, slow)
    for name, gradient in gradients(policy, fast).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-5, msg=name)
    # What a critic learns from is each step's own, rescaled reward.
    rewards = data.rewards(batch).numpy()[np.argsort(batch.steps.numpy())][offline.num_steps :]
    np.testing.assert_allclose(rewards, generated.rewards * q, rtol=1e-5)


def marked(rng, number, first):
    """Generated sessions, each with a score of its own."""
    sessions = random_sessions(rng, num_sessions=number)
    scores = np.repeat(np.arange(first, first + number), sessions.lengths).astype(np.float32)
    return Generated(sessions, scores * 10, scores)


@pytest.mark.parametrize("size", [0, 1, 4, 100])
def test_a_pool_hands_the_newest_sessions_of_earlier_rounds_on(size, rng):
    pool, kept = GeneratedPool(size), []
    for number in range(4):
        fresh = marked(rng, 3, first=3 * number)
        joined = pool.with_earlier(fresh)
        plain = [(3 * number + place, session) for place, session in enumerate(fresh.sessions)] + kept
        kept = plain[:size]
        assert len(joined.sessions) == len(plain) == 3 + min(size, 3 * number)
        for (mark, session), theirs, first in zip(plain, joined.sessions, joined.sessions.offsets[:-1], strict=True):
            np.testing.assert_array_equal(theirs.clicks, session.clicks)
            steps = slice(first, first + len(session.clicks))
            np.testing.assert_array_equal(joined.scores[steps], mark)
            np.testing.assert_array_equal(joined.rewards[steps], 10 * mark)


def test_lengths_of_generated_sessions_by_hand(rng):
    sessions = random_sessions(rng, num_sessions=40)
    chosen = sessions.select([int(np.flatnonzero(sessions.lengths == length)[0]) for length in (1, 1, 2, 4)])
    assert chosen.lengths.tolist() == [1, 1, 2, 4]
    for cut, expected in ((None, 4), (2.0, 4), (1.5, 3), (3.0, 6), (0.1, 1)):
        assert IRecGANConfig(length_cut=cut).max_generated_steps(chosen) == expected


def test_a_share_of_the_offline_sessions_is_generated_up_to_the_most(rng):
    sessions = random_sessions(rng, num_sessions=12)
    for share, most, expected in ((1.0, 1000, 12), (0.25, 1000, 3), (2.0, 1000, 24), (1.0, 5, 5), (0.01, 1000, 1)):
        assert IRecGANConfig(generated_share=share, max_generated=most).num_generated(sessions) == expected


@torch.no_grad()
@pytest.mark.parametrize("ending", ["reward", "leave"])
def test_thresholded_rewards_are_those_that_are_likely(ending):
    shape = EncoderConfig(hidden_size=4, embedding_size=3, embedding_std=3.0)
    drawn = UserModel.create(UserModelConfig(N, K, ending, shape), seed=0, device="cpu")
    model = UserModel.create(replace(drawn.config, rewards="thresholded"), seed=0, device="cpu")
    policy = build(lambda: SlatePolicy(N, K, shape), torch.Generator().manual_seed(1))

    def rewards_and_chances(user_model):
        sessions = generate_sessions(policy, user_model, 60, max_session_steps=5, seed=2)
        pairs = []
        for session in sessions:
            hidden = plain_states(user_model.encoder, session.clicks)
            for state, click, reward in zip(hidden, session.clicks, session.rewards, strict=True):
                left = click == N
                chance = 0.0 if left else plain_reward_log_probability(user_model, state, int(click), 1).exp()
                pairs.append((float(reward), float(chance)))
        return pairs

    pairs = rewards_and_chances(model)
    assert {reward for reward, _ in pairs} == {0, 1}
    assert all(reward == (chance > 0.5) for reward, chance in pairs)
    assert not all(reward == (chance > 0.5) for reward, chance in rewards_and_chances(drawn))


def test_agents_hand_the_rule_of_simulated_rewards_to_their_user_model():
    assert IRecGANConfig(generated_rewards="thresholded").new_user_model(N, K).config.rewards == "thresholded"
    assert IRecGANConfig().new_user_model(N, K).config.rewards == "drawn"
    with pytest.raises(ValueError, match="rewards must be 'drawn' or 'thresholded', got 'sure'"):
        UserModelConfig(N, K, rewards="sure")


def test_propensities_are_known_where_those_of_all_clicks_are(rng):
    sessions = random_sessions(rng, leave=True)
    left = sessions.clicks == N
    logged = np.where(left, np.nan, rng.uniform(0.1, 1, sessions.num_steps)).astype(np.float32)
    known = known_propensities(replace(sessions, propensities=logged))
    np.testing.assert_array_equal(known, np.where(left, 1, logged))
    for given in (None, logged):
        data = offline_returns(replace(sessions, propensities=logged), ReturnSettings(), CPU, given)
        np.testing.assert_array_equal(data.propensities, known)
    assert known_propensities(sessions) is None
    lacking = np.where(np.arange(len(logged)) == np.flatnonzero(~left)[3], np.nan, logged)
    assert known_propensities(replace(sessions, propensities=lacking)) is None
