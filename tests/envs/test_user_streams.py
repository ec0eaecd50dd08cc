"""Users with streams of randomness: good numbers, the law of the env, and the same users for every policy."""

from itertools import product

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from scipy import stats

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.envs.recsim_dynamics import UserDynamics
from irecgan_gym.envs.user_streams import UserStreams
from irecgan_gym.mdp import draw_mdp

OWN = {"user_streams": True}


def numbers(key, users, steps, places):
    """Numbers of all users at all steps, [users, steps, places]."""
    pairs = np.array([*product(range(users), range(steps))])
    return UserStreams(key).numbers(pairs[:, 0], pairs[:, 1], np.arange(places)).reshape(users, steps, places)


def splitmix64(state, index):
    """The word with this index, from 1 on, of the published generator."""
    word = (state + index * 0x9E3779B97F4A7C15) % 2**64
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB % 2**64
    return word ^ (word >> 31)


def test_words_are_those_of_splitmix64():
    # The published first words of seed 1234567.
    assert [splitmix64(1234567, index) for index in (1, 2, 3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]
    for user, step, place in ((0, 0, 0), (3, 7, 49), (10**12, 10**6, 10**9)):
        word = splitmix64(splitmix64(splitmix64(2**64 - 5, user + 1), step + 1), place + 1)
        (found,) = UserStreams(2**64 - 5).numbers(np.array([user]), np.array([step]), np.array([place]))
        assert found.tolist() == [(word >> 11) / 2**53]


def test_a_number_depends_on_what_it_is_for_alone():
    everything = numbers(3, 20, 6, 9)
    users, steps, places = np.array([17, 2]), np.array([5, 0]), np.array([[8, 1, 4], [0, 0, 3]])
    found = UserStreams(3).numbers(users, steps, places)
    np.testing.assert_array_equal(found, everything[users[:, None], steps[:, None], places])
    assert not np.isin(numbers(4, 20, 6, 9), everything).any()


@pytest.mark.parametrize("key", [0, 1, 2**63])
def test_numbers_are_uniform_and_independent(key):
    drawn = numbers(key, 60, 40, 50)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    # All of them, and those of one user, one step, one place: p-values are uniform themselves.
    parts = [drawn.ravel(), *drawn, *drawn.transpose(1, 0, 2), *drawn.transpose(2, 0, 1)]
    p_values = [stats.kstest(part.ravel(), "uniform").pvalue for part in parts]
    assert min(p_values) > 1e-3 / len(p_values)
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3
    # Neighbours of every kind, and the lowest bits in use.
    for first, second in (
        (drawn[1:], drawn[:-1]),
        (drawn[:, 1:], drawn[:, :-1]),
        (drawn[:, :, 1:], drawn[:, :, :-1]),
        (drawn[1:, 1:], drawn[:-1, :-1]),
        (drawn[:, 1:, 1:], drawn[:, :-1, :-1]),
        (drawn[1:, :, 1:], drawn[:-1, :, :-1]),
    ):
        cells = np.histogram2d(first.ravel(), second.ravel(), bins=8, range=[(0, 1), (0, 1)])[0]
        assert stats.chisquare(cells.ravel()).pvalue > 1e-4
    low = (drawn * 2**53).astype(np.int64) & 255
    assert stats.chisquare(np.bincount(low.ravel(), minlength=256)).pvalue > 1e-4
    # Of two keys that differ in one bit, too.
    assert abs(np.corrcoef(drawn.ravel(), numbers(key ^ 1, 60, 40, 50).ravel())[0, 1]) < 4 / np.sqrt(drawn.size)


def test_answers_by_item_have_the_law_of_the_mdp():
    mdp = draw_mdp(3, 5, 1, "dirichlet", concentration=1.0)
    dynamics, number = UserDynamics(mdp), 200_000
    for state, slate in ((0, [4, 1, 2]), (2, [0, 3, 1])):
        slates = np.tile(slate, (number, 1))
        users = np.arange(number), np.full(number, 2)
        response = dynamics.respond_by_item(np.full(number, state), slates, UserStreams(9), *users)
        rewards = mdp.rewards[state, slate]
        # Failures of each item, then successes of each item by the next state.
        expected = np.concatenate(
            [
                (rewards / rewards.sum() * (1 - rewards))[:, None],
                (rewards**2 / rewards.sum())[:, None] * mdp.transitions[state, slate],
            ],
            axis=1,
        )
        place = (slates == response.clicks[:, None]).argmax(axis=1)
        outcome = np.where(response.successes, 1 + response.states, 0)
        observed = np.bincount(place * 4 + outcome, minlength=12)
        assert stats.chisquare(observed, expected.ravel() * number).pvalue > 1e-3
        assert (response.states[~response.successes] == state).all()


def test_rewards_of_any_scale_are_answered():
    tables = (np.array([[5e-324, 1e-300, 1e-300]]), np.ones((1, 3, 1)))
    vector = gym.make_vec("RecSim-v0", num_envs=4000, mdp=tables, slate_size=3)
    vector.reset(seed=0, options=OWN)
    clicks = vector.step(np.tile([0, 1, 2], (4000, 1)))[4]["click"]
    np.testing.assert_allclose(np.bincount(clicks, minlength=3) / 4000, [0, 0.5, 0.5], atol=0.04)


def test_a_reward_of_one_never_fails_and_an_impossible_state_is_never_reached():
    tables = (np.ones((3, 4)), np.tile([0.0, 1.0, 0.0], (3, 4, 1)))
    vector = gym.make_vec("RecSim-v0", num_envs=500, mdp=tables, slate_size=2)
    vector.reset(seed=0, options=OWN)
    for _ in range(5):
        info = vector.step(np.tile([0, 3], (500, 1)))[4]
        assert (info["state"] == 1).all()


def sessions_of(num_envs, slate_of, steps, seed=5, **arguments):
    """What each user went through: lists of (state, slate, click, reward), by the user's number."""
    vector = gym.make_vec("RecSim-v0", num_envs=num_envs, mdp_seed=2, **arguments)
    told = {}
    _, info = vector.reset(seed=seed, options=OWN)
    over = np.zeros(num_envs, dtype=bool)
    for _ in range(steps):
        users, states = info["user"], info["state"]
        slates = np.array([slate_of(user, len(told.get(user, ()))) for user in users.tolist()])
        _, rewards, ended, cut, info = vector.step(slates)
        for slot in np.flatnonzero(~over):
            answer = (states[slot], *info["slate"][slot], info["click"][slot], rewards[slot])
            told.setdefault(int(users[slot]), []).append(tuple(int(value) for value in answer))
        over = ended | cut
    return told


def longest_common(first, second):
    """Pairs of the same user's sessions, as far as both have gone."""
    for user in sorted(first.keys() & second.keys()):
        length = min(len(first[user]), len(second[user]))
        yield first[user][:length], second[user][:length]


def slate_of(user, step):
    return np.random.default_rng([user, step]).permutation(50)[:10]


def test_users_do_not_depend_on_the_others():
    many, few = sessions_of(30, slate_of, 25), sessions_of(7, slate_of, 25)
    pairs = [*longest_common(many, few)]
    assert len(pairs) > 20
    assert all(first == second for first, second in pairs)
    assert many != sessions_of(30, slate_of, 25, seed=6)
    # Slot i plays the users i, i + B, i + 2 B and so on.
    assert set(range(30)) < many.keys()


def test_the_order_of_a_slate_changes_nothing():
    def turned(user, step):
        return slate_of(user, step)[::-1]

    for first, second in longest_common(sessions_of(20, slate_of, 25), sessions_of(20, turned, 25)):
        assert [(state, click, reward) for state, *_, click, reward in first] == [
            (state, click, reward) for state, *_, click, reward in second
        ]


def test_an_item_that_nobody_clicks_can_be_exchanged():
    """Users click by item: another item in the slate changes the answer only where it is clicked itself."""

    def exchanged(user, step):
        slate = slate_of(user, step)
        slate[3] = np.setdiff1d(np.arange(50), slate)[0]
        return slate

    same = other = 0
    for first, second in longest_common(sessions_of(200, slate_of, 1), sessions_of(200, exchanged, 1)):
        (_, *slate, click, reward), (_, *new, other_click, other_reward) = first[0], second[0]
        if click != slate[3] and other_click != new[3]:
            assert (click, reward) == (other_click, other_reward)
            same += 1
        else:
            other += 1
    assert same > other > 0


def test_repeated_items_are_replaced_alike_for_the_same_user():
    def repeated(user, step):
        return np.repeat(slate_of(user, step)[:5], 2)

    many, few = sessions_of(30, repeated, 25), sessions_of(7, repeated, 25)
    for first, second in longest_common(many, few):
        assert first == second
        assert all(len(set(slate)) == 10 for _, *slate, _, _ in first)
    filled = np.array([step[2:11:2] for steps in many.values() for step in steps])
    # Others of the catalogue, all about as often.
    assert stats.chisquare(np.bincount(filled.ravel(), minlength=50)).pvalue > 1e-4


def test_users_are_the_same_in_every_autoreset_mode():
    clicks_of = []
    for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
        vector = gym.make_vec("RecSim-v0", num_envs=6, autoreset_mode=mode)
        _, info = vector.reset(seed=1, options=OWN)
        clicks = {}
        for _ in range(20):
            users = info["user"].tolist()
            _, _, ended, _, info = vector.step(np.tile(np.arange(10), (6, 1)))
            for slot, user in enumerate(users):
                told = info["final_info"] if "final_info" in info and ended[slot] else info
                assert told["user"][slot] == user or told["click"][slot] == 50
                if told["user"][slot] == user:
                    clicks.setdefault(user, []).append(int(told["click"][slot]))
        clicks_of.append(clicks)
    pairs = [*longest_common(*clicks_of)]
    assert len(pairs) > 12
    assert all(first == second for first, second in pairs)


def test_streams_begin_and_end_with_a_reset_of_all_envs():
    vector = gym.make_vec("RecSim-v0", num_envs=3, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(ValueError, match="needs a seed"):
        vector.reset(options=OWN)
    _, info = vector.reset(seed=1, options=OWN)
    assert info["user"].tolist() == [0, 1, 2]
    mask = np.array([False, True, False])
    with pytest.raises(ValueError, match="leave out reset_mask"):
        vector.reset(seed=1, options={**OWN, "reset_mask": mask})
    _, info = vector.reset(options={"reset_mask": mask})
    assert info["user"].tolist() == [0, 4, 2]
    plain = gym.make_vec("RecSim-v0", num_envs=3, autoreset_mode=AutoresetMode.DISABLED)
    slates = np.tile(np.arange(10), (3, 1))
    answers = [(*env.reset(seed=2)[1], *env.step(slates)[4]["click"].tolist()) for env in (vector, plain)]
    assert answers[0] == answers[1]
    assert "user" not in answers[0]
