"""Trees in the installed layout, in which mutmut finds each module under the name by which tests import it."""

from __future__ import annotations

import shutil
from pathlib import Path

# For each folder: where its code lies in the installed package, and the tests that must notice its mutants.
FOLDERS: dict[str, tuple[str, ...]] = {
    "planning": ("tests/planning",),
    "wrappers": ("tests/wrappers",),
    "models": ("tests/models",),
    "readers": ("tests/readers",),
    "kernels": ("tests/kernels",),
    "agents": ("tests/agents", "tests/models/test_fitting.py"),
}
# Tests that draw many sessions, or start processes: slow, and what they show is shown by others.
_LEFT_OUT = (
    "tests/agents/references/test_pg_limit.py::test_pg_comes_near_its_limit_and_not_past_it",
    "tests/kernels/test_jit.py",
    "tests/models/test_discriminator.py::test_it_learns_to_tell_two_kinds_of_sessions_apart",
    "tests/models/test_heads.py::test_a_fitted_term_takes_the_place_and_leaves_the_items_alone",
    "tests/models/test_sequence_score.py::test_rollouts_match_a_loop_over_single_sessions",
    "tests/models/test_sequence_score.py::test_many_rollouts_have_the_exact_expectation",
    "tests/models/test_user_model.py::test_fitting_finds_a_known_user",
    "tests/readers/test_formats.py::test_millions_of_items_are_no_burden",
    "tests/readers/test_formats.py::test_the_command_runs_without_torch",
    "tests/planning/test_logged_returns.py::test_returns_are_the_means_of_logged_ones",
)
# numba cannot compile a function that chooses among mutants, so kernels run as plain Python there.
_PLAIN_DECORATORS = '''"""Decorators for kernels, without numba: mutants run as plain Python."""


def compiled(function):
    return function


def inlined(function):
    return function
'''


def make_tree(repository: Path, folder: str) -> Path:
    """Copy the sources and tests to build/mutants/<folder>, as they are installed; unchanged files stay untouched."""
    tree = repository / "build" / "mutants" / folder
    # Results do not outlive the operators that they were made with.
    makers, stamp = (Path(__file__).parent / "operators.py").read_text(), tree / "operators.txt"
    if not stamp.exists() or stamp.read_text() != makers:
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir(parents=True)
        stamp.write_text(makers)
    parts = {"irecgan_gym": "irecgan_gym", "agents": "irecgan_gym/agents", "benchmarks": "irecgan_gym/benchmarks"}
    copies = set()
    for source, target in (parts | {"tests": "tests"}).items():
        copies |= _copy(repository / source, tree / target)
    for name in ("irecgan_gym", "tests"):
        for path in (tree / name).rglob("*.py"):
            if path not in copies:
                path.unlink()
                (tree / "mutants" / path.relative_to(tree)).unlink(missing_ok=True)
    settings = (repository / "pyproject.toml").read_text() + _mutmut_settings(folder)
    (tree / "pyproject.toml").write_text(settings)
    if folder == "kernels":
        (tree / "irecgan_gym/kernels/jit.py").write_text(_PLAIN_DECORATORS)
    return tree


def _copy(source: Path, target: Path) -> set[Path]:
    """Copy what has changed; all files that are there now."""
    copies = set()
    for path in source.rglob("*"):
        if path.is_dir() or "__pycache__" in path.parts:
            continue
        copy = target / path.relative_to(source)
        copies.add(copy)
        if not copy.exists() or copy.read_bytes() != path.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            # The time of the copy, not of the source: mutmut makes the mutants of younger files again.
            shutil.copyfile(path, copy)
    return copies


def _mutmut_settings(folder: str) -> str:
    tests = ", ".join(f'"{path}"' for path in FOLDERS[folder])
    # How models are fitted is tested together with the other training loops.
    fitting = ', "irecgan_gym/models/fitting.py"' if folder == "agents" else ""
    left_out = ", ".join(f'"--deselect", "{test}"' for test in _LEFT_OUT)
    return f"""
[tool.mutmut]
source_paths = ["irecgan_gym"]
only_mutate = ["irecgan_gym/{folder}/*"{fitting}]
do_not_mutate = ["irecgan_gym/kernels/jit.py"{"" if fitting else ', "irecgan_gym/models/fitting.py"'}]
pytest_add_cli_args_test_selection = [{tests}]
pytest_add_cli_args = ["-p", "pytest_plugin", "-p", "no:cacheprovider", {left_out}]
track_dependencies = false
use_git_change_detection = false
on_dependency_change = "ignore"
timeout_multiplier = 2.0
timeout_constant = 5.0
"""
