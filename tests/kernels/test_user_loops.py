"""Compiled kernels, NumPy and plain Python give the same answers to the same draws, to the last bit."""

import contextlib

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irecgan_gym.envs.recsim_dynamics import DRAWS_PER_STEP, UserDynamics
from irecgan_gym.envs.user_streams import UserStreams
from irecgan_gym.kernels import loading
from irecgan_gym.logging_policies import random_slates, shuffled_slates
from irecgan_gym.mdp import RecommendationMDP, draw_mdp
from irecgan_gym.slates import check_slates, count_repeats, distinct_slates, fill_repeats, replace_repeats
from tests.frequencies import assert_counts

pytest.importorskip("numba")
MODES = ["NextStep", "SameStep", "Disabled"]


@contextlib.contextmanager
def without_numba():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "load_kernels", lambda: None)
        yield


def extreme_draws(rng, shape):
    """Uniform numbers, with many at the ends of their range."""
    ends = np.array([0.0, np.nextafter(0.0, 1.0), np.nextafter(1.0, 0.0)])
    return np.where(rng.random(shape) < 0.3, rng.choice(ends, shape), rng.random(shape))


# Catalogues on both sides of 64 items, where kernels find repeats in two ways.
sizes = st.tuples(st.sampled_from([1, 2, 5, 50, 63, 64, 65, 130]), st.integers(1, 12)).map(
    lambda pair: (pair[0], min(pair))
)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000), num_states=st.integers(1, 12), size=sizes, kind=st.sampled_from(["softmax", "item"])
)
def test_the_law_answers_alike_thrice(seed, num_states, size, kind):
    num_items, slate_size = size
    dynamics = UserDynamics(draw_mdp(num_states, num_items, seed, kind, epsilon=0.0))
    rng = np.random.default_rng(seed)
    states = rng.integers(num_states, size=40)
    slates = random_slates(40, slate_size, num_items, rng)
    draws = extreme_draws(rng, (40, DRAWS_PER_STEP))
    fast, slow = dynamics.respond(states, slates, draws), dynamics.respond_with_numpy(states, slates, draws)
    for one, other in zip(fast, slow, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    for row in range(40):
        single = dynamics.respond_one(int(states[row]), slates[row].tolist(), draws[row].tolist())
        assert single == (fast.clicks[row], fast.successes[row], fast.states[row])


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**64 - 1),
    num_states=st.integers(1, 12),
    size=sizes,
    kind=st.sampled_from(["softmax", "item"]),
)
def test_users_with_streams_answer_alike_twice(seed, num_states, size, kind):
    num_items, slate_size = size
    dynamics = UserDynamics(draw_mdp(num_states, num_items, seed, kind, epsilon=0.0))
    rng = np.random.default_rng(seed)
    states, users, steps = rng.integers(num_states, size=40), rng.integers(2**40, size=40), rng.integers(99, size=40)
    args = states, random_slates(40, slate_size, num_items, rng), UserStreams(seed), users, steps
    fast, slow = dynamics.respond_by_item(*args), dynamics.respond_by_item_with_numpy(*args)
    for one, other in zip(fast, slow, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    # By the law's own words: items race, and the success and the next state have numbers of their own.
    for row in range(40):
        slate, entry = args[1][row], args[1][row] + states[row] * num_items
        (draws,) = args[2].numbers(users[row : row + 1], steps[row : row + 1], np.arange(num_items + 2))
        place = (-np.log1p(-draws[slate]) / dynamics.rewards[entry]).argmin()
        success = draws[num_items] < dynamics.rewards[entry[place]]
        after = np.searchsorted(dynamics.cumulative_transitions[entry[place]], draws[num_items + 1], side="right")
        answer = slate[place], success, after if success else states[row]
        assert answer == (slow.clicks[row], slow.successes[row], slow.states[row])


def test_rewards_near_zero_are_no_special_case_for_users_with_streams():
    dynamics = UserDynamics(RecommendationMDP(np.array([[5e-324, 1.0, 5e-324]]), np.ones((1, 3, 1))))
    few = np.zeros(400, np.int64), np.tile([0, 1, 2], (400, 1)), UserStreams(1), np.arange(400), np.zeros(400, np.int64)
    for respond in (dynamics.respond_by_item, dynamics.respond_by_item_with_numpy):
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            assert (respond(*few).clicks == 1).all()


def test_rewards_near_zero_are_no_special_case():
    dynamics = UserDynamics(RecommendationMDP(np.full((2, 3), 5e-324), np.full((2, 3, 2), 0.5)))
    draws = np.array([[0.999, 0.0], [0.0, 0.5], [0.6, 1e-300]])
    args = np.array([0, 1, 1]), np.array([[2, 0], [1, 2], [0, 1]]), draws
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        slow = dynamics.respond_with_numpy(*args)
    for one, other in zip(dynamics.respond(*args), slow, strict=True):
        np.testing.assert_array_equal(one, other)
    for row in range(3):
        assert dynamics.respond_one(int(args[0][row]), args[1][row].tolist(), draws[row].tolist()) == tuple(
            column[row] for column in slow
        )


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), size=sizes)
def test_repeats_are_replaced_alike_thrice(seed, size):
    num_items, slate_size = size
    rng = np.random.default_rng(seed)
    slates = rng.integers(num_items, size=(30, slate_size))
    before = slates.copy()
    fast = distinct_slates(slates, "replace", num_items, np.random.default_rng(seed))
    with without_numba():
        slow = distinct_slates(slates, "replace", num_items, np.random.default_rng(seed))
    np.testing.assert_array_equal(fast, slow)
    np.testing.assert_array_equal(slates, before)
    draws = np.random.default_rng(seed).random(int(count_repeats(slates, num_items).sum())).tolist()
    for shown, action in zip(slow.tolist(), slates.tolist(), strict=True):
        plain, needed = action.copy(), slate_size - len(set(action))
        filled = fill_repeats(plain, set(action), draws[:needed], num_items)
        draws = draws[needed:]
        assert plain == shown
        assert filled == [slot for slot in range(slate_size) if action[slot] in action[:slot]]
        assert len(set(shown)) == slate_size


