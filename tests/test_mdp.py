import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.mdp import TRANSITIONS, RecommendationMDP, draw_mdp


def tables(num_states=2, num_items=3):
    rewards = np.full((num_states, num_items), 0.5)
    transitions = np.full((num_states, num_items, num_states), 1 / num_states)
    return rewards, transitions


@settings(max_examples=40, deadline=None)
@given(
    num_states=st.integers(1, 8),
    num_items=st.integers(1, 12),
    mdp_seed=st.integers(0, 2**40),
    kind=st.sampled_from(TRANSITIONS),
    concentration=st.floats(0.01, 10),
    epsilon=st.floats(0, 1),
    reward_scale=st.floats(0.01, 1),
)
def test_every_drawn_mdp_is_a_world(num_states, num_items, mdp_seed, kind, concentration, epsilon, reward_scale):
    mdp = draw_mdp(
        num_states,
        num_items,
        mdp_seed,
        kind,
        concentration=concentration,
        epsilon=epsilon,
        reward_scale=reward_scale,
    )
    assert mdp.rewards.shape == (num_states, num_items)
    assert mdp.transitions.shape == (num_states, num_items, num_states)
    assert ((mdp.rewards > 0) & (mdp.rewards <= 1)).all()
    assert (mdp.transitions >= 0).all()
    np.testing.assert_allclose(mdp.transitions.sum(-1), 1, atol=1e-12)
    ranked = np.take_along_axis(mdp.rewards, mdp.ranked_items(), axis=1)
    assert (np.diff(ranked) <= 0).all()


def test_the_seed_decides_the_tables_and_the_kind_of_transitions_leaves_the_rewards_alone():
    assert draw_mdp(mdp_seed=3).digest() == draw_mdp(mdp_seed=3).digest()
    assert draw_mdp(mdp_seed=3).digest() != draw_mdp(mdp_seed=4).digest()
    softmax, item = draw_mdp(transitions="softmax"), draw_mdp(transitions="item")
    np.testing.assert_array_equal(softmax.rewards, item.rewards)
    assert softmax.digest() != item.digest()


def test_softmax_rows_are_nearly_uniform():
    rows = draw_mdp().transitions
    assert (rows.max(-1) / rows.min(-1)).max() <= np.e
    # A softmax of ten U(0, 1) draws has entries of 0.1 with a standard deviation of about 0.03.
    assert rows.std() == pytest.approx(0.028, abs=0.003)


def test_item_transitions_do_not_depend_on_the_state():
    rows = draw_mdp(transitions="item", epsilon=0.05).transitions
    assert (rows == rows[0]).all()
    np.testing.assert_allclose(rows.max(-1), 0.95 + 0.005)
    np.testing.assert_allclose(np.sort(rows, axis=-1)[..., :-1], 0.005)
    assert len(np.unique(rows[0].argmax(-1))) > 5


def test_small_concentrations_make_transitions_certain():
    sharp, flat = (draw_mdp(transitions="dirichlet", concentration=c).transitions for c in (0.01, 100.0))
    assert sharp.max(-1).mean() > 0.9
    assert flat.max(-1).mean() < 0.2


def test_reward_scale_puts_the_start_second_and_the_last_state_at_the_bottom():
    plain, scaled = draw_mdp(), draw_mdp(reward_scale=0.1)
    factors = scaled.rewards / plain.rewards
    expected = [0.9, 1.0, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    np.testing.assert_allclose(factors, np.repeat(expected, 50).reshape(10, 50))
    np.testing.assert_array_equal(draw_mdp(1, 4, reward_scale=0.1).rewards, draw_mdp(1, 4).rewards)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda mdp: pickle.loads(pickle.dumps(mdp))])
def test_tables_are_read_only_and_so_are_their_copies(duplicate):
    mdp = draw_mdp()
    twin = duplicate(mdp)
    assert twin.digest() == mdp.digest()
    for table in (mdp.rewards, twin.rewards, twin.transitions):
        with pytest.raises(ValueError, match="read-only"):
            table[0, 0] = 1.0


