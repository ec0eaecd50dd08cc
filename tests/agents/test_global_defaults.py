"""Nothing that is learned or drawn depends on PyTorch's global defaults: a device, a type, a mode."""

from __future__ import annotations

from contextlib import contextmanager

import gymnasium as gym
import numpy as np
import pytest
import torch

from irecgan_gym.agents import ChoicePlanner, make_agent
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.storage.checkpoints import Checkpoints
from tests.golden.runs import config, log


@contextmanager
def default_type():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


DEFAULTS = {
    "device": lambda: torch.device("meta"),
    "type": default_type,
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
}


def learned(name, log_name):
    sessions = log(log_name).select(np.arange(60))
    settings = config(name, log_name)
    agent = make_agent(name, num_items=sessions.num_items, slate_size=5, config=settings, seed=11, device="cpu")
    agent.learn(sessions)
    agent.set_random_seed(0)
    slates, (state,) = agent.predict(np.full(4, sessions.num_items))
    drawn, _ = agent.predict(slates[:, 0], (state,), np.array([True, False, False, False]))
    return drawn, agent.slate_scores(sessions)


@pytest.mark.parametrize("default", DEFAULTS)
@pytest.mark.parametrize(
    ("name", "log_name"),
    [("irecgan", "real"), ("irecgan", "simulated"), ("ac", "real"), ("pgis", "real"), ("lstm", "real")],
)
def test_agents_learn_and_act_alike(name, log_name, default):
    expected = learned(name, log_name)
    with DEFAULTS[default]():
        under = learned(name, log_name)
    for ours, theirs in zip(under, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


class Stopped(Exception):
    pass


def learned_in_two_sittings(sessions, folder):
    """Stop after the fourth number that is reported, go on, store and load."""
    settings = config("irecgan", "simulated")

    class Stopping:
        reports = 0

        def record(self, values, step):
            self.reports += 1
            if self.reports == 4:
                raise Stopped

    def new():
        return make_agent("irecgan", num_items=sessions.num_items, slate_size=5, config=settings, seed=11, device="cpu")

    with pytest.raises(Stopped):
        new().learn(sessions, recorder=Stopping(), resume=Checkpoints(folder / "training", seconds=0))
    new().learn(sessions, resume=folder / "training").save(folder / "agent.safetensors")
    return type(new()).load(folder / "agent.safetensors", device="cpu").slate_scores(sessions)


@pytest.mark.parametrize("default", ["device", "type", "inference mode"])
def test_trainings_are_stopped_and_stored_alike(default, tmp_path):
    sessions = log("simulated").select(np.arange(30))
    expected = learned_in_two_sittings(sessions, tmp_path / "expected")
    with DEFAULTS[default]():
        under = learned_in_two_sittings(sessions, tmp_path / "under")
    np.testing.assert_array_equal(under, expected)


def planned(sessions):
    agent = ChoicePlanner(sessions.num_items, 5, seed=0).learn(sessions)
    agent.set_random_seed(0)
    return agent.predict(np.full(4, sessions.num_items))[0], agent.slate_scores(sessions)


@pytest.mark.parametrize("default", DEFAULTS)
def test_planners_plan_alike(default):
    sessions = log("simulated").select(np.arange(60))
    expected = planned(sessions)
    with DEFAULTS[default]():
        under = planned(sessions)
    for ours, theirs in zip(under, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("default", DEFAULTS)
def test_users_answer_alike(default, tmp_path):
    def play():
        model = UserModel.create(UserModelConfig(9, 3, "leave"), seed=0, device="cpu")
        model.save(tmp_path / "model.safetensors")
        env = gym.make_vec("UserModel-v0", num_envs=6, user_model=str(tmp_path / "model.safetensors"), device="cpu")
        env.reset(seed=1)
        slates = np.random.default_rng(0).permuted(np.tile(np.arange(9), (6, 1)), axis=1)[:, :3]
        return [env.step(slates)[0].tolist() for _ in range(9)]

    expected = play()
    with DEFAULTS[default]():
        assert play() == expected
