"""What wrappers give exactly: defaults, seeds, resets, branches, and what they hand to others."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.wrappers import (
    AdversarialReward,
    SequentialSlate,
    SessionAdversarialReward,
    VectorAdversarialReward,
    VectorSequentialSlate,
)
from irecgan_gym.wrappers.adapted_predictors import SequentialPredictor, TranslatedPredictor, WindowPredictor
from irecgan_gym.wrappers.adversarial_reward import RewardRule, seed_generator
from irecgan_gym.wrappers.slate_scores import Ranking
from irecgan_gym.wrappers.slate_space import slate_shape
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


@pytest.mark.parametrize("truncated_after", [None, 2])
def test_a_single_envs_ended_session_is_scored_by_the_discriminator_itself(truncated_after):
    score = make_score()
    world = gym.make("UserModel-v0", user_model=user_model(), max_episode_steps=truncated_after)
    env, ends = AdversarialReward(world, score=score), set()
    for seed in range(8):
        env.reset(seed=seed)
        partial, over = score.discriminator.start(1), False
        while not over:
            _, _, terminated, truncated, info = env.step(SLATES[0])
            with torch.no_grad():
                clicks, rewards = torch.tensor([int(info["click"])]), torch.tensor([info["raw_reward"]])
                partial = score.discriminator.observe(partial, torch.from_numpy(SLATES[:1]), clicks, rewards)
                own = float(score.discriminator.probabilities(partial))
            over = terminated or truncated
            assert (info["adversarial_score"] == pytest.approx(own, rel=1e-6)) == over
        ends.add((terminated, truncated))
    assert (True, False) in ends
    assert ((False, True) in ends) == (truncated_after is not None)


def test_a_spec_holds_the_models_themselves():
    score = make_score()
    assert single(score=score).spec.additional_wrappers[-1].kwargs["score"] is score


class Spy:
    """A predictor that writes down what it was asked."""

    def __init__(self):
        self.asked = []

    def predict(self, observation, state=None, episode_start=None, deterministic=False, action_masks=None):
        self.asked.append((np.copy(observation), state, episode_start, deterministic, action_masks))
        return np.zeros(len(observation), dtype=np.int64), None

    def set_random_seed(self, seed):
        self.asked.append(seed)


def test_adapted_predictors_draw_by_default():
    spy = Spy()
    for adapted in (WindowPredictor(spy, 3, N), TranslatedPredictor(spy, lambda actions: actions)):
        adapted.predict(np.array([1, 2]))
        adapted.predict(np.array([1, 2]), deterministic=True)
        adapted.set_random_seed(7)
    assert [asked if asked == 7 else asked[3] for asked in spy.asked] == [False, True, 7] * 2


def test_windows_go_on_where_nothing_is_said_about_starts():
    spy = Spy()
    predictor = WindowPredictor(spy, 3, N)
    _, state = predictor.predict(np.array([1, 2]))
    _, state = predictor.predict(np.array([3, 4]), state)
    predictor.predict(np.array([5, 6]), state, np.array([False, True]))
    assert [asked[0].tolist() for asked in spy.asked] == [
        [[N, N, 1], [N, N, 2]],
        [[N, 1, 3], [N, 2, 4]],
        [[1, 3, 5], [N, N, 6]],
    ]


def test_items_are_picked_among_those_that_are_free():
    masks = []

    class Lowest:
        def predict(self, observation, deterministic, action_masks):
            masks.append(action_masks.copy())
            assert deterministic == (len(masks) > 2)
            return action_masks.argmax(axis=1), None

    slates, state = SequentialPredictor(Lowest(), 4, 2).predict(np.array([0, 1]))
    assert (slates.tolist(), state) == ([[0, 1], [0, 1]], None)
    SequentialPredictor(Lowest(), 4, 2).predict(np.array([0, 1]), deterministic=True)
    assert masks[0].dtype == np.bool_
    assert masks[1].tolist() == [[False, True, True, True]] * 2


class Nested(gym.Env):
    """Observations with arrays inside, and what reset was told."""

    observation_space = gym.spaces.Dict({"window": gym.spaces.Box(0, 5, (2,), np.int64)})
    action_space = gym.spaces.MultiDiscrete([5, 5])

    def reset(self, *, seed=None, options=None):
        self.options = options
        return {"window": np.array([1, 2])}, {}

    def step(self, action):
        return {"window": np.array([3, 4])}, 1.0, False, False, {}


def test_a_slate_being_built_shares_nothing_with_those_who_look():
    env = SequentialSlate(Nested())
    assert env.action_masks().tolist() == [True] * 5
    observation, _ = env.reset(options={"a": 1})
    assert env.unwrapped.options == {"a": 1}
    observation["observation"]["window"][:] = 0
    assert env.step(0)[0]["observation"]["window"].tolist() == [1, 2]


def test_ends_are_of_type_bool_between_picks():
    envs = VectorSequentialSlate(
        gym.make_vec("RecSim-v0", num_envs=2, autoreset_mode="SameStep", **WORLDS["RecSim-v0"])
    )
    envs.reset(seed=0)
    _, rewards, terminated, truncated, _ = envs.step(np.array([0, 1]))
    assert (terminated.dtype, truncated.dtype, rewards.dtype) == (np.bool_, np.bool_, np.float64)
    assert not terminated.any()
    assert terminated is not truncated


def test_embeddings_have_a_number_at_least():
    slates = gym.spaces.MultiDiscrete([5, 5])
    assert Ranking(slates, np.ones((5, 1))).action_space(1.0).shape == (1,)
    with pytest.raises(ValueError, match="one row for each of the 5 items"):
        Ranking(slates, np.ones((5, 0)))


@pytest.mark.parametrize("sizes", [[3, 4], [[3, 3], [3, 3]]])
def test_slates_are_of_items_from_one_catalogue(sizes):
    with pytest.raises(ValueError, match="the env must take slates"):
        slate_shape(gym.spaces.MultiDiscrete(sizes))
