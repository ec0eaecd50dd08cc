from dataclasses import replace
from functools import partial

import gymnasium as gym
import pytest
import torch

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.agents import (
    ACConfig,
    ACUConfig,
    IRecGANConfig,
    LSTMConfig,
    LSTMDConfig,
    PGCConfig,
    PGConfig,
    PGUConfig,
    make_agent,
    pre_training,
)
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.shared_training import learn_job, stage_of
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
SHARED = {"encoder": IRECGAN.encoder, "fit": IRECGAN.fit}
CONFIGS = {
    "pg": PGConfig(**SHARED),
    "ac": ACConfig(**SHARED),
    "lstm": LSTMConfig(**SHARED),
    "pgc": PGCConfig(**SHARED, rounds=1),
    "pgu": PGUConfig(**SHARED, user_model_fit=IRECGAN.fit, rounds=1),
    "acu": ACUConfig(**SHARED, user_model_fit=IRECGAN.fit, rounds=1),
    "irecgan": IRECGAN,
}
STARTS = {"pgc": {"pg"}, "pgu": {"pg", "lstm"}, "acu": {"ac", "lstm"}, "irecgan": {"pg", "lstm"}}


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


@pytest.fixture
def pre_trained(monkeypatch):
    """The networks that agents have pre-trained themselves."""
    done = []

    def counted(fit, network, *arguments, **options):
        done.append(network)
        return fit(*arguments, **options)

    for name, network in (("fit_policy", "policy"), ("fit_user_model", "user_model")):
        monkeypatch.setattr(pre_training, name, partial(counted, getattr(pre_training, name), network))
    return done


@pytest.mark.parametrize("name", STARTS)
def test_what_others_have_learned_is_taken_over_and_changes_nothing(name, tmp_path, log, pre_trained):
    alone, _ = learnt(name, CONFIGS[name], log, RunFolder(tmp_path / "alone", {}))
    assert len(pre_trained) == len(STARTS[name])
    folder = RunFolder(tmp_path / "together", {})
    for source in ("pg", "ac", "lstm"):
        learnt(source, CONFIGS[source], log, folder)
    pre_trained.clear()
    together, calls = learnt(name, CONFIGS[name], log, folder)
    assert calls == [name]
    assert pre_trained == []
    for network, module in alone.networks().items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, together.networks()[network].state_dict()[key])
    assert together.treatment == alone.treatment


@pytest.mark.parametrize("change", ["seed", "settings", "features", "cell"])
def test_agents_learn_by_themselves_where_what_is_stored_is_another_start(change, tmp_path, log, pre_trained):
    folder = RunFolder(tmp_path / "run", {})
    config = replace(CONFIGS["pg"], gamma=0.5) if change == "settings" else CONFIGS["pg"]
    agent = make_agent("pg", num_items=12, slate_size=3, config=config, seed=4 if change == "seed" else 3)
    changed = {"features": {"agent": "pg+all"}, "cell": {"num_sessions": 31}}
    learn_job(agent, replace(JOB, **{"agent": "pg"} | changed.get(change, {})), folder, log, recorder=silent)
    pre_trained.clear()
    learnt("pgc", CONFIGS["pgc"], log, folder)
    assert pre_trained == ["policy"]


def test_variants_and_features_start_from_what_has_the_same_features(tmp_path, log, pre_trained):
    folder = RunFolder(tmp_path / "run", {})
    for features in ("", "+all"):
        config = replace(CONFIGS["pg"], gamma=0.5) if features else CONFIGS["pg"]
        agent = make_agent("pg", num_items=12, slate_size=3, config=config, seed=3)
        learn_job(agent, replace(JOB, agent=f"pg{features}"), folder, log, recorder=silent)
    pre_trained.clear()
    for name, gamma in (("pgc+r_steps=2", 0.9), ("pgc+all", 0.5), ("pgc+r_steps=2+all", 0.5)):
        config = replace(CONFIGS["pgc"], gamma=gamma, r_steps=2 if "r_steps" in name else 1)
        agent = make_agent("pgc", num_items=12, slate_size=3, config=config, seed=3)
        learn_job(agent, replace(JOB, agent=name), folder, log, recorder=silent)
        assert folder.checkpoint(replace(JOB, agent=name)).exists()
    assert pre_trained == []


def test_jobs_that_others_take_over_come_before_them():
    stages = {
        0: ["pg", "ac", "lstm", "pg+all", "lstm+ranking=click", "ac+gamma=0.5+all"],
        1: ["irecgan", "pgc", "pgu", "acu", "pgis", "irecgan+rounds=3", "irecgan+all", "random", "own:Agent"],
        2: ["lstmd", "lstmd+all", "lstmd+irecgan.rounds=3"],
    }
    for stage, names in stages.items():
        for name in names:
            assert stage_of(replace(JOB, agent=name)) == stage


def test_jobs_tell_the_treatment(tmp_path, log):
    folder = RunFolder(tmp_path / "run", {})
    agent = make_agent("pgc", num_items=12, slate_size=3, config=CONFIGS["pgc"], seed=3)
    treatment = learn_job(agent, replace(JOB, agent="pgc"), folder, log, recorder=silent)
    # One batch of the 27 sessions, and one of those and as many again.
    assert (treatment["treatment/policy_updates"], treatment["treatment/sessions_seen"]) == (2, 81)
    assert treatment == agent.treatment


@pytest.mark.parametrize("change", ["seed", "settings"])
def test_lstmd_learns_itself_where_the_stored_irecgan_is_another_one(tmp_path, log, change):
    folder = RunFolder(tmp_path / "run", {})
    learnt("irecgan", IRECGAN, log, folder)
    config = LSTMDConfig(irecgan=replace(IRECGAN, num_rollouts=2) if change == "settings" else IRECGAN)
    _, calls = learnt("lstmd", config, log, folder, seed=4 if change == "seed" else 3)
    assert calls == ["lstmd"]
