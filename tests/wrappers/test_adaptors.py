"""What holds for every adaptor: checkers, pickles, specs, vector twins, and no PyTorch."""

import json
import pickle
import subprocess
import sys
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.wrappers import PassiveEnvChecker
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import irecgan_gym
from irecgan_gym.wrappers import (
    ClickHistory,
    OneHotHistory,
    SequentialSlate,
    SingleItem,
    SlateScores,
    VectorClickHistory,
    VectorOneHotHistory,
    VectorSequentialSlate,
    VectorSingleItem,
    VectorSlateScores,
)
from tests.wrappers.equivalence import assert_same_results, assert_twins
from tests.wrappers.test_adversarial_reward import user_model

N, K = 12, 4
SMALL = {"num_items": N, "slate_size": K, "num_states": 3, "max_episode_steps": 6}
EMBEDDINGS = np.random.default_rng(0).normal(size=(N, 3))
RANKING = [7, 1, 5, 0, 2]


def one_hot(env):
    return OneHotHistory(ClickHistory(env, 3))


def vector_one_hot(env):
    return VectorOneHotHistory(VectorClickHistory(env, 3))


def sequential(env):
    return SequentialSlate(ClickHistory(env, 3))


def vector_sequential(env):
    return VectorSequentialSlate(VectorClickHistory(env, 3))


ADAPTORS = {
    "history": (partial(ClickHistory, length=3), partial(VectorClickHistory, length=3)),
    "last click": (partial(ClickHistory, length=1), partial(VectorClickHistory, length=1)),
    "one-hot": (one_hot, vector_one_hot),
    "scores": (SlateScores, VectorSlateScores),
    "query": (partial(SlateScores, item_embeddings=EMBEDDINGS), partial(VectorSlateScores, item_embeddings=EMBEDDINGS)),
    "single item": (partial(SingleItem, ranking=RANKING), partial(VectorSingleItem, ranking=RANKING)),
    "sequential": (sequential, vector_sequential),
    "sequential, last click": (SequentialSlate, VectorSequentialSlate),
}
SINGLE = {name: single for name, (single, _) in ADAPTORS.items()}


def play(env, steps=30):
    """Results of sampled actions, from a seed."""
    env.action_space.seed(5)
    results = [env.reset(seed=5)]
    for _ in range(steps):
        results.append(env.step(env.action_space.sample()))
        if results[-1][2] or results[-1][3]:
            results.append(env.reset())
    return results


def assert_same_play(env, other):
    first, second = play(env), play(other)
    assert len(first) > 32
    assert all(data_equivalence(one, two) for one, two in zip(first, second, strict=True))


@pytest.mark.parametrize("wrap", SINGLE.values(), ids=SINGLE)
@pytest.mark.filterwarnings("error", "ignore:.*is different from the unwrapped version:UserWarning")
def test_checkers(wrap):
    # Checkers open a window. Imported first, for importing it warns on some machines.
    pytest.importorskip("pygame")
    check_env(wrap(gym.make("RecSim-v0", **SMALL)))
    check_env_sb3(wrap(gym.make("RecSim-v0", **SMALL)))
    play(PassiveEnvChecker(wrap(gym.make("RecSim-v0", disable_env_checker=True, **SMALL))))


@pytest.mark.parametrize("wrap", SINGLE.values(), ids=SINGLE)
def test_pickles_go_on_alike(wrap):
    env = wrap(gym.make("RecSim-v0", **SMALL))
    play(env, 7)
    copy = pickle.loads(pickle.dumps(env))
    env.reset(), copy.reset()
    for _ in range(5):
        action = env.action_space.sample()
        result = env.step(action)
        assert data_equivalence(result, copy.step(action))
        if result[2]:
            break
    assert_same_play(env, copy)


@pytest.mark.parametrize("name", ADAPTORS)
def test_pickles_of_twins_go_on_alike(name):
    envs = ADAPTORS[name][1](gym.make_vec("RecSim-v0", num_envs=4, autoreset_mode="SameStep", **SMALL))
    envs.reset(seed=0)
    for _ in range(6):
        envs.step(envs.action_space.sample())
    copy = pickle.loads(pickle.dumps(envs))
    for _ in range(20):
        actions = envs.action_space.sample()
        assert_same_results(copy.step(actions), envs.step(actions))


@pytest.mark.parametrize("wrap", SINGLE.values(), ids=SINGLE)
def test_specs_make_the_env_again(wrap):
    env = wrap(gym.make("RecSim-v0", **SMALL))
    assert str(env.spec.make()) == str(env)
    assert_same_play(env, env.spec.make())
    if wrap is not SINGLE["query"]:
        again = gym.make(EnvSpec.from_json(env.spec.to_json()))
        assert json.loads(again.spec.to_json()) == json.loads(env.spec.to_json())
        assert_same_play(env, again)


# Slates built item by item refuse the mode "NextStep", see test_sequential_slate.py.
MODES = [
    (name, mode)
    for name in ADAPTORS
    for mode in ("NextStep", "SameStep", "Disabled")
    if mode != "NextStep" or not name.startswith("sequential")
]


@pytest.mark.parametrize(("name", "autoreset_mode"), MODES)
def test_twins_equal_gymnasiums_vector_of_wrapped_envs(name, autoreset_mode):
    wrap, wrap_vector = ADAPTORS[name]
    masked = name.startswith("sequential")
    steps = 150 if masked else 60
    make = partial(gym.make, "RecSim-v0", **SMALL)
    assert assert_twins(make, wrap, wrap_vector, autoreset_mode, steps=steps, masked=masked) > 20


@pytest.mark.parametrize("name", ADAPTORS)
@pytest.mark.parametrize("world", ["RecSim-v0", "UserModel-v0"])
def test_twins_around_native_vector_envs(name, world):
    """With one user, the native vector env gives the sessions of the single env, and so does it under the twin."""
    wrap, wrap_vector = ADAPTORS[name]
    arguments = SMALL if world == "RecSim-v0" else {"user_model": user_model(), "max_episode_steps": 6}
    mode = {"autoreset_mode": "SameStep"}
    singles = gym.make_vec(
        world, num_envs=1, vectorization_mode="sync", vector_kwargs=mode, wrappers=[wrap], **arguments
    )
    twin = wrap_vector(gym.make_vec(world, num_envs=1, **mode, **arguments))
    assert_same_results(twin.reset(seed=2), singles.reset(seed=2))
    twin.action_space.seed(0)
    ended = 0
    for _ in range(80):
        # Any action will do: what the env does with repeated items is the same too.
        actions = twin.action_space.sample()
        result = twin.step(actions)
        assert_same_results(result, singles.step(actions))
        ended += int(result[2].sum() + result[3].sum())
    assert ended >= 5


def test_adaptors_need_no_torch():
    names = ["ClickHistory", "OneHotHistory", "SequentialSlate", "SingleItem", "SlateScores"]
    program = (
        "import sys, irecgan_gym, irecgan_gym.wrappers as wrappers\n"
        f"for name in {names}: getattr(wrappers, name), getattr(wrappers, 'Vector' + name)\n"
        "assert 'torch' not in sys.modules\n"
        "wrappers.AdversarialReward, wrappers.VectorAdversarialReward, wrappers.SessionAdversarialReward\n"
        "assert 'torch' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_unknown_wrappers():
    with pytest.raises(AttributeError, match="has no attribute 'SlateQuery'"):
        irecgan_gym.wrappers.SlateQuery  # noqa: B018


def test_every_wrapper_is_listed():
    for name in irecgan_gym.wrappers.__all__:
        assert getattr(irecgan_gym.wrappers, name).__name__ == name
