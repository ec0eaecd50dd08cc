"""Pictures of sessions: they show what happened, change nothing, and are what Gymnasium's wrappers expect."""

import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import DependencyNotInstalled, ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordVideo, RenderCollection

import irecgan_gym.envs.rendered_env  # noqa: F401 (reads the frame rate before a test changes it)
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.rendering import screen
from irecgan_gym.rendering.ansi import session_text
from irecgan_gym.rendering.canvas import session_frame
from irecgan_gym.rendering.session_view import SessionView, SlateView

FRAME = (640, 960, 3)
WORLDS = ["RecSim-v0", "UserModel-v0"]
MODES = ["ansi", "human", "rgb_array"]


@pytest.fixture(autouse=True)
def _no_screen(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


def make(world, mode=None, **settings):
    if world == "UserModel-v0":
        config = UserModelConfig(num_items=20, slate_size=4, ending="leave")
        settings["user_model"] = UserModel.create(config, seed=0, device="cpu")
    else:
        settings = {"num_items": 20, "slate_size": 4, **settings}
    return gym.make(world, render_mode=mode, **settings)


@pytest.fixture
def quick(monkeypatch):
    """Windows that do not wait for people."""
    monkeypatch.setattr(screen, "RENDER_FPS", 0)


def play(env, seed, num_sessions=5):
    """Everything that an agent sees of some sessions."""
    env.action_space.seed(seed)
    seen = []
    for number in range(num_sessions):
        observation, info = env.reset(seed=seed if number == 0 else None)
        seen.append((int(observation), info["slate"].tolist()))
        over = False
        while not over:
            observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
            env.render()
            seen.append((int(observation), reward, terminated, truncated, info["slate"].tolist()))
            over = terminated or truncated
    return seen


@pytest.mark.filterwarnings("ignore:.*was made without a render mode")
@pytest.mark.parametrize("world", WORLDS)
def test_sessions_are_the_same_whoever_looks(world, quick):
    blind = play(make(world, max_episode_steps=4), 3)
    for mode in MODES:
        env = make(world, mode, max_episode_steps=4)
        assert play(env, 3) == blind, mode
        env.close()


@pytest.mark.parametrize("world", WORLDS)
def test_gymnasiums_checker_renders_every_mode(world, quick):
    # Checkers open a window. Imported first, for importing it warns on some machines.
    pytest.importorskip("pygame")
    env = make(world, "rgb_array")
    assert env.metadata["render_modes"] == MODES
    with warnings.catch_warnings():
        # Gymnasium advises against other spaces than Box.
        warnings.simplefilter("error")
        check_env(env.unwrapped)


@pytest.mark.parametrize("world", WORLDS)
def test_every_frame_has_the_same_form(world):
    env = RenderCollection(make(world, "rgb_array", max_episode_steps=3))
    env.reset(seed=0)
    over = False
    while not over:
        *_, terminated, truncated, _ = env.step(env.action_space.sample())
        over = terminated or truncated
    frames = env.render()
    assert len(frames) >= 2
    for frame in frames:
        assert (frame.shape, frame.dtype) == (FRAME, np.uint8)
    assert not np.array_equal(frames[0], frames[1])


def test_video(tmp_path):
    pytest.importorskip("moviepy")
    env = RecordVideo(make("RecSim-v0", "rgb_array"), str(tmp_path / "videos"), disable_logger=True)
    env.reset(seed=0)
    env.step(np.arange(4))
    env.close()
    (video,) = (tmp_path / "videos").glob("*.mp4")
    assert video.stat().st_size > 1000


def test_window(quick, monkeypatch):
    import pygame

    env = make("RecSim-v0", "human")
    env.reset(seed=0)
    env.step(np.arange(4))
    assert env.render() is None
    shown = pygame.surfarray.array3d(pygame.display.get_surface()).transpose(1, 0, 2)
    twin = make("RecSim-v0", "rgb_array")
    twin.reset(seed=0)
    twin.step(np.arange(4))
    np.testing.assert_array_equal(shown, twin.render())
    env.close()
    assert pygame.display.get_surface() is None
    env.close()


def test_text_of_recsim():
    env = make("RecSim-v0", "ansi", duplicates="error")
    with pytest.raises(ResetNeeded, match="call reset before render"):
        env.unwrapped.render()
    env.reset(seed=0)
    assert "waits for the first slate" in env.render()
    slate = [7, 3, 11, 2]
    _, reward, terminated, _, info = env.step(slate)
    text = env.render()
    lines = text.splitlines()
    assert lines[0] == "RecSim-v0, step 1"
    assert f"clicked item {info['click']}: {'success' if reward else 'failure'}" in lines[1]
    assert ("the session is over" in lines[1]) == terminated
    assert lines[2].split() == ["state", "0", "->", str(info["state"])]
    assert lines[3].split() == ["reward", f"{reward:g}", "in", "this", "step,", f"{reward:g}", "in", "the", "session"]
    assert lines[4].split() == ["clicks", f"{info['click']}{'+' if reward else '-'}"]
    rewards = env.unwrapped.mdp.rewards[0, slate]
    rows = [line.replace(">", "").replace("#", "").split() for line in lines[-4:]]
    expected = zip(slate, rewards, rewards / rewards.sum(), strict=True)
    assert rows == [[str(item), f"{chance:.3f}", f"{click:.3f}"] for item, chance, click in expected]
    assert [line.strip().startswith(">") for line in lines[-4:]] == [item == info["click"] for item in slate]


def test_chances_of_a_user_model_are_those_before_the_click():
    env = make("UserModel-v0", "ansi")
    model = env.unwrapped.user_model
    env.reset(seed=0)
    state = env.unwrapped._users.recurrent_states()
    for _ in range(50):
        *_, terminated, _, _ = env.step(env.action_space.sample())
        slate = env.unwrapped._users._slates
        view = env.unwrapped.screen.view()
        tensor = state.new_tensor(slate).long()
        chances = model.click_probabilities(state, tensor)[0]
        np.testing.assert_allclose([*view.slate.click_chances, view.slate.leave_chance], chances.detach(), rtol=1e-6)
        rewards = model.reward_probabilities(state.expand(4, -1), tensor[0]).detach()
        np.testing.assert_allclose(view.slate.reward_chances, rewards, rtol=1e-6)
        state = env.unwrapped._users.recurrent_states()
        if terminated:
            break
    assert terminated
    assert "left without a click, the session is over" in env.render()
    assert any(line.split()[:2] == [">", "leave"] for line in env.render().splitlines())
    assert view.steps == len(view.clicks) + 1


def view_of(num_items_shown, num_clicks, click=0, leave=None):
    chances = tuple(np.linspace(0.9, 0.1, num_items_shown).tolist())
    items = tuple(range(39_000, 39_000 + num_items_shown))
    slate = SlateView(items, chances, chances, leave, items[click] if click is not None else None, 1.0)
    clicks = tuple((item, float(item % 2)) for item in range(20_000, 20_000 + num_clicks))
    return SessionView("Test-v0", slate, clicks, num_clicks, 3.0, False, "4 -> 7")


@pytest.mark.parametrize("num_items", [1, 10, 25, 26, 27, 200])
@pytest.mark.parametrize("leave", [None, 0.3])
def test_slates_and_histories_of_any_length_fit(num_items, leave):
    frame = session_frame(view_of(num_items, 100, num_items - 1, leave))
    assert frame.shape == FRAME
    # Nothing reaches the edge.
    for edge in (frame[:8], frame[-8:], frame[:, :8], frame[:, -8:]):
        assert (edge == 255).all()
    # The clicked row is there: its colour, which nothing else has.
    assert (frame == (0xFD, 0xF1, 0xD8)).all(axis=2).sum() > 1000


def test_long_histories_show_the_last_clicks():
    text = session_text(view_of(3, 100))
    assert "(88 earlier) 20088- 20089+" in text
    few, many = session_frame(view_of(3, 5)), session_frame(view_of(3, 100))
    assert not np.array_equal(few, many)


def test_without_the_libraries_the_extra_is_named(monkeypatch):
    env = make("RecSim-v0", "human")
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(DependencyNotInstalled, match=r"irecgan-gym\[render\]"):
        env.reset()
    env = make("RecSim-v0", "rgb_array")
    env.reset()
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DependencyNotInstalled, match=r"irecgan-gym\[render\]"):
        env.render()


@pytest.mark.parametrize("world", WORLDS)
def test_modes_that_are_not_there(world):
    env = make(world)
    env.reset()
    with pytest.warns(UserWarning, match="was made without a render mode"):
        assert env.unwrapped.render() is None
    settings = {"user_model": env.unwrapped.user_model} if world == "UserModel-v0" else {}
    with pytest.raises(ValueError, match="render_mode must be None or one of ansi, human, rgb_array, got 'svg'"):
        type(env.unwrapped)(render_mode="svg", **settings)
    with pytest.raises(ValueError, match="native vector envs do not render"):
        gym.make_vec(world, num_envs=2, render_mode="rgb_array", **settings)
    several = gym.make_vec(world, num_envs=2, vectorization_mode="sync", render_mode="rgb_array", **settings)
    several.reset()
    assert [frame.shape for frame in several.render()] == [FRAME, FRAME]
