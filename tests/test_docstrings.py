"""Docstrings open with what a thing is or does; a class name stands for one thing."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("irecgan_gym", "agents", "benchmarks", "examples")
OPENINGS = ("What ", "How ", "Where ", "When ", "Who ", "Whoever ", "Whether ", "One that ", "One of ")


def modules(folder):
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / folder).rglob("*.py"))}


def opening_faults(module):
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = (ast.get_docstring(node) for node in ast.walk(module) if isinstance(node, nodes))
    return [text.splitlines()[0] for text in docstrings if text and text.startswith(OPENINGS)]


def test_a_fault_is_found():
    assert opening_faults(ast.parse('def f():\n    """What f does."""\n')) == ["What f does."]


@pytest.mark.parametrize("folder", FOLDERS)
def test_docstrings_say_what_a_thing_is_or_does(folder):
    found = {str(path): opening_faults(module) for path, module in modules(folder).items()}
    assert found
    assert {path: faults for path, faults in found.items() if faults} == {}


def test_a_class_name_stands_for_one_thing():
    places = defaultdict(list)
    for folder in FOLDERS[:3]:
        for path, module in modules(folder).items():
            for node in ast.walk(module):
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(str(path.relative_to(ROOT)))
    assert "IRecGAN" in places
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}
