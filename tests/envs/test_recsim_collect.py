import itertools
import json
from dataclasses import fields

import gymnasium as gym
import numpy as np
import pytest

import irecgan_gym
from irecgan_gym.mdp import RecommendationMDP, draw_mdp
from irecgan_gym.sessions import Sessions
from tests.frequencies import assert_counts

POLICIES = ["random", "max", "mix"]


def make(logging_policy="random", **arguments):
    return gym.make("RecSim-v0", logging_policy=logging_policy, **arguments).unwrapped


def expected_reward(mdp, slates_of_state):
    """Exact mean reward of an uncut session when each of a state's slates is as likely as the others."""
    m = mdp.num_states
    moves, success = np.zeros((m, m)), np.zeros(m)
    for state, slates in enumerate(slates_of_state):
        for slate in slates:
            rewards = mdp.rewards[state, slate]
            clicked = rewards / rewards.sum() * rewards / len(slates)
            success[state] += clicked.sum()
            moves[state] += clicked @ mdp.transitions[state, slate]
    return np.linalg.solve(np.eye(m) - moves, success)[0]


def returns(sessions):
    return np.add.reduceat(sessions.rewards, sessions.offsets[:-1])


def assert_mean(values, expected):
    # Further away than 5 standard errors: less than once in a million.
    assert abs(values.mean() - expected) < 5 * values.std() / np.sqrt(len(values))


@pytest.mark.parametrize("kind", ["softmax", "item"])
def test_mean_rewards_are_the_exact_ones_of_the_tables(kind):
    size = {"num_states": 3, "num_items": 10, "slate_size": 3, "transitions": kind}
    mdp = draw_mdp(3, 10, transitions=kind)
    ranked = mdp.ranked_items()
    subsets = [list(subset) for subset in itertools.combinations(range(10), 3)]
    band = [list(subset) for subset in itertools.combinations(range(2, 5), 3)]
    slates = {
        "random": [subsets] * 3,
        "max": [[ranked[state, :3]] for state in range(3)],
        # One subset only is in the band of three ranks, so that the coin decides between two slates.
        "mix": [[ranked[state, :3], *ranked[state][band]] for state in range(3)],
    }
    for name in POLICIES:
        sessions = make(name, **size).collect(20_000, 0, max_session_steps=None)
        assert_mean(returns(sessions), expected_reward(mdp, slates[name]))


def test_twenty_default_worlds_are_as_known():
    """A random slate earns about 1.9 a session and the top k about 8.7, over twenty draws of the tables."""
    random, top = [], []
    for mdp_seed in range(20):
        mdp = draw_mdp(mdp_seed=mdp_seed)
        top.append(expected_reward(mdp, [[items[:10]] for items in mdp.ranked_items()]))
        random.append(returns(make(mdp_seed=mdp_seed).collect(1000, 0, max_session_steps=None)).mean())
    assert np.mean(random) == pytest.approx(1.94, abs=0.2)
    assert np.mean(top) == pytest.approx(8.87, abs=0.9)


@pytest.mark.parametrize("name", POLICIES)
def test_columns_are_consistent(name):
    env = make(name)
    sessions = env.collect(2000, seed=1)
    policy = env._policy
    assert len(sessions) == 2000
    assert sessions.slate_size == 10
    first, last = sessions.offsets[:-1], sessions.offsets[1:] - 1
    # Every session starts in s_0 and ends with the failing step, unless it is cut after a success.
    assert (sessions.states[first] == 0).all()
    assert (sessions.rewards[last] == sessions.truncated).all()
    assert sessions.rewards.sum() == sessions.num_steps - (~sessions.truncated).sum()
    np.testing.assert_allclose(
        sessions.propensities, policy.inclusion_probabilities[sessions.states, sessions.clicks], rtol=1e-6
    )
    if name == "max":
        np.testing.assert_array_equal(
            sessions.slate_items.reshape(-1, 10), env.mdp.ranked_items()[sessions.states, :10]
        )
        assert (sessions.propensities == 1).all()


def test_logged_clicks_rewards_and_moves_follow_the_tables():
    env = make("max", num_states=3)
    sessions = env.collect(20_000, seed=5)
    mdp, states, clicks = env.mdp, sessions.states, sessions.clicks
    step = np.arange(sessions.num_steps)
    going = sessions.rewards == 1
    followed = going & ~np.isin(step, sessions.offsets[1:] - 1)
    for state in range(3):
        top = mdp.ranked_items()[state, :10]
        chances = np.zeros(50)
        chances[top] = mdp.rewards[state, top] / mdp.rewards[state, top].sum()
        here = states == state
        counts = np.bincount(clicks[here], minlength=50)
        assert_counts(counts, here.sum(), chances)
        assert_counts(np.bincount(clicks[here & going], minlength=50), counts, mdp.rewards[state])
        moves = np.zeros((50, 3))
        np.add.at(moves, (clicks[here & followed], states[step[here & followed] + 1]), 1)
        assert_counts(moves, moves.sum(1, keepdims=True), mdp.transitions[state])


