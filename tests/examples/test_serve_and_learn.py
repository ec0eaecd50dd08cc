"""The closed loop of serving and learning, as a user would run it."""

import importlib
import re

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("uvicorn", reason="needs the extra serve")


def test_the_loop_is_closed_and_earns_more_than_random_slates(tmp_path, capsys):
    program = importlib.import_module("examples.serve_and_learn")
    earned = program.main(program.Args(folder=tmp_path, rounds=2, sessions=150))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(earned) == 2
    # A session of random slates earns 1.6, with a standard deviation of 1.8; one of the learned policy earns 0.8 more.
    # Two standard errors of the difference between two rounds of 150 sessions are 0.4.
    assert earned[1] > earned[0] + 0.4
    (expected,) = re.findall(r"expected ([\d.]+) \([\d.]+ to [\d.]+\) by \d+ effective sessions", lines[1])
    assert 0 < float(expected) < 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["round-0", "round-1"]
