"""The closed loop of serving and learning, as a user would run it."""

import importlib
import re

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("uvicorn", reason="needs the extra serve")


def test_the_loop_is_closed_and_earns_more_than_random_slates(tmp_path, capsys):
    program = importlib.import_module("examples.serve_and_learn")
    earned = program.main(program.Args(folder=tmp_path, rounds=2, sessions=150, epochs=10))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(earned) == 2
    assert earned[1] > earned[0]
    (expected,) = re.findall(r"expected ([\d.]+) \([\d.]+ to [\d.]+\) by \d+ effective sessions", lines[1])
    assert 0 < float(expected) < 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["round-0", "round-1"]
