import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from irecgan_gym.mdp import RecommendationMDP

IDS = ["RecSim-v0", "RecSim-Observable-v0", "RecSim-Planning-v0"]
N, K = 50, 10
MODES = ["NextStep", "SameStep", "Disabled"]


def certain_world():
    """Two items, two states, nothing left to chance with slates of one item.

    In state 0 clicks succeed: item 0 leads to state 1, where clicks fail, and item 1 stays in state 0.
    """
    return RecommendationMDP([[1.0, 1.0], [1e-300, 1e-300]], [[[0, 1], [1, 0]], [[1, 0], [1, 0]]])


def make_certain(mode, vectorization_mode=None, **arguments):
    arguments |= {"mdp": certain_world(), "slate_size": 1, "max_episode_steps": 3}
    if vectorization_mode is None:
        return gym.make_vec("RecSim-v0", num_envs=2, autoreset_mode=mode, **arguments)
    return gym.make_vec(
        "RecSim-v0",
        num_envs=2,
        vectorization_mode=vectorization_mode,
        vector_kwargs={"autoreset_mode": mode},
        **arguments,
    )


# User 0 clicks item 0: success, failure, end. User 1 clicks item 1 and is cut after three steps.
ACTIONS = np.array([[0], [1]])


def steps(env, number):
    """Observations, rewards, terminated, truncated of some steps, as lists."""
    return [[part.tolist() for part in env.step(ACTIONS)[:4]] for _ in range(number)]


def test_next_step_mode_step_by_step():
    env = make_certain("NextStep")
    assert env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert env.reset(seed=0)[0].tolist() == [2, 2]
    assert steps(env, 7) == [
        [[0, 1], [1, 1], [False, False], [False, False]],
        [[0, 1], [0, 1], [True, False], [False, False]],
        [[2, 1], [0, 1], [False, False], [False, True]],
        [[0, 2], [1, 0], [False, False], [False, False]],
        [[0, 1], [0, 1], [True, False], [False, False]],
        [[2, 1], [0, 1], [False, False], [False, False]],
        [[0, 1], [1, 1], [False, False], [False, True]],
    ]


def test_same_step_mode_step_by_step():
    env = make_certain("SameStep")
    assert env.reset(seed=0)[0].tolist() == [2, 2]
    assert steps(env, 1) == [[[0, 1], [1, 1], [False, False], [False, False]]]
    observations, rewards, terminated, truncated, info = env.step(ACTIONS)
    assert [observations.tolist(), rewards.tolist()] == [[2, 1], [0, 1]]
    assert [terminated.tolist(), truncated.tolist()] == [[True, False], [False, False]]
    # The info is the next user's, the final info that of the user who left.
    assert info["state"].tolist() == [0, 0]
    assert info["slate"].tolist() == [[-1], [1]]
    assert info["final_obs"].tolist() == [0, None]
    assert info["_final_obs"].tolist() == [True, False]
    final = info["final_info"]
    assert [final[key][0].item() for key in ("state", "shown_in_state", "slate", "click")] == [1, 1, 0, 0]
    assert final["_click"].tolist() == [True, False]
    assert steps(env, 3) == [
        [[0, 2], [1, 1], [False, False], [False, True]],
        [[2, 1], [0, 1], [True, False], [False, False]],
        [[0, 1], [1, 1], [False, False], [False, False]],
    ]


def test_disabled_mode_step_by_step():
    env = make_certain("Disabled")
    assert env.reset(seed=0)[0].tolist() == [2, 2]
    assert steps(env, 2) == [
        [[0, 1], [1, 1], [False, False], [False, False]],
        [[0, 1], [0, 1], [True, False], [False, False]],
    ]
    with pytest.raises(ResetNeeded, match=r"\[0\] have ended"):
        env.step(ACTIONS)
    observations, info = env.reset(options={"reset_mask": np.array([True, False])})
    assert observations.tolist() == [2, 1]
    assert info["_state"].tolist() == [True, False]
    assert steps(env, 1) == [[[0, 1], [1, 1], [False, False], [False, True]]]
    env.reset(options={"reset_mask": np.array([False, True])})
    assert steps(env, 1) == [[[0, 1], [0, 1], [True, False], [False, False]]]


def assert_same_info(native, synchronous):
    """Gymnasium leaves rows without an info at zero; a native env may say more there."""
    assert set(native) == set(synchronous)
    for key, value in synchronous.items():
        if isinstance(value, dict):
            assert_same_info(native[key], value)
        elif key.startswith("_"):
            np.testing.assert_array_equal(native[key], value)
        else:
            mask = synchronous[f"_{key}"]
            np.testing.assert_array_equal(native[key][mask], value[mask])
            assert native[key].dtype == value.dtype
            assert native[key].shape == value.shape


@pytest.mark.parametrize("observation", ["click", "state"])
@pytest.mark.parametrize("mode", MODES)
def test_modes_are_gymnasiums_own(mode, observation):
    """The native env and Gymnasium's SyncVectorEnv say the same of a world without chance."""
    native = make_certain(mode, observation=observation)
    synchronous = make_certain(mode, "sync", observation=observation)
    assert native.observation_space == synchronous.observation_space
    assert native.action_space == synchronous.action_space
    for one, other in zip(native.reset(seed=0), synchronous.reset(seed=0), strict=True):
        assert_same_info(one, other) if isinstance(one, dict) else np.testing.assert_array_equal(one, other)
    for _ in range(25):
        one, other = native.step(ACTIONS), synchronous.step(ACTIONS)
        for part, expected in zip(one[:4], other[:4], strict=True):
            np.testing.assert_array_equal(part, expected)
            assert part.dtype == expected.dtype
        assert_same_info(one[4], other[4])
        ended = one[2] | one[3]
        if mode == "Disabled" and ended.any():
            results = [env.reset(options={"reset_mask": ended.copy()}) for env in (native, synchronous)]
            np.testing.assert_array_equal(results[0][0], results[1][0])
            assert_same_info(results[0][1], results[1][1])


