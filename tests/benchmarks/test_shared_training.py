from dataclasses import replace

import gymnasium as gym
import pytest
import torch

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.agents import IRecGANConfig, LSTMDConfig, make_agent
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.shared_training import learn_job
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.recorder import silent

IRECGAN = IRecGANConfig(
    encoder=EncoderConfig(hidden_size=8, embedding_size=6),
    fit=FitConfig(max_epochs=1),
    user_model_fit=FitConfig(max_epochs=1),
    rounds=1,
    pre_training_d_steps=1,
    num_rollouts=1,
)
JOB = Job("test", "irecgan", "max", 30, 0)


@pytest.fixture
def log():
    return gym.make("RecSim-v0", logging_policy="max", num_items=12, slate_size=3).unwrapped.collect(30, seed=0)


def learnt(name, config, log, folder, *, seed=3):
    agent = make_agent(name, num_items=12, slate_size=3, config=config, seed=seed)
    calls = []
    agent_learn = type(agent).learn

    def learn(*args, **kwargs):
        calls.append(name)
        return agent_learn(agent, *args, **kwargs)

    agent.learn = learn
    learn_job(agent, replace(JOB, agent=name), folder, log, recorder=silent)
    return agent, calls


def test_lstmd_takes_the_user_model_that_it_would_have_learnt(tmp_path, log):
    alone, calls = learnt("lstmd", LSTMDConfig(irecgan=IRECGAN), log, RunFolder(tmp_path / "alone", {}))
    assert calls == ["lstmd"]
    folder = RunFolder(tmp_path / "together", {})
    learnt("irecgan", IRECGAN, log, folder)
    adopted, calls = learnt("lstmd", LSTMDConfig(irecgan=IRECGAN), log, folder)
    assert calls == []
    assert folder.checkpoint(replace(JOB, agent="lstmd")).exists()
    for name, value in alone.user_model.state_dict().items():
        torch.testing.assert_close(adopted.user_model.state_dict()[name], value, rtol=0, atol=0)


@pytest.mark.parametrize("change", ["seed", "settings"])
def test_lstmd_learns_itself_where_the_stored_irecgan_is_another_one(tmp_path, log, change):
    folder = RunFolder(tmp_path / "run", {})
    learnt("irecgan", IRECGAN, log, folder)
    config = LSTMDConfig(irecgan=replace(IRECGAN, num_rollouts=2) if change == "settings" else IRECGAN)
    _, calls = learnt("lstmd", config, log, folder, seed=4 if change == "seed" else 3)
    assert calls == ["lstmd"]
