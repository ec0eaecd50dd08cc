import copy
import doctest
import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.envs import user_model as user_model_page
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.user_model import UserModel, UserModelConfig

N, K = 12, 4


def user_model(ending="reward", seed=0):
    config = UserModelConfig(N, K, ending, EncoderConfig(hidden_size=6, embedding_size=5))
    return UserModel.create(config, seed=seed, device="cpu")


def play(env, steps, seed=3):
    """What happens to random slates, session after session."""
    actions = np.random.default_rng(9)
    seen = [env.reset(seed=seed)[0]]
    for _ in range(steps):
        slate = actions.integers(0, N, K)
        observation, reward, terminated, truncated, info = env.step(slate)
        seen.append((int(observation), reward, terminated, truncated, info["slate"].tolist()))
        if terminated or truncated:
            seen.append(env.reset()[0])
    return seen


@pytest.mark.parametrize("ending", ["reward", "leave"])
def test_both_checkers_pass_without_warnings(ending):
    # Checkers open a window. Imported first, for importing it warns on some machines.
    pytest.importorskip("pygame")
    env = gym.make("UserModel-v0", user_model=user_model(ending))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
        check_env_sb3(env.unwrapped)


def test_a_seed_owns_all_randomness():
    env = gym.make("UserModel-v0", user_model=user_model())
    assert play(env, 60, seed=5) == play(env, 60, seed=5)
    assert play(env, 60, seed=5) != play(env, 60, seed=6)


@pytest.mark.parametrize("ending", ["reward", "leave"])
def test_one_user_of_the_vector_env_is_the_single_env(ending):
    single = gym.make("UserModel-v0", user_model=user_model(ending))
    vector = gym.make_vec("UserModel-v0", num_envs=1, user_model=user_model(ending), autoreset_mode="Disabled")
    actions = np.random.default_rng(1)
    single.reset(seed=4)
    vector.reset(seed=4)
    for _ in range(80):
        slate = actions.integers(0, N, K)
        one, many = single.step(slate), vector.step(slate[None])
        assert [one[0], one[1], one[2]] == [many[0][0], many[1][0], many[2][0]]
        assert one[4]["slate"].tolist() == many[4]["slate"][0].tolist()
        if one[2]:
            single.reset()
            vector.reset(options={"reset_mask": np.array([True])})


def test_copies_pickles_and_specs_go_on_alike(tmp_path):
    user_model().save(tmp_path / "model.safetensors")
    env = gym.make("UserModel-v0", user_model=str(tmp_path / "model.safetensors"), max_episode_steps=7)
    env.reset(seed=1)
    twins = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
    slates = np.random.default_rng(0).integers(0, N, (4, K))
    expected = env.step(slates[0])[:4]
    for twin in twins:
        assert twin.step(slates[0])[:4] == expected
    again = env.spec.make()
    assert again.spec.max_episode_steps == 7
    assert play(again, 20) == play(env, 20)
    assert gym.spec("UserModel-v0").to_json()
    assert env.spec.to_json()


def test_a_user_who_leaves_clicks_nothing_and_earns_nothing():
    env = gym.make_vec("UserModel-v0", num_envs=500, user_model=user_model("leave"))
    env.reset(seed=0)
    slates = np.tile(np.arange(K), (500, 1))
    clicks, rewards, terminated, _, info = env.step(slates)
    assert 0 < terminated.sum() < 500
    assert (terminated == (clicks == N)).all()
    assert (rewards[terminated] == 0).all()
    assert (info["click"] == clicks).all()


@pytest.mark.parametrize("num_envs", [1, 5])
def test_next_step_mode_resets_on_the_step_after_the_end(num_envs):
    env = gym.make_vec("UserModel-v0", num_envs=num_envs, user_model=user_model())
    assert env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    env.reset(seed=0)
    done = np.zeros(num_envs, dtype=bool)
    slates = np.tile(np.arange(K), (num_envs, 1))
    for _ in range(40):
        observations, rewards, terminated, truncated, info = env.step(slates)
        assert (observations[done] == N).all()
        assert (rewards[done] == 0).all()
        assert not (terminated | truncated)[done].any()
        assert (info["slate"][done] == -1).all()
        assert (observations[~done] < N).all()
        done = terminated | truncated


