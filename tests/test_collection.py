"""Sessions of any policy in any env: the one loop that plays them."""

import re

import gymnasium as gym
import numpy as np
import pytest
import torch

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.agents import PG
from irecgan_gym.collection import collect, play
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.predictor_policy import PolicyPredictor
from irecgan_gym.models.user_model import UserModel, UserModelConfig

SLATE = [7, 3, 11, 42, 0, 1, 2, 4, 5, 6]


class FixedSlate:
    """Shows the same items always, and remembers how many sessions it was asked for."""

    def __init__(self):
        self.batches = []

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        self.batches.append(len(observation))
        return np.tile(SLATE, (len(observation), 1)), None


class CountingSlate(FixedSlate):
    """Its state counts the steps of a session, which begins where no item has been clicked yet."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        count = np.zeros(len(observation), dtype=int) if state is None else state
        count = np.where(episode_start, 0, count)
        np.testing.assert_array_equal(count == 0, observation == 50)
        return super().predict(observation)[0], count + 1


class LeavingSlate(CountingSlate):
    def select(self, state, rows):
        return state[rows]


def model(ending="reward"):
    encoder = EncoderConfig(hidden_size=6, embedding_size=4)
    return UserModel.create(UserModelConfig(50, 10, ending=ending, encoder=encoder), seed=0)


def test_slots_in_turn_and_a_slot_each_give_sessions_of_one_kind():
    for policy, num_envs in ((CountingSlate(), 7), (CountingSlate(), 500), (FixedSlate(), None)):
        sessions = collect(policy, "RecSim-v0", 60, 3, num_envs=num_envs)
        assert len(sessions) == 60
        assert (sessions.slate_items.reshape(-1, 10) == SLATE).all()
        last = np.zeros(sessions.num_steps, dtype=bool)
        last[sessions.offsets[1:] - 1] = True
        # A reward of 0 ends a session, and nothing else does.
        np.testing.assert_array_equal(sessions.rewards == 0, last)
        assert (sessions.states[sessions.offsets[:-1]] == 0).all()
        assert not sessions.truncated.any()


def test_one_slot_plays_what_the_single_env_plays():
    sessions = collect(FixedSlate(), "RecSim-v0", 9, 4, num_envs=1)
    users_seed = int(np.random.SeedSequence(4).generate_state(2)[0])
    env = gym.make("RecSim-v0")
    clicks, rewards, lengths = [], [], []
    for number in range(9):
        env.reset(seed=users_seed if number == 0 else None)
        ended, steps = False, 0
        while not ended:
            click, reward, ended, _, _ = env.step(np.array(SLATE))
            clicks.append(click)
            rewards.append(reward)
            steps += 1
        lengths.append(steps)
    assert sessions.clicks.tolist() == clicks
    assert sessions.rewards.tolist() == rewards
    assert sessions.lengths.tolist() == lengths


def test_finished_sessions_leave_the_batch_where_both_sides_can():
    for policy in (LeavingSlate(), FixedSlate()):
        sessions = collect(policy, "UserModel-v0", 40, 1, env_kwargs={"user_model": model()}, max_session_steps=6)
        playing = [(sessions.lengths > step).sum() for step in range(sessions.lengths.max())]
        assert policy.batches == (playing if hasattr(policy, "select") else [40] * len(playing))
        assert (sessions.rewards[sessions.offsets[1:] - 1] == sessions.truncated).all()


def test_users_who_leave_click_nothing_last():
    sessions = collect(LeavingSlate(), "UserModel-v0", 40, 1, env_kwargs={"user_model": model("leave")})
    left = sessions.clicks == 50
    assert left[sessions.offsets[1:] - 1].sum() == (~sessions.truncated).sum() > 0
    assert "user_model" not in sessions.provenance


def test_a_policy_over_the_catalogue_keeps_its_states_in_tensors():
    """Slot by slot, what PolicyPredictor shows is what its policy finds best after the clicks so far."""
    agent = PG(50, 10, device="cpu")
    for num_envs in (None, 5):
        sessions = collect(PolicyPredictor(agent.policy), "RecSim-v0", 30, 2, deterministic=True, num_envs=num_envs)
        for session in sessions:
            state = agent.policy.start(1)
            for slate, click in zip(session.slates, session.clicks, strict=True):
                assert slate.tolist() == agent.policy.top(state)[0].tolist()
                state = agent.policy.observe(torch.tensor([click], dtype=torch.int64), state)


def test_seeds_decide_everything():
    policy = PolicyPredictor(PG(50, 10, device="cpu").policy)
    first, again, other = (collect(policy, "RecSim-v0", 20, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.slate_items, again.slate_items)
    np.testing.assert_array_equal(first.clicks, again.clicks)
    assert first.slate_items.tolist() != other.slate_items.tolist()


def test_envs_log_with_any_policy():
    env = gym.make("RecSim-Observable-v0", mdp_seed=3)
    sessions = env.unwrapped.collect(50, 5, policy=FixedSlate(), max_session_steps=3)
    assert (sessions.slate_items.reshape(-1, 10) == SLATE).all()
    assert sessions.lengths.max() == 3
    assert sessions.propensities is None
    assert sessions.provenance["logging_policy"] == "FixedSlate"
    assert sessions.provenance["mdp_sha256"] == env.unwrapped.mdp.digest()
    vector = gym.make_vec("RecSim-Observable-v0", num_envs=2, mdp_seed=3)
    again = vector.unwrapped.collect(50, 5, policy=FixedSlate(), max_session_steps=3)
    np.testing.assert_array_equal(sessions.clicks, again.clicks)
    assert again.provenance == sessions.provenance
    # The clicks follow this env's tables.
    world = sessions.states, sessions.clicks
    chance = env.unwrapped.mdp.rewards[world]
    assert abs(sessions.rewards.mean() - chance.mean()) < 4 * np.sqrt((chance * (1 - chance)).sum()) / len(chance)


def test_a_given_env_is_played_and_left_open():
    env = gym.make_vec("RecSim-v0", num_envs=4)
    sessions = collect(FixedSlate(), env, 10, 0)
    assert len(sessions) == 10
    assert sessions.provenance["source"] == "RecSim-v0"
    env.reset(seed=0)
    with pytest.raises(ValueError, match="made from its id"):
        collect(FixedSlate(), env, 10, 0, num_envs=3)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        collect(FixedSlate(), env, 0, 0)
    env.close()


def test_what_an_env_does_not_tell_is_named():
    env = gym.make_vec("CartPole-v1", num_envs=2)

    class Left:
        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return np.zeros(len(observation), dtype=int), None

    played = play(Left(), env, 3, 0, deterministic=True)
    assert played.lengths.tolist() == played.session_rewards.tolist()
    with pytest.raises(ValueError, match="info has no 'slate'"):
        played.sessions({})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": "x"}, "seed must be a whole number, got 'x'"),
        ({"seed": -1}, "seed must not be negative, got -1"),
        ({"max_session_steps": ()}, "max_session_steps must be a whole number, got ()"),
        ({"num_envs": [1]}, "num_envs must be a whole number, got [1]"),
    ],
)
def test_arguments_of_another_kind_are_named(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        collect(None, "RecSim-v0", 2, **{"seed": 0, **arguments})
    with pytest.raises(ValueError, match="num_envs must be at most 16777216, got 1000000000"):
        gym.make_vec("RecSim-v0", num_envs=10**9)
    with pytest.raises(ValueError, match=r"seed must be a whole number, got 1\.5"):
        gym.make_vec("RecSim-v0", num_envs=2).reset(seed=1.5)
