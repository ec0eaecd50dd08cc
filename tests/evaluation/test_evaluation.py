"""Deployment and re-ranking: exact book-keeping on scripted envs, laws of the reference policies."""

from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Discrete, MultiDiscrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.agents.references.simple import PopularityPolicy, RandomPolicy
from irecgan_gym.collection import play
from irecgan_gym.evaluation.online import evaluate_online
from irecgan_gym.evaluation.reranking import evaluate_reranking
from irecgan_gym.sessions import Sessions
from tests.conftest import random_sessions


class ScriptedEnv(VectorEnv):
    """Slot i plays sessions of lengths ``script[i]``; each step but the last earns 1. Resets on the next step."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, script, rewards=None):
        self.script, self.num_envs = script, len(script)
        self.single_observation_space, self.single_action_space = Discrete(1000), MultiDiscrete([4, 4])
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        if rewards is not None:
            self.mdp = SimpleNamespace(rewards=rewards)

    def reset(self, *, seed=None, options=None):
        self.seeds = seed
        self.session = np.zeros(self.num_envs, dtype=int)
        self.step_number = np.zeros(self.num_envs, dtype=int)
        self.done = np.zeros(self.num_envs, dtype=bool)
        return self._observation(), self._info(np.full((self.num_envs, 2), -1))

    def _observation(self):
        """Ten times the number of the session, plus the step."""
        return 10 * self.session + self.step_number

    def _info(self, slates):
        return {"state": self.step_number % 2, "slate": slates}

    def step(self, actions):
        rewards, terminated = np.zeros(self.num_envs), np.zeros(self.num_envs, dtype=bool)
        for slot in range(self.num_envs):
            if self.done[slot]:
                self.session[slot] += 1
                self.step_number[slot] = 0
                continue
            self.step_number[slot] += 1
            lengths = self.script[slot]
            terminated[slot] = self.step_number[slot] >= lengths[self.session[slot] % len(lengths)]
            rewards[slot] = not terminated[slot]
        self.done = terminated.copy()
        return self._observation(), rewards, terminated, np.zeros(self.num_envs, dtype=bool), self._info(actions)


class CountingPolicy:
    """Its state counts the steps since the session began; checks that against the observation."""

    def __init__(self):
        self.seed = None
        self.deterministic = set()

    def set_random_seed(self, seed):
        self.seed = seed

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        count = np.zeros(len(observation), dtype=int) if state is None else state[0]
        count = np.where(episode_start, 0, count)
        np.testing.assert_array_equal(count, observation % 10)
        self.deterministic.add(deterministic)
        return np.tile([0, 1], (len(observation), 1)), (count + 1,)


class FixedSlate:
    """Shows the same slate always."""

    def __init__(self, slate):
        self.slate = slate

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.tile(self.slate, (len(observation), 1)), None


def test_every_slot_plays_its_share_and_every_session_counts():
    env = ScriptedEnv([[1, 3], [5], [2]])
    policy = CountingPolicy()
    result = evaluate_online(policy, env, 7, deterministic=True, seed=3)
    # 7 sessions on 3 slots: 3, 2 and 2, however fast a slot is; a session of length L earns L - 1.
    assert sorted(result.lengths.tolist()) == sorted([1, 3, 1, 5, 5, 2, 2])
    assert sorted(result.rewards.tolist()) == sorted([0, 2, 0, 4, 4, 1, 1])
    assert result.reward.mean == pytest.approx(12 / 7)
    assert result.length.mean == pytest.approx(19 / 7)
    assert result.coverage is None
    assert policy.deterministic == {True}
    assert policy.seed is not None
    assert policy.seed != env.seeds


def test_coverage_is_over_all_visited_steps_in_their_own_states():
    # State 0 (even steps) ranks items 0 1 2 3, state 1 ranks 3 2 1 0; the slate is always [0, 1].
    rewards = np.array([[0.9, 0.8, 0.2, 0.1], [0.1, 0.2, 0.8, 0.9]])
    result = evaluate_online(CountingPolicy(), ScriptedEnv([[3], [1]], rewards), 2, deterministic=False, seed=0)
    # Four steps, in states 0 1 0 and 0.
    np.testing.assert_allclose(result.coverage, [3 / 4, 3 / 4])
    metrics = result.as_metrics("sampled")
    assert metrics["coverage@2/sampled"] == 0.75
    assert metrics["reward_low/sampled"] <= metrics["reward/sampled"] <= metrics["reward_high/sampled"]


def test_more_slots_than_sessions():
    result = evaluate_online(CountingPolicy(), ScriptedEnv([[2], [3], [4]]), 1, deterministic=True, seed=0)
    assert len(result.rewards) == 1


def test_arguments_of_online_evaluation():
    env = ScriptedEnv([[1]])
    with pytest.raises(ValueError, match="at least 1"):
        evaluate_online(CountingPolicy(), env, 0, deterministic=True, seed=0)
    with pytest.raises(ValueError, match="made from its id"):
        evaluate_online(CountingPolicy(), env, 1, deterministic=True, seed=0, max_session_steps=3)
    env.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
    with pytest.raises(ValueError, match="reset on the next step"):
        evaluate_online(CountingPolicy(), env, 1, deterministic=True, seed=0)


def test_online_evaluation_of_the_real_env_repeats_itself():
    policy = RandomPolicy(50, 10, seed=5)
    options = {"deterministic": False, "seed": 7, "env_kwargs": {"mdp_seed": 2}}
    first, second = (evaluate_online(policy, "RecSim-v0", 400, **options) for _ in range(2))
    np.testing.assert_array_equal(first.rewards, second.rewards)
    # A random slate of k of n items holds k / n of any r items.
    np.testing.assert_allclose(first.coverage, 0.2, atol=0.06)
    assert (first.lengths == first.rewards + 1).all()


def test_all_policies_meet_the_same_users_of_recsim():
    # Two policies that differ in one item of the ten, and one that shows the same items in another order.
    first, second = (FixedSlate(np.arange(50)[order]) for order in (slice(0, 10), slice(1, 11)))
    turned = FixedSlate(np.arange(50)[9::-1])

    def rewards(policy, env="RecSim-v0", num_sessions=2000, seed=3, **options):
        return evaluate_online(policy, env, num_sessions, deterministic=True, seed=seed, **options).rewards

    alone = rewards(first)
    np.testing.assert_array_equal(alone, rewards(turned))
    for num_envs in (1, 7, 600):
        np.testing.assert_array_equal(alone[:600], rewards(first, num_sessions=600, num_envs=num_envs))
    np.testing.assert_array_equal(alone[:50], rewards(first, gym.make_vec("RecSim-v0", num_envs=4), 50))
    assert (alone != rewards(first, seed=4)).mean() > 0.3
    # The noise of a difference is less than that of two samples of users by far.
    difference = alone - rewards(second)
    assert difference.var() < 0.5 * 2 * alone.var()
    assert (difference == 0).mean() > 0.6


def test_sessions_with_users_of_their_own_follow_each_other():
    env = gym.make_vec("RecSim-v0", num_envs=7, max_episode_steps=6)
    played = play(FixedSlate(np.arange(10)), env, 100, 5, deterministic=True, user_streams=True)
    sessions = played.sessions({})
    assert len(sessions) == 100
    starts = sessions.offsets[:-1]
    assert (sessions.states[starts] == 0).all()
    # Every session ends with its failure, or is cut after six steps.
    ends = sessions.offsets[1:] - 1
    np.testing.assert_array_equal(sessions.rewards[ends] == 0, ~sessions.truncated)
    assert (np.delete(sessions.rewards, ends) == 1).all()
    assert (sessions.lengths[sessions.truncated] == 6).all()
    assert 0 < sessions.truncated.sum() < 50


def test_envs_that_have_one_generator_are_asked_for_nothing_else():
    one_by_one = gym.make_vec("RecSim-v0", num_envs=3, vectorization_mode="sync")
    first, second = (
        evaluate_online(FixedSlate(np.arange(10)), one_by_one, 20, deterministic=True, seed=1) for _ in range(2)
    )
    np.testing.assert_array_equal(first.rewards, second.rewards)
    assert first.coverage is None


def test_sessions_are_cut_where_asked_for():
    result = evaluate_online(RandomPolicy(50, 10), "RecSim-v0", 200, deterministic=False, seed=0, max_session_steps=2)
    assert result.lengths.max() == 2


def test_popularity_beats_random_online():
    log = gym.make("RecSim-v0", logging_policy="max").get_wrapper_attr("collect")(500, seed=0)
    results = [
        evaluate_online(policy.learn(log), "RecSim-v0", 500, deterministic=True, seed=1)
        for policy in (PopularityPolicy(50, 10), RandomPolicy(50, 10))
    ]
    assert results[0].reward.low > results[1].reward.high
    assert results[0].coverage[0] > results[1].coverage[0]


class FixedScores:
    def __init__(self, scores):
        self.scores = np.asarray(scores, dtype=np.float32)

    def slate_scores(self, sessions):
        return self.scores[sessions.slate_items]


def lists_of(num_lists, size, clicks):
    return Sessions.from_columns(
        num_items=size,
        lengths=[1] * num_lists,
        slates=np.tile(np.arange(size), (num_lists, 1)),
        clicks=clicks,
        rewards=[1] * num_lists,
    )


def test_reranking_by_hand():
    sessions = lists_of(2, 12, [0, 11])
    result = evaluate_reranking(FixedScores(np.arange(12, 0, -1)), sessions, deterministic=True, seed=0)
    assert result.num_lists == 2
    assert result.precision[1].mean == 0.5
    assert result.precision[10].mean == 0.5
    assert result.reciprocal_rank.mean == pytest.approx((1 + 1 / 12) / 2)
    metrics = result.as_metrics("top-k")
    assert metrics["p@1/top-k"] == 0.5
    assert {"p@10_low/top-k", "p@10_high/top-k", "mrr/top-k"} <= set(metrics)


def test_sampled_rankings_follow_plackett_luce():
    weights = np.array([0.5, 0.3, 0.2])
    sessions = lists_of(20_000, 3, np.zeros(20_000, dtype=int))
    result = evaluate_reranking(
        FixedScores(np.log(weights)), sessions, deterministic=False, seed=1, at=(1, 2), min_list_length=3
    )
    assert result.precision[1].mean == pytest.approx(0.5, abs=0.015)
    # Second place: after item 1 or item 2 went first.
    second = 0.3 * 0.5 / 0.7 + 0.2 * 0.5 / 0.8
    assert result.precision[2].mean == pytest.approx(0.5 + second, abs=0.015)


def test_equal_scores_are_ranked_at_random():
    sessions = lists_of(5000, 20, np.zeros(5000, dtype=int))
    for deterministic in (True, False):
        result = evaluate_reranking(RandomPolicy(20, 5), sessions, deterministic=deterministic, seed=2)
        assert result.precision[1].mean == pytest.approx(0.05, abs=0.015)
        assert result.precision[10].mean == pytest.approx(0.5, abs=0.03)


def test_popularity_counts_clicks():
    sessions = Sessions.from_columns(
        num_items=4, lengths=[3, 1], slates=[[0, 1], [1, 2], [1, 3], [0, 1]], clicks=[1, 2, 1, 4], rewards=[1, 1, 0, 0]
    )
    policy = PopularityPolicy(4, 2).learn(sessions)
    scores = policy.slate_scores(sessions)
    # Clicks 0 2 1 0, and 1 more for each; the step without a click counts for none.
    expected = np.log(np.array([1, 3, 2, 1]) / 7)
    np.testing.assert_allclose(scores, expected[sessions.slate_items], rtol=1e-6)
    slates, state = policy.predict(np.array([4, 4, 1]), deterministic=True)
    np.testing.assert_array_equal(slates, [[1, 2]] * 3)
    assert state is None
    assert policy.predict(4, deterministic=True)[0].shape == (2,)

    rate = PopularityPolicy(4, 2, per_impression=True, smoothing=1e-6).learn(sessions).slate_scores(sessions)
    # Shown 2 4 1 1 times: item 2 was clicked every time it was shown.
    assert rate[3] > rate[2] > rate[0]


def test_popularity_samples_in_proportion():
    sessions = lists_of(8, 3, [0, 0, 0, 0, 0, 1, 1, 2])
    policy = PopularityPolicy(3, 1, smoothing=1e-9).learn(sessions)
    policy.set_random_seed(0)
    first = policy.predict(np.full(8000, 3))[0][:, 0]
    np.testing.assert_allclose(np.bincount(first) / 8000, [5 / 8, 2 / 8, 1 / 8], atol=0.02)


def test_equally_popular_items_are_not_ranked_by_id():
    tops = {tuple(PopularityPolicy(30, 3, seed=seed).predict(30, deterministic=True)[0].tolist()) for seed in range(5)}
    assert len(tops) == 5
    policy = PopularityPolicy(30, 3, seed=1)
    np.testing.assert_array_equal(*(policy.predict(30, deterministic=True)[0] for _ in range(2)))


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("kind", [RandomPolicy, PopularityPolicy])
def test_reference_slates_hold_different_items(kind, deterministic):
    slates, _ = kind(9, 5).predict(np.full(200, 9), deterministic=deterministic)
    assert slates.dtype == np.int64
    assert all(len(set(slate)) == 5 for slate in slates.tolist())


@pytest.mark.parametrize("policy", [RandomPolicy(7, 3, seed=4), PopularityPolicy(7, 3, seed=4, smoothing=0.5)])
def test_reference_policies_are_saved_and_loaded(policy, tmp_path, rng):
    sessions = random_sessions(rng)
    policy.learn(sessions)
    policy.save(tmp_path / "policy.safetensors")
    loaded = type(policy).load(tmp_path / "policy.safetensors")
    np.testing.assert_array_equal(loaded.slate_scores(sessions), policy.slate_scores(sessions))
    for agent in (policy, loaded):
        agent.set_random_seed(1)
    np.testing.assert_array_equal(*(agent.predict(np.full(5, 7))[0] for agent in (policy, loaded)))


def test_reference_policies_refuse_another_catalogue(rng):
    for policy in (RandomPolicy(5, 2), PopularityPolicy(5, 2)):
        with pytest.raises(ValueError, match="7 items, the policy 5"):
            policy.slate_scores(random_sessions(rng))
    with pytest.raises(ValueError, match="7 items, the policy 5"):
        PopularityPolicy(5, 2).learn(random_sessions(rng))
    with pytest.raises(ValueError, match="smoothing"):
        PopularityPolicy(5, 2, smoothing=0)
