"""Imports run one way: no circles, no floor that leans on a higher one, and no PyTorch behind the front door."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {"irecgan_gym": "irecgan_gym", "irecgan_gym.agents": "agents", "irecgan_gym.benchmarks": "benchmarks"}

FLOORS = (
    # From the ground up: a floor imports from itself and from those above it in this list. docs/architecture.md tells
    # what is on each.
    ("_version", "_lazy", "recorder", "logged_metrics", "settings"),
    ("storage", "kernels"),
    ("sessions", "mdp", "slates"),
    ("planning", "readers", "minari_exchange", "rendering"),
    ("logging_policies", "collection"),
    ("models",),
    ("envs", "wrappers", "registration"),
    ("evaluation", "sb3"),
    ("ope",),
    ("agents",),
    ("benchmarks",),
)


class Import(NamedTuple):
    """One import of a module of the tree: lazy ones stand in a function."""

    target: str
    lazy: bool


def modules() -> dict[str, Path]:
    """Every module of the tree under the name that it is installed by."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join((package, *(part for part in parts if part != "__init__")))] = path
    return found


MODULES = modules()


def imports(node: ast.AST, lazy: bool = False) -> Iterator[tuple[str, bool]]:
    """Full names of what a module imports, those for type checkers alone left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for other in child.orelse:
                yield from imports(other, lazy)
        elif isinstance(child, ast.Import):
            yield from ((alias.name, lazy) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            for alias in child.names:
                full = f"{child.module}.{alias.name}"
                yield (full if full in MODULES else child.module), lazy
        else:
            yield from imports(child, lazy or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)))


IMPORTS = {name: [*imports(ast.parse(path.read_text()))] for name, path in MODULES.items()}
TREE = {
    name: {Import(target, lazy) for target, lazy in found if target in MODULES and target != name}
    for name, found in IMPORTS.items()
}


def floor(module: str) -> int | None:
    """Number of a module's floor; None for the front door, which stands before all of them."""
    parts = module.split(".")
    if len(parts) == 1:
        return None
    (number,) = (number for number, names in enumerate(FLOORS) if parts[1] in names)
    return number


def circle(graph: dict[str, set[str]]) -> list[str] | None:
    """A circle of the graph, if there is one."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str] | None:
        if name in path:
            return [*path[path.index(name) :], name]
        if name not in done:
            for target in sorted(graph.get(name, ())):
                if (found := visit(target, [*path, name])) is not None:
                    return found
            done.add(name)
        return None

    return next((found for name in graph if (found := visit(name, [])) is not None), None)


def test_circles_are_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def test_every_module_is_on_a_floor():
    assert len(MODULES) > 100
    for name in MODULES:
        floor(name)
    # Nothing in the list is gone from the tree.
    for names in FLOORS:
        for name in names:
            assert f"irecgan_gym.{name}" in MODULES


def test_no_circles():
    graph = {name: {target for target, _ in found} for name, found in TREE.items()}
    assert circle(graph) is None


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_run_downwards(module):
    own = floor(module)
    for target, lazy in TREE[module]:
        below = floor(target)
        if own is None:
            assert below <= floor("irecgan_gym.sessions") or target == "irecgan_gym.registration"
        elif below is None:
            # Only those who use the suite from outside go through its front door.
            assert module.startswith("irecgan_gym.benchmarks"), f"{module} imports the front door"
        else:
            assert below <= own, f"{module} imports {target} of a higher floor{' (in a function)' if lazy else ''}"


def test_folders_of_one_floor_do_not_lean_on_each_other_in_circles():
    graph: dict[str, set[str]] = {}
    for name, found in TREE.items():
        for target, _ in found:
            first, second = (".".join(module.split(".")[:2]) for module in (name, target))
            if first != second and first != "irecgan_gym":
                graph.setdefault(first, set()).add(second)
    graph.pop("irecgan_gym", None)
    for targets in graph.values():
        targets.discard("irecgan_gym")
    assert circle(graph) is None


@pytest.mark.parametrize(
    "entrance",
    [
        "irecgan_gym",
        "irecgan_gym.readers.__main__",
        "irecgan_gym.planning",
        "irecgan_gym.wrappers.slate_scores",
        "irecgan_gym.envs.recsim_vector",
        "irecgan_gym.evaluation.online",
        "irecgan_gym.evaluation.reranking",
        "irecgan_gym.minari_exchange",
    ],
)
def test_no_torch_behind_what_works_without_it(entrance):
    """No chain of imports at module level leads from here to PyTorch, packages on the way included."""
    reached, open_ends = set(), [entrance]
    while open_ends:
        name = open_ends.pop()
        if name in reached:
            continue
        reached.add(name)
        parents = [".".join(name.split(".")[:length]) for length in range(1, name.count(".") + 1)]
        open_ends += [*parents, *(target for target, lazy in TREE[name] if not lazy)]
    with_torch = [
        name
        for name in reached
        if any(t.split(".")[0] in ("torch", "safetensors") and not lazy for t, lazy in IMPORTS[name])
    ]
    assert with_torch == []


def test_the_suite_knows_nothing_of_its_agents():
    for name, path in MODULES.items():
        if floor(name) is not None and floor(name) < floor("irecgan_gym.agents"):
            assert "irecgan_gym.agents" not in path.read_text(), f"{name} names the agents"
