"""What the adversarial reward gives exactly: defaults, seeds, resets, branches."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.wrappers import AdversarialReward, SessionAdversarialReward, VectorAdversarialReward
from irecgan_gym.wrappers.adversarial_reward import RewardRule, seed_generator
from tests.conftest import random_sessions
from tests.wrappers.test_adversarial_reward import WORLDS, B, K, N, make_score, user_model

SLATES = np.tile(np.arange(K), (B, 1))


def single(**arguments):
    return AdversarialReward(gym.make("UserModel-v0", user_model=user_model()), **arguments)


def vector(autoreset_mode="NextStep", **arguments):
    world = gym.make_vec("UserModel-v0", num_envs=B, autoreset_mode=autoreset_mode, user_model=user_model())
    return VectorAdversarialReward(world, **arguments)


def test_the_rule():
    q, rewards, left = np.array([0.5, 0.25, 0.5]), np.array([1, 0, 1]), np.array([False, False, True])
    assert RewardRule("multiply", 2.0).rescale(q, rewards, left).tolist() == [0.5, 0, 0]
    assert RewardRule("generation", 2.0).rescale(q, rewards, left).tolist() == [1.5, 0.25, 0]


def test_the_reward_counts_three_times_by_default_and_q_multiplies_it(rng):
    score = make_score(constant=0.25, num_rollouts=1)
    for mode, expected in (("generation", {0.25, 1.0}), (None, {0.0, 0.25})):
        arguments = {"score": score} if mode is None else {"score": score, "mode": mode}
        env, envs = single(**arguments), vector("SameStep", **arguments)
        env.reset(seed=0), envs.reset(seed=0)
        found = []
        for _ in range(10):
            _, reward, terminated, *_ = env.step(SLATES[0])
            found += [reward, *envs.step(SLATES)[1]]
            if terminated:
                env.reset()
        assert set(np.round(found, 6)) == expected
    session_rule = SessionAdversarialReward(make_score())._rule
    assert (session_rule.mode, session_rule.lambda_r) == ("multiply", 3.0)


def test_what_a_reset_tells():
    _, info = single(score=make_score()).reset(seed=0)
    assert info["raw_reward"] == 0
    assert np.isnan(info["adversarial_score"])
    _, infos = vector(score=make_score()).reset(seed=0)
    assert infos["raw_reward"].tolist() == [0] * B
    assert np.isnan(infos["adversarial_score"]).all()
    assert infos["adversarial_score"].shape == (B,)


def test_the_stream_of_roll_outs_that_a_seed_stands_for():
    """Written down: published results name seeds."""
    generator = torch.Generator()
    seed_generator(generator, 0)
    first = generator.initial_seed()
    seed_generator(generator, 1)
    assert (first, generator.initial_seed()) == (4058530003075933923, 2484230843430420619)
    seeds = set()
    for _ in range(3):
        seed_generator(generator, None)
        seeds.add(generator.initial_seed())
    assert len(seeds) == 3


@pytest.mark.parametrize("make", [single, vector])
def test_only_a_seed_or_the_first_reset_begins_the_roll_outs_stream(make):
    first, second = make(score=make_score()), make(score=make_score())
    first.reset(), second.reset()
    assert first._generator.initial_seed() != second._generator.initial_seed()
    state = first._generator.get_state()
    first.reset()
    assert torch.equal(first._generator.get_state(), state)
    first.reset(seed=5), second.reset(seed=5)
    assert torch.equal(first._generator.get_state(), second._generator.get_state())


@pytest.mark.parametrize("make", [single, vector])
def test_a_reset_comes_first(make):
    env = make(score=make_score())
    with pytest.raises((ResetNeeded, RuntimeError), match="call reset before step"):
        env.step(SLATES[0] if make is single else SLATES)


def test_a_vector_of_another_catalogue_is_refused():
    with pytest.raises(ValueError, match="the env has 50 items, the user model of the score 12"):
        VectorAdversarialReward(gym.make_vec("RecSim-v0", num_envs=2), score=make_score())
    with pytest.raises(ValueError, match="the sessions have 9 items"):
        SessionAdversarialReward(make_score()).rescale(random_sessions(np.random.default_rng(0), num_items=9), seed=0)


def test_leaving_earns_nothing_in_a_single_env():
    env = AdversarialReward(
        gym.make("UserModel-v0", user_model=user_model("leave")),
        score=make_score(constant=0.5, ending="leave"),
        mode="generation",
    )
    env.reset(seed=0)
    left = 0
    for _ in range(40):
        _, reward, terminated, _, info = env.step(SLATES[0])
        assert reward == (0 if info["click"] == N else 0.5 * (1 + 3 * info["raw_reward"]))
        left += info["click"] == N
        if terminated:
            env.reset()
    assert left > 3


def test_branches_keep_the_rule_and_draw_roll_outs_of_their_own():
    envs = vector(score=make_score(constant=0.25), mode="generation", lambda_r=2.0)
    envs.reset(seed=0)
    rewards = set()
    twins = [envs.branch(np.array([0, 3, 3])) for _ in range(2)]
    assert twins[0]._generator.initial_seed() != twins[1]._generator.initial_seed()
    for _ in range(4):
        _, rescaled, _, _, info = twins[0].step(SLATES[:3])
        stepped = ~np.isnan(info["adversarial_score"])
        np.testing.assert_allclose(rescaled[stepped], 0.25 * (1 + 2 * info["raw_reward"][stepped]))
        rewards |= set(rescaled[stepped].round(3))
    assert len(rewards) == 2
    again = vector(score=make_score(constant=0.25))
    again.reset(seed=0)
    assert again.branch(np.array([0]))._generator.initial_seed() == twins[0]._generator.initial_seed()


def test_branches_of_ended_sessions_are_only_reset_by_the_next_step():
    envs = vector(score=make_score())
    envs.reset(seed=0)
    ended = np.zeros(B, dtype=bool)
    while not ended.any() or ended.all():
        ended = envs.step(SLATES)[2]
    rows = np.array([int(np.flatnonzero(ended)[0]), int(np.flatnonzero(~ended)[0])])
    _, rewards, _, _, info = envs.branch(rows).step(SLATES[:2])
    assert np.isnan(info["adversarial_score"]).tolist() == [True, False]
    assert rewards[0] == 0


@pytest.mark.parametrize("world", WORLDS)
def test_steps_count_from_the_start_of_each_session(world):
    """Sessions of some envs begin while others go on: lengths, states and sums are kept for each by itself."""
    settings = {"user_model": user_model()} if world == "UserModel-v0" else WORLDS[world]
    for mode in ("NextStep", "SameStep", "Disabled"):
        envs = VectorAdversarialReward(
            gym.make_vec(world, num_envs=B, autoreset_mode=mode, **settings), score=make_score(num_rollouts=1)
        )
        envs.reset(seed=1)
        steps, waiting = np.zeros(B, dtype=int), np.zeros(B, dtype=bool)
        for _ in range(12):
            _, _, terminated, truncated, _ = envs.step(SLATES)
            ended = terminated | truncated
            steps = np.where(waiting, 0, steps + 1)
            if mode == "SameStep":
                steps[ended] = 0
            waiting = ended & (mode == "NextStep")
            if mode == "Disabled" and ended.any():
                envs.reset(options={"reset_mask": ended})
                steps[ended] = 0
            assert envs._prefixes.length.tolist() == steps.tolist()