def plain_replacement(slate, draws, num_items):
    """The rule of repeats in the words of its definition."""
    draws, slate = list(draws), list(slate)
    for slot in range(len(slate)):
        if slate[slot] in slate[:slot]:
            free = [item for item in range(num_items) if item not in slate]
            slate[slot] = free[int(draws.pop(0) * len(free))]
    return slate


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), num_items=st.integers(1, 9), data=st.data())
def test_repeats_are_replaced_as_defined(seed, num_items, data):
    slate = np.array(data.draw(st.lists(st.integers(0, num_items - 1), min_size=1, max_size=num_items)))[None]
    draws = extreme_draws(np.random.default_rng(seed), int(count_repeats(slate, num_items).sum()))
    assert replace_repeats(slate, draws, num_items)[0].tolist() == plain_replacement(
        slate[0].tolist(), draws, num_items
    )


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), size=sizes)
def test_random_slates_are_alike(seed, size):
    num_items, slate_size = size
    fast = random_slates(20, slate_size, num_items, np.random.default_rng(seed))
    np.testing.assert_array_equal(
        fast, shuffled_slates(np.random.default_rng(seed).random((20, slate_size)), num_items)
    )
    assert fast.shape == (20, slate_size)
    deck, plain = list(range(num_items)), []
    for draw in np.random.default_rng(seed).random((20, slate_size))[0]:
        place = int(draw * len(deck))
        plain.append(deck[place])
        # The card on top takes the place of the one drawn.
        deck[place] = deck[0]
        deck = deck[1:]
    assert plain == fast[0].tolist()


def numpy_slates(number, slate_size, num_items, rng):
    return shuffled_slates(rng.random((number, slate_size)), num_items)


@pytest.mark.parametrize("draw", [random_slates, numpy_slates])
def test_every_ordered_list_is_as_probable_as_any_other(draw):
    slates = draw(24_000, 3, 4, np.random.default_rng(8))
    codes = slates @ np.array([16, 4, 1])
    counts = np.bincount(codes, minlength=64)
    assert (counts > 0).sum() == 24
    assert_counts(counts[counts > 0], 24_000, np.full(24, 1 / 24))
    # Chi-square with 23 degrees of freedom: its 99.99% quantile is 56.
    assert ((counts[counts > 0] - 1000) ** 2 / 1000).sum() < 56


def play(env, mode, num_items, slate_size):
    """Everything that an env says in some steps; actions repeat items in two steps out of three."""
    actions = np.random.default_rng(3)
    said = [env.reset(seed=7)]
    for step in range(12):
        slates = actions.integers(0, num_items, (env.num_envs, slate_size))
        if step % 3 == 0:
            slates = shuffled_slates(actions.random((env.num_envs, slate_size)), num_items)
        said.append(env.step(slates))
        ended = said[-1][2] | said[-1][3]
        if mode == "Disabled" and ended.any():
            said.append(env.reset(options={"reset_mask": ended}))
    said.append(env.np_random.random())
    return said


def assert_same(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (tuple, list)):
        assert len(one) == len(other)
        for part, other_part in zip(one, other, strict=True):
            assert_same(part, other_part)
    else:
        np.testing.assert_array_equal(one, other)
        assert np.asarray(one).dtype == np.asarray(other).dtype


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("limit", [None, 1, 3])
@pytest.mark.parametrize(
    ("num_envs", "num_items", "slate_size"), [(1, 5, 3), (37, 50, 10), (64, 64, 4), (33, 200, 10), (5, 3, 3), (9, 1, 1)]
)
def test_the_vector_env_is_the_same_with_and_without_numba(mode, limit, num_envs, num_items, slate_size):
    arguments = {
        "num_envs": num_envs,
        "num_items": num_items,
        "slate_size": slate_size,
        "max_episode_steps": limit,
        "autoreset_mode": mode,
    }
    fast = play(gym.make_vec("RecSim-v0", **arguments).unwrapped, mode, num_items, slate_size)
    with without_numba():
        slow = play(gym.make_vec("RecSim-v0", **arguments).unwrapped, mode, num_items, slate_size)
    assert_same(fast, slow)