@pytest.mark.parametrize("env_id", IDS)
def test_one_user_of_the_vector_env_is_the_single_env(env_id):
    single = gym.make(env_id, mdp_seed=2)
    vector = gym.make_vec(env_id, num_envs=1, mdp_seed=2)
    actions = np.random.default_rng(1)
    one, info = single.reset(seed=4)
    many, infos = vector.reset(seed=4)
    assert one == many[0]
    for _ in range(300):
        slate = actions.integers(0, N, K)
        one, reward, terminated, truncated, info = single.step(slate)
        many, rewards, ends, cuts, infos = vector.step(slate[None])
        assert (one, reward, terminated, truncated) == (many[0], rewards[0], ends[0], cuts[0])
        for key, value in info.items():
            np.testing.assert_array_equal(infos[key][0], value)
        if terminated:
            assert single.reset()[0] == vector.step(slate[None])[0][0] == N


@pytest.mark.parametrize("env_id", IDS)
def test_vector_env_and_single_envs_earn_the_same(env_id):
    """Mean number of successes under one fixed slate, from many users at once and from users one by one."""
    slate = np.arange(K)

    def lengths_of_sync():
        env = gym.make(env_id).unwrapped
        env.reset(seed=0)
        for _ in range(3000):
            length = 0
            while not env.step(slate)[2]:
                length += 1
            yield length
            env.reset()

    vector = gym.make_vec(env_id, num_envs=3000, autoreset_mode="Disabled")
    vector.reset(seed=1)
    lengths, alive = np.zeros(3000), np.ones(3000, dtype=bool)
    while alive.any():
        _, rewards, terminated, _, _ = vector.step(np.tile(slate, (3000, 1)))
        lengths[alive] += rewards[alive]
        alive &= ~terminated
        if terminated.any():
            vector.reset(options={"reset_mask": terminated})
    other = np.fromiter(lengths_of_sync(), dtype=float)
    error = np.sqrt(lengths.var() / len(lengths) + other.var() / len(other))
    # Two means further apart than 5 standard errors: less than once in a million under one law.
    assert abs(lengths.mean() - other.mean()) < 5 * error


@pytest.mark.parametrize("mode", MODES)
def test_a_seed_owns_all_randomness(mode):
    def play(env, seed):
        actions = np.random.default_rng(0)
        seen = [env.reset(seed=seed)[0].tolist()]
        for _ in range(20):
            observations, rewards, terminated, _, info = env.step(actions.integers(0, N, (5, K)))
            seen.append([observations.tolist(), rewards.tolist(), info["slate"].tolist()])
            if mode == "Disabled" and terminated.any():
                env.reset(options={"reset_mask": terminated})
        return seen

    env = gym.make_vec("RecSim-v0", num_envs=5, autoreset_mode=mode)
    assert play(env, 1) == play(env, 1)
    assert play(env, 1) != play(env, 2)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_copies_go_on_alike(duplicate):
    env = gym.make_vec("RecSim-v0", num_envs=4)
    env.reset(seed=0)
    slates = np.tile(np.arange(K), (4, 1))
    env.step(slates)
    first, second = duplicate(env), duplicate(env)
    for _ in range(10):
        for one, other in zip(first.step(slates)[:4], second.step(slates)[:4], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("env_id", IDS)
def test_specs_make_the_same_env_again(env_id):
    env = gym.make_vec(env_id, num_envs=3, autoreset_mode="SameStep", max_episode_steps=9, mdp_seed=5)
    twin = gym.make_vec(env.spec)
    assert (twin.num_envs, twin.max_episode_steps) == (3, 9)
    assert twin.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert twin.mdp.digest() == env.mdp.digest() == gym.make(env_id, mdp_seed=5).unwrapped.mdp.digest()


def test_results_are_the_callers_own():
    env = gym.make_vec("RecSim-v0", num_envs=3)
    env.reset(seed=0)
    twin = copy.deepcopy(env)
    slates = np.tile(np.arange(K), (3, 1))
    observations, rewards, terminated, truncated, info = env.step(slates)
    for array in (observations, rewards, terminated, truncated, *info.values()):
        array[:] = 1
    assert (slates == np.arange(K)).all()
    twin.step(slates)
    for one, other in zip(env.step(slates)[:4], twin.step(slates)[:4], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.full((2, K), N), r"from 0 to 49, got 50 at \[0, 0\]"),
        (np.arange(K), r"shape \(2, 10\), got \(10,\)"),
        (np.zeros((2, K)), "must hold integers, got float64"),
    ],
)
def test_wrong_actions_are_named(action, message):
    env = gym.make_vec("RecSim-v0", num_envs=2)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(action)


def test_misuse_is_refused():
    with pytest.raises(ResetNeeded):
        gym.make_vec("RecSim-v0", num_envs=2).step(np.zeros((2, K), dtype=int))
    with pytest.raises(ValueError, match="num_envs must be at least 1"):
        gym.make_vec("RecSim-v0", num_envs=0)
    with pytest.raises(TypeError, match="slate_sise"):
        gym.make_vec("RecSim-v0", num_envs=2, slate_sise=3)
    env = gym.make_vec("RecSim-v0", num_envs=2, duplicates="error")
    env.reset(seed=0)
    with pytest.raises(ValueError, match="more than once"):
        env.step(np.zeros((2, K), dtype=int))
