"""Docstrings open with what a thing is or does."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("irecgan_gym", "agents", "benchmarks", "examples")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    path for folder in ("irecgan_gym", "agents", "benchmarks", "examples") for path in (ROOT / folder).rglob("*.py")
)
OPENINGS = ("What ", "How ", "Where ", "When ", "Who ", "Whoever ", "Whether ", "One that ", "One of ")


def opening_faults(source):
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = (ast.get_docstring(node) for node in ast.walk(ast.parse(source)) if isinstance(node, nodes))
    return [text.splitlines()[0] for text in docstrings if text and text.startswith(OPENINGS)]


def test_a_fault_is_found():
    assert opening_faults('def f():\n    """What f does."""\n') == ["What f does."]


@pytest.mark.parametrize("folder", FOLDERS)
def test_docstrings_say_what_a_thing_is_or_does(folder):
    files = [path for path in FILES if path.relative_to(ROOT).parts[0] == folder]
    assert files
    assert {str(path): found for path in files if (found := opening_faults(path.read_text(encoding="utf-8")))} == {}
