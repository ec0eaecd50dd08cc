"""Windows of clicks: their contents over sessions written out by hand, their encodings and what they refuse."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box
from gymnasium.wrappers import FrameStackObservation

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.wrappers import ClickHistory, OneHotHistory, SlateScores, VectorClickHistory, VectorOneHotHistory

NONE = 50


def test_the_window_moves_on_and_starts_afresh():
    env = ClickHistory(gym.make("RecSim-v0"), 3)
    assert env.observation_space == Box(0, 50, (3,), np.int64)
    clicks, sessions = [], 0
    window, _ = env.reset(seed=0)
    while sessions < 10:
        assert window.tolist() == ([NONE] * 3 + clicks)[-3:]
        window, _, terminated, _, info = env.step(np.arange(10))
        clicks.append(info["click"])
        if terminated:
            assert window[-1] == clicks[-1]
            sessions, clicks = sessions + 1, []
            window, _ = env.reset()


def test_it_is_gymnasiums_stack_of_observations():
    ours, theirs = ClickHistory(gym.make("RecSim-v0"), 4), FrameStackObservation(gym.make("RecSim-v0"), 4)
    ended, seed = True, 0
    while seed < 5 or not ended:
        if ended:
            np.testing.assert_array_equal(ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0])
            seed += 1
        (window, _, ended, *_), (expected, *_) = ours.step(np.arange(10)), theirs.step(np.arange(10))
        np.testing.assert_array_equal(window, expected)


@pytest.mark.parametrize("autoreset_mode", ["NextStep", "SameStep", "Disabled"])
def test_windows_of_new_sessions_hold_no_click(autoreset_mode):
    """The native vector env: windows follow its clicks, and no click of an old session is left in a new one."""
    envs = VectorClickHistory(gym.make_vec("RecSim-v0", num_envs=20, autoreset_mode=autoreset_mode), 3)
    windows, _ = envs.reset(seed=0)
    histories, waiting = [[] for _ in range(20)], np.zeros(20, dtype=bool)
    for _ in range(30):
        assert windows.tolist() == [([NONE] * 3 + history)[-3:] for history in histories]
        windows, _, terminated, _, info = envs.step(np.tile(np.arange(10), (20, 1)))
        for row, history in enumerate(histories):
            if waiting[row]:
                histories[row] = []
                continue
            final = autoreset_mode == "SameStep" and terminated[row]
            history.append(int((info["final_info"] if final else info)["click"][row]))
            if final:
                assert info["final_obs"][row].tolist() == ([NONE] * 3 + history)[-3:]
                histories[row] = []
        waiting = terminated & (autoreset_mode == "NextStep")
        if autoreset_mode == "Disabled" and terminated.any():
            windows, _ = envs.reset(options={"reset_mask": terminated})
            for row in np.flatnonzero(terminated):
                histories[row] = []


def test_callers_may_write_into_windows():
    envs = VectorClickHistory(gym.make_vec("RecSim-v0", num_envs=2), 3)
    envs.reset(seed=0)[0][:] = 7
    envs.step(np.tile(np.arange(10), (2, 1)))[0][:] = 7
    windows = envs.step(np.tile(np.arange(10), (2, 1)))[0]
    assert windows[:, 0].tolist() == [NONE, NONE]


def test_states_can_be_stacked_for_oracles():
    env = ClickHistory(gym.make("RecSim-v0", observation="state"), 2)
    window, _ = env.reset(seed=0)
    assert window.tolist() == [0, 0]
    window, _, _, _, info = env.step(np.arange(10))
    assert window.tolist() == [0, info["state"]]


def test_one_hot_vectors_are_of_the_ids():
    env = OneHotHistory(ClickHistory(gym.make("RecSim-v0", num_items=5, slate_size=2), 3))
    assert env.observation_space == Box(0, 1, (18,), np.float32)
    vector, _ = env.reset(seed=0)
    np.testing.assert_array_equal(vector, np.tile(np.eye(6)[5], 3))
    vector, _, _, _, info = env.step(np.array([0, 3]))
    np.testing.assert_array_equal(vector.reshape(3, 6)[2], np.eye(6)[info["click"]])


def test_what_cannot_be_a_history_is_refused():
    scores = SlateScores(gym.make("RecSim-v0"))
    with pytest.raises(ValueError, match="observations of a Discrete space from 0, but the env has Box"):
        ClickHistory(ClickHistory(scores, 2), 2)
    with pytest.raises(ValueError, match="length must be at least 1, got 0"):
        VectorClickHistory(gym.make_vec("RecSim-v0", num_envs=2), 0)


def test_large_one_hot_vectors_are_refused():
    large = {"num_items": 10_000, "num_states": 2}
    message = "a window of 10 clicks out of 10001 ids takes 100010 numbers as one-hot vectors, over 4096: keep the ids"
    with pytest.raises(ValueError, match=message):
        OneHotHistory(ClickHistory(gym.make("RecSim-v0", **large), 10))
    with pytest.raises(ValueError, match=message):
        VectorOneHotHistory(VectorClickHistory(gym.make_vec("RecSim-v0", num_envs=2, **large), 10))
    with pytest.raises(ValueError, match=r"wrap the env in ClickHistory, it has Discrete\(51\)"):
        OneHotHistory(gym.make("RecSim-v0"))
