"""The programs of the documentation run, and its generated parts say what the code says."""

import importlib.util
import os
import re
import sys
from pathlib import Path

import gymnasium as gym
import pytest

from irecgan_gym import __version__
from irecgan_gym.agents import AGENT_NAMES, agent_class
from tests.programs import commands, files, programs

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
# Pages that are made of other files are tested with those.
PAGES = sorted(page.relative_to(DOCS) for page in DOCS.rglob("*.md") if "generated" not in page.parts)
WITH_PROGRAMS = [str(page) for page in PAGES if programs(DOCS / page)]
WITH_COMMANDS = [str(page) for page in PAGES if page.parent.name == "tutorials" and commands(DOCS / page)]


def extension(name):
    sys.path.insert(0, str(DOCS / "extensions"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


def in_checkout(tmp_path, monkeypatch):
    """Work in an empty folder that has the checkout's examples."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)


def write_files(page, tmp_path, monkeypatch):
    """Write the files of a page, where this process and those that it starts find them."""
    for name, text in files(DOCS / page).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize("page", WITH_PROGRAMS)
def test_a_pages_programs_run_one_after_the_other(page, tmp_path, monkeypatch):
    if "bring-your-own" in page and importlib.util.find_spec("sb3_contrib") is None:
        pytest.skip("sb3-contrib is not installed")
    if "warehouse" in page:
        pytest.importorskip("tyro")
    in_checkout(tmp_path, monkeypatch)
    write_files(page, tmp_path, monkeypatch)
    names: dict[str, object] = {"__name__": "program"}
    for number, program in enumerate(programs(DOCS / page), 1):
        exec(compile(program, f"{page}, program {number}", "exec"), names)


@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_a_tutorials_commands_run_one_after_the_other(page, tmp_path, monkeypatch):
    pytest.importorskip("tyro")
    main = importlib.import_module("irecgan_gym.benchmarks.main").main
    in_checkout(tmp_path, monkeypatch)
    write_files(page, tmp_path, monkeypatch)
    for words in commands(DOCS / page):
        assert main(words) == 0, words
    for words in commands(DOCS / page):
        assert Path(words[words.index("--out") + 1]).exists()


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_own_code_of_a_tutorial_is_short(page):
    for name, text in files(DOCS / page).items():
        code = [line for line in text.splitlines() if line.strip()]
        assert len(code) < 30, name


def test_vector_envs_name_the_module_that_workers_import():
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(DOCS / page for page in PAGES)):
        for env_id in re.findall(r'make_vec(?:_env)?\("([^"]+)"', page.read_text()):
            assert env_id.startswith("irecgan_gym:"), (page.name, env_id)


def test_every_agent_has_a_page_that_runs():
    assert {f"agents/{name}.md" for name in AGENT_NAMES} <= set(WITH_PROGRAMS)


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_tables_of_settings_explain_every_setting(name):
    pytest.importorskip("docutils")
    pytest.importorskip("sphinx")
    table = extension("settings_table").settings_markdown(agent_class(name).config_type)
    assert f"settings}} {agent_class(name).config_type.__module__}" in (
        DOCS / "agents" / f"{name}.md"
    ).read_text().replace("`", "")
    rows = {line.split(" | ")[0]: line for line in table.splitlines()[2:]}
    assert all(len(row.split(" | ")[2]) > 5 for row in rows.values())
    if name == "pg":
        assert rows["| `gamma`"] == "| `gamma` | `0.9` | discount factor of the reward-to-go. |"


def test_a_page_an_environment_class_in_the_words_of_its_docstring():
    pytest.importorskip("sphinx")
    pages = extension("environment_pages")
    found = {pages._page_name(specs): pages.page_text(specs) for specs in pages._specs_by_class()}
    assert set(found) == {"recsim-v0", "usermodel-v0"}
    for page in found.values():
        for section in (
            "Description",
            "Action Space",
            "Observation Space",
            "Rewards",
            "Starting State",
            "Episode End",
            "Arguments",
            "Version History",
        ):
            assert f"\n## {section}\n" in page
    ids = [env_id for env_id in gym.registry if env_id.startswith(("RecSim", "UserModel"))]
    assert all(any(f"| `{env_id}` |" in page for page in found.values()) for env_id in ids)
    assert ":class:" not in found["recsim-v0"].replace("{py:class}", "")


def test_equations_are_drawn_by_the_browser():
    latex = pytest.importorskip("docutils.utils.math.latex2mathml")
    equations = []
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", (DOCS / page).read_text(), flags=re.DOTALL | re.MULTILINE)
        equations += [block or inline for block, inline in re.findall(r"\$\$(.+?)\$\$|\$([^$]+?)\$", text, re.DOTALL)]
    assert len(equations) > 30
    for equation in equations:
        assert latex.tex2mathml(equation).startswith("<math")


def test_versions_agree():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## Release {__version__} " in (ROOT / "CHANGELOG.md").read_text()


def test_tables_of_docstrings_are_tables_of_the_reference():
    pytest.importorskip("sphinx")
    lines = ["Files:", "", "  | file | holds |", "  | --- | --- |", "  | `a` | ``b`` |", "", "| not a table"]
    assert extension("docstring_tables").with_list_tables(lines) == [
        "Files:",
        "",
        "",
        "  .. list-table::",
        "     :header-rows: 1",
        "",
        "     * - file",
        "       - holds",
        "     * - ``a``",
        "       - ``b``",
        "",
        "",
        "| not a table",
    ]
