import copy
import doctest
import pickle
import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Discrete
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import FrameStackObservation
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import irecgan_gym
from irecgan_gym.envs import recsim
from irecgan_gym.mdp import RecommendationMDP, draw_mdp

IDS = ["RecSim-v0", "RecSim-Observable-v0", "RecSim-Planning-v0"]
N, K = 50, 10


def play(env, steps, seed=3):
    """What happens to random slates, repeats included, session after session."""
    actions = np.random.default_rng(9)
    seen = [env.reset(seed=seed)[0]]
    for _ in range(steps):
        observation, reward, terminated, truncated, info = env.step(actions.integers(0, N, K))
        seen.append((int(observation), reward, terminated, truncated, info["state"], info["slate"].tolist()))
        if terminated or truncated:
            seen.append(int(env.reset()[0]))
    return seen


@pytest.mark.parametrize("observation", ["click", "state"])
@pytest.mark.parametrize("env_id", IDS)
def test_both_checkers_pass_without_warnings(env_id, observation):
    # Checkers open a window. Imported first, for importing it warns on some machines.
    pytest.importorskip("pygame")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make(env_id, observation=observation)
        check_env(env.unwrapped)
        check_env_sb3(env.unwrapped)


def test_the_ids_are_the_worlds_they_are_said_to_be():
    plain, observable, planning = (gym.make(env_id).unwrapped.mdp for env_id in IDS)
    assert plain.digest() == draw_mdp(10, 50, 0).digest()
    assert observable.digest() == draw_mdp(10, 50, 0, "item", epsilon=0.05).digest()
    assert planning.digest() == draw_mdp(10, 50, 0, "item", epsilon=0.05, reward_scale=0.1).digest()
    irecgan_gym.register_envs()
    assert gym.spec("RecSim-v0").kwargs == {}


def test_a_seed_owns_all_randomness_of_sessions_and_none_of_the_tables():
    env = gym.make("RecSim-v0")
    assert play(env, 80, seed=5) == play(env, 80, seed=5)
    assert play(env, 80, seed=5) != play(env, 80, seed=6)
    assert gym.make("RecSim-v0", mdp_seed=1).unwrapped.mdp.digest() != env.unwrapped.mdp.digest()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_copies_go_on_alike_and_independently(duplicate):
    env = gym.make("RecSim-v0", max_episode_steps=30)
    env.reset(seed=0)
    slate = np.arange(K)
    env.step(slate)
    first, second = duplicate(env), duplicate(env)
    for _ in range(5):
        one, other = first.step(slate), second.step(slate)
        assert one[:4] == other[:4]
        if one[2]:
            first.reset()
            second.reset()
    assert env.unwrapped.mdp.digest() == first.unwrapped.mdp.digest()


@pytest.mark.parametrize("env_id", IDS)
def test_specs_make_the_same_env_again(env_id):
    env = gym.make(env_id, slate_size=K, mdp_seed=4, logging_policy="max", max_episode_steps=7)
    twins = [env.spec.make(), gym.make(env.spec.id, max_episode_steps=7, **env.spec.kwargs)]
    for twin in twins:
        assert twin.spec.max_episode_steps == 7
        assert play(twin, 40) == play(env, 40)
    assert gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json())).spec == env.spec


def test_infos_have_the_same_keys_and_tell_what_happened():
    env = gym.make("RecSim-v0")
    observation, info = env.reset(seed=0)
    keys = {"state", "shown_in_state", "slate", "click"}
    assert set(info) == keys
    assert (observation, info["state"], info["shown_in_state"], info["click"]) == (N, 0, -1, N)
    assert info["slate"].tolist() == [-1] * K
    state, ended = 0, False
    while not ended:
        observation, reward, ended, truncated, info = env.step(np.arange(K))
        assert set(info) == keys
        assert info["shown_in_state"] == state
        assert info["slate"].tolist() == list(range(K))
        assert info["click"] == observation
        assert observation < K
        assert (reward, truncated) == (float(not ended), False)
        state = info["state"]
    # The last observation is this user's click, and a failure leaves the state as it was.
    assert state == info["shown_in_state"]


def test_results_do_not_share_memory_with_the_env_or_the_action():
    env = gym.make("RecSim-v0").unwrapped
    env.reset(seed=0)
    action = np.arange(K)
    slate = env.step(action)[4]["slate"]
    slate[:] = -7
    assert action.tolist() == list(range(K))