def test_same_step_mode_keeps_the_last_observation_of_the_ended_session():
    same = gym.make_vec("UserModel-v0", num_envs=6, user_model=user_model(), autoreset_mode="SameStep")
    plain = gym.make_vec("UserModel-v0", num_envs=6, user_model=user_model(), autoreset_mode="Disabled")
    same.reset(seed=0)
    plain.reset(seed=0)
    slates = np.tile(np.arange(K), (6, 1))
    for _ in range(20):
        one, other = same.step(slates), plain.step(slates)
        ended = one[2]
        assert (ended == other[2]).all()
        assert (one[1] == other[1]).all()
        assert (one[0][~ended] == other[0][~ended]).all()
        if ended.any():
            assert (one[0][ended] == N).all()
            assert one[4]["final_obs"][ended].tolist() == other[0][ended].tolist()
            assert (one[4]["final_info"]["click"][ended] == other[0][ended]).all()
            assert (one[4]["_final_info"] == ended).all()
            plain.reset(options={"reset_mask": ended})
        else:
            assert "final_obs" not in one[4]


def test_disabled_mode_waits_for_a_reset():
    env = gym.make_vec("UserModel-v0", num_envs=20, user_model=user_model(), autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    slates = np.tile(np.arange(K), (20, 1))
    while not (ended := env.step(slates)[2]).any():
        pass
    with pytest.raises(ResetNeeded, match="have ended"):
        env.step(slates)
    observations, info = env.reset(options={"reset_mask": ended})
    assert (observations[ended] == N).all()
    assert (observations[~ended] < N).all()
    assert (info["_click"] == ended).all()
    env.step(slates)


def test_time_limits_truncate_and_never_terminate():
    env = gym.make_vec("UserModel-v0", num_envs=200, user_model=user_model(), max_episode_steps=2)
    env.reset(seed=0)
    slates = np.tile(np.arange(K), (200, 1))
    _, rewards, terminated, truncated, _ = env.step(slates)
    assert not truncated.any()
    going = ~terminated
    _, rewards, terminated, truncated, _ = env.step(slates)
    assert truncated[going].all()
    assert (terminated == (rewards == 0))[going].all()
    assert terminated[going].any()
    assert not terminated[going].all()


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_branches_have_the_history_and_go_on_independently(mode):
    env = gym.make_vec("UserModel-v0", num_envs=3, user_model=user_model("leave"), autoreset_mode=mode)
    env.reset(seed=2)
    env.step(np.tile(np.arange(K), (3, 1)))
    before = env._states.clone()
    branch = env.branch(np.repeat(np.arange(3), 4000))
    assert torch.equal(branch._states[:4000], before[:1].repeat(4000, 1))
    slate = np.arange(4, 4 + K)
    alive = ~env._done
    clicks = branch.step(np.tile(slate, (12_000, 1)))[0].reshape(3, 4000)
    assert torch.equal(env._states, before)
    candidates = [*slate.tolist(), N]
    with torch.no_grad():
        chances = env.user_model.click_probabilities(before, torch.from_numpy(np.tile(slate, (3, 1)))).numpy()
    for row in np.flatnonzero(alive):
        shares = [(clicks[row] == item).mean() for item in candidates]
        np.testing.assert_allclose(shares, chances[row], atol=0.035)


def test_repeated_items_are_replaced_by_random_other_items():
    env = gym.make_vec("UserModel-v0", num_envs=9000, user_model=user_model())
    env.reset(seed=0)
    info = env.step(np.tile([5, 5, 2, 5], (9000, 1)))[4]
    shown = info["slate"]
    assert (shown[:, 0] == 5).all()
    assert (shown[:, 2] == 2).all()
    assert all(len(set(row)) == K for row in shown.tolist())
    counts = np.bincount(np.concatenate([shown[:, 1], shown[:, 3]]), minlength=N)
    others = [item for item in range(N) if item not in (2, 5)]
    assert np.abs(counts[others] / 18_000 - 0.1).max() < 0.01
    strict = gym.make("UserModel-v0", user_model=user_model(), duplicates="error")
    strict.reset(seed=0)
    with pytest.raises(ValueError, match=r"more than once: \[1, 1, 2, 3\]"):
        strict.step(np.array([1, 1, 2, 3]))


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.array([0, 1, 2, N]), f"got {N} at"),
        (np.array([0, -1, 2, 3]), "got -1 at"),
        (np.array([0, 1]), r"must have shape \(4,\), got \(2,\)"),
        (np.array([0.0, 1, 2, 3]), "must hold integers, got float64"),
    ],
)
def test_wrong_actions_are_named(action, message):
    env = gym.make("UserModel-v0", user_model=user_model()).unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(action)


def test_stepping_before_reset_is_refused():
    with pytest.raises(ResetNeeded):
        gym.make_vec("UserModel-v0", num_envs=2, user_model=user_model()).step(np.zeros((2, K), dtype=int))


def test_the_example_on_the_envs_page_runs():
    result = doctest.testmod(user_model_page)
    assert result.attempted > 0
    assert result.failed == 0
