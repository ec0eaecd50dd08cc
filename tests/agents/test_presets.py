"""Presets as files: complete, true to the settings' classes, and refused with file and key where they are damaged."""

import json
from dataclasses import asdict, replace

import pytest
from irecgan_gym.agents import AGENT_NAMES, PRESET_NAMES, agent_class, preset
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
        (lambda values: values["pg"]["settings"].pop("gamma"), "mine.json: pg: 'settings' has no 'gamma'"),
        (
            lambda values: values["irecgan"]["settings"]["user_model_fit"].pop("patience"),
            "mine.json: irecgan: 'settings' has no 'user_model_fit.patience'",
        ),
        (lambda values: values["pg"]["settings"].update(gama=1), "mine.json: pg: 'settings': .* no field 'gama'"),
        (
            lambda values: values["pg"]["settings"]["fit"].update(momentum=1),
            "mine.json: pg: 'settings': FitConfig has no field 'momentum'",
        ),
        (lambda values: values["pg"]["settings"].update(gamma=2), "mine.json: pg: 'settings': gamma must be from 0"),
        (lambda values: values["pg"]["settings"].update(fit=None), "mine.json: pg: 'settings': "),
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
