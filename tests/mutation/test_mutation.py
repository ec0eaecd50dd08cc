"""Mutation testing itself: which changes are tried, the trees they are tried in, and what the report says."""

import json

import pytest

from tests.mutation import report
from tests.mutation.report import wilson
from tests.mutation.tree import make_tree

SOURCE = """
from typing import Protocol


class Asked(Protocol):
    def play(self, draws: int = 1) -> None: ...


class Loop:
    @property
    def size(self):
        return self.n + 1

    def run(self, items, recorder):
        for item in items:
            recorder.record(item, step=3)
        if self.done(items):
            raise ValueError("never" + str(1))
"""


@pytest.fixture
def changes(tmp_path, monkeypatch):
    pytest.importorskip("mutmut", reason="needs Python 3.11")
    from mutmut import configuration
    from mutmut.mutation import file_mutation, mutators, trampoline

    from tests.mutation import operators

    for module, name in (
        (file_mutation, "mutation_operators"),
        (file_mutation.MutationVisitor, "_skip_node_and_children"),
        (file_mutation, "function_trampoline_arrangement"),
        (trampoline, "wrap_in_trampoline"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))
    assert mutators.mutation_operators
    operators.install()
    (tmp_path / "pyproject.toml").write_text('[tool.mutmut]\nsource_paths = ["package"]\n')
    monkeypatch.chdir(tmp_path)
    configuration.reset_config()
    yield file_mutation.mutate_file_contents("loop.py", SOURCE)
    configuration.reset_config()


def test_what_a_training_loop_is_made_of_is_changed(changes):
    lines = {line.strip() for line in changes.code.splitlines()}
    assert "for item in ():" in lines
    assert "pass" in lines
    assert "recorder.record(item, step=4)" in lines
    assert "recorder.record(item, )" in lines
    assert "recorder.record(step=3)" in lines
    assert "if not (self.done(items)):" in lines
    assert "return self.n - 1" in lines
    # Neither texts of errors nor the methods that others must have.
    assert 'raise ValueError("never" - str(1))' not in lines
    assert not any("Asked" in name for name in changes.mutant_names)


def test_mutated_code_runs_and_shows_its_defaults(changes):
    pytest.importorskip("mutmut")
    scope = {"__name__": "loop"}
    exec(changes.code, scope)
    loop = scope["Loop"]()
    loop.n = 4
    assert loop.size == 5
    loop.done = lambda items: False
    seen = []
    loop.run([1, 2], type("Recorder", (), {"record": lambda self, item, step: seen.append((item, step))})())
    assert seen == [(1, 3), (2, 3)]


def test_the_interval_of_a_score():
    # The 95% interval of 45 out of 50, as in textbooks.
    assert wilson(45, 50) == pytest.approx((0.7864, 0.9565), abs=1e-4)
    assert wilson(50, 50)[1] == pytest.approx(1)


def test_the_report_counts_what_is_explained_and_what_is_not(tmp_path, monkeypatch):
    for name in ("SCORES", "EXPLAINED", "REPORT"):
        monkeypatch.setattr(report, name, tmp_path / name)
    survivors = [
        {"file": "a.py", "function": "f", "before": "x = 1", "after": after} for after in ("x = 2", "x = None")
    ]
    report.add_result("planning", {"total": 40, "chosen": 25, "run": 20, "killed": 18, "survivors": survivors})
    report.EXPLAINED.write_text(
        '[[survivors]]\nfile = "a.py"\nfunction = "f"\nwhy = "Nobody reads it."\nchanged = ["x = 2"]\n'
    )
    assert report.write_report() == 1
    written = report.REPORT.read_text()
    assert "| planning | 40 | 20 | 18 | 90.0% (69.9% to 97.2%) | 1 | 1 |" in written
    assert "Nobody reads it.\n\n```diff\n@@ a.py, f\n- x = 1\n+ x = 2\n```" in written
    assert "+ x = None" in written
    assert "Cut short: 20 of the 25 mutants chosen were run" in written
    assert json.loads(report.SCORES.read_text())["planning"]["killed"] == 18


def test_a_tree_follows_the_repository(tmp_path):
    for name in ("irecgan_gym/planning/a.py", "irecgan_gym/b.py", "agents/c.py", "tests/test_d.py", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("# 1\n")
    tree = make_tree(tmp_path, "planning")
    assert {str(path.relative_to(tree)) for path in tree.rglob("*.py")} == {
        "irecgan_gym/planning/a.py",
        "irecgan_gym/b.py",
        "irecgan_gym/agents/c.py",
        "tests/test_d.py",
    }
    assert 'only_mutate = ["irecgan_gym/planning/*"]' in (tree / "pyproject.toml").read_text()
    before = (tree / "irecgan_gym/b.py").stat().st_mtime_ns
    (tmp_path / "tests/test_d.py").unlink()
    (tmp_path / "agents/c.py").write_text("# 2\n")
    assert make_tree(tmp_path, "planning") == tree
    assert not (tree / "tests/test_d.py").exists()
    assert (tree / "irecgan_gym/agents/c.py").read_text() == "# 2\n"
    assert (tree / "irecgan_gym/b.py").stat().st_mtime_ns == before
    # Verdicts of other operators are worth nothing.
    (tree / "mutants").mkdir()
    (tree / "operators.txt").write_text("others")
    make_tree(tmp_path, "planning")
    assert not (tree / "mutants").exists()
