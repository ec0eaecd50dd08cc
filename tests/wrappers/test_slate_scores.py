"""Scores and queries as actions: the top items exactly, ties, sizes in the thousands, refusals."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.wrappers import ClickHistory, SlateScores, VectorSlateScores
from irecgan_gym.wrappers.slate_scores import top_items


def plain_top(scores, size):
    return [sorted(range(len(row)), key=lambda item: (-row[item], item))[:size] for row in scores.tolist()]


@given(
    arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=st.sampled_from([-np.inf, -1, 0, 2])),
    st.data(),
)
def test_top_items(scores, data):
    """Few different scores, so that nearly every example has ties at the border of the slate."""
    size = data.draw(st.integers(1, scores.shape[1]))
    assert top_items(scores, size).tolist() == plain_top(scores, size)


def test_thousands_of_items_and_places(rng):
    scores = rng.normal(size=(3, 20_000)).astype(np.float32)
    scores[1] = np.round(scores[1], 1)
    assert top_items(scores, 5_000).tolist() == plain_top(scores, 5_000)


def test_the_best_items_are_shown_best_first(rng):
    env = SlateScores(gym.make("RecSim-v0"))
    assert env.action_space == Box(-1, 1, (50,), np.float32)
    env.reset(seed=0)
    scores = rng.uniform(-1, 1, 50).astype(np.float32)
    info = env.step(scores)[4]
    assert info["slate"].tolist() == np.argsort(-scores)[:10].tolist()


def test_queries_score_items_by_inner_products(rng):
    embeddings = rng.normal(size=(50, 6)).astype(np.float32)
    envs = VectorSlateScores(gym.make_vec("RecSim-v0", num_envs=3), item_embeddings=embeddings, bound=2.0)
    assert envs.single_action_space == Box(-2, 2, (6,), np.float32)
    envs.reset(seed=0)
    queries = rng.uniform(-2, 2, (3, 6)).astype(np.float32)
    info = envs.step(queries)[4]
    np.testing.assert_array_equal(info["slate"], np.argsort(-(queries @ embeddings.T), axis=1)[:, :10])


def test_large_catalogues():
    size = {"num_items": 5_000, "slate_size": 2_000, "num_states": 2}
    env = SlateScores(gym.make("RecSim-v0", **size))
    env.reset(seed=0)
    assert env.step(np.arange(5_000) / 5_000)[4]["slate"].tolist() == list(range(4_999, 2_999, -1))


def test_refusals():
    env = gym.make("RecSim-v0")
    with pytest.raises(ValueError, match=r"one row for each of the 50 items, got shape \(49, 3\)"):
        SlateScores(env, item_embeddings=np.zeros((49, 3)))
    with pytest.raises(ValueError, match="item_embeddings must be finite"):
        SlateScores(env, item_embeddings=np.full((50, 3), np.nan))
    with pytest.raises(ValueError, match="bound must be positive and finite, got inf"):
        SlateScores(env, bound=np.inf)
    with pytest.raises(ValueError, match="the env must take slates, MultiDiscrete"):
        SlateScores(SlateScores(env))
    wrapped = SlateScores(ClickHistory(env, 2))
    wrapped.reset(seed=0)
    with pytest.raises(ValueError, match=r"an action must hold 50 numbers, got shape \(49,\)"):
        wrapped.step(np.zeros(49))
    with pytest.raises(ValueError, match="scores must be numbers, got NaN in 1 places"):
        wrapped.step(np.where(np.arange(50) == 3, np.nan, 0.0))
    with pytest.raises(ValueError, match="an action must hold 50 numbers, got <U3"):
        wrapped.step(np.zeros(50).astype(str))


def test_scores_without_a_sign_are_put_in_the_same_order():
    env = SlateScores(gym.make("RecSim-v0", num_items=4, slate_size=3, num_states=2))
    for kind in (np.uint8, np.int8, np.float32):
        assert env.action(np.array([0, 2, 1, 3], dtype=kind)).tolist() == [3, 1, 2]
