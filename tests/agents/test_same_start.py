"""Agents of one seed begin alike, bit for bit; what one has learned, another takes over in place of learning it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from irecgan_gym.agents import LSTMConfig, make_agent, pre_training
from irecgan_gym.agents.pre_training import start_from
from irecgan_gym.agents.treatment import Dose
from irecgan_gym.models.fitting import FitConfig
from tests.agents.test_training_loops import CONFIGS, Calls, agent_of, log  # noqa: F401 (a fixture)

SOURCES = {"pgc": ("pg", None), "pgu": ("pg", "lstm"), "acu": ("ac", "lstm"), "irecgan": ("pg", "lstm")}


def assert_same_networks(one, other):
    assert one.keys() == other.keys()
    for name, network in one.items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, other[name].state_dict()[key]), f"{name}.{key}"


def differ(one, other):
    return any(not torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())


@pytest.mark.parametrize("kind", SOURCES)
def test_agents_pre_train_what_simpler_agents_are(kind, log):  # noqa: F811
    policy, user_model = SOURCES[kind]
    agent, untaught = agent_of(kind, log, rounds=0), agent_of(kind, log)
    assert_same_networks(agent.networks(), untaught.networks())
    agent.learn(log)
    simple = agent_of(policy, log).learn(log)
    assert_same_networks({"policy": simple.policy}, {"policy": agent.policy})
    assert differ(untaught.policy, agent.policy)
    assert Dose.of(simple.treatment) == Dose.of(agent.treatment)
    if user_model is not None:
        lstm = agent_of(user_model, log).learn(log)
        assert_same_networks({"user_model": lstm.user_model}, {"user_model": agent.user_model})
        assert differ(untaught.user_model, agent.user_model)


def test_networks_depend_on_their_name_and_the_seed_alone(log):  # noqa: F811
    irecgan = agent_of("irecgan", log)
    assert_same_networks({"policy": agent_of("pgis", log).policy}, {"policy": irecgan.policy})
    assert_same_networks({"user_model": agent_of("lstmd", log).user_model}, {"user_model": irecgan.user_model})
    config = CONFIGS["irecgan"]
    other = make_agent("irecgan", num_items=12, slate_size=3, config=config, seed=1, device="cpu")
    for name, network in irecgan.networks().items():
        assert differ(network, other.networks()[name])


@pytest.mark.parametrize("kind", SOURCES)
def test_starting_from_others_is_learning_by_oneself(kind, log, monkeypatch):  # noqa: F811
    alone = agent_of(kind, log).learn(log)
    sources = {
        name: agent_of(source, log).learn(log)
        for name, source in zip(("policy", "user_model"), SOURCES[kind], strict=True)
        if source is not None
    }
    calls = Calls()
    calls.spy(monkeypatch, pre_training, "fit_policy")
    calls.spy(monkeypatch, pre_training, "fit_user_model")
    started = agent_of(kind, log)
    start_from(started, **sources)
    before = {name: source.networks()[name].state_dict() for name, source in sources.items()}
    kept = {name: {key: value.clone() for key, value in state.items()} for name, state in before.items()}
    started.learn(log)
    assert calls == []
    assert_same_networks(alone.networks(), started.networks())
    assert started.treatment == alone.treatment
    # The sources keep their own, and nothing of them is held.
    for name, source in sources.items():
        assert all(torch.equal(value, kept[name][key]) for key, value in source.networks()[name].state_dict().items())
    assert started.sources == {}


def test_stored_agents_are_started_from_too(log, tmp_path):  # noqa: F811
    pg = agent_of("pg", log).learn(log)
    pg.save(tmp_path / "pg.safetensors")
    started = agent_of("pgc", log)
    start_from(started, policy=type(pg).load(tmp_path / "pg.safetensors", device="cpu"))
    assert_same_networks(agent_of("pgc", log).learn(log).networks(), started.learn(log).networks())


def refusals(log):  # noqa: F811
    def made(kind, config, seed=0, num_items=12):
        return make_agent(kind, num_items=num_items, slate_size=3, config=config, seed=seed, device="cpu")

    pg, lstm = agent_of("pg", log).config, agent_of("lstm", log).config
    yield made("pg", pg, seed=1), "policy", "irecgan cannot start from pg: seed is 1 there, 0 here"
    yield made("pg", pg, num_items=13), "policy", "num_items is 13 there, 12 here"
    yield made("pg", replace(pg, gamma=0.5)), "policy", "irecgan cannot start from pg: gamma is 0.5 there, 0.9 here"
    yield made("pg", replace(pg, selection="objective")), "policy", "selection is objective there, last here"
    yield made("pg", replace(pg, fit=FitConfig(max_epochs=3))), "policy", r"fit is FitConfig\(.*max_epochs=3.* there"
    yield made("lstm", replace(lstm, ending="leave")), "user_model", "ending is leave there, reward here"
    yield made("lstm", replace(lstm, fit=FitConfig())), "user_model", r"fit is FitConfig\(.*max_epochs=100.* there"
    yield agent_of("ac", log), "policy", "irecgan cannot start from ac: it learns no such policy"
    yield agent_of("pgis", log), "policy", "irecgan cannot start from pgis: it learns no such policy"
    yield agent_of("pg", log), "user_model", "irecgan cannot start from pg: it learns no such user_model"
    yield agent_of("pg", log), "policy", "pg has learned 0 times, irecgan 0, not once and never"


@pytest.mark.parametrize("number", range(11))
def test_what_would_be_another_start_is_refused_by_name(number, log):  # noqa: F811
    source, network, message = list(refusals(log))[number]
    agent = agent_of("irecgan", log)
    with pytest.raises(ValueError, match=message):
        start_from(agent, **{network: source})
    assert agent.sources == {}


def test_agents_that_would_not_use_a_source_refuse_it(log):  # noqa: F811
    pg, lstm = agent_of("pg", log), agent_of("lstm", log)
    with pytest.raises(ValueError, match="acu cannot start from pg: it learns no such policy"):
        start_from(agent_of("acu", log), policy=pg)
    with pytest.raises(ValueError, match="pgc cannot start from lstm: it learns no such user_model"):
        start_from(agent_of("pgc", log), user_model=lstm)


def test_who_has_learned_starts_no_more(log):  # noqa: F811
    pg, pgc = agent_of("pg", log).learn(log), agent_of("pgc", log).learn(log)
    with pytest.raises(ValueError, match="pg has learned 1 times, pgc 1, not once and never"):
        start_from(pgc, policy=pg)


def test_an_agent_that_learns_twice_has_other_streams_than_the_first_time(log, tmp_path):  # noqa: F811
    def streams(agent):
        return [agent._seed(use) for use in ("policy_pre_training", "generation", "fidelity")]

    agent = agent_of("pgc", log)
    first = streams(agent)
    assert len(set(first)) == 3
    assert first == streams(agent_of("pgc", log))
    assert agent._rng("generation").integers(2**31) == agent._rng("generation").integers(2**31)
    second = streams(agent.learn(log))
    assert not set(first) & set(second)
    # A stored agent goes on where it was.
    agent.save(tmp_path / "agent.safetensors")
    loaded = type(agent).load(tmp_path / "agent.safetensors", device="cpu")
    assert streams(loaded) == second
    assert_same_networks(agent.learn(log).networks(), loaded.learn(log).networks())
    assert (agent.lessons, loaded.lessons) == (2, 2)
    np.testing.assert_array_equal(agent.slate_scores(log), loaded.slate_scores(log))


def test_the_order_of_sessions_is_another_one_in_the_second_lesson(log, monkeypatch):  # noqa: F811
    orders, fit = [], pre_training.fit_policy

    def ordered(*arguments, generator, **options):
        orders.append(generator.permutation(10).tolist())
        return fit(*arguments, generator=generator, **options)

    monkeypatch.setattr(pre_training, "fit_policy", ordered)
    agent = agent_of("pg", log).learn(log)
    agent.learn(log)
    agent_of("pg", log).learn(log)
    assert orders[0] == orders[2] != orders[1]


def test_user_models_of_lstm_are_ranked_otherwise_and_fitted_alike(log):  # noqa: F811
    # The ranking is no part of what is learned: any LSTM is a start.
    config = LSTMConfig(**{**vars(agent_of("lstm", log).config), "ranking": "click"})
    lstm = make_agent("lstm", num_items=12, slate_size=3, config=config, seed=0, device="cpu").learn(log)
    started = agent_of("pgu", log, rounds=0)
    start_from(started, user_model=lstm)
    assert_same_networks({"user_model": lstm.user_model}, {"user_model": started.learn(log).user_model})