@pytest.mark.parametrize("policy", ["random", "max", "mix"])
def test_logs_are_the_same_with_and_without_numba(policy, monkeypatch):
    env = gym.make("RecSim-v0", logging_policy=policy).unwrapped
    # More sessions than are played together.
    monkeypatch.setattr("irecgan_gym.envs.recsim_collect._SIDE_BY_SIDE", 64)
    fast = env.collect(150, seed=2)
    with without_numba():
        slow = env.collect(150, seed=2)
    for column in ("offsets", "slate_items", "clicks", "rewards", "truncated", "propensities", "states"):
        assert_same(getattr(fast, column), getattr(slow, column))


@pytest.mark.parametrize(
    "convert",
    [
        lambda slates: slates.astype(np.int32),
        lambda slates: slates.astype(np.uint64),
        lambda slates: slates.astype(">i8"),
        np.asfortranarray,
        lambda slates: np.repeat(slates, 2, axis=1)[:, ::2],
        lambda slates: slates.tolist(),
    ],
)
def test_actions_of_any_integer_kind_do_the_same(convert):
    slates = np.random.default_rng(0).integers(0, 50, (6, 10))
    said = []
    for action in (slates, convert(slates)):
        env = gym.make_vec("RecSim-v0", num_envs=6)
        env.reset(seed=1)
        said.append(env.step(action))
    assert_same(*said)


def test_read_only_actions_are_taken_and_left_alone():
    slates = np.zeros((6, 10), dtype=np.int64)
    slates.flags.writeable = False
    env = gym.make_vec("RecSim-v0", num_envs=6)
    env.reset(seed=1)
    env.step(slates)
    assert (slates == 0).all()


@pytest.mark.parametrize("place", [(0, 0), (3, 4), (4, 1)])
@pytest.mark.parametrize("value", [50, -1, 2**62, -(2**63), np.uint64(2**63 + 7)])
def test_ids_out_of_range_are_named_alike(place, value):
    slates = np.zeros((5, 6), dtype=np.asarray(value).dtype)
    slates[place] = value
    message = rf"from 0 to 49, got {value} at \[{place[0]}, {place[1]}\] of the action"
    with pytest.raises(ValueError, match=message):
        check_slates(slates, (5, 6), 50)
    with without_numba(), pytest.raises(ValueError, match=message):
        check_slates(slates, (5, 6), 50)


@pytest.mark.parametrize("fallback", [contextlib.nullcontext, without_numba])
def test_refused_actions_change_nothing(fallback):
    # Everything succeeds, so that nobody waits for a new session.
    mdp = RecommendationMDP(np.ones((2, 50)), np.full((2, 50, 2), 0.5))
    good = np.tile(np.arange(10), (4, 1))
    repeated = good.copy()
    repeated[2, 5] = 0
    repeated[3, 5] = 1
    with fallback():
        env, other = (gym.make_vec("RecSim-v0", num_envs=4, duplicates="error", mdp=mdp) for _ in range(2))
        env.reset(seed=0)
        other.reset(seed=0)
        for _ in range(3):
            with pytest.raises(ValueError, match=r"from 0 to 49, got 50 at \[0, 7\]"):
                env.step(good + 43)
            with pytest.raises(ValueError, match=r"more than once: \[0, 1, 2, 3, 4, 0, 6"):
                env.step(repeated)
            assert_same(env.step(good), other.step(good))


@pytest.mark.parametrize("fallback", [contextlib.nullcontext, without_numba])
def test_slates_of_users_who_wait_may_repeat_items_as_nobody_sees_them(fallback):
    mdp = RecommendationMDP(np.full((1, 50), 1e-300), np.ones((1, 50, 1)))
    with fallback():
        env = gym.make_vec("RecSim-v0", num_envs=2, duplicates="error", mdp=mdp)
        env.reset(seed=0)
        assert env.step(np.tile(np.arange(10), (2, 1)))[2].all()
        assert env.step(np.zeros((2, 10), dtype=int))[0].tolist() == [50, 50]


def test_arrays_of_one_step_outlive_the_next():
    env = gym.make_vec("RecSim-v0", num_envs=50)
    env.reset(seed=0)
    slates = np.tile(np.arange(10), (50, 1))
    said = env.step(slates)
    copies = [part.copy() for part in said[:4]] + [{key: value.copy() for key, value in said[4].items()}]
    for _ in range(5):
        env.step(slates[:, ::-1])
    assert_same(list(said), copies)
