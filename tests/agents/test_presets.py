"""Presets and agents by name: read without loss, refused with file and key where damaged, open to other packages."""

import hashlib
import json
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest

from irecgan_gym.agents import AGENT_NAMES, PG, PLANNER_NAMES, PRESET_NAMES, PGConfig, agent_class, make_agent, preset
from irecgan_gym.agents.preset_file import read_preset_file, write_preset_file
from irecgan_gym.agents.presets import preset_entries, preset_file

TYPES = {name: agent_class(name).config_type for name in AGENT_NAMES}


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_presets_are_read_and_written_without_loss(name, tmp_path):
    entries = preset_entries(name)
    assert tuple(entries) == AGENT_NAMES
    for agent, entry in entries.items():
        assert type(entry.settings) is TYPES[agent]
        assert entry.provenance
        assert preset(agent, name) == entry.settings
    write_preset_file(tmp_path / "again.json", entries)
    assert read_preset_file(tmp_path / "again.json", TYPES) == entries
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads(preset_file(name).read_text())


@pytest.mark.parametrize("agent", AGENT_NAMES)
def test_fast_is_what_agents_do_without_settings(agent):
    assert preset(agent, "fast") == TYPES[agent]()


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_agents_that_differ_in_one_thing_share_all_other_settings(name):
    irecgan = asdict(preset("irecgan", name))
    assert asdict(preset("lstmd", name))["irecgan"] == irecgan
    for agent in ("pgu", "pgc"):
        settings = asdict(preset(agent, name))
        assert settings == {key: irecgan[key] for key in settings}


def damaged(tmp_path, damage):
    values = json.loads(preset_file("fast").read_text())
    damage(values)
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(values))
    return file


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda values: values.pop("pg"), "mine.json has no 'pg'"),
        (lambda values: values.update(dqn={}), "mine.json has an unknown 'dqn'"),
        (lambda values: values["pg"].pop("provenance"), "mine.json: pg has no 'provenance'"),
        (lambda values: values["pg"].update(provenance={}), "mine.json: pg: 'provenance' must say"),
        (lambda values: values["pg"]["settings"].update(gama=1), "mine.json: pg: 'settings': .* no field 'gama'"),
        (
            lambda values: values["pg"]["settings"].update(fit={"momentum": 1}),
            "mine.json: pg: 'settings': FitConfig has no field 'momentum'",
        ),
        (lambda values: values["pg"]["settings"].update(gamma=2), "mine.json: pg: 'settings': gamma must be from 0"),
        (lambda values: values["pg"]["settings"].update(fit=None), "FitConfig takes an object of settings, got None"),
    ],
)
def test_damaged_files_are_refused_with_file_and_key(damage, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_preset_file(damaged(tmp_path, damage), TYPES)


def test_what_is_no_json_is_refused(tmp_path):
    (tmp_path / "mine.json").write_text("{")
    with pytest.raises(ValueError, match=r"mine\.json is not valid JSON"):
        read_preset_file(tmp_path / "mine.json", TYPES)


def test_settings_change_in_the_file_alone(tmp_path):
    entries = preset_entries("fast")
    entries["pg"] = replace(entries["pg"], settings=replace(entries["pg"].settings, gamma=0.5))
    write_preset_file(tmp_path / "mine.json", entries)
    assert read_preset_file(tmp_path / "mine.json", TYPES)["pg"].settings.gamma == 0.5
    assert preset("pg", "fast").gamma == 0.9


def test_a_preset_file_names_what_differs_from_the_defaults_alone():
    settings = {agent: entry["settings"] for agent, entry in json.loads(preset_file("fast").read_text()).items()}
    assert settings == {agent: {} for agent in AGENT_NAMES}
    paper = json.loads(preset_file("paper").read_text())["pg"]["settings"]
    assert paper["encoder"] == {"num_layers": 2, "hidden_size": 512, "embedding_std": 1.0}


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("fast", "7d5c79ee85a13e62"),
        ("paper", "a04e02df019d2de8"),
        ("tuned", "0e909b761f137d84"),
    ],
)
def test_defaults_that_change_do_not_change_presets_unnoticed(name, digest):
    """Published results were made with these settings; where they change on purpose, so do the digests."""
    resolved = {agent: asdict(preset(agent, name)) for agent in AGENT_NAMES}
    assert hashlib.sha256(json.dumps(resolved, sort_keys=True).encode()).hexdigest()[:16] == digest


OWN_AGENT = """
from irecgan_gym.agents import PG, PGConfig

class Mine(PG):
    kind = "mine"

class Tuned(PG):
    kind = "tuned-pg"
    presets = {"paper": PGConfig(gamma=0.5)}

class Stranger:
    pass

number = 3
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed distribution with agents of its own and entry points for them."""
    (tmp_path / "own_agents.py").write_text(OWN_AGENT)
    information = tmp_path / "own_agents-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: own-agents\nVersion: 1.0\n")
    points = {"mine": "own_agents:Mine", "lost": "own_agents:Lost", "odd": "own_agents:Stranger"}
    lines = [f"{name} = {value}" for name, value in points.items()]
    (information / "entry_points.txt").write_text("\n".join(["[irecgan_gym.agents]", *lines]) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_agents", None)


@pytest.mark.parametrize("name", ["mine", "own_agents:Mine"])
def test_agents_of_other_packages_are_made_by_name(name, package):
    agent = make_agent(name, num_items=5, slate_size=2, device="cpu")
    assert (agent.kind, type(agent).__name__) == ("mine", "Mine")
    assert isinstance(agent, PG)
    assert agent.predict(np.array([5]))[0].shape == (1, 2)
    assert preset(name, "paper") == PGConfig()


@pytest.mark.parametrize("name", PLANNER_NAMES)
def test_planners_are_made_by_name_with_their_defaults(name):
    agent = make_agent(name, num_items=5, slate_size=2)
    assert agent.kind == name
    assert preset(name, "paper") == agent.config == type(agent).config_type()
    assert agent.predict(np.array([5]))[0].shape == (1, 2)


def test_an_agent_may_bring_presets_of_its_own(package):
    assert preset("own_agents:Tuned", "paper").gamma == 0.5
    assert preset("own_agents:Tuned", "fast") == PGConfig()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dqn", r"agent must be one of .*'lost', 'mine', 'odd'\) or 'module:Class', got 'dqn'"),
        ("no_such_module:Mine", "agent 'no_such_module:Mine': No module named 'no_such_module'"),
        ("own_agents:Missing", "agent 'own_agents:Missing': .* has no attribute 'Missing'"),
        ("own_agents:", "agent 'own_agents:': .*it must be 'module:Class'"),
        (":Mine", "agent ':Mine': .*it must be 'module:Class'"),
        ("own_agents:number", "agent 'own_agents:number' must be a class that extends .*Agent, got 3"),
        ("own_agents:Stranger", "must be a class that extends irecgan_gym.agents.Agent"),
        ("lost", "agent 'lost' \\(entry point 'own_agents:Lost'\\): .* has no attribute 'Lost'"),
        ("odd", "agent 'odd' must be a class that extends irecgan_gym.agents.Agent"),
        ("irecgan_gym.agents:PolicyAgent", "the class PolicyAgent has no 'kind'"),
        ("irecgan_gym.agents:Belief", "the class Belief has no"),
    ],
)
def test_names_of_what_is_no_agent_are_refused(name, message, package):
    with pytest.raises(ValueError, match=message):
        agent_class(name)