def test_sessions_are_cut_at_forty_steps_unless_told_otherwise():
    env = make("max")
    cut, short, whole = (
        env.collect(3000, 7),
        env.collect(3000, 7, max_session_steps=5),
        env.collect(3000, 7, max_session_steps=None),
    )
    assert cut.lengths.max() == 40
    assert short.lengths.max() == 5
    assert whole.lengths.max() > 40
    assert not whole.truncated.any()
    for sessions, limit in ((cut, 40), (short, 5)):
        np.testing.assert_array_equal(sessions.truncated, whole.lengths > limit)
        np.testing.assert_array_equal(sessions.lengths, np.minimum(whole.lengths, limit))
        number = int(np.argmax(whole.lengths))
        np.testing.assert_array_equal(sessions[number].clicks, whole[number].clicks[:limit])


@pytest.mark.parametrize("name", POLICIES)
def test_columns_pass_the_checks_of_logs_from_elsewhere(name):
    sessions = make(name).collect(300, seed=1)
    checked = Sessions.from_columns(
        num_items=50,
        lengths=sessions.lengths,
        slates=sessions.slate_items.reshape(-1, 10),
        clicks=sessions.clicks,
        rewards=sessions.rewards,
        truncated=sessions.truncated,
        propensities=sessions.propensities,
        states=sessions.states,
        provenance=sessions.provenance,
    )
    for column in fields(Sessions):
        value, expected = getattr(sessions, column.name), getattr(checked, column.name)
        np.testing.assert_array_equal(value, expected)
        assert getattr(value, "dtype", None) == getattr(expected, "dtype", None)
        assert not isinstance(value, np.ndarray) or not value.flags.writeable


@pytest.mark.parametrize("name", POLICIES)
def test_logs_are_reproducible_from_their_seed_alone(name):
    env = make(name)
    first = env.collect(50, seed=3)
    env.reset(seed=9)
    env.step(np.arange(10))
    twin = gym.make_vec("RecSim-v0", num_envs=6, logging_policy=name).unwrapped
    for second in (env.collect(50, seed=3), twin.collect(50, 3)):
        np.testing.assert_array_equal(first.offsets, second.offsets)
        np.testing.assert_array_equal(first.slate_items, second.slate_items)
        np.testing.assert_array_equal(first.clicks, second.clicks)
        assert first.provenance == second.provenance
    assert make(name).collect(50, seed=4).num_steps != first.num_steps


def test_collecting_leaves_the_session_of_the_env_alone():
    env, other = make(), make()
    env.reset(seed=0)
    other.reset(seed=0)
    env.collect(20, seed=0)
    assert env.step(np.arange(10))[:4] == other.step(np.arange(10))[:4]


def test_provenance_says_where_sessions_come_from():
    env = gym.make("RecSim-Planning-v0", logging_policy="mix", mdp_seed=np.int64(3)).unwrapped
    provenance = env.collect(5, seed=8, max_session_steps=None).provenance
    assert json.loads(json.dumps(dict(provenance))) == {
        "source": "RecSim",
        "env_id": "RecSim-Planning-v0",
        "slate_size": 10,
        "mdp": {
            "num_states": 10,
            "num_items": 50,
            "mdp_seed": 3,
            "transitions": "item",
            "concentration": 0.1,
            "epsilon": 0.05,
            "reward_scale": 0.1,
        },
        "mdp_sha256": env.mdp.digest(),
        "logging_policy": "mix",
        "seed": 8,
        "max_session_steps": None,
        "irecgan_gym_version": irecgan_gym.__version__,
    }
    assert make(mdp=env.mdp).collect(1, 0).provenance["mdp"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_sessions": 0}, "num_sessions must be an integer of at least 1, got 0"),
        ({"num_sessions": 2.5}, "num_sessions must be an integer of at least 1, got 2.5"),
        ({"seed": -1}, "seed must be an integer of at least 0, got -1"),
        ({"seed": None}, "seed must be an integer of at least 0, got None"),
        ({"max_session_steps": 0}, "max_session_steps must be an integer of at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        make().collect(**({"num_sessions": 3, "seed": 0} | arguments))


def test_sessions_that_need_not_end_must_be_cut():
    env = make(mdp=RecommendationMDP(np.ones((1, 4)), np.ones((1, 4, 1))), slate_size=2)
    assert env.collect(3, 0).lengths.tolist() == [40] * 3
    with pytest.raises(ValueError, match="max_session_steps=None"):
        env.collect(3, 0, max_session_steps=None)
