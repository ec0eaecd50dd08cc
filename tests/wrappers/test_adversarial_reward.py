import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.env_checker import check_env

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.models.building import build
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.wrappers import AdversarialReward, SessionAdversarialReward, VectorAdversarialReward
from tests.conftest import random_sessions

N, K, B = 12, 4, 6
SHAPE = EncoderConfig(hidden_size=6, embedding_size=5)
WORLDS = {"RecSim-v0": {"num_items": N, "slate_size": K, "num_states": 3}, "UserModel-v0": {}}


def user_model(ending="reward"):
    return UserModel.create(UserModelConfig(N, K, ending, SHAPE), seed=0, device="cpu")


def make_score(*, constant=None, ending="reward", num_rollouts=5, seed=2):
    """Eq 6 with tiny models; ``constant`` makes D say that number of every session."""
    policy = build(lambda: SlatePolicy(N, K, SHAPE), torch.Generator().manual_seed(1))
    discriminator = Discriminator.create(DiscriminatorConfig(N, SHAPE), seed=seed, device="cpu")
    if constant is not None:
        discriminator.probabilities = lambda partial: torch.full_like(partial.total, constant)
    return SequenceScore(user_model(ending), policy, discriminator, num_rollouts=num_rollouts, max_session_steps=8)


def settings(world, ending="reward"):
    return {"user_model": user_model(ending)} if world == "UserModel-v0" else WORLDS[world]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("autoreset_mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize("mode", ["multiply", "generation"])
def test_a_constant_discriminator_scales_rewards_by_its_constant(world, autoreset_mode, mode):
    plain, inner = (gym.make_vec(world, num_envs=B, autoreset_mode=autoreset_mode, **settings(world)) for _ in range(2))
    wrapped = VectorAdversarialReward(inner, score=make_score(constant=0.25), mode=mode, lambda_r=3.0)
    plain.reset(seed=1)
    wrapped.reset(seed=1)
    actions = np.random.default_rng(0)
    waiting = np.zeros(B, dtype=bool)
    for _ in range(30):
        slates = np.stack([actions.permutation(N)[:K] for _ in range(B)])
        expected, got = plain.step(slates), wrapped.step(slates)
        rescaled = 0.25 * expected[1] if mode == "multiply" else 0.25 * (1 + 3.0 * expected[1])
        rescaled[waiting] = 0
        np.testing.assert_allclose(got[1], rescaled, rtol=1e-6)
        np.testing.assert_array_equal(got[4]["raw_reward"], expected[1])
        assert np.isnan(got[4]["adversarial_score"][waiting]).all()
        np.testing.assert_allclose(got[4]["adversarial_score"][~waiting], 0.25, rtol=1e-6)
        np.testing.assert_array_equal(got[0], expected[0])
        waiting = (got[2] | got[3]) & (autoreset_mode == "NextStep")


@pytest.mark.parametrize("world", WORLDS)
def test_the_single_wrapper_multiplies_too(world):
    env = AdversarialReward(gym.make(world, **settings(world)), score=make_score(constant=0.5))
    _, info = env.reset(seed=0)
    assert set(info) >= {"raw_reward", "adversarial_score", "slate", "click"}
    rewards = []
    for _ in range(30):
        _, reward, terminated, _, info = env.step(np.arange(K))
        assert reward == 0.5 * info["raw_reward"]
        rewards.append(reward)
        if terminated:
            env.reset()
    assert set(rewards) == {0.0, 0.5}


@pytest.mark.parametrize("autoreset_mode", ["NextStep", "SameStep", "Disabled"])
def test_scores_of_finished_sessions_are_those_of_the_discriminator(autoreset_mode):
    """Whatever the autoreset mode, D sees exactly the slates, clicks and rewards of the session that ended."""
    score = make_score()
    env = VectorAdversarialReward(
        gym.make_vec("UserModel-v0", num_envs=B, autoreset_mode=autoreset_mode, user_model=user_model()), score=score
    )
    env.reset(seed=3)
    partial = [score.discriminator.start(1) for _ in range(B)]
    waiting, finished, actions = np.zeros(B, dtype=bool), 0, np.random.default_rng(1)
    for _ in range(40):
        slates = np.stack([actions.permutation(N)[:K] for _ in range(B)])
        clicks, _, terminated, _, info = env.step(slates)
        for row in np.flatnonzero(~waiting):
            final = autoreset_mode == "SameStep" and terminated[row]
            click = info["final_obs"][row] if final else clicks[row]
            with torch.no_grad():
                partial[row] = score.discriminator.observe(
                    partial[row],
                    torch.from_numpy(slates[row : row + 1]),
                    torch.tensor([int(click)]),
                    torch.tensor([float(info["raw_reward"][row])]),
                )
                if terminated[row]:
                    finished += 1
                    expected = float(score.discriminator.probabilities(partial[row]))
                    assert info["adversarial_score"][row] == pytest.approx(expected, rel=1e-5)
                    partial[row] = score.discriminator.start(1)
        waiting = terminated & (autoreset_mode == "NextStep")
        if autoreset_mode == "Disabled" and terminated.any():
            env.reset(options={"reset_mask": terminated})
    assert finished > 10


def test_leaving_earns_nothing():
    env = VectorAdversarialReward(
        gym.make_vec("UserModel-v0", num_envs=300, user_model=user_model("leave")),
        score=make_score(constant=0.5, ending="leave"),
        mode="generation",
    )
    env.reset(seed=0)
    clicks, rewards, _, _, _ = env.step(np.tile(np.arange(K), (300, 1)))
    left = clicks == N
    assert left.any()
    assert (rewards[left] == 0).all()
    assert (rewards[~left] > 0).all()


def test_branches_are_scored_like_their_originals():
    """Branched sessions of one prefix, played alike, have the same mean score as the prefix itself."""
    score = make_score(num_rollouts=4000)
    env = VectorAdversarialReward(gym.make_vec("UserModel-v0", num_envs=2, user_model=user_model()), score=score)
    env.reset(seed=0)
    while (env.step(np.tile(np.arange(K), (2, 1)))[2]).any():
        env.reset()
    branch = env.branch(np.array([1, 1, 0]))
    assert branch.num_envs == 3
    prefixes = branch._prefixes
    q = score.score(prefixes, torch.zeros(3, dtype=torch.bool), torch.Generator().manual_seed(0))
    assert float(q[0]) == pytest.approx(float(q[1]), abs=0.02)
    original = score.score(env._prefixes, torch.zeros(2, dtype=torch.bool), torch.Generator().manual_seed(1))
    assert float(q[2]) == pytest.approx(float(original[0]), abs=0.02)
    branch.step(np.tile(np.arange(K), (3, 1)))


def test_seeds_own_the_rollouts_too():
    def run(seed):
        env = VectorAdversarialReward(gym.make_vec("UserModel-v0", num_envs=B, user_model=user_model()), score=score)
        env.reset(seed=seed)
        return [env.step(np.tile(np.arange(K), (B, 1)))[1].tolist() for _ in range(10)]

    score = make_score()
    assert run(1) == run(1)
    assert run(1) != run(2)


def test_checkers_copies_and_pickles():
    env = AdversarialReward(gym.make("UserModel-v0", user_model=user_model()), score=make_score())
    check_env(env)
    env.reset(seed=0)
    twins = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
    expected = env.step(np.arange(K))[:3]
    for twin in twins:
        assert twin.step(np.arange(K))[:3] == expected
    assert isinstance(env.spec.make(), AdversarialReward)


def test_wrong_arguments_are_named():
    env = gym.make("RecSim-v0")
    with pytest.raises(ValueError, match="the env has 50 items, the user model of the score 12"):
        AdversarialReward(env, score=make_score())
    with pytest.raises(ValueError, match="mode must be 'multiply' or 'generation', got 'add'"):
        AdversarialReward(gym.make("RecSim-v0", **WORLDS["RecSim-v0"]), score=make_score(), mode="add")
    with pytest.raises(ValueError, match="num_rollouts must be at least 1, got 0"):
        make_score(num_rollouts=0)


@pytest.mark.parametrize("mode", ["multiply", "generation"])
def test_whole_sessions_are_rescaled_by_the_same_rule(mode, rng):
    sessions = random_sessions(rng, num_items=N, leave=True, ragged=True)
    score = make_score(ending="leave", num_rollouts=2)
    rewards, q = SessionAdversarialReward(score, mode=mode, lambda_r=2.0).rescale(sessions, seed=1)
    assert ((q > 0) & (q < 1)).all()
    expected = q * sessions.rewards if mode == "multiply" else q * (1 + 2.0 * sessions.rewards)
    expected[sessions.clicks == N] = 0
    np.testing.assert_allclose(rewards, expected)


def test_whole_sessions_of_another_catalogue_are_refused(rng):
    score = make_score()
    with pytest.raises(ValueError, match="the sessions have 9 items"):
        SessionAdversarialReward(score).rescale(random_sessions(rng, num_items=9), seed=0)
