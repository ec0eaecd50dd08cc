"""The README's programs run."""

from pathlib import Path

import numpy as np
import pytest

from tests.programs import programs

PROGRAMS = programs(Path(__file__).parent.parent / "README.md")


@pytest.fixture
def log_file(tmp_path, monkeypatch, rng):
    """Somebody's logs, where the README's program looks for them."""
    monkeypatch.chdir(tmp_path)
    lines = ["session,user,slate,click,purchase"]
    for session in range(60):
        for _ in range(rng.integers(1, 4)):
            slate = rng.permutation(30)[:6]
            lines.append(f"{session},{session % 40},{'|'.join(map(str, slate))},{rng.choice(slate)},{rng.integers(2)}")
    Path("log.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.usefixtures("log_file")
@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_the_readmes_programs_run(number):
    names: dict[str, object] = {}
    exec(compile(PROGRAMS[number], f"README program {number + 1}", "exec"), names)
    if number == 0:
        assert np.asarray(names["slate"]).shape == (10,)
    else:
        assert Path("agent.safetensors").is_file()
