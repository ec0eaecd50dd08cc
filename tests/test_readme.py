"""The README's programs run."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.programs import programs

ROOT = Path(__file__).parent.parent
PROGRAMS = programs(ROOT / "README.md")


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_the_readmes_programs_run(number, tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(PROGRAMS[number], f"README program {number + 1}", "exec"), names)
    if number == 0:
        assert np.asarray(names["slate"]).shape == (10,)
    else:
        assert Path("agent.safetensors").is_file()
        # The log is one on which a user model is worth having.
        measured = names["ig"].fidelity(names["model"], names["test"], seed=0)
        assert measured.click_log_likelihood > measured.popularity_log_likelihood + 0.05
        assert measured.click_log_likelihood > measured.uniform_log_likelihood + 0.05


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_program_needs_at_most_three_lines_of_imports(number):
    assert len(re.findall(r"^(?:import|from) ", PROGRAMS[number], flags=re.MULTILINE)) <= 3
