"""One item as an action: what fills the rest of the slate."""

import gymnasium as gym
import numpy as np
import pytest

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.wrappers import SingleItem, VectorSingleItem

WORLD = {"num_items": 8, "slate_size": 3, "num_states": 2}
RANKING = [4, 2, 7, 1]


@pytest.mark.parametrize(
    ("item", "slate"),
    [(0, [0, 4, 2]), (1, [1, 4, 2]), (4, [4, 2, 7]), (2, [2, 4, 7]), (7, [7, 4, 2])],
)
def test_the_ranking_fills_the_slate(item, slate):
    env = SingleItem(gym.make("RecSim-v0", **WORLD), RANKING)
    env.reset(seed=0)
    assert env.step(item)[4]["slate"].tolist() == slate
    envs = VectorSingleItem(gym.make_vec("RecSim-v0", num_envs=2, **WORLD), RANKING)
    envs.reset(seed=0)
    assert envs.step(np.array([item, 0]))[4]["slate"].tolist() == [slate, [0, 4, 2]]


def test_slates_of_one_need_no_ranking():
    env = SingleItem(gym.make("RecSim-v0", **{**WORLD, "slate_size": 1}))
    env.reset(seed=0)
    _, _, _, _, info = env.step(np.int64(5))
    assert (info["slate"].tolist(), info["click"]) == ([5], 5)


def test_refusals():
    env = gym.make("RecSim-v0", **WORLD)
    with pytest.raises(ValueError, match="one item does not fill a slate of 3: give a ranking"):
        SingleItem(env)
    with pytest.raises(ValueError, match="ranking must hold at least 3 item ids"):
        SingleItem(env, [1, 2])
    for wrong in ([1, 2, 2], [1, 2, 8], [-1, 2, 3]):
        with pytest.raises(ValueError, match="ranking must hold different item ids from 0 to 7"):
            SingleItem(env, wrong)
    wrapped = SingleItem(env, RANKING)
    wrapped.reset(seed=0)
    with pytest.raises(ValueError, match="item ids run from 0 to 7, got 8"):
        wrapped.step(8)
    with pytest.raises(ValueError, match="an action must be one item id for each of 1 envs, got float64"):
        wrapped.step(1.5)