def test_the_state_can_be_the_observation():
    env = gym.make("RecSim-v0", observation="state", num_states=4)
    assert env.observation_space == Discrete(4)
    assert env.reset(seed=1)[0] == 0
    for _ in range(30):
        observation, _, ended, _, info = env.step(np.arange(K))
        assert observation == info["state"]
        if ended:
            env.reset()


def test_histories_come_from_gymnasiums_wrapper():
    env = FrameStackObservation(gym.make("RecSim-v0"), 3)
    observation, _ = env.reset(seed=0)
    assert observation.tolist() == [N, N, N]
    observation, *_ = env.step(np.arange(K))
    assert observation.tolist()[:2] == [N, N]
    assert observation in env.observation_space


def test_own_tables_take_the_place_of_drawn_ones():
    # State 0 always succeeds and leads to state 1, which (almost) always fails.
    mdp = RecommendationMDP([[1.0, 1.0], [1e-300, 1e-300]], np.tile([0.0, 1.0], (2, 2, 1)))
    env = gym.make("RecSim-v0", mdp=mdp, slate_size=1)
    assert env.unwrapped.mdp is not None
    for _ in range(5):
        assert env.reset()[0] == 2
        assert env.step(np.array([1]))[:4] == (1, 1.0, False, False)
        assert env.step(np.array([0]))[:4] == (0, 0.0, True, False)
    assert env.spec.make().unwrapped.mdp.digest() == mdp.digest()
    assert env.unwrapped.collect(3, seed=0).lengths.tolist() == [2, 2, 2]


def test_time_limits_truncate():
    mdp = RecommendationMDP(np.ones((1, 4)), np.ones((1, 4, 1)))
    env = gym.make("RecSim-v0", mdp=mdp, slate_size=2, max_episode_steps=3)
    env.reset(seed=0)
    flags = [env.step(np.array([0, 1]))[2:4] for _ in range(3)]
    assert flags == [(False, False), (False, False), (False, True)]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.arange(1, 11) * 5, r"from 0 to 49, got 50 at \[9\]"),
        (np.arange(-1, 9), r"from 0 to 49, got -1 at \[0\]"),
        (np.arange(9), r"shape \(10,\), got \(9,\)"),
        (np.arange(10)[None], r"shape \(10,\), got \(1, 10\)"),
        (np.arange(10.0), "must hold integers, got float64"),
    ],
)
def test_wrong_actions_are_named_and_change_nothing(action, message):
    env = gym.make("RecSim-v0").unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(action)
    other = gym.make("RecSim-v0").unwrapped
    other.reset(seed=0)
    assert env.step(np.arange(K))[:4] == other.step(np.arange(K))[:4]


def test_repeats_can_be_refused():
    env = gym.make("RecSim-v0", duplicates="error")
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"more than once: \[0, 0, 2"):
        env.step(np.array([0, 0, 2, 3, 4, 5, 6, 7, 8, 9]))


def test_stepping_without_a_session_is_refused():
    env = gym.make("RecSim-v0").unwrapped
    with pytest.raises(ResetNeeded):
        env.step(np.arange(K))
    env.reset(seed=0)
    while not env.step(np.arange(K))[2]:
        pass
    with pytest.raises(ResetNeeded, match="after the end of a session"):
        env.step(np.arange(K))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"slate_size": 0}, "slate_size must be an integer of at least 1, got 0"),
        ({"slate_size": 51}, "slate_size must be from 1 to num_items = 50, got 51"),
        ({"slate_size": 2.5}, "slate_size must be an integer of at least 1, got 2.5"),
        ({"observation": "clicks"}, "observation must be 'click' or 'state', got 'clicks'"),
        ({"duplicates": "keep"}, "duplicates must be 'replace' or 'error', got 'keep'"),
        ({"logging_policy": "best"}, "logging_policy must be one of 'random', 'max', 'mix', got 'best'"),
        ({"logging_policy": "mix", "num_items": 20}, "which are only 6"),
        ({"num_states": 0}, "num_states must be an integer of at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        gym.make("RecSim-v0", **arguments)
    with pytest.raises(ValueError, match=message):
        gym.make_vec("RecSim-v0", num_envs=2, **arguments)


def test_the_example_of_the_docstring_runs():
    result = doctest.testmod(recsim)
    assert result.attempted > 5
    assert result.failed == 0


def test_torch_is_not_imported():
    program = (
        "import sys, gymnasium as gym, irecgan_gym\n"
        "env = gym.make('RecSim-v0'); env.reset(seed=0); env.step(env.action_space.sample())\n"
        "env = gym.make_vec('RecSim-v0', num_envs=2); env.reset(seed=0); env.step(env.action_space.sample())\n"
        "env.collect(3, seed=0)\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