def test_own_tables_are_copied():
    rewards, transitions = tables()
    mdp = RecommendationMDP(rewards, transitions)
    rewards[:] = 0.1
    assert (mdp.rewards == 0.5).all()
    assert (mdp.num_states, mdp.num_items) == (2, 3)
    assert repr(mdp) == "RecommendationMDP(num_states=2, num_items=3)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_states": 0}, "num_states must be an integer of at least 1, got 0"),
        ({"num_items": 2.0}, "num_items must be an integer of at least 1, got 2.0"),
        ({"num_items": True}, "num_items must be an integer of at least 1, got True"),
        ({"mdp_seed": -1}, "mdp_seed must be an integer of at least 0, got -1"),
        ({"mdp_seed": None}, "mdp_seed must be an integer of at least 0, got None"),
        ({"transitions": "uniform"}, "transitions must be one of 'softmax', 'dirichlet', 'item', got 'uniform'"),
        ({"concentration": 0.0}, "concentration must be a positive number, got 0.0"),
        ({"concentration": np.inf}, "concentration must be a positive number, got inf"),
        ({"epsilon": 1.5}, "epsilon must be a probability from 0 to 1, got 1.5"),
        ({"epsilon": "much"}, "epsilon must be a probability from 0 to 1, got 'much'"),
        ({"reward_scale": 0.0}, r"reward_scale must be a factor in \(0, 1\], got 0.0"),
        ({"reward_scale": np.nan}, r"reward_scale must be a factor in \(0, 1\], got nan"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        draw_mdp(**arguments)


@pytest.mark.parametrize(
    ("table", "place", "value", "message"),
    [
        ("rewards", (1, 2), 0.0, r"rewards\[1, 2\] must be a number in \(0, 1\], got 0.0"),
        ("rewards", (0, 1), 1.1, r"rewards\[0, 1\] must be a number in \(0, 1\], got 1.1"),
        ("rewards", (0, 0), np.nan, r"rewards\[0, 0\] must be a number in \(0, 1\], got nan"),
        ("transitions", (1, 0, 1), -0.5, r"transitions\[1, 0, 1\] must be a probability, got -0.5"),
        ("transitions", (1, 0, 1), np.nan, r"transitions\[1, 0, 1\] must be a probability, got nan"),
        ("transitions", (1, 2, 0), 0.25, r"transitions\[1, 2\] must add up to 1 over the next states, got 0.75"),
    ],
)
def test_wrong_entries_are_named(table, place, value, message):
    rewards, transitions = tables()
    {"rewards": rewards, "transitions": transitions}[table][place] = value
    with pytest.raises(ValueError, match=message):
        RecommendationMDP(rewards, transitions)


@pytest.mark.parametrize(
    ("rewards", "transitions", "message"),
    [
        (np.ones(3), np.ones((1, 3, 1)), r"rewards must have shape \[num_states, num_items\], got \[3\]"),
        (np.ones((0, 3)), np.ones((0, 3, 0)), r"rewards must have shape .* got \[0, 3\]"),
        (np.ones((2, 3)), np.ones((2, 3, 3)), r"transitions must have shape .* = \[2, 3, 2\] .* got \[2, 3, 3\]"),
        ([["high"]], [[[1.0]]], "rewards must be an array of numbers"),
    ],
)
def test_wrong_shapes_are_named(rewards, transitions, message):
    with pytest.raises(ValueError, match=message):
        RecommendationMDP(rewards, transitions)


def test_envs_take_tables_of_ones_own():
    rewards = [[0.5, 0.25, 1.0], [0.1, 0.2, 0.3]]
    transitions = np.full((2, 3, 2), 0.5)
    env, vector = (make("RecSim-v0", mdp=(rewards, transitions), slate_size=2) for make in (gym.make, gym.make_vec))
    for made in (env, vector):
        np.testing.assert_array_equal(made.unwrapped.mdp.rewards, rewards)
        np.testing.assert_array_equal(made.unwrapped.mdp.transitions, transitions)
    assert env.action_space.nvec.tolist() == [3, 3]
    assert env.unwrapped.collect(5, seed=0).num_items == 3


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (([[0.5]],), r"the pair \(rewards \[m, n\], transitions \[m, n, m\]\), got tuple of 1"),
        ({"rewards": [[0.5]]}, "got dict"),
        (([[0.5]], [[1.0]]), r"transitions must have shape .* = \[1, 1, 1\]"),
        (([[1.5]], [[[1.0]]]), r"rewards\[0, 0\] must be a number in \(0, 1\], got 1.5"),
        (([[0.5]], [[[0.9]]]), r"transitions\[0, 0\] must add up to 1"),
        (("a", [[[1.0]]]), "rewards must be an array of numbers"),
    ],
)
def test_tables_of_ones_own_are_checked(tables, message):
    with pytest.raises(ValueError, match=message):
        gym.make("RecSim-v0", mdp=tables, slate_size=1)


@pytest.mark.parametrize("name", ["epsilon", "concentration", "reward_scale"])
def test_numbers_larger_than_any_of_numpy_are_refused_by_name(name):
    with pytest.raises(ValueError, match=f"{name} must be "):
        draw_mdp(**{name: 10**400})
