"""Agents by name on the command line, and variants of them with other settings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from irecgan_gym.agents import PG, IRecGAN, IRecGANConfig, LSTMDConfig, PGConfig, preset
from irecgan_gym.benchmarks.engine.command import SettingsError
from irecgan_gym.benchmarks.joining import agent_settings, agent_type, as_json, check_agents
from irecgan_gym.benchmarks.rerank_features import FEATURES, agent_config, label, of_label
from irecgan_gym.models.fitting import FitConfig


@pytest.mark.parametrize("name", ["pg", "pg+gamma=0.5", "pg+selection=objective+fit.max_epochs=3"])
def test_a_variant_is_an_agent_of_the_same_class(name):
    assert agent_type(name) is PG


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("irecgan", IRecGANConfig()),
        ("irecgan+rounds=24", IRecGANConfig(rounds=24)),
        ("irecgan+rounds=24+fit.max_epochs=5", IRecGANConfig(rounds=24, fit=FitConfig(max_epochs=5))),
        ("irecgan+score_at=click", IRecGANConfig(score_at="click")),
        ("irecgan+return_baseline=true", IRecGANConfig(return_baseline=True)),
        ("irecgan+patience=null+length_cut=2.0", IRecGANConfig(patience=None, length_cut=2.0)),
        ("lstmd+irecgan.rounds=3", LSTMDConfig(IRecGANConfig(rounds=3))),
        (
            "lstmd+irecgan.discriminator_fit.learning_rate=1e-4",
            LSTMDConfig(
                IRecGANConfig(discriminator_fit=replace(IRecGANConfig().discriminator_fit, learning_rate=1e-4))
            ),
        ),
        ("irecgan_gym.agents:PG+gamma=0.25", PGConfig(gamma=0.25)),
    ],
)
def test_settings_of_variants(name, expected):
    assert agent_settings(name, "fast") == expected
    check_agents([name])


def test_what_a_variant_does_not_name_is_that_of_the_preset():
    paper = preset("pgc", "paper")
    assert agent_settings("pgc+r_steps=1+fit.batch_size=8", "paper") == replace(
        paper, r_steps=1, fit=replace(paper.fit, batch_size=8)
    )
    assert agent_settings("pgc+r_steps=1", "paper") != agent_settings("pgc+r_steps=1", "fast")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pg+gamma", r"--agents: pg\+gamma: after a \+ comes setting=value, got 'gamma'"),
        ("pg+", "after a .* comes setting=value, got ''"),
        ("pg+=3", "after a .* comes setting=value, got '=3'"),
        ("pg+gamma=", "after a .* comes setting=value, got 'gamma='"),
        ("pg+rounds=3", "there is no setting 'rounds'; there are encoder, fit, validation_fraction, gamma"),
        ("pg+fit.rounds=3", "there is no setting 'fit.rounds'"),
        ("pg+gamma.fit=3", "there is no setting 'gamma.fit'"),
        ("pg+no.such.thing=3", "there is no setting 'no.such.thing'"),
        ("pg+gamma=2", r"--agents: pg\+gamma=2: gamma must be from 0 to 1, got 2"),
        ("pg+selection=best", "selection must be 'last', 'objective', .* or 'sndr-lower', got 'best'"),
        ("pg+fit.max_epochs=0", "max_epochs must be at least 1, got 0"),
        ("pg+gamma=high", r"--agents: pg\+gamma=high: "),
        ("pg+fit=3", r"--agents: pg\+fit=3: "),
        ("pq+gamma=0.5", "--agents takes one or more of irecgan, .* or module:Class, got: pq"),
        ("nowhere:Agent+gamma=0.5", "nowhere:Agent: No module named 'nowhere'"),
    ],
)
def test_variants_that_make_no_sense_are_refused(name, message):
    with pytest.raises(SettingsError, match=message):
        check_agents([name])


def test_one_variant_stands_once():
    check_agents(["pg", "pg+gamma=0.5", "pg+gamma=0.8"])
    with pytest.raises(SettingsError, match="--agents takes one or more different values"):
        check_agents(["pg+gamma=0.5", "pg+gamma=0.5"])


def test_settings_are_told_as_json():
    assert as_json(agent_settings("pg+fit.max_epochs=7", "fast"))["fit"]["max_epochs"] == 7
    assert as_json(None) == {}
    assert agent_type("irecgan+rounds=3") is IRecGAN


@pytest.mark.parametrize("agent", ["pg", "pg+gamma=0.5", "own:Agent"])
@pytest.mark.parametrize("features", FEATURES)
def test_names_of_agents_with_features_are_taken_apart_again(agent, features):
    assert of_label(label(agent, features)) == (agent, features)


def test_variants_have_features_of_real_logs_too():
    config = agent_config("irecgan+rounds=3", "fast", FEATURES["all"])
    assert config == replace(agent_config("irecgan", "fast", FEATURES["all"]), rounds=3)
    assert (config.rounds, config.ending, config.encoder.recall) == (3, "leave", True)
